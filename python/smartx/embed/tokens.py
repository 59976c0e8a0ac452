"""Texts -> ids of tokens, at the machine's limit: what static encoders and students read.

The ids are those of the package `tokenizers`, whichever package made them. A text is cut before it
is tokenised, at a place where that does not change the ids that are kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx.embed.fast_tokens import FastTokens, TokieError, fast_tokens
from smartx.errors import EncoderError, MissingPackageError
from smartx.files import unchanged_digest

_TEXTS = 2_048  # a thread takes at once
_CHARACTERS = 6  # of a text are tokenised for a token that is read, and more where those give less
_GROWTH = 4  # times as many
_SPACES = " \t\n\r"  # which no word of any tokenizer holds, for all readers of Unicode
_SPACE = re.compile(f"[{_SPACES}]")


@dataclass(frozen=True, slots=True, eq=False)
class Ids:
    """The tokens of n texts.

    flat: (total,) uint32, one text after another.  lengths: (n,) int64, tokens of each.
    cut: (n,) bool, where a text has more tokens than were asked for.
    """

    flat: NDArray[np.uint32]
    lengths: NDArray[np.int64]
    cut: NDArray[np.bool_]


class TokenReader:
    """Reads texts with a tokenizer, without special tokens. Several threads may ask at once.

    vocabulary: ids lie below it.  unknown: the id of what is in no token, if there is one.
    usual_length: characters of the middle one of all tokens.  digest: of its file.
    by: the package that reads most texts; the ids do not depend on it.
    """

    def __init__(self, path: Path, sample: Sequence[str], threads: int) -> None:
        self._tokenizer, settings = _loaded(path)
        self._threads = threads
        self._fast: FastTokens | None = fast_tokens(str(path), self._tokenizer, settings, sample)
        self._cuts = _Cuts(settings)
        tokens = self._tokenizer.get_vocab()
        self.vocabulary = 1 + max(tokens.values(), default=-1)
        self.usual_length = int(np.median([len(token) for token in tokens] or [0]))
        model = settings.get("model") or {}
        self.unknown: int | None = model.get("unk_id", tokens.get(model.get("unk_token")))
        self.digest = unchanged_digest(path)

    @property
    def by(self) -> str:
        """The package, with its version."""
        return self._fast.name if self._fast else f"tokenizers {metadata.version('tokenizers')}"

    def read(self, texts: list[str], limit: int | None) -> Ids:
        """At most `limit` tokens of each text (None: all), the first ones."""
        blocks = [texts[start : start + _TEXTS] for start in range(0, len(texts), _TEXTS)]
        if self._threads > 1 and len(blocks) > 1:
            with ThreadPoolExecutor(min(self._threads, len(blocks))) as pool:
                parts = list(pool.map(lambda block: self._read(block, limit), blocks))
        else:
            parts = [self._read(block, limit) for block in blocks]
        if len(parts) == 1:
            return parts[0]
        return Ids(
            np.concatenate([np.empty(0, np.uint32), *(part.flat for part in parts)]),
            np.concatenate([np.empty(0, np.int64), *(part.lengths for part in parts)]),
            np.concatenate([np.empty(0, np.bool_), *(part.cut for part in parts)]),
        )

    def _read(self, texts: list[str], limit: int | None) -> Ids:
        if limit is None:
            return Ids(*self._encode(texts), np.zeros(len(texts), dtype=np.bool_))
        most = _CHARACTERS * limit
        heads = [self._cuts.head(text, most) for text in texts]
        flat, lengths = self._encode(heads)
        short = lengths <= limit
        rows = [row for row in np.flatnonzero(short).tolist() if len(heads[row]) < len(texts[row])]
        while rows:  # what is left of a text might hold more tokens
            most *= _GROWTH
            heads = [self._cuts.head(texts[row], most) for row in rows]
            flat, lengths = _replaced(flat, lengths, rows, *self._encode(heads))
            rows = [
                row
                for row, head in zip(rows, heads, strict=True)
                if lengths[row] <= limit and len(head) < len(texts[row])
            ]
        return _first(flat, lengths, limit)

    def _encode(self, texts: list[str]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """All ids of some texts, and how many each has."""
        fast = self._fast
        if fast is None:
            return self._slowly(texts)
        try:
            taken = fast.taken(texts)
            if taken.all():
                return fast.encode(texts)
            rows = np.flatnonzero(taken).tolist()
            made = fast.encode([texts[row] for row in rows])
        except TokieError:
            self._fast = None  # for good: the ids are the same
            return self._slowly(texts)
        others = self._slowly([texts[row] for row in np.flatnonzero(~taken).tolist()])
        lengths = np.zeros(len(texts), dtype=np.int64)
        lengths[~taken] = others[1]
        flat = others[0]
        return _replaced(flat, lengths, rows, *made)

    def _slowly(self, texts: list[str]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        encoded = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        rows = [one.ids for one in encoded]
        lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
        flat = np.fromiter(
            (token for row in rows for token in row), dtype=np.uint32, count=int(lengths.sum())
        )
        return flat, lengths


def tokens_of(path: Path | str, *, sample: Sequence[str] = (), threads: int = 1) -> TokenReader:
    """What reads texts with a tokenizer.json.

    sample: texts of the corpus: the fast package is used only where their ids are the same by it.
    threads: that read at once; what is read does not depend on them, nor on the sample.
    Raises EncoderError where the file holds no tokenizer, MissingPackageError.
    """
    return TokenReader(Path(path), sample, threads)


class _Cuts:
    """Where texts may be cut, so that the tokens before that place are those of the whole text.

    That is before white space, which every tokenizer splits words at; with BERT's also behind a
    punctuation mark, a word by itself.
    """

    def __init__(self, settings: Any) -> None:
        special = "".join(token["content"] for token in settings.get("added_tokens", ()))
        self._whole = any(space in special for space in _SPACES)
        self._mark = None
        if (settings.get("pre_tokenizer") or {}).get("type") == "BertPreTokenizer":
            marks = "".join(
                char for char in "!\"#$%&'()*+,-./:;=?@\\^_`{|}~" if char not in special
            )
            self._mark = re.compile(f"[{re.escape(marks)}]") if marks else None

    def head(self, text: str, most: int) -> str:
        """About `most` characters from the head of a text, or all of it where none may be cut."""
        if len(text) <= most or self._whole:
            return text
        for space in " \n":
            if (end := text.rfind(space, most // 2, most)) > 0:
                return text[:end].rstrip(_SPACES)
        after = self._mark.search(text, most // 2) if self._mark else None
        found = _SPACE.search(text, most // 2, after.end() if after else len(text))
        if found:
            return text[: found.start()].rstrip(_SPACES)
        return text[: after.end()] if after else text


def _first(flat: NDArray[np.uint32], lengths: NDArray[np.int64], limit: int) -> Ids:
    """At most `limit` tokens of each text."""
    cut = lengths > limit
    if not cut.any():
        return Ids(flat, lengths, cut)
    kept = np.minimum(lengths, limit)
    ends = np.cumsum(lengths)
    within = np.arange(len(flat)) < np.repeat(ends - lengths + kept, lengths)
    return Ids(flat[within], kept, cut)


def _replaced(
    flat: NDArray[np.uint32],
    lengths: NDArray[np.int64],
    rows: list[int],
    new: NDArray[np.uint32],
    new_lengths: NDArray[np.int64],
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The ids of some texts, those of `rows` in place of what there was."""
    replaced = np.zeros(len(lengths), dtype=np.bool_)
    replaced[rows] = True
    old = flat[~np.repeat(replaced, lengths)]
    lengths = lengths.copy()
    lengths[rows] = new_lengths
    inside = np.repeat(replaced, lengths)
    both = np.empty(len(inside), dtype=np.uint32)
    both[inside], both[~inside] = new, old
    return both, lengths


def _loaded(path: Path) -> tuple[Any, Any]:
    """The tokenizer of a file, without truncation and padding, and what the file says."""
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise MissingPackageError("tokenizers", needed_for="embedding", extra="embed") from None
    try:
        tokenizer = Tokenizer.from_file(str(path))
        settings = json.loads(path.read_bytes())
    except Exception as problem:  # the package raises bare Exception
        reason = (str(problem).strip().splitlines() or [type(problem).__name__])[0][:200]
        raise EncoderError(
            f"the tokenizer cannot be loaded ({reason})",
            place=str(path),
            fix="name a folder with the tokenizer.json that its encoder was saved with",
        ) from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer, settings
