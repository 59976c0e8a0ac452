"""What rows carry besides the known columns: it comes out of the mixture as it went in."""

from __future__ import annotations

import datetime
import json
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest_files import Notes, dropped, tree, write_arrow, write_delimited, write_rows
from small import mixture_of_all
from smartx.corpus import ingest
from smartx.corpus.blocks import BLOCK_BYTES, BLOCK_ROWS
from smartx.corpus.room import LEAST_BYTES
from smartx.errors import CorpusError, StoreError
from smartx.mixture.others import OtherColumns

USER, BOT = {"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}
CALL = [{"name": "f", "arguments": "{}"}]


def mixed(folder, sources, **options):
    """The mixture of all rows, in the order of the corpus: (rows, folder)."""
    corpus = ingest(sources, folder / "corpus", **options)
    mixture_of_all(corpus, folder)
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


MOMENT = datetime.datetime(2024, 2, 29, 12, 30, 0, 17)
TYPED = {
    "moment": pa.array([MOMENT, None, MOMENT], pa.timestamp("us", "Europe/Berlin")),
    "nanos": pa.array([1, None, 2**62], pa.timestamp("ns")),
    "day": pa.array([MOMENT.date(), None, datetime.date(1, 1, 1)]),
    "time": pa.array([MOMENT.time(), None, datetime.time()]),
    "took": pa.array([1, None, -(2**60)], pa.duration("us")),
    "price": pa.array([Decimal("12.50"), None, Decimal("-99999.99")], pa.decimal128(7, 2)),
    "large": pa.array([2**64 - 1, None, 0], pa.uint64()),
    "small": pa.array([-128, None, 127], pa.int8()),
    "raw": pa.array([b"\xff\x00", None, b""]),
    "rows": pa.array([[1], None, []], pa.large_list(pa.int32())),
    "deep": pa.array(
        [{"at": MOMENT, "of": [{"raw": b"\xff"}]}, None, {"at": None, "of": None}],
        pa.struct(
            [
                ("at", pa.timestamp("us")),
                ("of", pa.list_(pa.struct([("raw", pa.binary()), ("no", pa.uint8())]))),
            ]
        ),
    ),
    "none": pa.nulls(3),
    "half": pa.array(np.array([np.nan, np.inf, -0.5], np.float16)),
    "single": pa.array(np.array([np.nan, -np.inf, 0.1], np.float32)),
    "double": pa.array([float("nan"), None, float("-inf")]),
    "long": pa.array(["ü", None, ""], pa.large_string()),
}
PLAIN = {"prompt": ["p", "q", "r"], "response": ["x", "y", "z"]}


def table_file(path, columns):
    table = pa.table(columns)
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    else:
        write_arrow(path, table)
    return path


def same(one, other):
    """Whether two columns hold the same values, NaN equal to itself."""
    if one.type == other.type == pa.timestamp("ns"):  # which Python has no word for
        one, other = one.cast(pa.int64()), other.cast(pa.int64())
    return one.type == other.type and repr(one.to_pylist()) == repr(other.to_pylist())


@pytest.mark.parametrize("ending", [".parquet", ".arrow"])
def test_columns_of_every_type_come_out_of_the_mixture_as_they_went_in(tmp_path, ending):
    table, _ = mixed(tmp_path, [table_file(tmp_path / f"a{ending}", {**PLAIN, **TYPED})])
    for name, column in TYPED.items():
        assert same(table[name].combine_chunks(), column), name


@pytest.mark.parametrize("ending", [".parquet", ".arrow"])
def test_maps_and_dictionaries_come_as_lists_of_keys_and_values_and_as_values(tmp_path, ending):
    columns = {
        "map": pa.array([[("a", 1)], None, []], pa.map_(pa.string(), pa.int8())),
        "kind": pa.array(["u", "v", None]).dictionary_encode(),
    }
    table, folder = mixed(tmp_path, [table_file(tmp_path / f"a{ending}", {**PLAIN, **columns})])
    assert table["map"].to_pylist() == [[{"key": "a", "value": 1}], None, []]
    assert table["map"].type.value_type.field("value").type == pa.int8()
    assert table["kind"].to_pylist() == ["u", "v", None]
    datasets = pytest.importorskip("datasets")  # which refuses maps
    loaded = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert sorted(row["kind"] or "" for row in loaded) == ["", "u", "v"]


def test_a_mixture_has_the_columns_of_all_sources_whichever_rows_it_takes(tmp_path):
    write_rows(tmp_path / "a.jsonl", rows_with(only_a=["x"], both=[1]))
    table_file(tmp_path / "b.parquet", {**PLAIN, "only_b": TYPED["price"], "both": [0.5] * 3})
    corpus = ingest([tmp_path / "a.jsonl", tmp_path / "b.parquet"], tmp_path / "out")
    for ids in ([0], [3, 1], [2, 0, 3, 1], []):
        others = OtherColumns.of(corpus, ())
        for piece_rows in (1, 2, 10):
            parts = list(others.rows(np.array(ids, np.int64), piece_rows, tmp_path))
            made = [others.appended(pa.table({"id": p["row_id"]}), p) for p in parts]
            table = pa.concat_tables(made)
            assert table["id"].to_pylist() == ids
            assert table["only_a"].to_pylist() == [None if i else "x" for i in ids]
            prices = TYPED["price"].to_pylist()
            assert table["only_b"].to_pylist() == [prices[i - 1] if i else None for i in ids]
            assert table["both"].to_pylist() == [0.5 if i else 1.0 for i in ids]
            assert table.schema.field("only_b").type == pa.decimal128(7, 2)
    assert not list(tmp_path.glob(".pieces*"))


def test_columns_of_two_types_in_two_sources_hold_the_values_of_both(tmp_path):
    columns = {
        "narrow": [pa.array([1, 2, 3], pa.int8()), pa.array([2**62] * 3, pa.int64())],
        "words": [pa.array(["a", None, "b"]), pa.array([1, 2, 3])],
        "moment": [TYPED["moment"], TYPED["nanos"]],
        "exact": [pa.array([2**53 + 1] * 3), pa.array([0.5] * 3)],
        "price": [TYPED["price"], pa.array([Decimal("1.00")] * 3, pa.decimal128(20, 2))],
    }
    sources = [
        table_file(tmp_path / f"{n}.parquet", {**PLAIN, **{k: v[n] for k, v in columns.items()}})
        for n in (0, 1)
    ]
    table, _ = mixed(tmp_path, sources)
    assert table["narrow"].to_pylist() == [1, 2, 3, *[2**62] * 3]
    assert table["words"].to_pylist() == ['"a"', None, '"b"', "1", "2", "3"]
    assert table["exact"].to_pylist() == [str(2**53 + 1)] * 3 + ["0.5"] * 3
    assert table["price"].to_pylist()[3:] == [Decimal("1.00")] * 3
    found = [text and json.loads(text) for text in table["moment"].to_pylist()]
    assert found[0] == "2024-02-29 13:30:00.000017+0100"
    assert found[3:] == ["1970-01-01 00:00:00.000000001", None, "2116-02-20 23:53:38.427387904"]


def test_whole_numbers_of_any_size_keep_their_digits(tmp_path):
    large = [2**64 + 1, 1, -(2**70) - 1]
    lines = [
        f'{{"prompt": "{i}", "response": "r", "n": {n}}}'.encode() for i, n in enumerate(large)
    ]
    table, _ = mixed(tmp_path, [write_rows(tmp_path / "a.jsonl", lines)])
    assert [json.loads(text) for text in table["n"].to_pylist()] == large


def test_a_row_with_text_that_is_not_utf8_is_dropped_and_counted(tmp_path):
    bad = pa.array([b"ok", b"\xff", None, b"fine"]).view(pa.string())
    nested = pa.StructArray.from_arrays(
        [pa.array([b"a", b"b", b"\xfe", b"d"]).view(pa.string())], ["t"]
    )
    columns = {"prompt": list("abcd"), "response": list("wxyz"), "who": bad, "meta": nested}
    for ending in (".parquet", ".arrow"):
        path = table_file(tmp_path / f"a{ending}", columns)
        table, _ = mixed(tmp_path / ending, [path])
        assert table["who"].to_pylist() == ["ok", "fine"]
        assert table["meta"].to_pylist() == [{"t": "a"}, {"t": "d"}]
        found = dropped(tmp_path / ending / "corpus")
        assert [(row["line"], row["reason"]) for row in found] == [
            (2, "not UTF-8"),
            (3, "not UTF-8"),
        ]
        assert "who" in found[0]["detail"]


def test_what_rows_of_another_layout_do_not_use_travels_too(tmp_path):
    columns = {
        "messages": [[USER, BOT], None, [USER, BOT]],
        "instruction": [None, "do", "other"],
        "output": ["beside", "done", None],
        "score": pa.array([1, 2, None], pa.uint8()),
    }
    table, _ = mixed(tmp_path, [table_file(tmp_path / "a.parquet", columns)])
    assert table["instruction"].to_pylist() == [None, None, "other"]
    assert table["output"].to_pylist() == ["beside", None, None]
    assert table["score"].to_pylist() == [1, 2, None]


def test_what_all_rows_use_in_another_layout_is_no_other_column(tmp_path):
    columns = {
        "messages": [[USER, USER], None, None],
        "instruction": [None, "do", "other"],
        "output": [None, "done", "too"],
        "score": [1, 2, 3],
    }
    table, _ = mixed(tmp_path, [table_file(tmp_path / "a.parquet", columns)])
    assert table["score"].to_pylist() == [2, 3]
    assert not {"instruction", "output", "original_output"} & set(table.column_names)


def test_rows_between_those_that_carry_something_carry_nothing(tmp_path):
    rows = [{"prompt": f"{i}", "response": "r", "task": "t"} for i in range(6 * BLOCK_ROWS)]
    for i in (*range(BLOCK_ROWS, BLOCK_ROWS + 10), *range(4 * BLOCK_ROWS, 4 * BLOCK_ROWS + 10)):
        rows[i]["id"] = i
    cut = BLOCK_ROWS  # a file without other columns, and one with them in two of its blocks
    paths = [
        write_rows(tmp_path / "a.jsonl", rows[:cut]),
        write_rows(tmp_path / "b.jsonl", rows[cut:]),
    ]
    corpus = ingest(paths, tmp_path / "out")
    held = corpus.others(np.arange(len(rows)))
    assert sum(table.num_rows for table in held) == 2 * BLOCK_ROWS
    others = OtherColumns.of(corpus, ())
    ids = np.random.default_rng(0).permutation(len(rows))
    for piece_rows in (3_000, len(rows)):
        made = [
            others.appended(pa.table({"row": part["row_id"]}), part)
            for part in others.rows(ids, piece_rows, tmp_path)
        ]
        found = pa.concat_tables(made).to_pylist()
        assert found == [{"row": i, "id": rows[i].get("id")} for i in ids.tolist()]


def test_nan_in_a_key_of_a_turn_survives(tmp_path):
    turns = [[{**USER, "weight": float("nan")}, {**BOT, "weight": 1.0}]]
    columns = {"messages": turns}
    table, _ = mixed(tmp_path, [table_file(tmp_path / "a.parquet", columns)])
    assert [repr(turn["weight"]) for turn in table["messages"][0].as_py()] == ["nan", "1.0"]


def test_no_limit_on_memory_changes_a_byte_of_the_other_columns(tmp_path):
    path = table_file(tmp_path / "a.parquet", {**PLAIN, **TYPED})
    for name, memory in (("tight", LEAST_BYTES), ("ample", None)):
        ingest([path], tmp_path / name, memory=memory)
    assert tree(tmp_path / "tight") == tree(tmp_path / "ample")


def test_a_file_of_other_columns_that_was_changed_is_not_used(tmp_path):
    corpus = ingest([table_file(tmp_path / "a.parquet", {**PLAIN, **TYPED})], tmp_path / "out")
    path = tmp_path / "out/others-00000.parquet"
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreError, match="bytes are not those"):
        list(corpus.others(np.arange(3)))


def test_large_rows_lie_in_groups_that_memory_holds(tmp_path):
    images = [bytes([i]) * (1 << 20) for i in range(40)]
    columns = {"prompt": list(map(str, range(40))), "response": ["r"] * 40, "image": images}
    ingest([table_file(tmp_path / "a.parquet", columns)], tmp_path / "out")
    with pq.ParquetFile(tmp_path / "out/others-00000.parquet") as file:
        groups = [file.metadata.row_group(g) for g in range(file.num_row_groups)]
        assert max(group.total_byte_size for group in groups) < 3 * BLOCK_BYTES
        assert file.read()["columns"].combine_chunks().field("image").to_pylist() == images


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
    assert "prompt" not in row  # trainers would take it for what is trained on
    assert row["prompt_text"] == row["original_original_prompt"] == "hi"
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
    calls = [json.loads(call) for call in found[0][1].pop("tool_calls")]
    assert calls == [{**CALL[0], "arguments": json.loads(CALL[0]["arguments"])}]
    del turns[1]["tool_calls"]
    assert [{**bare, **turn} for turn in found[0]] == [{**bare, **turn} for turn in turns]
    assert found[1] == [{**bare, **USER}, {**bare, **BOT}]


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
    (call,) = by_row[3]["messages"][1]["tool_calls"]
    assert call == {**CALL[0], "arguments": json.loads(CALL[0]["arguments"])}


def test_a_column_that_gets_a_role_late_is_no_other_column_from_there_on(tmp_path):
    rows = 20_000
    columns = {
        "prompt": [f"{i}" for i in range(rows)],
        "response": ["r"] * rows,
        "category": pa.array([None if i < 15_000 else f"c{i % 3}" for i in range(rows)]),
        "n": pa.array(range(rows), pa.uint16()),
    }
    table, _ = mixed(tmp_path, [table_file(tmp_path / "a.parquet", columns)])
    assert set(table["task"].to_pylist()) == {"a", "c0", "c1", "c2"}
    assert table["n"].to_pylist() == [int(text) for text in table["prompt"].to_pylist()]
    assert table["category"].null_count == rows


def test_columns_of_a_table_beyond_the_first_thousand_lie_in_one(tmp_path):
    columns = {f"c{i}": [i, None, i] for i in range(1_000)}
    beyond = {"day": TYPED["day"], "raw": TYPED["raw"], "half": TYPED["double"]}
    path = table_file(tmp_path / "a.parquet", {**PLAIN, **columns, **beyond})
    table, _ = mixed(tmp_path, [path])
    assert table["c999"].to_pylist() == [999, None, 999]
    first, second, third = table["other_columns"].to_pylist()
    assert first == '{"day":"2024-02-29","raw":"/wA=","half":NaN}'
    assert (second, third) == (None, '{"day":"0001-01-01","raw":"","half":-Infinity}')


def test_a_value_that_parquet_lacks_is_one_error_and_leaves_nothing(tmp_path):
    far = pa.array([2**62, 1, None], pa.timestamp("s"))
    path = table_file(tmp_path / "a.arrow", {**PLAIN, "far": far})
    with pytest.raises(CorpusError, match="cannot be kept") as caught:
        ingest([path], tmp_path / "out")
    assert (caught.value.path, "drop_other_columns" in caught.value.fix) == (str(path), True)
    assert not list((tmp_path / "out").glob("*others*"))


ODD = {
    "empty": pa.array([[], None, []], pa.list_(pa.int8(), 0)),
    "pair": pa.array([[1, 2], None, [3, None]], pa.list_(pa.int16(), 2)),
    "negative": pa.array([1000, None, 0], pa.decimal128(38, -2)),
    "union": pa.UnionArray.from_sparse(
        pa.array([0, 1, 0], pa.int8()), [pa.array(["x", "", "y"]), pa.array([1, 2, 3])]
    ),
}


def test_types_that_parquet_lacks_travel_as_what_comes_nearest(tmp_path):
    path = table_file(tmp_path / "a.arrow", {**PLAIN, **ODD})
    table, _ = mixed(tmp_path, [path])
    for name in ("empty", "pair"):
        assert table[name].to_pylist() == ODD[name].to_pylist()
    assert table["negative"].to_pylist() == ['"1.0E+3"', None, '"0E+2"']
    assert table["union"].to_pylist() == ['"x"', "2", '"y"']
