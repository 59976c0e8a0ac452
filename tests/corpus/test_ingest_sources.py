from __future__ import annotations

import os

import pytest

from ingest_files import Notes, write_rows
from smartx.corpus import ingest
from smartx.corpus.sources import find_sources
from smartx.errors import CorpusError, InputError

ROW = {"prompt": "p", "response": "r"}


@pytest.fixture
def tree(tmp_path):
    for name in ("b/2.jsonl", "b/10.jsonl.gz", "a/x.parquet", "a/deep/y.jsonl", ".hidden/z.jsonl"):
        write_rows(tmp_path / "in" / name, [ROW])
    (tmp_path / "in" / "a" / "README.md").write_text("no data")
    return tmp_path / "in"


def names(sources):
    return [source.name for source in find_sources(sources, print)]


def test_a_folder_is_its_supported_files_below_sorted_by_name_without_hidden_ones(tree):
    assert names([tree]) == ["a/deep/y.jsonl", "a/x.parquet", "b/10.jsonl.gz", "b/2.jsonl"]


def test_sources_keep_the_order_given_and_globs_sort_inside(tree):
    assert names([tree / "b" / "2.jsonl", f"{tree}/a/**"]) == [
        "b/2.jsonl",
        "a/deep/y.jsonl",
        "a/x.parquet",
    ]
    assert names([f"{tree}/*/*.jsonl*"]) == ["10.jsonl.gz", "2.jsonl"]


def test_a_file_reached_twice_is_read_once_and_said(tree):
    notes = []
    os.symlink(tree / "b" / "2.jsonl", tree / "b" / "link.jsonl")
    found = find_sources([tree / "b" / "2.jsonl", tree / "b"], notes.append)
    assert [source.name for source in found] == ["2.jsonl", "10.jsonl.gz"]
    assert len(notes) == 2


def test_names_do_not_tell_where_the_files_lie(tree, tmp_path):
    assert names([tree / "a" / "x.parquet"]) == ["x.parquet"]
    assert str(tmp_path) not in "".join(names([tree]))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("alpaca.jsonl", "alpaca"),
        ("squad.v2.jsonl", "squad.v2"),
        ("gsm8k.jsonl", "gsm8k"),
        ("squad-1.jsonl", "squad-1"),
        ("flan_3.jsonl.zst", "flan_3"),
        ("c4-00000-of-00012.parquet", "c4"),
        ("c4-00000-of-00012-0123456789abcdef.parquet", "c4"),
        ("train-00000-of-00012.parquet", "in"),
        ("part-0001.jsonl.gz", "in"),
        ("part-00000-4d1c0f2a-77b1-4c1f-9be2-d7a3f0c8e9a1-c000.snappy.parquet", "in"),
        ("007.jsonl", "in"),
        ("data/default/train/0000.parquet", "in"),
    ],
)
def test_a_file_lends_its_name_unless_it_says_nothing_then_its_folder_does(
    tmp_path, name, expected
):
    write_rows(tmp_path / "in" / name, [ROW])
    assert find_sources([tmp_path / "in" / name], print)[0].label == expected


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("missing.jsonl", "no such file"),
        ("in/a/README.md", "not supported"),
        ("none*.jsonl", "no supported file"),
        ("in/a/*.md", "no supported file"),
    ],
)
def test_sources_that_cannot_be_read_are_named_before_any_work(tree, tmp_path, name, says):
    with pytest.raises(CorpusError, match=says) as caught:
        ingest([tmp_path / name], tmp_path / "out")
    assert caught.value.path == str(tmp_path / name)
    assert not (tmp_path / "out").exists()
    if says != "no such file":
        assert ".parquet" in caught.value.fix


def test_no_sources_is_an_error():
    with pytest.raises(InputError, match="no sources"):
        find_sources([], print)


def test_progress_ends_at_the_bytes_of_all_files_and_the_rows_kept(tree, tmp_path):
    progress = Notes()
    ingest([tree], tmp_path / "out", progress=progress)
    assert progress.done == progress.total
    assert progress.total["group rows"] == 4
