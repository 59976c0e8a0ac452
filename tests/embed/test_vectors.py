"""Ready vectors: aligned to the rows of the sources, dropped ones included; no unusable ones."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import tree_digest
from embed_fakes import corpus_of, some_prompts
from smartx.corpus import Corpus, ingest
from smartx.embed import VectorsSpec, embed_corpus, embedding_key, embeddings_there, vector_files
from smartx.embed.npy import NpyRows, open_npy
from smartx.engine.fixed_point import quantize
from smartx.errors import StoreError, VectorsError

ROWS, DROPPED = 30, (4, 5, 19)


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return corpus_of(tmp_path, some_prompts(ROWS), without_response=DROPPED)


def source_vectors(dtype: type = np.float32) -> np.ndarray:
    """One vector a row of the sources; those of dropped rows are unusable on purpose."""
    vectors = np.random.default_rng(0).normal(size=(ROWS, 8)).astype(dtype)
    vectors[list(DROPPED)] = np.nan
    return vectors


def expected_rows(corpus: Corpus, vectors: np.ndarray) -> np.ndarray:
    """By the corpus's own origin_row: line k of the file is row k - 1 of the sources."""
    lines = corpus.rows(np.arange(corpus.num_rows)).column("origin_row").to_numpy()
    return quantize(np.asarray(vectors[lines - 1]))


def write_header(path: Path, shape: str) -> None:
    """An .npy file that says it has this shape, and some bytes."""
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    start = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little")
    path.write_bytes(start + header + bytes(ROWS * 8 * 4))


def saved(path: Path, vectors: np.ndarray) -> VectorsSpec:
    np.save(path, vectors)
    return VectorsSpec(path)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
@pytest.mark.parametrize("shard_rows", [7, 65_536])
def test_a_kept_row_takes_its_own_vector_and_a_dropped_row_takes_its_vector_away(
    corpus, tmp_path, dtype, shard_rows
):
    vectors = source_vectors(np.dtype(dtype))
    made = embed_corpus(
        corpus, saved(tmp_path / "v.npy", vectors), tmp_path / "run", part_rows=shard_rows
    )
    assert made.num_rows == ROWS - len(DROPPED)
    native = vectors.astype(vectors.dtype.newbyteorder("="))
    np.testing.assert_array_equal(made.rows(0, made.num_rows), expected_rows(corpus, native))


def test_q12_vectors_are_taken_bit_for_bit(corpus, tmp_path):
    floats = np.random.default_rng(0).normal(size=(ROWS, 8))
    stored = quantize(floats)
    stored[DROPPED[0]] = 32_767  # not Q12: it is of a dropped row, so nobody minds
    made = embed_corpus(corpus, saved(tmp_path / "v.npy", stored), tmp_path / "run")
    np.testing.assert_array_equal(made.rows(0, made.num_rows), expected_rows(corpus, floats))


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float32(), 8), pa.list_(pa.float32()), pa.large_list(pa.float64())]
)
def test_a_parquet_column_gives_the_same_as_the_npy_file(corpus, tmp_path, kind):
    vectors = source_vectors()
    lists = [None if row in DROPPED else vector.tolist() for row, vector in enumerate(vectors)]
    table = pa.table({"id": range(ROWS), "vector": pa.array(lists, type=kind)})
    try:
        pq.write_table(table, tmp_path / "v.parquet", row_group_size=7)
    except pa.ArrowNotImplementedError:
        pytest.skip("this pyarrow writes no null among lists of fixed size")
    if pa.types.is_fixed_size_list(kind) and int(pa.__version__.split(".")[0]) < 26:
        with pytest.raises(VectorsError, match="update pyarrow"):
            embed_corpus(corpus, VectorsSpec(tmp_path / "v.parquet"), tmp_path / "run")
        return
    made = embed_corpus(corpus, VectorsSpec(tmp_path / "v.parquet"), tmp_path / "run")
    np.testing.assert_array_equal(made.rows(0, made.num_rows), expected_rows(corpus, vectors))
    names = sorted(path.name for path in made.folder.iterdir())
    assert names == [".smartx", "manifest.json", "q12-00000.npy"]


def test_a_parquet_file_with_two_columns_of_vectors_asks_which(corpus, tmp_path):
    lists = pa.array(source_vectors().tolist(), type=pa.list_(pa.float32()))
    pq.write_table(pa.table({"a": lists, "b": lists}), tmp_path / "v.parquet")
    with pytest.raises(VectorsError, match="a, b"):
        embed_corpus(corpus, VectorsSpec(tmp_path / "v.parquet"), tmp_path / "run")
    with pytest.raises(VectorsError, match="`vectors_column`"):
        embed_corpus(corpus, VectorsSpec(tmp_path / "v.parquet", "c"), tmp_path / "run")
    embed_corpus(corpus, VectorsSpec(tmp_path / "v.parquet", "b"), tmp_path / "run")


def test_lists_of_unequal_length_name_the_row(corpus, tmp_path):
    lists = source_vectors().tolist()
    lists[11] = lists[11][:-1]
    column = pa.array(lists, type=pa.list_(pa.float32()))
    pq.write_table(pa.table({"v": column}), tmp_path / "v.parquet")
    with pytest.raises(VectorsError, match=r"row 11 .*7 values"):
        embed_corpus(corpus, VectorsSpec(tmp_path / "v.parquet"), tmp_path / "run")


@pytest.mark.parametrize("count", [ROWS - 1, ROWS + 1, 1])
def test_another_number_of_vectors_is_refused_with_both_numbers(corpus, tmp_path, count):
    vectors = np.ones((count, 8), np.float32)
    with pytest.raises(VectorsError, match=f"{count} vectors.*{ROWS} rows"):
        embed_corpus(corpus, saved(tmp_path / "v.npy", vectors), tmp_path / "run")


def test_vectors_of_the_kept_rows_alone_are_refused_with_the_reason(corpus, tmp_path):
    vectors = np.ones((corpus.num_rows, 8), np.float32)
    with pytest.raises(VectorsError, match="dropped 3"):
        embed_corpus(corpus, saved(tmp_path / "v.npy", vectors), tmp_path / "run")


@pytest.mark.parametrize(
    ("value", "dtype", "word"),
    [
        (np.nan, np.float32, "not finite"),
        (-np.inf, np.float64, "not finite"),
        (0, np.float32, "zero"),
        (0, np.int16, "zero"),
        (4_096, np.int16, "another scale"),
        (1_000, np.int16, "another scale"),
    ],
)
def test_an_unusable_vector_names_its_place_in_both_files(corpus, tmp_path, value, dtype, word):
    vectors = np.ones((ROWS, 8), dtype) if dtype != np.int16 else quantize(np.ones((ROWS, 8)))
    vectors[21] = value
    with pytest.raises(VectorsError, match=word) as caught:
        embed_corpus(corpus, saved(tmp_path / "v.npy", vectors), tmp_path / "run")
    assert "v.npy: row 21" in caught.value.place
    assert "rows.jsonl:22" in caught.value.fault
    assert not list((tmp_path / "run").rglob("manifest.json"))


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda path: np.save(path, np.asfortranarray(np.ones((ROWS, 8)))), "Fortran"),
        (lambda path: np.save(path, np.full((ROWS, 8), "a", object), allow_pickle=True), "object"),
        (lambda path: np.save(path, np.ones(ROWS)), "shape"),
        (lambda path: np.save(path, np.ones((ROWS, 8), np.int8)), "int8"),
        (lambda path: np.save(path, np.ones((ROWS, 8), np.complex64)), "complex"),
        (lambda path: path.write_bytes(b"not an array"), "not a readable .npy"),
        (lambda path: path.write_bytes(b""), "not a readable .npy"),
        (lambda path: np.save(path, np.ones((ROWS, 8), np.longdouble)), "numbers of at most 64"),
        (lambda path: write_header(path, "(True, 8)"), "shape"),
        (lambda path: write_header(path, "(60, -16)"), "shape"),
        (lambda path: write_header(path, "(60, 'a')"), "not a readable .npy|shape"),
        (lambda path: write_header(path, f"({'(' * 90}"), "not a readable .npy"),
        (lambda path: write_header(path, "(9" + "9" * 5_000 + ", 8)"), "not a readable .npy"),
    ],
)
def test_a_file_that_is_not_rows_of_numbers_is_refused_with_the_reason(
    corpus, tmp_path, make, word
):
    path = tmp_path / "v.npy"
    make(path)
    with pytest.raises(VectorsError, match=word):
        embed_corpus(corpus, VectorsSpec(path), tmp_path / "run")


@pytest.mark.parametrize("dtype", [np.float32, ">f8"])
def test_a_square_of_similarities_is_refused_as_vectors(corpus, tmp_path, dtype):
    square = np.random.default_rng(0).normal(size=(ROWS, ROWS)).astype(dtype)
    embed_corpus(corpus, saved(tmp_path / "v.npy", square), tmp_path / "run")
    kernel = (square @ square.T).astype(dtype)
    pq.write_table(pa.table({"v": kernel.astype("f4").tolist()}), tmp_path / "v.parquet")
    for spec in (saved(tmp_path / "k.npy", kernel), VectorsSpec(tmp_path / "v.parquet")):
        with pytest.raises(VectorsError, match="30 x 30 numbers are symmetric"):
            embed_corpus(corpus, spec, tmp_path / "run")


def test_a_file_that_is_cut_off_is_refused_with_both_sizes(corpus, tmp_path):
    spec = saved(tmp_path / "v.npy", np.ones((ROWS, 8), np.float32))
    spec.path.write_bytes(spec.path.read_bytes()[:-5])
    with pytest.raises(VectorsError, match=r"cut off: 1,083 bytes.*1,088"):
        embed_corpus(corpus, spec, tmp_path / "run")


def test_a_missing_file_is_refused(corpus, tmp_path):
    with pytest.raises(VectorsError, match="No such file"):
        embed_corpus(corpus, VectorsSpec(tmp_path / "none.npy"), tmp_path / "run")


def test_other_vectors_stand_beside_the_first_and_unchanged_ones_are_used_again(corpus, tmp_path):
    vectors = source_vectors()
    spec = saved(tmp_path / "v.npy", vectors)
    first = embed_corpus(corpus, spec, tmp_path / "run")
    assert first.folder.name == embedding_key(corpus, spec)[:16]
    before = tree_digest(tmp_path / "run")
    embed_corpus(corpus, spec, tmp_path / "run")
    assert tree_digest(tmp_path / "run") == before
    vectors[0] = -vectors[0]
    spec = saved(tmp_path / "v.npy", vectors)
    assert embeddings_there(corpus, spec, tmp_path / "run") is None
    second = embed_corpus(corpus, spec, tmp_path / "run")
    assert second.digest != first.digest
    after = tree_digest(tmp_path / "run")
    assert {name: after[name] for name in before} == before
    assert embeddings_there(corpus, spec, tmp_path / "run").digest == second.digest


@pytest.mark.parametrize("ending", [".npy", ".parquet"])
def test_a_file_that_changes_while_it_is_read_is_refused_and_what_is_finished_stays(
    corpus, tmp_path, monkeypatch, ending
):
    vectors, path = source_vectors(), tmp_path / f"v{ending}"

    def write(vectors):
        if ending == ".npy":
            np.save(path, vectors)
        else:
            lists = pa.array(vectors.tolist(), pa.list_(pa.float32()))
            pq.write_table(pa.table({"v": lists}), path)

    write(vectors)
    spec = VectorsSpec(path)
    done = embed_corpus(corpus, spec, tmp_path / "run", part_rows=7)
    before = tree_digest(tmp_path / "run")
    vectors[0] += 1
    write(vectors)
    where, name = (vector_files, "_matrix") if ending == ".parquet" else (NpyRows, "take")
    read = getattr(where, name)

    def changing(*arguments):
        write(-vectors)
        return read(*arguments)

    monkeypatch.setattr(where, name, changing)
    with pytest.raises(VectorsError, match="changed while it was read"):
        embed_corpus(corpus, spec, tmp_path / "run", part_rows=7)
    monkeypatch.undo()
    after = tree_digest(tmp_path / "run")
    assert {name: after[name] for name in before} == before
    made = embed_corpus(corpus, spec, tmp_path / "run", part_rows=7)
    np.testing.assert_array_equal(made.rows(0, 27), expected_rows(corpus, -vectors))
    assert done.rows(0, 27).shape == (27, 8)


def test_a_killed_run_goes_on_after_its_last_whole_shard(corpus, tmp_path, monkeypatch):
    spec = saved(tmp_path / "v.npy", source_vectors())
    read, calls = vector_files.VectorsFile.take, []

    def take(self, positions):
        calls.append(len(positions))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return read(self, positions)

    monkeypatch.setattr(vector_files.VectorsFile, "take", take)
    with pytest.raises(KeyboardInterrupt):
        embed_corpus(corpus, spec, tmp_path / "run", part_rows=7)
    embed_corpus(corpus, spec, tmp_path / "run", part_rows=7)
    assert calls == [7, 7, 7, 7, 6]
    embed_corpus(corpus, spec, tmp_path / "whole", part_rows=7)
    assert tree_digest(tmp_path / "run") == tree_digest(tmp_path / "whole")


def test_a_flipped_bit_in_a_finished_shard_is_an_error_until_it_is_made_again(corpus, tmp_path):
    spec = saved(tmp_path / "v.npy", source_vectors())
    made = embed_corpus(corpus, spec, tmp_path / "run", part_rows=7)
    before = tree_digest(tmp_path / "run")
    shard = made.folder / "q12-00001.npy"
    content = bytearray(shard.read_bytes())
    content[-3] ^= 1
    shard.write_bytes(content)
    with pytest.raises(StoreError, match="q12-00001"):
        made.rows(0, 27)
    assert len(made.rows(0, 7)) == 7
    embed_corpus(corpus, spec, tmp_path / "run", part_rows=7)
    assert tree_digest(tmp_path / "run") == before


def test_a_pipe_or_a_device_is_refused_at_once(corpus, tmp_path):
    """--vectors of a FIFO or /dev/zero never came back."""
    os.mkfifo(tmp_path / "pipe.npy")
    for path in (tmp_path / "pipe.npy", Path("/dev/zero"), tmp_path):
        with pytest.raises(VectorsError, match="not a regular file"):
            embed_corpus(corpus, VectorsSpec(path), tmp_path / "run")


def test_a_column_of_vectors_needs_no_pandas(corpus, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    for number, dtype in enumerate((pa.float16(), pa.float32(), pa.float64(), pa.int16())):
        vectors = quantize(np.random.default_rng(0).normal(size=(ROWS, 8)))
        values = vectors.astype(np.float16) if number == 0 else vectors
        column = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)).cast(dtype), 8)
        pq.write_table(pa.table({"v": column}), tmp_path / f"{number}.parquet")
        made = embed_corpus(corpus, VectorsSpec(tmp_path / f"{number}.parquet"), tmp_path / "run")
        assert made.num_rows == ROWS - len(DROPPED)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(0, 999), max_size=40),
    st.integers(1, 5),
    st.sampled_from([(1, 8), (64, 40), (1 << 20, 1 << 20)]),
)
def test_rows_taken_by_place_are_those_of_numpy(tmp_path_factory, positions, width, limits):
    array = np.arange(1_000 * width, dtype=np.float32).reshape(1_000, width)
    path = tmp_path_factory.mktemp("npy") / "a.npy"
    np.save(path, array)
    wanted = np.array(positions, dtype=np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("smartx.embed.npy._BRIDGE", limits[0])
        patch.setattr("smartx.embed.npy._READ_LIMIT", limits[1])
        np.testing.assert_array_equal(open_npy(path).take(wanted), array[wanted])


def test_near_rows_are_fetched_by_one_read(tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", np.ones((10_000, 4), np.float32))
    rows = open_npy(tmp_path / "a.npy")
    reads = []
    read = NpyRows.read
    monkeypatch.setattr(
        NpyRows, "read", lambda self, a, b: (reads.append((a, b)), read(self, a, b))[1]
    )
    rows.take(np.array([9_999, 3, 0, 5]))
    assert reads == [(0, 6), (9_999, 10_000)]


@pytest.mark.corpus
def test_the_vectors_of_t0_follow_its_rows_through_ingest(real_data, tmp_path):
    corpus = ingest([real_data / "t0.parquet"], tmp_path / "corpus")
    file = real_data / "t0_minilm_q12.npy"
    made = embed_corpus(corpus, VectorsSpec(file), tmp_path / "run")
    assert (made.num_rows, made.dimensions) == (53_785, 384)
    lines = corpus.rows(np.arange(corpus.num_rows)).column("origin_row").to_numpy()
    np.testing.assert_array_equal(made.rows(0, made.num_rows), np.load(file)[lines - 1])
