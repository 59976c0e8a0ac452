"""Turns for every row of a mixture with chats, and what a trainer would refuse of them."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartx.mixture import chats

ROLES = {"s": "system", "u": "user", "a": "assistant", "c": "assistant", "t": "tool", "?": "critic"}
CALL = {"id": "1", "type": "function", "function": {"name": "look", "arguments": {"q": "x"}}}
patterns = st.text("suatc?", min_size=1, max_size=7).filter(lambda text: set(text) & {"a", "c"})


def turns(pattern, calls=(CALL,)):
    return [
        {
            "role": ROLES[letter],
            "content": "" if letter == "c" else f"{letter}{place}",
            "tool_calls": json.dumps(calls) if letter == "c" else None,
        }
        for place, letter in enumerate(pattern)
    ]


def table_of(rows):
    kind = pa.struct([(name, pa.string()) for name in ("role", "content", "tool_calls")])
    return pa.array(rows, pa.list_(kind))


def texts(name, count):
    return pa.chunked_array([[f"{name}{i}" for i in range(count)]], pa.large_string())


def every_row(rows):
    """`rows` are patterns, or None for a plain row."""
    messages = table_of([None if row is None else turns(row) for row in rows])
    return chats.turns_of_all(messages, texts("p", len(rows)), texts("r", len(rows)))


@given(st.lists(st.none() | patterns, max_size=12))
def test_every_row_has_turns_and_the_last_one_is_an_answer(rows):
    made, shortened = every_row(rows)
    expected = []
    for place, row in enumerate(rows):
        if row is None:
            expected.append([("user", f"p{place}"), ("assistant", f"r{place}")])
        else:
            whole = [(turn["role"], turn["content"]) for turn in turns(row)]
            last = max(i for i, letter in enumerate(row) if letter in "ac")
            expected.append(whole[: last + 1])
    found = [[(turn["role"], turn["content"]) for turn in row] for row in made.to_pylist()]
    assert found == expected
    assert shortened == sum(row is not None and row[-1] not in "ac" for row in rows)


def test_turns_keep_their_other_keys_and_plain_rows_have_none():
    kind = pa.struct([("role", pa.string()), ("content", pa.string()), ("weight", pa.int64())])
    turns = [None, [{"role": "assistant", "content": "a", "weight": 3}]]
    made, _ = chats.turns_of_all(pa.array(turns, pa.list_(kind)), texts("p", 2), texts("r", 2))
    assert [turn["weight"] for row in made.to_pylist() for turn in row] == [None, None, 3]


def llama_factory(turns):
    """What LLaMA-Factory 0.9.5 learns of turns in its own form: none, or the roles.

    After `SharegptDatasetConverter.__call__` of llamafactory/data/converter.py.
    """
    if turns and turns[0] == "system":
        turns = turns[1:]
    accepted = (("human", "observation"), ("gpt", "function_call"))
    fits = all(role in accepted[place % 2] for place, role in enumerate(turns))
    return turns if fits and len(turns) % 2 == 0 else None


ALL = ["".join(p) for n in range(1, 6) for p in itertools.product("suatc?", repeat=n)]


def test_a_row_is_counted_as_refused_exactly_where_llama_factory_leaves_it_out():
    ending = [pattern for pattern in ALL if pattern[-1] in "ac"]
    made, lost = chats.sharegpt(every_row(ending)[0])
    assert not lost
    for pattern, row in zip(ending, made.to_pylist(), strict=True):
        reason = chats.refusal(pattern)
        left_out = llama_factory([turn["from"] for turn in row]) is None
        assert left_out == (reason is not None), (pattern, reason)
        assert reason is None or reason in chats.REFUSED_BY


def test_turns_of_tools_in_a_row_are_refused_where_they_are_not_joined():
    """`messages` themselves, which LLaMA-Factory reads where nothing calls tools."""
    speakers = {"s": "system", "u": "human", "a": "gpt", "t": "observation", "?": "critic"}
    for pattern in ALL:
        if pattern[-1] == "a" and "c" not in pattern:
            left_out = llama_factory([speakers[letter] for letter in pattern]) is None
            assert left_out == (chats.refusal(pattern, joined=False) is not None), pattern


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("sa", chats.NO_USER),
        ("suua", chats.TWO_USERS),
        ("uaa", chats.TWO_ANSWERS),
        ("ssua", chats.LATE_SYSTEM),
        ("sasua", chats.LATE_SYSTEM),
        ("aua", chats.ANSWER_FIRST),
        ("u?a", chats.ODD_ROLE),
        ("ucuta", chats.ODD_TOOL),
        ("suctta", None),
        ("uaua", None),
    ],
)
def test_the_reason_is_named(pattern, reason):
    assert chats.refusal(pattern) == reason


def test_refused_rows_are_counted_by_reason():
    made, _ = every_row(["ua", "uua", None, "suua", "sa", "uctta"])
    assert chats.refusals(made, joined=True) == {chats.TWO_USERS: 2, chats.NO_USER: 1}
    facts = chats.refused_facts(chats.refusals(made, joined=False))
    assert [(fact["reason"], fact["rows"]) for fact in facts] == [
        (chats.TWO_USERS, 2),
        (chats.NO_USER, 1),
        (chats.TWO_TOOLS, 1),
    ]
    assert all("LLaMA-Factory" in fact["by"] for fact in facts)


def written(function, **more):
    return {"type": "function", "function": function, **more}


@pytest.mark.parametrize(
    "calls",
    [
        [written({"name": "f", "arguments": '{"a": 1}'})],  # as OpenAI writes them
        [written({"name": "f", "arguments": {"a": 1}})],
        [written({"name": "f", "arguments": {"a": 1}}, id=None)],
        written({"name": "f", "arguments": {"a": 1}}),
    ],
)
def test_calls_are_objects_whose_arguments_are_objects(calls):
    messages = table_of([turns("u") + turns("c", calls)])
    made, _ = chats.turns_of_all(messages, texts("p", 1), texts("r", 1))
    (call,) = made.to_pylist()[0][-1]["tool_calls"]
    assert json.loads(call) == written({"name": "f", "arguments": {"a": 1}})
    shared, _ = chats.sharegpt(made)
    value = json.loads(shared.to_pylist()[0][-1]["value"])
    assert value == [{"name": "f", "arguments": {"a": 1}}]


def test_calls_of_one_type_are_read_as_those_of_many():
    kind = pa.struct(
        [
            ("role", pa.string()),
            ("content", pa.string()),
            ("tool_calls", pa.array([[CALL]]).type),
        ]
    )
    row = [
        {"role": "user", "content": "u", "tool_calls": None},
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
    ]
    made, _ = chats.turns_of_all(pa.array([row], pa.list_(kind)), texts("p", 1), texts("r", 1))
    assert [json.loads(call) for call in made.to_pylist()[0][-1]["tool_calls"]] == [CALL]
    assert chats.turn_patterns(made).to_pylist() == ["uc"]


@pytest.mark.parametrize("odd", ["no JSON", 7, [3, None], {"name": "f"}, [[]]])
def test_what_is_no_call_is_kept_and_stops_nothing(odd):
    messages = table_of([turns("u") + turns("c", odd)])
    made, _ = chats.turns_of_all(messages, texts("p", 1), texts("r", 1))
    calls = made.to_pylist()[0][-1]["tool_calls"]
    assert [json.loads(call) for call in calls] == (odd if isinstance(odd, list) else [odd])
    shared, _ = chats.sharegpt(made)
    assert all("name" in call for call in json.loads(shared.to_pylist()[0][-1]["value"]))


def test_text_beside_a_call_is_counted_as_lost_to_llama_factory():
    row = turns("uca")
    row[1]["content"] = "Let me look."
    made, _ = chats.turns_of_all(table_of([row, turns("uca")]), texts("p", 2), texts("r", 2))
    _, lost = chats.sharegpt(made)
    assert lost == {chats.TEXT_BESIDE: 1}


def test_answers_of_several_tools_are_one_turn_for_llama_factory():
    made, _ = every_row(["uctta"])
    (row,) = chats.sharegpt(made)[0].to_pylist()
    assert [turn["from"] for turn in row] == ["human", "function_call", "observation", "gpt"]
    assert row[2]["value"] == "t2\n</tool_response>\n<tool_response>\nt3"


def test_tools_are_objects_whatever_they_were():
    tools = [{"type": "function", "function": {"name": "look"}}]
    text = json.dumps(tools)
    columns = [[tools, None], [text, None], [json.dumps(text), None]]
    for column in (pa.chunked_array([values]) for values in columns):
        found, none = chats.tools_objects(column).to_pylist()
        assert json.loads(found) == tools
        assert none is None


def test_keys_that_a_table_gave_to_objects_are_gone_and_those_of_texts_stay():
    """Parquet has one type for the arguments of all calls: null for what a call does not have."""
    filled = written({"name": "f", "arguments": {"a": 1, "b": None}})
    exact = written({"name": "f", "arguments": '{"a": 1, "b": null}'})
    messages = table_of([turns("u") + turns("c", [filled, exact])])
    made, _ = chats.turns_of_all(messages, texts("p", 1), texts("r", 1))
    calls = [json.loads(call) for call in made.to_pylist()[0][-1]["tool_calls"]]
    assert [call["function"]["arguments"] for call in calls] == [{"a": 1}, {"a": 1, "b": None}]


def test_no_rows_have_no_turns():
    made, shortened = every_row([])
    assert (len(made), shortened) == (0, 0)
    assert np.array_equal(made.offsets, [0])
