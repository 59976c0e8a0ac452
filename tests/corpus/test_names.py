"""Which data set a file belongs to, and what it is called: not by accident, and never merged."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_files import Notes, write_rows
from smartx.corpus import Columns, ingest
from smartx.corpus.names import names_of, place_of
from smartx.corpus.overview import one_task_advice
from smartx.corpus.sources import find_sources
from smartx.errors import CorpusError, InputError
from smartx.store import Stage

ROW = {"prompt": "p", "response": "r"}


def tasks(folder, sources, **options):
    for source in sources:
        if not (folder / source).exists():
            write_rows(folder / source, [{**ROW, "prompt": str(source)}])
    corpus = ingest([folder / source for source in sources], folder / "out", **options)
    return sorted(zip(corpus.groups.source, corpus.groups.task, strict=True))


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["gsm8k/train.jsonl", "alpaca/train.jsonl"], ["alpaca", "gsm8k"]),
        (["squad-1.jsonl", "squad-2.jsonl"], ["squad-1", "squad-2"]),
        (
            [f"{s}/data/train-0000{n}-of-00002.parquet" for s in "pq" for n in "01"],
            ["p", "p", "q", "q"],
        ),
        (["a/gsm8k.jsonl", "b/gsm8k.jsonl"], ["a/gsm8k", "b/gsm8k"]),
        (["gsm8k/train.jsonl", "gsm8k/test.jsonl"], ["gsm8k/test", "gsm8k/train"]),
        (["x/s/data/0000.parquet", "y/s/data/0000.parquet"], ["x/s", "y/s"]),
        (
            ["x/s/train.jsonl", "x/s/test.jsonl", "y/s/train.jsonl"],
            ["x/s/test", "x/s/train", "y/s/train"],
        ),
        (["news/2023.jsonl", "news/2024.jsonl"], ["news", "news"]),
        (["news/part-0.jsonl", "news/part-1.jsonl", "x.jsonl"], ["news", "news", "x"]),
    ],
)
def test_files_are_one_task_only_where_they_are_shards_of_one_set(tmp_path, files, names):
    assert tasks(tmp_path, files) == sorted({(name, name) for name in names})
    found = find_sources([tmp_path / file for file in reversed(files)], print)
    assert sorted(file.label for file in found) == names


parts = st.sampled_from(
    ["train", "test", "data", "a", "b", "0001", "s", "part-3", "x-00000-of-00002"]
)


@given(st.sets(st.tuples(parts, parts, parts), min_size=1), st.sets(st.sampled_from("abs")))
def test_every_data_set_has_a_name_of_its_own_in_any_order(paths, taken):
    places = [place_of(path[:-1], path[-1]) for path in sorted(paths)]
    names = names_of(places, taken)
    assert len(set(names.values())) == len(set(places))
    assert not taken & set(names.values())
    assert names == names_of(places[::-1], taken)
    assert all(names.values())


def test_a_source_can_be_named_and_two_of_one_name_are_one_set(tmp_path):
    write_rows(tmp_path / "p/train.jsonl", [ROW])
    write_rows(tmp_path / "q/train.jsonl", [{**ROW, "prompt": "q"}])
    p, q = (f"{tmp_path}/{name}/train.jsonl" for name in "pq")
    for sources, expected in (
        ([f"maths={p}", q], ["maths", "q"]),
        ([f"maths={p}", f"maths={q}"], ["maths"]),
        ([f"maths={tmp_path}/p", f"q={tmp_path}/q/*.jsonl"], ["maths", "q"]),
        ([f"q={p}", q], ["q", "q/train"]),
    ):
        corpus = ingest(sources, tmp_path / "out" / "-".join(expected) / str(len(sources[0])))
        assert corpus.groups.task == expected


def test_a_file_whose_own_name_has_an_equals_sign_is_that_file(tmp_path, monkeypatch):
    write_rows(tmp_path / "lang=en.jsonl", [ROW])
    write_rows(tmp_path / "lang=de/x.jsonl", [ROW])
    monkeypatch.chdir(tmp_path)
    assert find_sources(["lang=en.jsonl"], print)[0].label == "lang=en"
    assert find_sources(["lang=*"], print)[0].label == "lang=en"
    assert find_sources(["lang=*/x.jsonl"], print)[0].label == "x"
    with pytest.raises(CorpusError, match="no such file") as caught:
        find_sources(["maths=gone.jsonl"], print)
    assert caught.value.path == "gone.jsonl"


def test_one_task_column_over_several_files_is_one_set_of_tasks(tmp_path):
    rows = [{**ROW, "category": name} for name in ("maths", "code", "maths")]
    for name in "ab":
        write_rows(tmp_path / f"{name}.jsonl", [{**row, "prompt": name} for row in rows])
    assert tasks(tmp_path, ["a.jsonl", "b.jsonl"]) == [("", "code"), ("", "maths")]


def test_where_all_rows_are_one_task_it_is_said_what_makes_more(tmp_path):
    a, b = (write_rows(tmp_path / f"{name}.jsonl", [{**ROW, "zone": "x"}]) for name in "ab")

    def is_said(sources, **options):
        made = ingest(sources, tmp_path / "out", **options)
        return "`task_column`" in one_task_advice(made.manifest["sources"])

    assert is_said([a])
    assert not is_said([a, b])
    assert not is_said([a], task_name="mine")
    assert not is_said([a], columns=Columns(task="zone"))


def test_a_named_source_keeps_its_tasks_apart_from_those_of_another(tmp_path):
    for name in "ab":
        write_rows(tmp_path / f"{name}.jsonl", [{**ROW, "category": "maths"}])
    sources = [f"one={tmp_path}/a.jsonl", f"{tmp_path}/b.jsonl"]
    groups = ingest(sources, tmp_path / "out").groups
    assert list(zip(groups.source, groups.task, strict=True)) == [("", "maths"), ("one", "maths")]


def test_one_source_name_for_all_rows_goes_before_every_guess(tmp_path):
    write_rows(tmp_path / "a.jsonl", [{**ROW, "task_source": "flan", "task_name": "t"}])
    write_rows(tmp_path / "b.jsonl", [ROW])
    assert tasks(tmp_path, ["a.jsonl", "b.jsonl"], source_name="mine") == [
        ("mine", "b"),
        ("mine", "t"),
    ]
    named = ingest([f"mine={tmp_path}/a.jsonl"], tmp_path / "named").groups
    assert (named.source, named.task) == (["mine"], ["t"])
    with pytest.raises(InputError, match="exclude each other"):
        tasks(tmp_path, ["a.jsonl"], source_name="mine", columns=Columns(source="task_source"))


def test_absolute_and_relative_paths_go_together(tmp_path, monkeypatch):
    write_rows(tmp_path / "here/a.jsonl", [ROW])
    write_rows(tmp_path / "there/b.jsonl", [{**ROW, "prompt": "b"}])
    monkeypatch.chdir(tmp_path / "here")
    corpus = ingest(["a.jsonl", tmp_path / "there" / "b.jsonl", "../there/b.jsonl"], "out")
    assert [source["name"] for source in corpus.manifest["sources"]] == [
        "here/a.jsonl",
        "there/b.jsonl",
    ]
    assert corpus.groups.task == ["a", "b"]


def test_names_that_are_no_text_are_written_out(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/b\xffd.jsonl")
    Path(path).write_text('{"prompt": "p", "response": "r"}\n{"prompt": 3, "response": "r"}\n')
    notes = Notes()
    corpus = ingest([tmp_path / "*.jsonl"], tmp_path / "out", progress=notes)
    assert corpus.groups.task == ["b\\xffd"]
    assert corpus.manifest["sources"][0]["name"] == "b\\xffd.jsonl"
    for note in notes.notes:
        note.encode()


@pytest.mark.parametrize("name", ["b\udcff", "\ud800", "\x1b[31m", "\u202e", "../../x", "a\nb"])
def test_any_name_that_a_caller_gives_is_a_name(tmp_path, name):
    path = write_rows(tmp_path / "a.jsonl", [ROW])
    for number, options in enumerate(({"source_name": name}, {"task_name": name})):
        notes = Notes()
        ingest([path], tmp_path / str(number), progress=notes, **options)
        assert not {"\x1b", "\u202e", "\n"} & set("".join(notes.notes))
        for note in notes.notes:
            note.encode()
    if "/" not in name and "[" not in name:
        assert len(ingest([f"{name}={path}"], tmp_path / "named").groups) == 1
    with pytest.raises(CorpusError):
        ingest([path], tmp_path / "none", columns=Columns(task=name))


@pytest.mark.parametrize(
    "source", ["", "x" * 300 + ".jsonl", "d/" * 3_000 + "a.jsonl", "a\0.jsonl"]
)
def test_a_source_that_cannot_be_is_one_error(source):
    with pytest.raises(InputError, match="fix: "):
        find_sources([source], print)


def test_links_to_folders_are_not_followed_and_said(tmp_path):
    write_rows(tmp_path / "in/a.jsonl", [ROW])
    write_rows(tmp_path / "other/b.jsonl", [ROW])
    (tmp_path / "in/link").symlink_to(tmp_path / "other")
    (tmp_path / "in/loop").symlink_to(tmp_path / "in")
    notes = []
    assert [file.name for file in find_sources([tmp_path / "in"], notes.append)] == ["a.jsonl"]
    assert ["in/link" in note for note in notes] == [True, False]
    assert [file.name for file in find_sources([tmp_path / "in/link"], print)] == ["b.jsonl"]


def finished(folder: Path) -> Path:
    """A folder that a stage of ours wrote, with a file that could be read."""
    stage = Stage("corpus", folder)
    stage.begin()
    write_rows(folder / "rows-00000.parquet", [ROW])
    return folder


@pytest.mark.parametrize("source", [".", "*/*", "**/*.*", "data", "data/*/*"])
def test_folders_and_globs_pass_over_what_smartx_wrote_and_say_so(tmp_path, monkeypatch, source):
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "data" / "a" / "a.jsonl", [ROW])
    write_rows(tmp_path / "b" / "a.jsonl", [ROW])
    finished(tmp_path / "mix.run" / "corpus" / "0123")
    finished(tmp_path / "data" / "mix")
    notes = []
    found = find_sources([source], notes.append)
    assert {file.path.name for file in found} == {"a.jsonl"}
    assert any("data/mix" in note and "left out" in note for note in notes) or source == "*/*"


def test_what_smartx_wrote_is_read_where_it_is_named(tmp_path):
    folder = finished(tmp_path / "data" / "mix")
    for source in (folder, f"{folder}/*.parquet", folder / "rows-00000.parquet"):
        assert [file.path.parent for file in find_sources([source], print)] == [folder]
    with pytest.raises(CorpusError, match="no supported file"):
        find_sources([tmp_path / "data"], print)
