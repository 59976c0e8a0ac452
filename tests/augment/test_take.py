"""A generator's answers as a source: one row for each wrong row, each with where it comes from."""

from __future__ import annotations

import json

import pytest

import smartx
from smartx.augment import take
from smartx.augment.answers import COPY, SECOND, UNKNOWN, UNPARSED, UNREADABLE
from smartx.augment.prompts import chat
from smartx.errors import InputError, SmartxError
from smartx.store import FileEntry, Stage, key_of


@pytest.fixture
def asked(tmp_path):
    """A folder as `ask` writes it, of ten wrong rows."""
    stage = Stage("augment", tmp_path / "asked")
    stage.begin()
    lines = [
        {
            "id": f"id{n}", "row": n, "round": 1, "source": "s", "task": f"t{n % 2}",
            "template": "zs", "origin": f"rows.jsonl:{n + 1}", "prompt": f"What is {n} and {n}?",
            "response": f"{2 * n}", "neighbours": [], "messages": chat("p", "r", []),
        }
        for n in range(10)
    ]  # fmt: skip
    path = stage.folder / "prompts.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    inputs = {"judged": "j"}
    entry = FileEntry.of(path, len(lines))
    key = key_of("augment", 1, {}, inputs)
    stage.finish(key=key, schema=1, parameters={}, inputs=inputs, files=[entry], facts={})
    return stage.folder


def answer(number, prompt="How much are 3 apples at 2 each", response="6"):
    pair = {"prompt": f"{prompt} number {number} {'x' * number}", "response": response}
    return {"id": f"id{number}", "answer": json.dumps(pair)}


def written(path, answers):
    path.write_text("".join(a if isinstance(a, str) else json.dumps(a) + "\n" for a in answers))
    return path


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_row_for_each_answer_in_the_order_of_the_prompts(asked, tmp_path):
    answers = written(tmp_path / "a.jsonl", [answer(7), answer(2), answer(5)])
    found = take(asked, [answers], tmp_path / "new.jsonl")
    assert (found.rows, found.dropped, found.unanswered) == (3, {}, 7)
    made = rows(tmp_path / "new.jsonl")
    assert [row["llm2llm_of"] for row in made] == ["id2", "id5", "id7"]
    assert made[0] == {
        "prompt": "How much are 3 apples at 2 each number 2 xx", "response": "6",
        "source": "s", "task": "t0", "template": "llm2llm", "llm2llm_of": "id2",
        "llm2llm_from": "rows.jsonl:3", "llm2llm_round": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        {"id": "id1", "answer": 'Sure: {"prompt": "P {x}", "response": "R"} done'},
        {"id": "id1", "text": '```json\n{"prompt": "P {x}", "response": "R"}\n```'},
        {"id": "id1", "prompt": "P {x}", "response": "R"},
        {"id": "id1", "answer": 'A {draft}. {"prompt": "P {x}", "response": " R "}'},
        {"id": "id1", "messages": [{"role": "assistant", "content": '{"prompt": "P {x}", "response": "R"}'}]},  # noqa: E501
        {"custom_id": "id1", "response": {"body": {"choices": [{"message": {"content": '{"prompt": "P {x}", "response": "R"}'}}]}}},  # noqa: E501
    ],
)  # fmt: skip
def test_answers_come_in_the_forms_that_generators_give(asked, tmp_path, line):
    take(asked, [written(tmp_path / "a.jsonl", [line])], tmp_path / "new.jsonl")
    made = rows(tmp_path / "new.jsonl")
    assert [(row["prompt"], row["response"]) for row in made] == [("P {x}", "R")]


def test_what_gives_no_row_is_counted_with_its_line(asked, tmp_path):
    answers = [
        answer(1),
        answer(1, "Quite another question about pears"),
        {"id": "nobody", "answer": "{}"},
        "not json\n",
        "\n",
        {"id": "id2", "answer": "I cannot."},
        {"id": "id3", "answer": json.dumps({"prompt": "what is 4 AND 4", "response": "8"})},
        {"id": "id4", "answer": json.dumps({"prompt": "p", "response": ""})},
        {"id": "id5", "response": {"body": None}},
        {"custom_id": ["id5"]},
        [1],
    ]
    found = take(asked, [written(tmp_path / "a.jsonl", answers)], tmp_path / "new.jsonl")
    assert found.rows == 1
    assert found.dropped == {SECOND: 1, UNKNOWN: 2, UNREADABLE: 2, UNPARSED: 3, COPY: 1}
    dropped = rows(tmp_path / "new.jsonl.dropped.jsonl")
    assert [one["place"] for one in dropped][:3] == ["a.jsonl:2", "a.jsonl:3", "a.jsonl:4"]


def test_a_second_answer_counts_where_the_first_gave_none(asked, tmp_path):
    first = written(tmp_path / "a.jsonl", [{"id": "id3", "answer": "no"}])
    second = written(tmp_path / "b.jsonl", [answer(3)])
    assert take(asked, [first, second], tmp_path / "new.jsonl").rows == 1


def test_new_rows_that_are_copies_of_each_other_count_once(asked, tmp_path):
    pair = json.dumps({"prompt": "one and the same text here", "response": "r"})
    answers = [{"id": f"id{n}", "answer": pair} for n in range(3)]
    path = written(tmp_path / "a.jsonl", answers)
    assert take(asked, [path], tmp_path / "new.jsonl").dropped == {COPY: 2}
    assert take(asked, [path], tmp_path / "all.jsonl", overlap=1.0).rows == 3


def test_the_new_rows_are_a_source_whose_lineage_is_in_the_mixture(asked, tmp_path):
    take(
        asked, [written(tmp_path / "a.jsonl", [answer(n) for n in range(4)])],
        tmp_path / "new.jsonl",
    )  # fmt: skip
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_text(
        "".join(
            json.dumps({"prompt": f"What is {n}?", "response": "r", "source": "s", "task": "t0"})
            + "\n"
            for n in range(4)
        )
    )
    mixture = smartx.run(sources=[seeds, tmp_path / "new.jsonl"], rows=8, preset="random")
    table = mixture.to_arrow().to_pylist()
    assert mixture.names == [("s", "t0"), ("s", "t1")]
    new = [row for row in table if row["template"] == "llm2llm"]
    assert {row["llm2llm_of"] for row in new} == {"id0", "id1", "id2", "id3"}
    assert {row["llm2llm_round"] for row in new} == {1}


def test_what_stands_is_not_replaced_and_what_is_damaged_not_read(asked, tmp_path):
    path = written(tmp_path / "a.jsonl", [answer(1)])
    (tmp_path / "new.jsonl").write_text("mine")
    with pytest.raises(InputError, match="stands there"):
        take(asked, [path], tmp_path / "new.jsonl")
    assert (tmp_path / "new.jsonl").read_text() == "mine"
    assert take(asked, [path], tmp_path / "new.jsonl", overwrite=True).rows == 1
    with pytest.raises(InputError, match="cannot be read"):
        take(asked, [tmp_path / "absent.jsonl"], tmp_path / "b.jsonl")
    (asked / "prompts.jsonl").write_text("{}")
    with pytest.raises(SmartxError, match="not what was written"):
        take(asked, [path], tmp_path / "c.jsonl")
