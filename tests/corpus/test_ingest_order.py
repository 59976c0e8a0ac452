"""A whole corpus: the order of its rows, the bytes of its folder, reuse, the real corpora."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_files import FLAN, Notes, dropped, ingest_rows, real_corpus, table_of, tree, write_rows
from smartx.corpus import Columns, ingest
from smartx.corpus.grouping import ARRIVAL, Arrivals
from smartx.corpus.room import UNLIMITED, Room
from smartx.errors import CorpusError
from smartx.files import temporary_path

ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")

names = st.sampled_from(["", "a", "B", "b", "é", "\U0001f600", "ab"])
row = st.fixed_dictionaries(
    {
        "inputs": st.sampled_from(["p", "q", "", None]),
        "targets": st.sampled_from(["r", ""]),
        "task_source": names,
        "task_name": names,
        "template_type": names,
    }
)


def names_of(row, file):
    """Source, task and template of a row: rows that do not say their task are their file's."""
    source, task, template = (row[c] for c in ("task_source", "task_name", "template_type"))
    return source or ("" if task else file), task or file, template


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(
    files=st.lists(
        st.tuples(st.sampled_from(ENDINGS), st.lists(row, min_size=1, max_size=12)),
        min_size=1,
        max_size=4,
    )
)
def test_a_corpus_is_its_usable_rows_sorted_by_group_and_then_by_arrival(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    paths = [write_rows(folder / f"f{i}{ending}", rows) for i, (ending, rows) in enumerate(files)]
    arrived = [
        (row, number, line)
        for number, (_, rows) in enumerate(files)
        for line, row in enumerate(rows, 1)
    ]
    kept = [
        (
            names_of(row, f"f{number}"),
            place,
            row,
            number,
            line,
        )
        for place, (row, number, line) in enumerate(arrived)
        if row["inputs"] and row["targets"]
    ]
    if not kept:
        with pytest.raises(CorpusError):
            ingest(paths, folder / "out")
        return
    kept.sort(key=lambda item: item[:2])
    corpus = ingest(paths, folder / "out")
    found = table_of(corpus)
    assert [
        (r["name"], r["prompt"], r["response"], r["origin_file"], r["origin_row"]) for r in found
    ] == [(name, r["inputs"], r["targets"], number, line) for name, _, r, number, line in kept]
    assert [r["row_id"] for r in found] == list(range(len(kept)))
    assert corpus.source_positions(0, len(kept)).tolist() == [place for _, place, *_ in kept]
    assert corpus.prompts(0, len(kept)) == [r["inputs"] for _, _, r, _, _ in kept]
    assert corpus.num_source_rows == len(arrived) == len(kept) + len(dropped(folder / "out"))


class Tiny(Room):
    """Buckets and pieces of work smaller than any run would have."""

    bucket_bytes = 500
    repeat_rows = 7


def arrivals_of(folder, count, seed, room):
    random = np.random.default_rng(seed)
    arrivals = Arrivals(folder, 6, room)
    for start in range(0, count, 7):
        n = min(7, count - start)
        texts = pa.array(["x" * int(k) for k in random.integers(0, 50, n)], pa.large_string())
        task = pa.array([f"t{k}" for k in random.integers(0, 5, n)])
        ids = pa.array(np.arange(start, start + n))
        turns = pa.nulls(n, ARRIVAL.field("messages").type)
        files = pa.array(np.zeros(n, dtype=np.int32))
        arrivals.add(
            pa.RecordBatch.from_arrays([texts, texts, turns, files, ids, ids], schema=ARRIVAL),
            (task, task, task),
        )
    return arrivals


@pytest.mark.parametrize("bucket_bytes", [1, 500, 2_000])
@pytest.mark.parametrize("drop", [False, True])
def test_rows_that_are_placed_in_many_buckets_come_as_in_one(
    tmp_path, monkeypatch, bucket_bytes, drop
):
    monkeypatch.setattr("smartx.corpus.grouping._OPEN_BUCKETS", 2)
    monkeypatch.setattr("smartx.corpus.grouping._SPLIT_BYTES", 3_000)
    monkeypatch.setattr("smartx.corpus.records.CHUNK_ROWS", 9)
    monkeypatch.setattr(Tiny, "bucket_bytes", bucket_bytes)
    found = []
    for room in (UNLIMITED, Tiny()):
        arrivals = arrivals_of(tmp_path, 100, 3, room)
        order = arrivals.order(drop_repeats=drop)
        assert (len(order.bounds) > 4) == (room is not UNLIMITED)
        pieces = list(arrivals.placed(order))
        arrivals.close()
        assert all(piece.num_rows == 6 for piece in pieces[:-1])
        found.append((pa.concat_tables(pieces).to_pylist(), order.repeats))
    assert found[0] == found[1]
    rows, repeats = found[0]
    assert len(rows) == 100 - drop * repeats
    assert repeats > 0
    assert [row["row_id"] for row in rows] == list(range(len(rows)))
    assert list(tmp_path.iterdir()) == []


def test_the_same_sources_give_the_same_bytes_wherever_they_and_the_corpus_lie(tmp_path):
    rows = [{**FLAN, "task_name": f"t{i % 7}", "inputs": f"{i}"} for i in range(500)]
    trees = []
    for place in ("here", "there/deep"):
        write_rows(tmp_path / place / "in/a.jsonl", [*rows, b"{"])
        write_rows(tmp_path / place / "in/b.parquet", rows)
        out = tmp_path / place / "out"
        ingest([tmp_path / place / "in"], out)
        trees.append(tree(out))
    assert trees[0] == trees[1]
    assert str(tmp_path).encode() not in b"".join(trees[0].values())


def test_an_unchanged_corpus_is_used_again_and_a_changed_one_is_redone(tmp_path):
    progress, out = Notes(), tmp_path / "out"
    first = ingest_rows(tmp_path, [FLAN, FLAN])
    stamp = (out / "rows-00000.parquet").stat().st_mtime_ns
    again = ingest([tmp_path / "in/file.jsonl"], out, progress=progress)
    assert "used again" in "".join(progress.notes)
    assert (out / "rows-00000.parquet").stat().st_mtime_ns == stamp
    assert again.digest == first.digest
    changed = ingest_rows(tmp_path, [FLAN, {**FLAN, "inputs": "3 + 3 ="}])
    assert changed.prompts(0, 2) == ["2 + 2 =", "3 + 3 ="]
    options = [
        {"columns": Columns(task="inputs")},
        {"task_name": "x"},
        {"keep_empty_responses": True},
    ]
    digests = [ingest([tmp_path / "in/file.jsonl"], out, **o).digest for o in options]
    assert len({first.digest, changed.digest, *digests}) == 5


def test_what_a_killed_ingest_left_does_not_stay_and_what_others_wrote_does(tmp_path):
    ingest_rows(tmp_path, [FLAN])
    temporary_path(tmp_path / "out" / "arrivals.arrow").write_bytes(b"killed")
    (tmp_path / "out" / ".arrivals.tmp.mine").write_bytes(b"a person's")
    ingest_rows(tmp_path, [FLAN, FLAN])
    assert sorted(tree(tmp_path / "out")) == [
        ".arrivals.tmp.mine",
        ".smartx",
        "dropped.parquet",
        "groups.parquet",
        "manifest.json",
        "rows-00000.parquet",
    ]


@pytest.mark.corpus
def test_t0_keeps_all_but_its_empty_responses(tmp_path):
    path = real_corpus("t0.parquet")
    corpus = ingest([path], tmp_path / "out")
    assert (corpus.num_rows, corpus.manifest["rows"]["dropped"]) == (
        53_785,
        {"empty response": 1_400},
    )
    corpus = ingest([path], tmp_path / "out", keep_empty_responses=True)
    assert corpus.num_rows == 55_185
    assert (len(corpus.groups), len(corpus.groups.tasks())) == (283, 37)
    table = pq.read_table(path)
    positions = corpus.source_positions(0, corpus.num_rows)
    assert sorted(positions.tolist()) == list(range(55_185))
    assert corpus.prompts(0, 55_185) == table.column("inputs").take(positions).to_pylist()


@pytest.mark.corpus
@pytest.mark.slow
def test_bigbench_goes_through(tmp_path, capsys):
    import time

    start = time.perf_counter()
    corpus = ingest([real_corpus("bigbench.parquet")], tmp_path / "out")
    with capsys.disabled():
        print(f"\nbigbench: {corpus.num_source_rows:,} rows in {time.perf_counter() - start:.1f} s")
    assert (corpus.num_rows, len(corpus.groups.tasks())) == (317_381, 972)
