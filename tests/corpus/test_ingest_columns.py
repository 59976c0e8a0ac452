from __future__ import annotations

import json
from pathlib import Path

import pytest

from ingest_files import FLAN, Notes, write_rows
from smartx.corpus import Columns, ingest
from smartx.corpus.blocks import Sample
from smartx.corpus.columns import find_layout
from smartx.corpus.sources import SourceFile
from smartx.errors import CorpusError, InputError

LONG = "Read the following passage with care and then answer the question below. " * 3
TURNS = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
FILE = SourceFile(path=Path("x.jsonl"), name="x", format="jsonl", compression=None)


def sample_of(**columns):
    return Sample(tuple(columns), columns)


def roles(wanted=Columns(), one_task=False, **columns):  # noqa: B008
    return find_layout(sample_of(**columns), wanted, FILE, one_task=one_task).roles()


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (
            {name: [value] for name, value in FLAN.items()},
            {
                "prompt": "inputs",
                "response": "targets",
                "source": "task_source",
                "task": "task_name",
                "template": "template_type",
            },
        ),
        (  # flan-v2 by chiayewken: `source` is the prompt
            {
                "source": [LONG],
                "target": ["a"],
                "task_name": ["t"],
                "task_source": ["Flan2021"],
                "template_type": ["zs"],
                "template_idx": [3],
            },
            {
                "prompt": "source",
                "response": "target",
                "source": "task_source",
                "task": "task_name",
                "template": "template_type",
            },
        ),
        (  # tulu-3
            {"id": ["1"], "messages": [TURNS], "source": ["ai2-adapt-dev/x"]},
            {"messages": "messages", "task": "source"},
        ),
        (
            {"messages": [TURNS], "dataset": ["flan_v2"], "dataset_source": ["tulu"]},
            {"messages": "messages", "task": "dataset_source"},
        ),
        (
            {
                "conversations": [[{"from": "human", "value": "x"}]],
                "source": [None],
                "category": ["c"],
            },
            {"messages": "conversations", "task": "category"},
        ),
        (
            {"instruction": ["i"], "input": [""], "output": ["o"]},
            {"prompt": "instruction", "extra": "input", "response": "output"},
        ),
        (  # dolly
            {"instruction": ["i"], "context": ["c"], "response": ["r"], "category": ["open_qa"]},
            {
                "prompt": "instruction",
                "extra": "context",
                "response": "response",
                "task": "category",
            },
        ),
        ({"prompt": ["p"], "completion": ["c"]}, {"prompt": "prompt", "response": "completion"}),
        ({"prompt": ["p"], "response": ["r"], "messages": [TURNS]}, {"messages": "messages"}),
        (
            {"prompt": ["p"], "response": ["r"], "messages": ["text"]},
            {"prompt": "prompt", "response": "response"},
        ),
        ({"query": ["q"], "response": ["r"]}, {"prompt": "query", "response": "response"}),
        ({"question": ["q"], "answer": ["a"]}, {"prompt": "question", "response": "answer"}),
        (  # Llama-Nemotron
            {"input": [TURNS[:1]], "output": ["o"], "system_prompt": ["s"], "category": ["math"]},
            {
                "prompt": "input",
                "response": "output",
                "system": "system_prompt",
                "task": "category",
            },
        ),
        (
            {"prompt": ["p"], "response": ["r"], "source": [LONG]},
            {"prompt": "prompt", "response": "response"},
        ),
        (
            {"prompt": ["p"] * 40, "response": ["r"] * 40, "source": [f"id{i}" for i in range(40)]},
            {"prompt": "prompt", "response": "response"},
        ),
        (
            {"prompt": ["p"] * 40, "response": ["r"] * 40, "task": [f"id{i}" for i in range(40)]},
            {"prompt": "prompt", "response": "response", "task": "task"},
        ),
        (
            {"prompt": ["p"], "response": ["r"], "task": [LONG], "topic": [7]},
            {"prompt": "prompt", "response": "response", "task": "topic"},
        ),
    ],
)
def test_columns_of_known_sets_are_found(columns, expected):
    assert roles(**columns) == expected


def test_what_the_caller_names_wins_over_every_rule():
    row = {name: [value] for name, value in FLAN.items()} | {"q": ["a"], "kind": ["b"]}
    found = roles(Columns(prompt="q", task="kind", source="inputs", template="task_name"), **row)
    assert found == {
        "prompt": "q",
        "response": "targets",
        "source": "inputs",
        "task": "kind",
        "template": "task_name",
    }


def test_a_named_response_leaves_the_prompt_to_the_rules():
    assert roles(Columns(response="r"), instruction=["i"], input=["x"], r=["a"]) == {
        "prompt": "instruction",
        "extra": "input",
        "response": "r",
    }


def test_one_task_from_outside_looks_for_no_task_column():
    assert "task" not in roles(one_task=True, prompt=["p"], response=["r"], task=["t"])


@pytest.mark.parametrize("wanted", [Columns(), Columns(prompt="p"), Columns(response="p")])
def test_columns_that_cannot_be_told_are_listed_with_the_option_to_pass(wanted):
    with pytest.raises(CorpusError) as caught:
        roles(wanted, p=["x"], body=["y"])
    for hint in ('"p"', '"body"', "`prompt_column`", "`response_column`", "`messages_column`"):
        assert hint in str(caught.value)


@pytest.mark.parametrize("role", ["prompt", "response", "system", "messages", "source", "task"])
def test_a_named_column_that_is_not_there_is_an_error_with_its_option(role):
    with pytest.raises(CorpusError, match=f"`{role}_column`"):
        roles(Columns(**{role: "nope"}), prompt=["p"], response=["r"])


def test_the_guess_and_its_reasons_stand_in_a_table_also_when_a_corpus_is_used_again(tmp_path):
    row = {"prompt": "p", "response": "r", "source": LONG}
    for name in ("a-00000-of-00002", "a-00001-of-00002", "b"):
        write_rows(tmp_path / f"in/{name}.jsonl", [{**row, "prompt": name}])
    write_rows(tmp_path / "in/flan.jsonl", [FLAN] * 3)
    first, again = Notes(), Notes()
    for notes in (first, again):
        ingest([tmp_path / "in"], tmp_path / "out", progress=notes)
    assert first.notes[-6:] == again.notes[-6:]
    head, a, b, flan, *why = first.notes[-6:]
    assert head.split() == ["file", "rows", "columns", "source", "task", "template"]
    assert a.split() == ["a", "(2", "files)", "2", "prompt,", "response", "a", "a", "-"]
    assert b.split() == ["b.jsonl", "1", "prompt,", "response", "b", "b", "-"]
    assert "column task_source  column task_name  column template_type" in flan
    assert [note.split(":")[0] for note in why] == ["a", "b"]
    assert all('"source" was not taken as the task' in note for note in why)


def test_the_table_is_short_and_its_names_are_clean(tmp_path):
    for i in range(30):
        write_rows(tmp_path / f"in/{i:02d}\x1b[31m{'n' * 99}.jsonl", [{**FLAN, "inputs": str(i)}])
    notes = Notes()
    ingest([tmp_path / "in"], tmp_path / "out", progress=notes)
    table = notes.notes[-22:]
    assert table[0].startswith("file ")
    assert table[-1] == "... and 10 more (10 rows)"
    assert "\x1b" not in "".join(table)
    assert max(map(len, table)) < 200


def test_a_task_name_and_a_task_column_exclude_each_other(tmp_path):
    with pytest.raises(InputError, match="exclude"):
        ingest([tmp_path], tmp_path / "out", columns=Columns(task="t"), task_name="x")


def test_rows_without_a_task_are_spoken_of(tmp_path):
    """They are in a task called after their file, which nobody asked for."""
    rows = [{"prompt": f"p{i}", "response": "r", "topic": "sums" if i else None} for i in range(3)]
    (tmp_path / "mail.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    notes = Notes()
    ingest([tmp_path / "mail.jsonl"], tmp_path / "out", progress=notes)
    assert "rows that say no task are in the task mail, called after the file" in notes.notes
    (tmp_path / "mail.jsonl").write_text(json.dumps(rows[1]) + "\n")
    notes = Notes()
    ingest([tmp_path / "mail.jsonl"], tmp_path / "out", progress=notes)
    assert not any("say no task" in note for note in notes.notes)
