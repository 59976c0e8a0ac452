from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_files import FLAN, write_rows
from smartx.corpus import Groups, ingest, open_corpus, pieces
from smartx.corpus.cost import row_sizes
from smartx.errors import InputError, StoreError
from smartx.files import canonical_json
from smartx.store import sealed

ROWS = 70_000  # more than one file of rows, and several row groups


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    rows = [
        {"prompt": f"p{i}", "response": f"r{i}", "task": f"t{i % 50:02}", "template": f"{i % 3}"}
        for i in range(ROWS)
    ]
    return ingest([write_rows(folder / "a.jsonl", rows)], folder / "out")


@pytest.fixture(scope="module")
def expected():
    order = sorted(range(ROWS), key=lambda i: (i % 50, i % 3, i))
    return [f"p{i}" for i in order]


@pytest.fixture
def small(tmp_path):
    return ingest([write_rows(tmp_path / "a.jsonl", [FLAN] * 20)], tmp_path / "out")


def test_rows_lie_in_files_of_fixed_size(large):
    assert [e["rows"] for e in large.manifest["files"] if "rows-" in e["name"]] == [
        65_536,
        ROWS - 65_536,
    ]


@pytest.mark.parametrize(
    ("start", "stop"),
    [(0, 0), (0, 5), (8_190, 8_195), (65_530, 65_540), (69_999, 70_000), (70_000, 70_000)],
)
def test_prompts_of_a_range_are_those_of_its_rows(large, expected, start, stop):
    assert large.prompts(start, stop) == expected[start:stop]
    assert len(large.source_positions(start, stop)) == stop - start


@pytest.mark.parametrize("files", [2, 128])
@pytest.mark.parametrize("count", [0, 1, 300, 301])
def test_pieces_are_the_rows_in_the_order_asked_for(large, tmp_path, monkeypatch, count, files):
    module = sys.modules["smartx.corpus.pieces"]
    monkeypatch.setattr(module, "_FILES", files)
    monkeypatch.setattr(module, "_HELD_BYTES", 1 << 10)
    ids = np.random.default_rng(3).permutation(ROWS)[:count]
    parts = list(pieces(large.rising, ids, 50, tmp_path))
    assert [part.num_rows for part in parts] == [
        len(ids[at : at + 50]) for at in range(0, max(count, 1), 50)
    ]
    for number, part in enumerate(parts):
        assert part.equals(large.rows(ids[50 * number : 50 * number + 50]))
    assert list(tmp_path.iterdir()) == []


def test_pieces_that_are_not_taken_to_the_end_leave_nothing(large, tmp_path):
    made = pieces(large.rising, np.arange(300)[::-1], 50, tmp_path)
    next(made)
    assert list(tmp_path.iterdir())
    made.close()
    assert list(tmp_path.iterdir()) == []
    for outside in (-1, ROWS):
        with pytest.raises(InputError, match="row ids"):
            list(pieces(large.rising, np.array([5, outside, 7]), 1, tmp_path))


@settings(deadline=None, max_examples=30)
@given(ids=st.lists(st.integers(0, ROWS - 1), max_size=40))
def test_rows_come_in_the_order_asked_for(large, expected, ids):
    table = large.rows(np.array(ids, dtype=np.int64))
    assert table.column("row_id").to_pylist() == ids
    assert table.column("prompt").to_pylist() == [expected[i] for i in ids]


def test_a_few_rows_hold_no_whole_row_groups(large):
    ids = np.arange(0, ROWS, 8_192)
    held = list(large.rising(ids))
    assert sum(len(table) for table in held) == len(ids)
    assert sum(table.get_total_buffer_size() for table in held) < 100 * len(ids) * len(held)


def test_the_table_of_rows_has_the_promised_columns(small):
    types = {field.name: str(field.type) for field in small.rows(np.array([0])).schema}
    assert types == {
        "row_id": "int64",
        "group_id": "int32",
        "prompt": "string",
        "response": "string",
        "messages": "list<element: struct<role: string, content: string, extra: string>>",
        "origin_file": "int32",
        "origin_row": "int64",
    }
    assert {f.name: str(f.type) for f in small.rows(np.empty(0, np.int64)).schema} == types


@pytest.mark.parametrize("bad", [[20], [-1], [0.5], [[1]]])
def test_row_ids_that_are_none_are_refused(small, bad):
    with pytest.raises(InputError):
        small.rows(np.array(bad))


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (3, 2), (0, 21)])
def test_ranges_outside_are_refused(small, start, stop):
    with pytest.raises(InputError):
        small.prompts(start, stop)


def test_groups_are_contiguous_sorted_and_cover_every_row(large):
    groups = large.groups
    names = list(zip(groups.source, groups.task, groups.template, strict=True))
    assert names == sorted(set(names))
    assert groups.start.tolist() == [0, *np.cumsum(groups.rows)[:-1]]
    assert groups.rows.sum() == large.num_rows
    ids = large.rows(np.arange(0, ROWS, 997)).column("group_id").to_numpy()
    assert (ids == np.searchsorted(groups.start, np.arange(0, ROWS, 997), side="right") - 1).all()
    with pytest.raises(ValueError, match="read-only"):
        groups.rows[0] = 1


@given(st.lists(st.tuples(*[st.sampled_from("ab")] * 3, st.integers(1, 9)), max_size=12))
def test_tasks_are_the_runs_of_groups_of_one_source_and_task(entries):
    sizes = {entry[:3]: entry[3] for entry in entries}
    named = sorted(sizes)
    rows = np.array([sizes[name] for name in named], dtype=np.int64)
    groups = Groups(*([name[i] for name in named] for i in range(3)), np.cumsum(rows) - rows, rows)
    tasks = groups.tasks()
    assert list(zip(tasks.source, tasks.task, strict=True)) == sorted({name[:2] for name in named})
    assert len(tasks) == len(tasks.task)
    for t, name in enumerate(zip(tasks.source, tasks.task, strict=True)):
        own = range(tasks.first_group[t], tasks.first_group[t + 1])
        assert [g for g in range(len(named)) if named[g][:2] == name] == list(own)
        assert tasks.rows[t] == sum(sizes[named[g]] for g in own)
        assert tasks.start[t] == groups.start[own[0]]
    assert tasks.first_group[-1] == len(groups)


def test_opening_gives_what_ingest_gave(large):
    again = open_corpus(large.folder)
    assert (again.digest, again.num_rows, again.num_source_rows) == (large.digest, ROWS, ROWS)
    assert again.groups.task == large.groups.task


def test_an_absent_corpus_is_an_error_that_says_what_to_run(tmp_path):
    with pytest.raises(StoreError, match="smartx ingest"):
        open_corpus(tmp_path / "none")


@pytest.mark.parametrize("name", ["groups.parquet", "rows-00000.parquet", "dropped.parquet"])
def test_a_missing_or_cut_file_is_noticed_on_opening(small, name):
    content = (small.folder / name).read_bytes()
    (small.folder / name).write_bytes(content[:-1])
    with pytest.raises(StoreError, match="manifest"):
        open_corpus(small.folder)
    (small.folder / name).unlink()
    with pytest.raises(StoreError, match="manifest"):
        open_corpus(small.folder)


def test_a_flipped_bit_of_the_rows_is_noticed_on_reading(small):
    path = small.folder / "rows-00000.parquet"
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(StoreError, match="rows-00000"):
            open_corpus(small.folder).rows(np.arange(20))


def test_a_page_that_is_damaged_after_the_first_reading_is_noticed_too(large):
    corpus = open_corpus(large.folder)
    assert corpus.prompts(0, 1)
    path = large.folder / "rows-00000.parquet"
    whole = path.read_bytes()
    place = len(whole) // 3
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
    with pytest.raises(StoreError, match="rows-00000"):
        corpus.rows(np.arange(65_536))
    path.write_bytes(whole)


def test_a_flipped_bit_of_the_groups_is_noticed_on_opening(small):
    path = small.folder / "groups.parquet"
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(StoreError, match="manifest"):
            open_corpus(small.folder)


def test_a_corpus_of_another_layout_is_refused(small):
    path = small.folder / "manifest.json"
    manifest = {**json.loads(path.read_bytes()), "schema": 99}
    del manifest["seal"]
    path.write_bytes(canonical_json(sealed(manifest)))
    with pytest.raises(StoreError, match="99"):
        open_corpus(small.folder)


def test_a_damaged_head_of_the_rows_is_noticed_by_what_plans_for_them(small):
    path = small.folder / "rows-00000.parquet"
    path.write_bytes(path.read_bytes()[:-4] + b"XXXX")
    with pytest.raises(StoreError, match="rows-00000") as caught:
        row_sizes(open_corpus(small.folder))
    assert "ingest" in caught.value.fix
