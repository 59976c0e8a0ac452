"""What rows carry besides the known columns: it comes out of the mixture as it went in."""

from __future__ import annotations

import datetime
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_files import Notes, tree, write_arrow, write_delimited, write_rows
from smartx.budget import allot
from smartx.corpus import ingest
from smartx.corpus.extra import JSON, arrow_column, arrow_type, kind_of, unify
from smartx.mixture import assemble, mixture_facts, write_mixture
from smartx.rankers import RandomRanker, rank_corpus
from smartx.weights import Proportional

USER, BOT = {"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}
CALL = [{"name": "f", "arguments": "{}"}]


def mixed(folder, sources, **options):
    """The mixture of all rows, in the order of the corpus: (rows, folder)."""
    corpus = ingest(sources, folder / "corpus", **options)
    ranked = rank_corpus(corpus, None, RandomRanker(), folder / "rankings", threads=1)
    law, total = Proportional(), corpus.num_rows
    allotment = allot(corpus.groups, law, means=None, total=total, seed=0)
    chosen = assemble(corpus, ranked, allotment.groups, seed=0)
    facts = mixture_facts(
        corpus,
        ranked,
        allotment,
        chosen,
        law=law,
        ranker=RandomRanker(),
        preset="",
        seed=0,
        version="0",
    )
    write_mixture(corpus, chosen, folder / "mix", facts=facts)
    table = pq.read_table(folder / "mix" / "data").sort_by("smartx_row")
    return table, folder / "mix"


def rows_with(**columns):
    count = len(next(iter(columns.values())))
    given = {name: list(values) for name, values in columns.items()}
    return [
        {"prompt": f"p{i}", "response": f"r{i}", **{n: v[i] for n, v in given.items()}}
        for i in range(count)
    ]


COLUMNS = {
    "id": [3, 1, 2**53],
    "score": [1, 0.5, None],
    "ok": [True, None, False],
    "license": ["a", "b", None],
    "tags": [["x", "y"], [], None],
    "meta": [{"a": 1, "b": ["x"]}, {"a": None, "b": []}, None],
    "big": [2**60, 2**53 + 1, 1],
    "mixed": ["text", 7, [1]],
    "objects": [{"a": 1}, {"b": 2}, None],
    "empty": [None, None, None],
    "task_id": ["ü", '"', "\n"],
}


def test_other_columns_of_json_lines_come_out_of_the_mixture_with_their_types(tmp_path):
    write_rows(tmp_path / "a.jsonl", rows_with(**COLUMNS))
    table, _ = mixed(tmp_path, [tmp_path / "a.jsonl"])
    for name, values in COLUMNS.items():
        if name == "empty":
            assert name not in table.column_names  # a column of nulls says nothing
        elif name in ("mixed", "objects"):
            texts = table[name].to_pylist()
            assert [text and json.loads(text) for text in texts] == values
        else:
            assert table[name].to_pylist() == values
    types = {name: str(table.schema.field(name).type) for name in table.column_names}
    assert (types["id"], types["score"], types["ok"]) == ("int64", "double", "bool")
    assert types["meta"] == "struct<a: int64, b: list<element: string>>"


@pytest.mark.parametrize("ending", [".parquet", ".arrow", ".csv"])
def test_other_columns_of_tables_come_out_as_they_were(tmp_path, ending):
    texts = {"license": ["a", "b", "c"], "url": ["x", "y", "z"]}
    numbers = {
        "id": pa.array([1, None, 3], pa.int16()),
        "score": pa.array([0.5, 0.25, None], pa.float32()),
        "tags": pa.array([["x"], [], None], pa.large_list(pa.large_string())),
        "meta": pa.array([{"a": 1}, {"a": None}, None], pa.struct([("a", pa.int32())])),
        "kind": pa.array(["u", "v", "u"]).dictionary_encode(),
    }
    rows = rows_with(**texts)
    path = tmp_path / f"a{ending}"
    if ending == ".csv":
        write_delimited(path, rows)
        numbers = {}
    else:
        table = pa.Table.from_pylist(rows)
        for name, column in numbers.items():
            table = table.append_column(name, column)
        if ending == ".parquet":
            pq.write_table(table, path)
        else:
            write_arrow(path, table)
    found, _ = mixed(tmp_path, [path])
    for name, values in {**texts, **numbers}.items():
        assert found[name].to_pylist() == (values if name in texts else values.to_pylist())
    if numbers:
        assert found.schema.field("id").type == pa.int16()
        assert found.schema.field("score").type == pa.float32()


def test_what_json_cannot_say_travels_as_its_text(tmp_path):
    day = datetime.date(2024, 2, 29)
    moment = datetime.datetime(2024, 2, 29, 12, 30)
    table = pa.table(
        {
            "prompt": ["p"],
            "response": ["r"],
            "day": [day],
            "moment": pa.array([moment], pa.timestamp("us")),
            "price": pa.array([1], pa.decimal128(5, 2)),
            "image": pa.array([{"bytes": b"\xff\x00", "path": "x"}]),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    (row,) = mixed(tmp_path, [tmp_path / "a.parquet"])[0].to_pylist()
    assert row["day"] == "2024-02-29"
    assert datetime.datetime.fromisoformat(row["moment"]) == moment
    assert row["price"] == "1.00"
    assert row["image"] == {"bytes": "/wA=", "path": "x"}


def test_sources_with_different_columns_lie_in_one_mixture(tmp_path):
    write_rows(tmp_path / "a.jsonl", rows_with(score=[1, 2], only_a=["x", None]))
    write_rows(tmp_path / "b.parquet", rows_with(score=[0.5], only_b=[True]))
    table, _ = mixed(tmp_path, [tmp_path / "a.jsonl", tmp_path / "b.parquet"])
    assert table["score"].to_pylist() == [1.0, 2.0, 0.5]
    assert table["only_a"].to_pylist() == ["x", None, None]
    assert table["only_b"].to_pylist() == [None, None, True]


def test_a_column_whose_name_the_mixture_needs_gets_another(tmp_path):
    rows = [{"messages": [USER, BOT], "prompt": "hi", "original_prompt": "x", "smartx_row": "y"}]
    write_rows(tmp_path / "a.jsonl", rows)
    (row,) = mixed(tmp_path, [tmp_path / "a.jsonl"])[0].to_pylist()
    assert row["prompt"] == "hi"
    assert row["original_original_prompt"] == "hi"
    assert (row["original_prompt"], row["original_smartx_row"]) == ("x", "y")


def test_the_other_keys_of_turns_survive(tmp_path):
    turns = [
        {**USER, "weight": 0},
        {**BOT, "weight": 1, "tool_calls": CALL},
        {"role": "tool", "content": "5", "name": "f"},
        BOT,
    ]
    rows = [{"messages": turns}, {"messages": [USER, BOT]}, {"prompt": "p", "response": "r"}]
    write_rows(tmp_path / "a.jsonl", rows)
    found = mixed(tmp_path, [tmp_path / "a.jsonl"])[0]["messages"].to_pylist()
    bare = {"weight": None, "tool_calls": None, "name": None}
    assert found[0] == [{**bare, **turn} for turn in turns]
    assert found[1:] == [[{**bare, **USER}, {**bare, **BOT}], None]


def test_parts_of_a_turn_that_are_no_text_are_kept_beside_its_text(tmp_path):
    parts = [{"type": "text", "text": "see"}, {"type": "image", "url": "u"}]
    write_rows(tmp_path / "a.jsonl", [{"messages": [{"role": "user", "content": parts}, BOT]}])
    (row,) = mixed(tmp_path, [tmp_path / "a.jsonl"])[0].to_pylist()
    assert row["messages"][0]["content"] == "see"
    assert json.loads(row["messages"][0]["content_parts"]) == parts


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_vectors_do_not_travel_and_it_is_said(tmp_path, ending):
    write_rows(tmp_path / f"a{ending}", rows_with(emb=[[0.5] * 80] * 2, few=[[0.5]] * 2))
    progress = Notes()
    table, _ = mixed(tmp_path, [tmp_path / f"a{ending}"], progress=progress)
    assert "emb" not in table.column_names
    assert table["few"].to_pylist() == [[0.5]] * 2
    assert any('"emb"' in note for note in progress.notes)
    manifest = json.loads((tmp_path / "corpus/manifest.json").read_text())
    assert manifest["sources"][0]["left_out"] == ["emb"]


def test_labels_travel_as_their_names(tmp_path):
    feature = {"names": ["bad", "good"], "_type": "ClassLabel"}
    note = json.dumps({"info": {"features": {"quality": feature}}})
    fields = [("prompt", pa.string()), ("response", pa.string()), ("quality", pa.int64())]
    schema = pa.schema(fields, metadata={"huggingface": note})
    rows = {"prompt": ["a", "b", "c"], "response": ["x"] * 3, "quality": [1, 0, None]}
    pq.write_table(pa.table(rows, schema=schema), tmp_path / "a.parquet")
    table, _ = mixed(tmp_path, [tmp_path / "a.parquet"])
    assert table["quality"].to_pylist() == ["good", "bad", None]


def test_other_columns_can_be_left_out_and_the_rows_stay_the_same(tmp_path):
    write_rows(tmp_path / "a.jsonl", rows_with(**COLUMNS))
    table, _ = mixed(tmp_path / "without", [tmp_path / "a.jsonl"], other_columns=False)
    assert not set(table.column_names) & set(COLUMNS)
    both = [
        ingest([tmp_path / "a.jsonl"], tmp_path / name, other_columns=name == "with")
        for name in ("with", "out")
    ]
    assert both[0].digest == both[1].digest
    assert both[0].prompts(0, 3) == both[1].prompts(0, 3)


def test_the_same_sources_give_the_same_bytes(tmp_path):
    write_rows(tmp_path / "a.jsonl", rows_with(**COLUMNS))
    trees = []
    for name in ("one", "two"):
        _, out = mixed(tmp_path / name, [tmp_path / "a.jsonl"])
        trees.append([tree(tmp_path / name / "corpus"), tree(out / "data")])
    assert trees[0] == trees[1]


def test_datasets_loads_a_mixture_with_other_columns(tmp_path):
    datasets = pytest.importorskip("datasets")
    rows = rows_with(**COLUMNS)
    rows.append({"messages": [{**USER, "weight": 1}, {**BOT, "tool_calls": CALL}], "score": 2})
    write_rows(tmp_path / "a.jsonl", rows)
    _, folder = mixed(tmp_path, [tmp_path / "a.jsonl"])
    loaded = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    by_row = sorted(loaded, key=lambda row: row["smartx_row"])
    assert [row["id"] for row in by_row] == [*COLUMNS["id"], None]
    assert [row["meta"] for row in by_row] == [*COLUMNS["meta"], None]
    assert by_row[3]["messages"][1]["tool_calls"] == CALL


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(-9, 9) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=5,
)


@given(st.lists(json_values, max_size=5), st.lists(json_values, max_size=5))
def test_a_column_of_the_unified_kind_holds_every_value(one, other):
    kind = unify(kind_of(one), kind_of(other))
    assert kind == unify(kind_of(other), kind_of(one))
    values = [*one, *other]
    column = arrow_column(values, kind)
    assert column.type == arrow_type(kind)
    found = column.to_pylist()
    if kind == JSON:
        found = [text and json.loads(text) for text in found]
    assert np.all([found == values])
