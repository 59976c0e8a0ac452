"""Files whose rows are laid out in several ways, and the layouts that sets are published in."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ingest_files import Notes, dropped, table_of, turns_of, write_rows
from smartx.corpus import Columns, ingest

USER, BOT = {"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}
SHARE = [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello", "weight": 1.0}]
PUBLISHED = {
    "sharegpt": (
        {"id": "1", "conversations": [{"from": "system", "value": "s"}, *SHARE]},
        "s\n\nhi",
    ),
    "openhermes": (
        {"conversations": SHARE, "source": "gsm", "category": None, "topic": None, "idx": 3},
        "hi",
    ),
    "dolly": (
        {"instruction": "hi", "context": "c", "response": "hello", "category": "qa"},
        "hi\n\nc",
    ),
    "metamath": (
        {"query": "hi", "response": "hello", "type": "GSM", "original_question": "h"},
        "hi",
    ),
    "orca-math": ({"question": "hi", "answer": "hello"}, "hi"),
    "nemotron": (
        {"input": [USER], "output": "hello", "system_prompt": "s", "category": "math"},
        "s\n\nhi",
    ),
    "nemotron-text": (
        {"input": "hi", "output": "hello", "system_prompt": "s", "category": "math"},
        "s\n\nhi",
    ),
    "tulu": ({"id": "x", "messages": [USER, BOT], "source": "ai2/x"}, "hi"),
    "smoltalk": (
        {"messages": [USER, BOT], "chat_template_kwargs": {"a": True}, "source": "x"},
        "hi",
    ),
    "question-with-source": ({"question": "hi", "answer": "hello", "source": "gsm"}, "hi"),
    "prompt-output": ({"prompt": "hi", "output": "hello"}, "hi"),
    "problem-solution": ({"problem": "hi", "solution": "hello"}, "hi"),
}


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_layouts_are_understood(tmp_path, name, ending):
    row, prompt = PUBLISHED[name]
    corpus = ingest([write_rows(tmp_path / f"a{ending}", [row])], tmp_path / "out")
    (found,) = corpus.rows(np.array([0])).to_pylist()
    assert (found["prompt"], found["response"]) == (prompt, "hello")


def test_the_splits_of_smoltalk_share_the_tasks_that_its_source_names(tmp_path):
    for split in ("think", "no_think"):
        rows = [{"messages": [USER, BOT], "source": f"s{i}"} for i in range(2)]
        write_rows(tmp_path / f"set/data/{split}-00000-of-00001.parquet", rows)
    groups = ingest([tmp_path / "set"], tmp_path / "out").groups
    assert list(zip(groups.source, groups.task, groups.rows, strict=True)) == [
        ("", "s0", 2),
        ("", "s1", 2),
    ]


MIXED = [
    {"messages": [USER, BOT], "source": "chat"},
    {"instruction": "i", "input": "x", "output": "o", "source": "alpaca"},
    {"conversations": SHARE, "source": "share"},
    {"prompt": "p", "completion": "c", "source": "chat"},
    {"system": "s", "question": "q", "answer": "a", "source": "qa"},
    {"body": "nothing that is known", "source": "x"},
    {"messages": [USER], "source": "chat"},
]


@pytest.mark.parametrize("ending", [".jsonl", ".json", ".parquet"])
@pytest.mark.parametrize("other_columns", [True, False])
@pytest.mark.parametrize("first", range(3))
def test_each_row_is_read_by_a_layout_that_it_has(tmp_path, ending, other_columns, first):
    if ending == ".parquet" and first:
        pytest.skip("the columns of Parquet do not depend on the order of the rows")
    rows = MIXED[first:] + MIXED[:first]
    progress = Notes()
    corpus = ingest(
        [write_rows(tmp_path / f"a{ending}", rows)],
        tmp_path / "out",
        other_columns=other_columns,
        progress=progress,
    )
    found = {(r["name"][1], r["prompt"], r["response"]) for r in table_of(corpus)}
    assert found == {
        ("chat", "hi", "hello"),
        ("alpaca", "i\n\nx", "o"),
        ("share", "hi", "hello"),
        ("chat", "p", "c"),
        ("qa", "s\n\nq", "a"),
    }
    positions = corpus.source_positions(0, 5).tolist()
    assert sorted(positions) == [p for p in range(7) if rows[p] in MIXED[:5]]
    reasons = {d["reason"] for d in dropped(tmp_path / "out")}
    assert reasons == {"no prompt", "no assistant turn"}
    assert sum("read in another way" in note for note in progress.notes) == 4
    assert len(corpus.manifest["sources"][0]["other_layouts"]) == 4


def test_rows_of_another_layout_far_down_are_read_too_and_stay_in_their_places(tmp_path):
    rows = [{"prompt": f"p{i}", "response": "r"} for i in range(9_000)]
    others = (5_000, 5_001, 5_003, 8_999)
    for i in others:
        rows[i] = {"messages": [{**USER, "content": f"p{i}"}, {**BOT, "weight": i}]}
    corpus = ingest([write_rows(tmp_path / "a.jsonl", rows)], tmp_path / "out")
    assert corpus.prompts(0, 9_000) == [f"p{i}" for i in range(9_000)]
    assert corpus.source_positions(0, 9_000).tolist() == list(range(9_000))
    found = corpus.rows(np.array(others)).to_pylist()
    assert [turns_of(row["messages"])[1] for row in found] == [BOT] * 4
    extras = [json.loads(row["messages"][1]["extra"]) for row in found]
    assert extras == [{"weight": i} for i in others]


def test_what_the_caller_named_is_the_only_way_to_read(tmp_path):
    rows = [{"q": "p", "response": "r"}, {"prompt": "p", "response": "r"}]
    path = write_rows(tmp_path / "a.jsonl", rows)
    corpus = ingest([path], tmp_path / "out", columns=Columns(prompt="q"))
    assert corpus.num_rows == 1
    assert [(d["line"], d["reason"]) for d in dropped(tmp_path / "out")] == [(2, "no prompt")]


def test_many_kinds_of_hostile_rows_end_under_their_reason(tmp_path):
    rows = [{"prompt": "p", "response": "r"}]
    rows += [{f"key{i}": "x", "prompt": None} for i in range(3_000)]
    corpus = ingest([write_rows(tmp_path / "a.jsonl", rows)], tmp_path / "out")
    assert corpus.manifest["rows"]["dropped"] == {"no prompt": 3_000}
