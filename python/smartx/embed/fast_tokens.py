"""Ids by the package tokie, for texts where they are those of `tokenizers` for sure.

tokie is 20 times as fast, and it differs: in what Unicode's tables of another year say about a
character, and in tokenizers that it knows only roughly. So it gets texts only of BERT's tokenizer
(WordPiece after BertNormalizer and BertPreTokenizer), whose words do not depend on each other and
whose characters are normalised one by one; and of these only texts all of whose characters were
seen to give the same ids by both packages, alone and inside of words. Combining marks, which
depend on each other, are left to `tokenizers`, and so are texts that hold a special token.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

_PLACES = ("{0}", "a{0}b", "x {0} y", "{0}{0}", "ab{0}", "{0}ab", ".{0}-", "A{0}Z", "2{0}0")
_UNSURE = ("Cc", "Cn", "Co", "Cs")  # Unicode's controls, unassigned, private, halves of characters
_UNKNOWN, _SAME, _OTHER = 0, 1, 2  # what is known of a character
_CODES = 0x110000  # characters that Unicode has room for
_MOST_OTHER = 4  # ASCII characters that may be of the kind _OTHER, before tokie is not used
# What tokenizers differ in: accents, CJK, emoji, controls, long words, nothing, combining marks.
HARD_TEXTS = (
    "", " ", "\n\n\t ", "a", "?", "Hello, World! It's 12:45.", "don't stop-me   now\r\n\r\nplease ",
    "Café Ångström, naïve façade; œuvre, ßtraße Ærøskøbing", "Cafe\u0301 A\u030angstro\u0308m",
    "ÀÉÎÕÜ àéîõü İIıi Ǆǅǆ ﬁ ﬀ ½ ² ™", "中文字符和English混排。日本語のテキスト、カタカナ",
    "한국어 문장 \u1112\u1161\u11ab", "Привет, МИР! Ёжик", "ΣΑΣ Σ ΟΔΟΣ ὈΔΥΣΣΕΎΣ",
    "\U0001f44b\U0001f3fd \U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea \u2764\ufe0f \u2603",
    "हिन्दी में वाक्य", "\u05e9\u05b8\u05c1\u05dc \u0645\u064e\u0631\u0652\u062d",
    "\u0301 \u0301a \u0300\u0323", "“quoted” ‘it’ – — … €5 £4 ¥3 §",
    "\x00\x01\x02a\x1bb\x7fc\x85d\ufeffe\u200bf\u200dg\xadh\u2028i\u00a0j\u3000k\ufffdl",
    "x" * 99, "x" * 100, "x" * 101, "é" * 100, "я" * 101, "中" * 150, "ab" * 6_000, "é" * 12_000,
    "word " * 3_000, "a," * 6_000, "[CLS] [SEP] [MASK] [PAD] [UNK] [mask] [ MASK ] x[UNK]y",
    "##ing ## # unaffable supercalifragilisticexpialidocious antidisestablishmentarianism qzxjkv",
    "def f(x):\n    return {'a': x**2, \"b\": [1, 2.5e-3]}  # <|endoftext|> </s> <pad>",
    "https://example.org/a_b?c=d&e=%20 user@mail.com C:\\dir $x^{2}$ ~`|<>",
)  # fmt: skip


class TokieError(Exception):
    """The package tokie failed, or is not here."""


class FastTokens:
    """BERT's tokenizer by tokie. Several threads may ask at once.

    tokenizer: of `tokenizers`, without truncation and padding.  settings: its tokenizer.json.
    """

    def __init__(self, tokie: Any, tokenizer: Any, settings: Any) -> None:
        self.name = f"tokie {metadata.version('tokie')}"
        self._tokie, self._tokenizer = tokie, tokenizer
        self._special = tuple(token["content"] for token in settings["added_tokens"])
        self._lone = _lone_letters(tokenizer)
        self._known = np.full(_CODES, _UNKNOWN, dtype=np.uint8)
        self._known[0xD800:0xE000] = _OTHER
        self._judge(range(128))
        self._other = {chr(code) for code in np.flatnonzero(self._known[:128] == _OTHER)}
        # Nearly all texts have none of these: then there is nothing else to look for.
        self._signs = tuple(self._other | {content[:1] for content in self._special})

    @property
    def useful(self) -> bool:
        """Whether plain English texts are taken, and none is read otherwise."""
        controls = sum(not char.isprintable() for char in self._other)
        return len(self._other) - controls == 0 and controls <= _MOST_OTHER

    def taken(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """(n,) which texts have the same ids by both packages for sure."""
        found = np.ones(len(texts), dtype=np.bool_)
        wide = []
        for row, text in enumerate(texts):
            for sign in self._signs:
                if sign in text and (sign in self._other or self._has_special(text)):
                    found[row] = False
            if not text.isascii():
                wide.append(row)
        if wide:
            found[wide] &= self._all_same([texts[row] for row in wide])
        return found

    def encode(self, texts: list[str]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """Ids one after another, and how many each text has. Raises TokieError."""
        with _as_error():
            ids, lengths = self._tokie.encode_batch_flat(texts, add_special_tokens=False)
            return np.asarray(ids, dtype=np.uint32), np.asarray(lengths).astype(np.int64)

    def agrees(self, texts: Sequence[str]) -> bool:
        """Whether both packages give these texts the same ids, those aside that are not taken."""
        own = [text for text, taken in zip(texts, self.taken(texts), strict=True) if taken]
        return not own or not self._differing(own)

    def _has_special(self, text: str) -> bool:
        return any(content in text for content in self._special)

    def _all_same(self, texts: list[str]) -> NDArray[np.bool_]:
        """(n,) whether all characters of each text are known to be the same."""
        codes = np.frombuffer("\n".join(texts).encode("utf-32-le", "surrogatepass"), dtype="<u4")
        state = self._known[codes]
        if (state == _UNKNOWN).any():
            self._judge(np.unique(codes[state == _UNKNOWN]).tolist())
            state = self._known[codes]
        ends = np.cumsum([len(text) + 1 for text in texts])
        same = np.ones(len(texts), dtype=np.bool_)
        same[np.searchsorted(ends, np.flatnonzero(state == _OTHER), side="right")] = False
        return same

    def _judge(self, codes: Sequence[int]) -> None:
        """Learn of characters whether both packages read them alike, wherever they stand.

        Two threads that judge the same characters find the same.
        """
        judged = [chr(code) for code in codes if self._may_be_judged(chr(code))]
        probes = ["\n".join(place.format(char) for place in _PLACES) for char in judged]
        wrong = set(self._differing(probes))
        self._known[list(codes)] = _OTHER
        same = [char for char, probe in zip(judged, probes, strict=True) if probe not in wrong]
        self._known[[ord(char) for char in same]] = _SAME

    def _may_be_judged(self, char: str) -> bool:
        """No mark that stays and changes places with another, and no letter that a token may end
        behind although it is none itself.
        """
        if not char.isascii() and unicodedata.category(char) in _UNSURE:
            return False
        normalized = self._tokenizer.normalizer.normalize_str
        if unicodedata.combining(char) and normalized(f"a{char}b") != "ab":
            return False
        lone = self._lone.intersection(normalized(char))
        apart = self._tokenizer.pre_tokenizer.pre_tokenize_str(f"a{char}b") if lone else []
        return not lone or len(apart) == 3  # it is a word of its own

    def _differing(self, texts: list[str]) -> list[str]:
        """The texts of which the packages give different ids."""
        ids, lengths = self.encode(texts)
        theirs = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        ends = np.cumsum(lengths)
        ranges = zip((ends - lengths).tolist(), ends.tolist(), strict=True)
        return [
            text
            for text, (start, end), other in zip(texts, ranges, theirs, strict=True)
            if ids[start:end].tolist() != other.ids
        ]


def fast_tokens(
    path: str, tokenizer: Any, settings: Any, sample: Sequence[str]
) -> FastTokens | None:
    """The tokenizer of this file by tokie; None where tokie is not here, or is not sure to give the
    same ids: for other tokenizers than BERT's, or where those of a text differ.

    sample: texts of the corpus, which are compared beside hard ones.
    """
    if not _is_bert(settings):
        return None
    try:
        with _as_error():
            from tokie import Tokenizer

            loaded: Any = Tokenizer.from_json(path)
            loaded.no_padding()
            loaded.no_truncation()
            with _on_one_processor():
                loaded.encode_batch_flat(["a", "b", "c"], add_special_tokens=False)
        fast = FastTokens(loaded, tokenizer, settings)
        return fast if fast.useful and fast.agrees([*HARD_TEXTS, *sample]) else None
    except TokieError:
        return None


@contextmanager
def _as_error() -> Iterator[None]:
    """Whatever tokie raises becomes a TokieError; a panic of its Rust code is no Exception."""
    try:
        yield
    except BaseException as problem:
        if isinstance(problem, Exception) or type(problem).__name__ == "PanicException":
            raise TokieError(str(problem)) from None
        raise


@contextmanager
def _on_one_processor() -> Iterator[None]:
    """In every call tokie starts as many threads as there were processors in its first one: one, so
    that it starts none, and the threads are those that smartx was given.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    try:
        with suppress(OSError):
            os.sched_setaffinity(0, {min(before)})
        yield
    finally:
        with suppress(OSError):
            os.sched_setaffinity(0, before)


def _is_bert(settings: Any) -> bool:
    """Whether a tokenizer.json is one of BERT's, with special tokens that are read as they are."""
    try:
        model = settings["model"]
        return (
            model["type"] == "WordPiece"
            and model["continuing_subword_prefix"] == "##"
            and settings["normalizer"]["type"] == "BertNormalizer"
            and settings["pre_tokenizer"]["type"] == "BertPreTokenizer"
            and not any(token["normalized"] for token in settings["added_tokens"])
        )
    except (KeyError, TypeError):
        return False


def _lone_letters(tokenizer: Any) -> set[str]:
    """Characters of tokens that are not themselves tokens, both at the start of a word and inside.

    A word may end in the middle of a token there, which the packages might take differently.
    """
    vocabulary = tokenizer.get_vocab(with_added_tokens=False)
    letters = set("".join(token.removeprefix("##") for token in vocabulary))
    return {char for char in letters if char not in vocabulary or f"##{char}" not in vocabulary}
