"""Ids of tokens: the same whichever package makes them, wherever texts are cut, on any threads."""

from __future__ import annotations

import functools
import json
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed_tokenizers import WORDS, bert_file, byte_level_file, unigram_file
from smartx.embed import fast_tokens, tokens
from smartx.embed.encoders import PACKAGED, local_folder
from smartx.embed.fast_tokens import HARD_TEXTS
from smartx.embed.tokens import tokens_of
from smartx.errors import EncoderError

tokenizers = pytest.importorskip("tokenizers", reason="ids need tokenizers")
KINDS = {"bert": bert_file, "byte-level": byte_level_file, "unigram": unigram_file}

words = st.one_of(
    st.sampled_from(
        [*WORDS, "[MASK]", "[SEP]", "\x7f", "é", "日本", "\n", "\t ", "  ", "don't", "a,b"]
    ),
    st.text(max_size=12),
)
any_texts = st.lists(st.lists(words, max_size=40).map(" ".join), max_size=6)


@pytest.fixture(scope="module", params=KINDS)
def file(request, tmp_path_factory) -> Path:
    return KINDS[request.param](tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> Path:
    return bert_file(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def minilm() -> Path:
    folder = local_folder(PACKAGED)
    if folder is None:
        pytest.skip("the packaged encoder is not installed")
    return folder / "tokenizer.json"


@pytest.fixture
def tokie():
    return pytest.importorskip("tokie", reason="tokie is not installed")


@functools.cache
def slow(file: Path) -> tokenizers.Tokenizer:
    made = tokenizers.Tokenizer.from_file(str(file))
    made.no_truncation()
    made.no_padding()
    return made


def expected(file: Path, texts: list[str], limit: int | None) -> tuple[list[list[int]], list[bool]]:
    """Whole texts by `tokenizers`, then cut; and which are cut."""
    found = [one.ids for one in slow(file).encode_batch(texts, add_special_tokens=False)]
    return [ids[:limit] for ids in found], [ids[:limit] != ids for ids in found]


reader_of = functools.cache(tokens_of)


def read(reader: tokens.TokenReader, texts: list[str], limit: int | None):
    ids = reader.read(texts, limit)
    assert (ids.flat.dtype, ids.lengths.dtype, ids.cut.dtype) == (np.uint32, np.int64, np.bool_)
    ends = np.cumsum(ids.lengths).tolist()
    starts = [0, *ends][: len(ends)]
    rows = [ids.flat[start:end].tolist() for start, end in zip(starts, ends, strict=True)]
    return rows, ids.cut.tolist()


@pytest.fixture(scope="module")
def reader(file):
    return tokens_of(file)


@given(texts=any_texts, limit=st.one_of(st.none(), st.integers(1, 40)))
def test_ids_are_those_of_the_whole_text_cut_at_the_limit(file, reader, texts, limit):
    assert read(reader, texts, limit) == expected(file, texts, limit)


@given(
    parts=st.lists(
        st.sampled_from([" ", "\n", "\t", "a", "the", ",", "é", "[MASK]", "x" * 70, "中"])
    ),
    repeats=st.integers(1, 60),
)
def test_long_texts_are_cut_where_their_tokens_are_not(file, reader, parts, repeats):
    texts = ["".join(parts) * repeats, "".join(parts[::-1]) * repeats]
    assert read(reader, texts, 5) == expected(file, texts, 5)


@pytest.mark.parametrize("limit", [None, 1, 30, 512])
def test_hard_texts(minilm, limit):
    texts = list(HARD_TEXTS)
    assert read(tokens_of(minilm), texts, limit) == expected(minilm, texts, limit)


@given(texts=st.lists(st.text(max_size=60), max_size=10))
def test_any_characters(minilm, texts):
    assert read(reader_of(minilm), texts, 20) == expected(minilm, texts, 20)


@pytest.mark.corpus
@pytest.mark.parametrize("name", ["t0", "bigbench"])
def test_real_texts(real_data, minilm, name):
    column = pq.read_table(real_data / f"{name}.parquet", columns=["inputs"])["inputs"]
    texts = column.to_pylist()[:: len(column) // 1_500]
    reader = tokens_of(minilm, sample=texts[:50])
    assert read(reader, texts, 256) == expected(minilm, texts, 256)


def test_only_the_head_of_a_long_text_is_tokenised(bert, monkeypatch):
    """12 prompts of 3.7 MB took 79 seconds."""
    reader = tokens_of(bert)
    seen = []
    encode = reader._encode
    monkeypatch.setattr(reader, "_encode", lambda texts: (seen.extend(texts), encode(texts))[1])
    texts = ["the word " * 100_000, "a," * 100_000, " " * 5_000 + "the", "word"]
    found, cut = read(reader, texts, 100)
    assert [len(ids) for ids in found] == [100, 100, 1, 1]
    assert cut == [True, True, False, False]
    assert sum(map(len, seen)) < 20_000


def test_english_is_read_by_tokie(tokie, minilm, bert):
    version = f"tokie {metadata.version('tokie')}"
    assert tokens_of(minilm).by == tokens_of(bert).by == version


def test_without_tokie_the_ids_are_the_same(tokie, minilm, monkeypatch):
    texts = [*HARD_TEXTS, *WORDS]
    fast = tokens_of(minilm)
    monkeypatch.setitem(sys.modules, "tokie", None)
    slow = tokens_of(minilm)
    assert slow.by.startswith("tokenizers ")
    assert read(slow, texts, 64) == read(fast, texts, 64)
    for name in ("vocabulary", "unknown", "usual_length", "digest"):
        assert getattr(slow, name) == getattr(fast, name)


def test_other_kinds_of_tokenizers_are_left_to_tokenizers(tmp_path):
    assert tokens_of(byte_level_file(tmp_path / "b")).by.startswith("tokenizers ")
    assert tokens_of(unigram_file(tmp_path / "u")).by.startswith("tokenizers ")


@pytest.mark.parametrize(
    "change",
    [
        {"normalizer": {"type": "Lowercase"}},
        {"normalizer": None},
        {"pre_tokenizer": {"type": "Whitespace"}},
        {"added": {"normalized": True}},
    ],
)
def test_tokenizers_that_are_nearly_berts_are_left_to_tokenizers(bert, tmp_path, change):
    settings = json.loads(bert.read_bytes())
    if added := change.pop("added", None):
        settings["added_tokens"][4].update(added)
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({**settings, **change}))
    reader = tokens_of(path)
    assert reader.by.startswith("tokenizers ")
    texts = [*HARD_TEXTS, "[MASK] [mask] a[MASK]b"]
    assert read(reader, texts, 50) == expected(path, texts, 50)


@pytest.mark.parametrize(
    "option", ["lowercase", "strip_accents", "clean_text", "handle_chinese_chars"]
)
def test_berts_normaliser_with_other_settings(bert, tmp_path, option):
    settings = json.loads(bert.read_bytes())
    settings["normalizer"][option] = False
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(settings))
    texts = [*HARD_TEXTS, "The WORD É é e\u0301 中文 a\u0001b\u00a0c", *WORDS]
    assert read(tokens_of(path), texts, 50) == expected(path, texts, 50)


def test_words_that_end_inside_of_a_token(tokie, tmp_path):
    """A letter that is no token by itself: tokie takes what comes before it for the word."""
    path = bert_file(tmp_path, letters="жи", own=("##ქრ",))
    texts = ["жქ", "жქრ", "жქრ жქ", "жи", "Жქ", "ქ", "ქრ"]
    reader = tokens_of(path)
    assert reader.by.startswith("tokie ")
    assert read(reader, texts, 50) == expected(path, texts, 50)
    ids, _ = reader._fast.encode(["жქ"])
    assert ids.tolist() != [reader.unknown], "tokie was mended: it can have these letters"


def test_a_word_is_not_cut_where_that_makes_another(bert):
    """A word of more than 100 letters is unknown; its head would be many tokens."""
    texts = [f"{'the ' * 5}{'x' * 150} the the", f"the\n{'x' * 150}", "x" * 150 + " the" * 9]
    assert read(tokens_of(bert), texts, 6) == expected(bert, texts, 6)


def test_a_sample_of_other_ids_is_not_forgiven(tokie, minilm, monkeypatch):
    """The corpus itself is looked at, whatever the rules say of its texts."""
    differing = fast_tokens.FastTokens._differing
    monkeypatch.setattr(
        fast_tokens.FastTokens,
        "_differing",
        lambda self, texts: differing(self, texts) + [t for t in texts if t == "the odd text"],
    )
    assert tokens_of(minilm, sample=["a text"]).by.startswith("tokie ")
    assert tokens_of(minilm, sample=["a text", "the odd text"]).by.startswith("tokenizers ")


class PanicException(BaseException):
    """What Rust's panics are in Python."""


@pytest.mark.parametrize("fault", [ValueError, PanicException])
def test_tokie_may_fail_at_any_text(tokie, minilm, monkeypatch, fault):
    reader = tokens_of(minilm)
    texts = [*WORDS, "boom", *HARD_TEXTS]

    class Failing:
        def encode_batch_flat(self, texts, add_special_tokens):
            raise fault("no")

    monkeypatch.setattr(reader._fast, "_tokie", Failing())
    assert read(reader, texts, 30) == expected(minilm, texts, 30)
    assert reader.by.startswith("tokenizers ")


def test_who_ends_the_program_ends_it(tokie, minilm, monkeypatch):
    reader = tokens_of(minilm)

    class Interrupted:
        def encode_batch_flat(self, texts, add_special_tokens):
            raise KeyboardInterrupt

    monkeypatch.setattr(reader._fast, "_tokie", Interrupted())
    with pytest.raises(KeyboardInterrupt):
        reader.read(["a"], 5)


def test_a_tokie_that_cannot_load_a_file_is_done_without(tokie, minilm, monkeypatch):
    class Broken:
        @staticmethod
        def from_json(path):
            raise PanicException("not of this kind")

    monkeypatch.setattr(tokie, "Tokenizer", Broken)
    assert tokens_of(minilm).by.startswith("tokenizers ")


def test_threads_change_nothing(minilm):
    texts = [f"{word} {row} é {other}" for row, word in enumerate(WORDS) for other in WORDS]
    one, many = tokens_of(minilm), tokens_of(minilm, threads=4)
    for name in ("flat", "lengths", "cut"):
        np.testing.assert_array_equal(
            getattr(one.read(texts, 6), name), getattr(many.read(texts, 6), name)
        )


def test_several_threads_may_read_at_once(minilm):
    reader = tokens_of(minilm)
    texts = [
        [f"{word} {chr(0x400 + 7 * row + at)}" for at, word in enumerate(WORDS)]
        for row in range(24)
    ]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda part: read(reader, part, 9), texts))
    assert found == [expected(minilm, part, 9) for part in texts]


def test_tokie_starts_no_threads_of_its_own(tokie, minilm):
    """The threads that read are those that smartx was given."""
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("processors cannot be chosen here")
    before = os.sched_getaffinity(0)
    reader = tokens_of(minilm)
    assert os.sched_getaffinity(0) == before
    texts, most = ["the word of it " * 400] * 3_000, 0
    done = threading.Event()

    def look() -> None:
        nonlocal most
        while not done.wait(0.001):
            most = max(most, len(os.listdir("/proc/self/task")))

    watch = threading.Thread(target=look)
    watch.start()
    others = len(os.listdir("/proc/self/task"))
    reader._fast.encode(texts)
    done.set()
    watch.join()
    assert most <= others


def test_an_empty_list_and_empty_texts(file):
    reader = tokens_of(file)
    assert read(reader, [], 5) == ([], [])
    assert read(reader, ["", "the", ""], 5)[1] == [False] * 3


def test_what_is_no_tokenizer_is_named(tmp_path):
    path = tmp_path / "tokenizer.json"
    for content in ("{}", "no JSON", "[]"):
        path.write_text(content)
        with pytest.raises(EncoderError, match="cannot be loaded") as caught:
            tokens_of(path)
        assert caught.value.place == str(path)
    with pytest.raises(EncoderError, match="cannot be loaded"):
        tokens_of(tmp_path / "none.json")


def test_what_a_reader_says_of_its_tokenizer(bert, tmp_path):
    reader, vocabulary = tokens_of(bert), json.loads(bert.read_bytes())["model"]["vocab"]
    assert reader.vocabulary == len(vocabulary)
    assert reader.unknown == vocabulary["[UNK]"]
    assert reader.usual_length == int(np.median([len(token) for token in vocabulary]))
    assert tokens_of(unigram_file(tmp_path)).unknown == 0
