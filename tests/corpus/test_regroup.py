"""The same rows under other tasks."""

from __future__ import annotations

import os

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_files import table_of, tree, write_rows
from small import flan_like
from smartx.corpus import Groups, ingest, open_corpus
from smartx.corpus.regroup import new_groups, original_of, regrouped, template_of
from smartx.errors import InputError, StoreError
from smartx.files import file_digest

ROWS = [
    {"prompt": f"p{i}", "response": f"r{i}", "task": f"t{i % 3}", "extra": i if i % 2 else None}
    for i in range(40)
] + [
    {"messages": [{"role": "user", "content": f"q{i}"}, {"role": "assistant", "content": "a"}]}
    for i in range(5)
]


@pytest.fixture
def corpus(tmp_path):
    first = write_rows(tmp_path / "one.jsonl", [*ROWS, {"prompt": "", "response": "x"}])
    second = write_rows(tmp_path / "two.jsonl", ROWS[:7])
    return ingest([first, second], tmp_path / "run" / "corpus" / "base0")


def by_prompt_length(corpus):
    labels = np.arange(corpus.num_rows, dtype=np.int32) * 7 % 4
    return labels, ["b", "c", "long", "z"]


def test_every_row_is_there_with_all_that_it_had(corpus):
    labels, names = by_prompt_length(corpus)
    made = regrouped(corpus, labels, names, "digest", corpus.folder.parent)
    before, after = table_of(corpus), table_of(made)
    assert made.num_rows == corpus.num_rows == len(after)
    places = made.source_positions(0, made.num_rows)
    old = {
        int(p): r for p, r in zip(corpus.source_positions(0, corpus.num_rows), before, strict=True)
    }
    task = dict(
        zip(corpus.source_positions(0, corpus.num_rows).tolist(), labels.tolist(), strict=True)
    )
    for place, row in zip(places.tolist(), after, strict=True):
        was = old[place]
        for column in ("prompt", "response", "messages", "origin_file", "origin_row"):
            assert row[column] == was[column]
        assert row["name"] == ("", names[task[place]], template_of(*was["name"]))
    assert made.num_source_rows == corpus.num_source_rows
    counts = dict(
        zip(
            corpus.source_positions(0, 52).tolist(),
            corpus.token_counts(0, 52).tolist(),
            strict=True,
        )
    )
    assert [counts[p] for p in places.tolist()] == made.token_counts(0, 52).tolist()
    positions = np.arange(made.num_source_rows)
    assert [t.to_pylist() for t in made.others(positions)] == [
        t.to_pylist() for t in corpus.others(positions)
    ]


def test_rows_of_a_group_stay_in_their_order_and_groups_in_that_of_their_names(corpus):
    labels, names = by_prompt_length(corpus)
    made = regrouped(corpus, labels, names, "digest", corpus.folder.parent)
    groups = made.groups
    keys = list(zip(groups.source, groups.task, groups.template, strict=True))
    assert keys == sorted(set(keys))
    assert groups.start.tolist() == (np.cumsum(groups.rows) - groups.rows).tolist()
    for start, rows in zip(groups.start.tolist(), groups.rows.tolist(), strict=True):
        places = made.source_positions(start, start + rows)
        assert (np.diff(places) > 0).all()


def test_the_tasks_that_rows_have_already_give_the_same_bytes(tmp_path):
    """Rows written again are those that ingest wrote, to the byte."""
    base = flan_like(tmp_path / "run")
    tasks = base.groups.tasks()
    labels = np.repeat(np.arange(len(tasks), dtype=np.int32), tasks.rows)
    made = regrouped(base, labels, tasks.task, "digest", tmp_path / "again")
    was, now = tree(base.folder), tree(made.folder)
    assert now["rows-00000.parquet"] == was["rows-00000.parquet"]
    assert now["dropped.parquet"] == was["dropped.parquet"]


def test_it_is_made_once_and_known_by_tasks_and_corpus(corpus):
    labels, names = by_prompt_length(corpus)
    parent = corpus.folder.parent
    made = regrouped(corpus, labels, names, "digest", parent)
    before = tree(made.folder)
    stamp = (made.folder / "rows-00000.parquet").stat().st_mtime_ns
    again = regrouped(corpus, labels, names, "digest", parent)
    assert again.folder == made.folder
    assert (made.folder / "rows-00000.parquet").stat().st_mtime_ns == stamp
    assert tree(made.folder) == before
    other = regrouped(corpus, labels[::-1].copy(), names, "other", parent)
    assert (other.folder, other.digest) != (made.folder, made.digest)
    assert made.digest != corpus.digest
    assert original_of(made) == corpus.folder
    assert original_of(corpus) is None


def test_many_pieces_are_the_same_as_one(corpus, monkeypatch):
    labels, names = by_prompt_length(corpus)
    whole = regrouped(corpus, labels, names, "digest", corpus.folder.parent)
    monkeypatch.setattr("smartx.corpus.regroup.ROW_GROUP", 5)
    monkeypatch.setattr("smartx.corpus.writing.PIECES", 99)
    parts = regrouped(corpus, labels, names, "digest", corpus.folder.parent / "parts")
    assert table_of(parts) == table_of(whole)
    assert not [path for path in parts.folder.iterdir() if "tmp" in path.name]


def test_files_that_stay_are_not_copied_where_a_disk_can_do_without(corpus, monkeypatch):
    labels, names = by_prompt_length(corpus)
    made = regrouped(corpus, labels, names, "digest", corpus.folder.parent)
    others = "others-00000.parquet"
    assert os.path.samefile(made.folder / others, corpus.folder / others)

    def no_links(*_):
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", no_links)
    copied = regrouped(corpus, labels, names, "digest", corpus.folder.parent / "copied")
    assert not os.path.samefile(copied.folder / others, corpus.folder / others)
    assert file_digest(copied.folder / others) == file_digest(corpus.folder / others)


def test_a_damaged_file_is_an_error_and_leaves_nothing_half_made(corpus):
    labels, names = by_prompt_length(corpus)
    path = corpus.folder / "others-00000.parquet"
    content = bytearray(path.read_bytes())
    content[30] ^= 1
    path.write_bytes(content)
    parent = corpus.folder.parent / "made"
    with pytest.raises(StoreError, match="not those that were written"):
        regrouped(corpus, labels, names, "digest", parent)
    assert [path.name for folder in parent.glob("*") for path in folder.iterdir()] == []


@pytest.mark.parametrize(
    ("labels", "names", "place"),
    [
        (np.zeros(3, np.int32), ["a"], "labels"),
        (np.zeros(52, np.int32), ["b", "a"], "names"),
        (np.zeros(52, np.int32), ["a", "a"], "names"),
        (np.ones(52, np.int32), ["a"], "labels"),
        (np.full(52, -1, np.int32), ["a"], "labels"),
    ],
)
def test_tasks_that_do_not_fit_are_an_error(corpus, labels, names, place):
    with pytest.raises(InputError) as caught:
        regrouped(corpus, labels, names, "digest", corpus.folder.parent)
    assert caught.value.place == place


def test_the_groups_file_says_what_the_corpus_says(corpus):
    labels, names = by_prompt_length(corpus)
    made = regrouped(corpus, labels, names, "digest", corpus.folder.parent)
    table = pq.read_table(made.folder / "groups.parquet").to_pydict()
    assert table["task"] == made.groups.task
    assert table["group_id"] == list(range(len(made.groups)))
    assert open_corpus(made.folder).digest == made.digest


@pytest.mark.parametrize(
    ("name", "template"),
    [
        (("", "", ""), ""),
        (("a", "a", ""), "a"),
        (("flan", "anli", "zs"), "flan/anli/zs"),
        (("", "anli", "anli"), "anli"),
    ],
)
def test_a_template_holds_what_the_names_from_before_say(name, template):
    assert template_of(*name) == template


@settings(max_examples=60)
@given(st.data(), st.lists(st.integers(1, 6), min_size=1, max_size=5))
def test_groups_hold_each_row_once_sorted_by_task_template_and_row(data, sizes):
    names = [("s", f"t{i % 2}", f"z{i}") for i in range(len(sizes))]
    rows = np.array(sizes, dtype=np.int64)
    groups = Groups(*map(list, zip(*names, strict=True)), np.cumsum(rows) - rows, rows)
    n = int(rows.sum())
    labels = np.array(data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)), np.int32)
    tasks = ["a", "b", "c", "d"]
    found, counts, order = new_groups(groups, labels, tasks)
    own = np.repeat(np.arange(len(sizes)), rows)
    template = [template_of(*names[g]) if len(sizes) > 1 else "" for g in own.tolist()]
    plain = sorted(range(n), key=lambda r: (tasks[labels[r]], template[r], r))
    assert order.tolist() == plain
    cells = [("", tasks[labels[r]], template[r]) for r in plain]
    assert found == sorted(set(cells))
    assert counts.tolist() == [cells.count(name) for name in found]
