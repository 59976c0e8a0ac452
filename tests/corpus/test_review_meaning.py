"""Ordinary data that came out wrong without a word, each case as it was found by the review."""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_files import Notes, dropped, ingest_rows, table_of, turns_of, write_rows
from smartx.corpus import Columns, ingest, json_rows
from smartx.corpus.folders import hugging_face_files
from smartx.errors import CorpusError, InputError
from smartx.store import Stage

USER = {"role": "user", "content": "What is the weather in Oslo?"}
CALL = {"type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
CALLS = {"role": "assistant", "content": None, "tool_calls": [CALL]}
TOOL = {"role": "tool", "name": "weather", "content": "4 degrees"}
ANSWER = {"role": "assistant", "content": "Four degrees."}
ROW = {"prompt": "p", "response": "r"}


def layouts(corpus):
    return {source["name"]: source["columns"] for source in corpus.manifest["sources"]}


# Chats


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
@pytest.mark.parametrize("content", [None, "", " \n"])
def test_a_chat_that_ends_in_tool_calls_is_answered_by_them(tmp_path, ending, content):
    rows = [{"messages": [USER, {**CALLS, "content": content}]}, {"messages": [USER, ANSWER]}]
    corpus = ingest_rows(tmp_path, rows, ending)
    calls, answer = corpus.rows(np.arange(2)).to_pylist()
    assert json.loads(calls["response"])[0]["function"] == CALL["function"]
    assert calls["prompt"] == answer["prompt"] == USER["content"]
    assert json.loads(calls["messages"][1]["extra"])["tool_calls"][0]["type"] == "function"
    assert corpus.manifest["conversations"] == 2


def test_turns_of_tools_stay_and_words_go_before_calls(tmp_path):
    both = {**CALLS, "content": "I look."}
    rows = [
        {"messages": [USER, CALLS, TOOL, ANSWER]},
        {"messages": [USER, both, TOOL]},
        {
            "conversations": [
                {"from": "human", "value": "x"},
                {"from": "function_call", "value": json.dumps(CALL["function"])},
            ]
        },
        {"messages": [USER, {"role": "assistant", "content": None, "tool_calls": []}]},
    ]
    corpus = ingest_rows(tmp_path, rows)
    found = corpus.rows(np.arange(3)).to_pylist()
    assert [row["response"] for row in found[:2]] == ["Four degrees.", "I look."]
    assert json.loads(found[2]["response"])[0]["function"] == CALL["function"]
    assert [t["role"] for t in found[0]["messages"]] == ["user", "assistant", "tool", "assistant"]
    assert turns_of(found[0]["messages"])[2]["content"] == "4 degrees"
    assert found[0]["prompt"].endswith("\n\n4 degrees")
    assert [(d["line"], d["reason"]) for d in dropped(tmp_path / "out")] == [(4, "empty response")]


def test_the_manifest_counts_the_chats_that_are_kept(tmp_path):
    rows = [ROW, {"messages": [USER, ANSWER]}, {"messages": [USER, ANSWER]}, {"messages": [USER]}]
    assert ingest_rows(tmp_path / "a", rows).manifest["conversations"] == 2
    kept = ingest_rows(tmp_path / "b", rows, duplicates="drop")
    assert kept.manifest["conversations"] == 1
    assert ingest_rows(tmp_path / "c", [ROW]).manifest["conversations"] == 0


# The order of sources and of rows


def test_the_order_of_sources_changes_no_layout(tmp_path):
    few = [{**ROW, "prompt": f"few {i}", "category": f"c{i % 2}"} for i in range(60)]
    ids = [{**ROW, "prompt": f"ids {i}", "category": f"id{i}"} for i in range(60)]
    paths = [write_rows(tmp_path / f"in/{n}.jsonl", r) for n, r in (("few", few), ("ids", ids))]
    one, other = (ingest(p, tmp_path / f"{p[0].stem}") for p in (paths, paths[::-1]))
    assert layouts(one) == layouts(other)
    assert one.groups.task == other.groups.task == ["c0", "c1", "ids"]


def test_shards_of_one_set_are_read_in_one_way_whatever_comes_first(tmp_path):
    rows = [
        [{**ROW, "prompt": f"{s} {i}", "category": f"c{i % (2 + 58 * s)}"} for i in range(60)]
        for s in (0, 1)
    ]
    paths = [write_rows(tmp_path / f"in/s-0000{n}-of-00002.jsonl", r) for n, r in enumerate(rows)]
    for name, sources in (("one", paths), ("other", paths[::-1])):
        found = layouts(ingest(sources, tmp_path / name))
        assert all(columns["task"] == "category" for columns in found.values())


LATE = {"system": "Be brief.", "task": "t", "template": "x", "input": "and more"}


@pytest.mark.parametrize("name", LATE)
@pytest.mark.parametrize("ending", [".jsonl", ".json"])
def test_a_column_that_shows_late_has_its_meaning_and_is_named(tmp_path, name, ending):
    early = [{"instruction": f"p{i}", "output": "r"} for i in range(1_500)]
    late = [{"instruction": f"p{i}", "output": "r", name: LATE[name]} for i in range(1_500, 2_000)]
    notes, found = Notes(), []
    for place, rows in (("late", early + late), ("early", late + early)):
        path = tmp_path / place / f"a{ending}"
        text = "[" + ",\n".join(map(json.dumps, rows)) + "]"
        path.parent.mkdir()
        path.write_text(text if ending == ".json" else "".join(json.dumps(r) + "\n" for r in rows))
        corpus = ingest([path], tmp_path / place / "out", progress=notes)
        keys = ("name", "prompt", "response", "messages", "original")
        found.append(sorted(str([r.get(key) for key in keys]) for r in table_of(corpus)))
    assert found[0] == found[1]
    begins = [note for note in notes.notes if "begins here" in note]
    assert [note.split(" begins")[0] for note in begins] == [
        f'{tmp_path}/late/a{ending}:1501: the column "{name}"'
    ]
    role = {"input": "extra"}.get(name, name)
    assert layouts(corpus)[f"a{ending}"][role] == name


def test_a_late_column_whose_role_is_taken_is_named_and_stays_a_column(tmp_path):
    rows = [{**ROW, "prompt": f"{i}", "category": f"c{i % 3}"} for i in range(1_200)]
    rows += [{**row, "task": "t", "messages": [USER, ANSWER]} for row in rows[:50]]
    notes = Notes()
    corpus = ingest_rows(tmp_path, rows, progress=notes)
    assert corpus.groups.task == ["c0", "c1", "c2"]
    unused = [note for note in notes.notes if "begins here; it is not used" in note]
    assert [('"task"' in n, '"messages"' in n) for n in sorted(unused)] == [
        (False, True),
        (True, False),
    ]


def test_a_column_that_the_caller_names_may_show_late(tmp_path):
    rows = [{**ROW, "prompt": f"{i}"} for i in range(5_500)] + [{**ROW, "kind": "late"}]
    groups = ingest_rows(tmp_path, rows, columns=Columns(task="kind")).groups
    assert groups.task == ["late", "file"]
    with pytest.raises(CorpusError, match='no column "kinds"'):
        ingest([tmp_path / "in/file.jsonl"], tmp_path / "no", columns=Columns(task="kinds"))


def test_a_column_without_values_in_the_first_rows_of_a_table_is_found_too(tmp_path):
    rows = [{**ROW, "prompt": f"{i}", "category": None} for i in range(3_000)]
    rows += [{**ROW, "prompt": f"late {i}", "category": "maths"} for i in range(3_000)]
    notes = Notes()
    assert ingest_rows(tmp_path, rows, ".parquet", progress=notes).groups.task == ["maths", "file"]
    assert any('"category" begins here; it is the task' in note for note in notes.notes)


@pytest.mark.parametrize("turned", [False, True])
def test_a_column_that_only_a_later_shard_has_values_of_is_found_too(tmp_path, turned):
    names = ["s-00000-of-00002.parquet", "s-00001-of-00002.parquet"]
    for name, value in zip(names[::-1] if turned else names, (None, "maths"), strict=True):
        rows = [{**ROW, "prompt": f"{name} {i}", "category": value} for i in range(30)]
        write_rows(tmp_path / "in" / name, rows)
    notes = Notes()
    assert ingest([tmp_path / "in"], tmp_path / "out", progress=notes).groups.task == ["maths", "s"]
    assert any('"category" begins here; it is the task' in n for n in notes.notes) != turned


# Names


def test_names_of_more_digits_than_a_double_holds_stay_apart(tmp_path):
    numbers = [2**70, 2**70 + 1, 2**64, 2**64 + 1, 2**63, -(2**70)]
    texts = [f'{{"prompt": "{n % 7}", "response": "r", "task": {n}}}'.encode() for n in numbers]
    for ending, rows in ((".jsonl", texts), (".json", texts)):
        corpus = ingest_rows(tmp_path / ending, rows, ending)
        assert corpus.groups.task == sorted(map(str, numbers))


@given(st.lists(st.text("01a ", max_size=45), max_size=8))
def test_the_lines_with_twenty_digits_in_a_row_are_found(texts):
    lines = [text.replace("a", "0123456789").encode() for text in texts]
    found = json_rows._big([*lines, None])
    assert found == {i: line for i, line in enumerate(lines) if re.search(rb"[0-9]{20}", line)}


def test_a_task_that_is_an_empty_text_is_none(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("prompt,response,task\np,r,\nq,r,t\n")
    groups = ingest([path], tmp_path / "out").groups
    assert list(zip(groups.source, groups.task, strict=True)) == [("", "t"), ("a", "a")]


# Delimited text


def table_with_open_quote(path, rows, *, at):
    with path.open("w") as file:
        file.write("prompt,response\n")
        for i in range(rows):
            file.write(f'"{i}' + (",r\n" if i == at else '",r\n'))
    return path


@pytest.mark.parametrize("at", [3, 99])
def test_a_quote_that_is_never_closed_is_refused_also_on_the_last_line(tmp_path, at):
    path = tmp_path / "a.csv"
    lines = [f"{i},r" for i in range(100)]
    lines[at] = f'"{at},r'
    for end in ("", "\n"):
        path.write_text("prompt,response\n" + "\n".join(lines) + end)
        with pytest.raises(CorpusError, match="a quote is opened") as caught:
            ingest([path], tmp_path / "out")
        assert caught.value.line == at + 2
    assert not (tmp_path / "out").exists()


def test_an_open_quote_above_the_limit_is_the_same_refusal(tmp_path, monkeypatch):
    monkeypatch.setattr("smartx.corpus.delimited.LINE_LIMIT", 1_000)
    import csv

    before = csv.field_size_limit(1_000)
    try:
        path = tmp_path / "a.csv"
        path.write_text('prompt,response\np,r\n"open,r\n' + "q,r\n" * 1_000)
        with pytest.raises(
            CorpusError, match=r"not closed before line \d+ \(field larger"
        ) as caught:
            ingest([path], tmp_path / "out")
        assert caught.value.line == 3
    finally:
        csv.field_size_limit(before)


def test_quotes_inside_of_texts_are_no_open_quotes(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('prompt,response\n5" nail,"a ""b"""\n6" nail,"two\nlines"\n7" nail,x')
    corpus = ingest([path], tmp_path / "out")
    assert corpus.rows(np.arange(3))["response"].to_pylist() == ['a "b"', "two\nlines", "x"]


def test_rows_that_a_quote_has_swallowed_are_told_with_their_lines(tmp_path):
    path = tmp_path / "a.csv"
    text = 'prompt,response\np,r\n"open,r\n' + "q,r\n" * 50
    path.write_text(text + '"closed",r\np,r\n')
    with pytest.raises(CorpusError, match="not closed before line 54") as caught:
        ingest([path], tmp_path / "out")
    assert caught.value.line == 3
    path.write_text(text + '"\np,r\n')
    ingest([path], tmp_path / "out")
    (drop,) = dropped(tmp_path / "out")
    assert (drop["line"], drop["reason"]) == (3, "wrong number of cells")
    assert "52 lines" in drop["detail"]


# Files that change


def when_reading(monkeypatch, do):
    """Call `do` once, when the first block of a source is normalised."""
    from smartx.corpus import reading

    usual, done = reading.normalise, []

    def hooked(*args):
        if not done:
            done.append(do())
        return usual(*args)

    monkeypatch.setattr(reading, "normalise", hooked)


@pytest.mark.parametrize("ending", [".jsonl", ".parquet", ".csv", ".arrow"])
@pytest.mark.parametrize("how", ["edited", "replaced", "put back", "deleted"])
def test_a_source_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch, how, ending):
    paths = [tmp_path / f"in/{name}{ending}" for name in "ab"]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        written(path)

    def change():
        time.sleep(0.02)
        content = paths[1].read_bytes()
        state = paths[1].stat()
        if how == "deleted":
            paths[1].unlink()
        elif how == "edited":
            paths[1].write_bytes(content[::-1])
        else:
            os.replace(written(tmp_path / f"other{ending}", text="other"), paths[1])
        if how == "put back":
            paths[1].write_bytes(content)
            os.utime(paths[1], ns=(state.st_atime_ns, state.st_mtime_ns))

    when_reading(monkeypatch, change)
    says = "it was deleted while" if how == "deleted" else "it changed while it was read"
    with pytest.raises(CorpusError, match=says) as caught:
        ingest(paths, tmp_path / "out")
    assert caught.value.path == str(paths[1])
    assert not (tmp_path / "out").exists()


def written(path, text="p"):
    rows = [{**ROW, "prompt": f"{text} {i}"} for i in range(50)]
    if path.suffix == ".csv":
        path.write_text("prompt,response\n" + "".join(f"{r['prompt']},r\n" for r in rows))
    elif path.suffix == ".arrow":
        import pyarrow as pa

        from ingest_files import write_arrow

        write_arrow(path, pa.Table.from_pylist(rows))
    else:
        write_rows(path, rows)
    return path


def test_a_source_that_changes_before_it_is_looked_at_is_refused(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", [ROW])
    from smartx.corpus import ingestion

    asked = ingestion([path])
    assert len(asked.key) == 64
    time.sleep(0.02)
    write_rows(path, [{**ROW, "prompt": "q"}])
    with pytest.raises(CorpusError, match="it changed while it was read"):
        asked.into(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    path.unlink()
    with pytest.raises(CorpusError, match="deleted"):
        asked.into(tmp_path / "out")


def test_what_goes_wrong_leaves_the_finished_corpus_in_its_folder(tmp_path):
    good = write_rows(tmp_path / "good.jsonl", [ROW])
    bad = write_rows(tmp_path / "bad.jsonl", [{"prompt": "p", "response": ""}])
    first = ingest([good], tmp_path / "out")
    for sources, options in (([bad], {}), ([good], {"columns": Columns(prompt="promt")})):
        with pytest.raises(InputError):
            ingest(sources, tmp_path / "out", **options)
        assert Stage("corpus", tmp_path / "out").is_done(first.manifest["key"])


# Data cards


CARDS = {
    "billion laughs": "a: &a [x]\n"
    + "".join(
        f"{c}: &{c} [{', '.join(['*' + p] * 10)}]\n"
        for p, c in zip("abcdefgh", "bcdefghi", strict=True)
    ),
    "merge bomb": "a: &a {x: 1}\nb: &b\n  <<: [*a, *a]\nconfigs:\n- <<: *b\n",
    "empty pattern": 'configs:\n- data_files:\n  - {split: train, path: ""}\n',
    "odd patterns": "configs:\n- data_files:\n"
    + "".join(f"  - {{path: {p}}}\n" for p in ("'**/**/**/**/**/**/*'", r'"\0"', "'//x'")),
    "a file in a pattern": "configs:\n- data_files:\n  - {split: train, path: '**.parquet/**a'}\n",
    "depth": "configs: " + "[" * 50_000 + "]" * 50_000 + "\n",  # a crash of the C parser
    "not closed": "configs: " + "[" * 500_000,
    "50 MB": "k: [1, 2]\n" * 5_000_000,
    "many keys": "".join(f"k{i}: [1, 2]\n" for i in range(60_000)),
}


@pytest.mark.parametrize("name", CARDS)
def test_a_hostile_data_card_neither_hangs_nor_crashes(tmp_path, name):
    path = write_rows(tmp_path / "set/a.parquet", [ROW])
    (tmp_path / "set/README.md").write_text(f"---\n{CARDS[name]}---\n")
    notes, start = Notes(), time.process_time()
    corpus = ingest([tmp_path / "set"], tmp_path / "out", progress=notes)
    assert time.process_time() - start < 5
    assert [source["name"] for source in corpus.manifest["sources"]] == [path.name]


def test_a_data_card_that_is_a_pipe_is_not_waited_for(tmp_path):
    write_rows(tmp_path / "set/a.parquet", [ROW])
    os.mkfifo(tmp_path / "set/README.md")
    found = []
    reader = threading.Thread(
        target=lambda: found.append(hugging_face_files(tmp_path / "set", print))
    )
    reader.daemon = True
    reader.start()
    reader.join(10)
    assert found == [None]


def test_an_unreadable_card_is_said(tmp_path):
    write_rows(tmp_path / "set/a.parquet", [ROW])
    (tmp_path / "set/README.md").write_text(f"---\n{CARDS['merge bomb']}---\n")
    notes = Notes()
    ingest([tmp_path / "set"], tmp_path / "out", progress=notes)
    assert any("README.md: its head is not used" in note for note in notes.notes)


# The command line


def test_the_command_reads_neither_its_run_folder_nor_its_mixture(tmp_path, monkeypatch):
    import smartx

    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "data/a.jsonl", [{**ROW, "prompt": f"{i}"} for i in range(60)])
    for sources, out, folder in ((["."], "mix", None), (["data"], "data/mix2", "work")):
        fields = {"sources": sources, "out": out, "rows": 10, "preset": "random"}
        if folder:
            fields["run_dir"] = folder
        for _ in range(2):
            made = smartx.run({**fields, "overwrite": True})
            rows = sum(source["rows"] for source in made.manifest["sources"])
            assert rows == 60
    mixed = smartx.run({**fields, "sources": ["data/mix2"], "out": "again"})
    assert sum(source["rows"] for source in mixed.manifest["sources"]) == 10
    assert pq.read_table(next((tmp_path / "again/data").glob("*.parquet"))).num_rows == 10
    assert "smartx" in sys.modules
