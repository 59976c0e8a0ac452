from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest_files import FLAN, Notes, dropped, ingest_rows, turns_of, write_rows
from smartx.corpus import Columns, ingest
from smartx.corpus.dropped import REASONS
from smartx.corpus.overview import one_task_advice
from smartx.errors import CorpusError

ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")
USER, BOT = {"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}
SYSTEM = {"role": "system", "content": "Be kind."}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    ("row", "prompt", "response", "messages"),
    [
        (FLAN, "2 + 2 =", "4", None),
        ({"prompt": "a", "response": "b"}, "a", "b", None),
        ({"prompt": "a", "completion": "b"}, "a", "b", None),
        ({"instruction": "a", "input": "x", "output": "b"}, "a\n\nx", "b", None),
        ({"instruction": "a", "input": " ", "output": "b"}, "a", "b", None),
        ({"instruction": "a", "input": None, "output": "b"}, "a", "b", None),
        ({"messages": [USER, BOT]}, "hi", "hello", [USER, BOT]),
        (
            {"messages": [SYSTEM, USER, BOT, USER, BOT, USER]},
            "Be kind.\n\nhi\n\nhello\n\nhi",
            "hello",
            [SYSTEM, USER, BOT, USER, BOT, USER],
        ),
        (
            {
                "conversations": [
                    {"from": "human", "value": "hi"},
                    {"from": "gpt", "value": "hello"},
                ]
            },
            "hi",
            "hello",
            [USER, BOT],
        ),
        (
            {"prompt": [SYSTEM, USER], "completion": [BOT]},
            "Be kind.\n\nhi",
            "hello",
            [SYSTEM, USER, BOT],
        ),
        (
            {"input": [USER], "output": "hello", "system_prompt": "Be kind."},
            "Be kind.\n\nhi",
            "hello",
            [SYSTEM, USER, BOT],
        ),
        (
            {"system": "Be kind.", "prompt": "hi", "response": "hello"},
            "Be kind.\n\nhi",
            "hello",
            [SYSTEM, USER, BOT],
        ),
        ({"system": "", "prompt": "hi", "response": "hello"}, "hi", "hello", None),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}, BOT]},
            "hi",
            "hello",
            [USER, BOT],
        ),
    ],
)
def test_every_layout_gives_its_prompt_response_and_turns(
    tmp_path, ending, row, prompt, response, messages
):
    if ending == ".parquet" and isinstance(row.get("messages", [{}])[0].get("content"), list):
        row = {
            "messages": [
                {**USER, "content": [{"type": "text", "text": "hi"}]},
                {**BOT, "content": [{"type": "text", "text": "hello"}]},
            ]
        }
    (found,) = ingest_rows(tmp_path, [row], ending).rows(np.array([0])).to_pylist()
    assert (found["prompt"], found["response"]) == (prompt, response)
    assert turns_of(found["messages"]) == messages
    assert (found["origin_file"], found["origin_row"]) == (0, 1)


HOSTILE = [
    (b'{"prompt": "\xff", "response": "r"}', "not UTF-8"),
    (b'{"prompt": "\\ud800", "response": "r"}', "not JSON"),
    (b'{"prompt": NaN, "response": "r"}', "not JSON"),
    (b"[" * 200_000, "not JSON"),
    (b"[1, 2]", "not an object"),
    (b"{}", "no prompt"),
    ({"prompt": None, "response": "r"}, "no prompt"),
    ({"prompt": "p"}, "no response"),
    ({"prompt": "p", "response": None}, "no response"),
    ({"prompt": " \n\t ", "response": "r"}, "empty prompt"),
    ({"prompt": "p", "response": ""}, "empty response"),
    ({"prompt": 3, "response": "r"}, "wrong type: prompt"),
    ({"prompt": "p", "response": {"a": 1}}, "wrong type: response"),
    ({"prompt": "p", "response": "r", "task": ["a"]}, "wrong type: task"),
    ({"prompt": [{"role": "user"}], "response": "r"}, "empty prompt"),
    ({"prompt": [3], "response": "r"}, "wrong type: prompt"),
]


def test_every_unusable_row_is_dropped_under_its_reason_with_file_and_line(tmp_path):
    good = {"prompt": "p", "response": "r", "task": "t"}
    lines = [line for bad, _ in HOSTILE for line in (good, bad, b"")]
    progress = Notes()
    corpus = ingest_rows(tmp_path, lines, progress=progress)
    found = dropped(tmp_path / "out")
    assert [(d["line"], d["reason"]) for d in found] == [
        (3 * i + 2, reason) for i, (_, reason) in enumerate(HOSTILE)
    ]
    assert [d["source_position"] for d in found] == list(range(1, 2 * len(HOSTILE), 2))
    assert {d["file"] for d in found} == {"file.jsonl"}
    counts = corpus.manifest["rows"]
    assert set(counts["dropped"]) <= set(REASONS)
    assert counts["dropped"] == Counter(reason for _, reason in HOSTILE)
    assert counts["read"] == counts["kept"] + len(HOSTILE) == corpus.num_source_rows
    assert corpus.source_positions(0, len(HOSTILE)).tolist() == list(range(0, 2 * len(HOSTILE), 2))
    for reason in counts["dropped"]:
        assert any(f"dropped, {reason}: {tmp_path}/in/file.jsonl:" in n for n in progress.notes)


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        ([USER], "no assistant turn"),
        ([], "no assistant turn"),
        ([BOT], "empty prompt"),
        ([USER, {"role": "assistant", "content": None}], "empty response"),
        (None, "no prompt"),
        ("text", "wrong type: messages"),
        ([USER, "text"], "wrong type: messages"),
        ([{"content": "x"}, BOT], "wrong type: messages"),
        ([{"role": "user", "content": 5}, BOT], "wrong type: messages"),
    ],
)
def test_conversations_that_cannot_be_used_are_dropped_under_their_reason(tmp_path, turns, reason):
    ingest_rows(tmp_path, [{"messages": [USER, BOT]}, {"messages": turns}])
    assert [(d["line"], d["reason"]) for d in dropped(tmp_path / "out")] == [(2, reason)]


def test_parquet_columns_of_other_types_are_not_taken_for_the_task(tmp_path):
    table = {"prompt": ["a"], "response": ["b"], "task": [["x"]], "dataset": [{"x": 1}]}
    pq.write_table(
        pa.table({**table, "source": pa.array([1], pa.date32())}), tmp_path / "a.parquet"
    )
    assert ingest([tmp_path / "a.parquet"], tmp_path / "out").groups.task == ["a"]


@pytest.mark.parametrize("lists", [pa.list_, pa.large_list, lambda turn: pa.list_(turn, 2)])
def test_conversations_in_any_kind_of_arrow_list_are_read(tmp_path, lists):
    turn = pa.struct([("role", pa.string()), ("content", pa.string())])
    turns = pa.array([[{"role": "User", "content": "hi"}, BOT]], lists(turn))
    pq.write_table(pa.table({"messages": turns}), tmp_path / "a.parquet")
    corpus = ingest([tmp_path / "a.parquet"], tmp_path / "out")
    assert turns_of(corpus.rows(np.array([0]))["messages"][0].as_py()) == [USER, BOT]


VIEWS = [pa.string_view()] if hasattr(pa, "string_view") else []  # not of the lowest pyarrow


@pytest.mark.parametrize("kind", [pa.large_string(), *VIEWS, pa.binary(), None])
def test_text_in_any_arrow_type_is_text(tmp_path, kind):
    texts = pa.array(["a", "b"])
    texts = texts.cast(kind) if kind else texts.dictionary_encode()
    pq.write_table(
        pa.table({"prompt": texts, "response": texts, "task": texts}), tmp_path / "a.parquet"
    )
    corpus = ingest([tmp_path / "a.parquet"], tmp_path / "out")
    assert (corpus.prompts(0, 2), corpus.groups.task) == (["a", "b"], ["a", "b"])


def test_parquet_cells_that_are_not_utf8_or_null_are_dropped_one_by_one(tmp_path):
    path = tmp_path / "a.parquet"
    binary = pa.array([b"ok", b"\xff", b"", None, b"ok too"], pa.binary())
    text = pa.Array.from_buffers(pa.string(), 5, binary.buffers())
    for column in (binary, text):
        pq.write_table(
            pa.table({"prompt": column, "response": ["r"] * 5}), path, store_schema=False
        )
        corpus = ingest([path], tmp_path / "out")
        assert corpus.prompts(0, 2) == ["ok", "ok too"]
        assert [(d["line"], d["reason"]) for d in dropped(tmp_path / "out")] == [
            (2, "not UTF-8"),
            (3, "empty prompt"),
            (4, "no prompt"),
        ]


def test_parquet_conversations_with_broken_text_are_dropped(tmp_path):
    rows = [
        [{"role": b"user", "content": c}, {"role": b"assistant", "content": b"x"}]
        for c in (b"good", b"\xff")
    ]
    binary = pa.array(rows, pa.list_(pa.struct([("role", pa.binary()), ("content", pa.binary())])))
    contents = binary.flatten().field("content")
    text = pa.Array.from_buffers(pa.string(), len(contents), contents.buffers())
    roles = binary.flatten().field("role").cast(pa.string())
    turns = pa.StructArray.from_arrays([roles, text], ["role", "content"])
    path = tmp_path / "a.parquet"
    for column in (binary, pa.ListArray.from_arrays(binary.offsets, turns)):
        pq.write_table(pa.table({"messages": column}), path, store_schema=False)
        corpus = ingest([path], tmp_path / "out", columns=Columns(messages="messages"))
        assert corpus.prompts(0, 1) == ["good"]
        assert [(d["line"], d["reason"]) for d in dropped(tmp_path / "out")] == [(2, "not UTF-8")]


def test_columns_of_the_wrong_type_are_not_taken_for_text(tmp_path):
    with pytest.raises(CorpusError, match='"prompt", "response"'):
        ingest_rows(tmp_path, [{"prompt": 3, "response": "r"}], ".parquet")


@pytest.mark.parametrize("ending", ENDINGS)
def test_task_names_are_kept_as_they_are_and_never_become_file_names(tmp_path, ending):
    names = [
        "../../x",
        "a/b",
        "n" * 300,
        "Twin",
        "twin",
        "CON",
        "<script>",
        "nul\0",
        "\x1b[31m",
        "ü",
    ]
    rows = [{"prompt": "p", "response": "r", "task": name} for name in names]
    corpus = ingest_rows(tmp_path, rows, ending)
    assert corpus.groups.task == sorted(names)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        ".smartx",
        "dropped.parquet",
        "groups.parquet",
        "manifest.json",
        "rows-00000.parquet",
    ]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "out"]


def test_numbers_and_truth_values_are_names_of_tasks(tmp_path):
    rows = [{"prompt": "p", "response": "r", "task": task} for task in (10, 9, True)]
    assert ingest_rows(tmp_path / "a", rows).groups.task == ["10", "9", "true"]
    assert ingest_rows(tmp_path / "b", rows[:2], ".parquet").groups.task == ["10", "9"]


def test_hugging_face_labels_become_their_names(tmp_path):
    feature = {"names": ["sums", "rhymes"], "_type": "ClassLabel"}
    note = json.dumps({"info": {"features": {"task_name": feature}}})
    schema = pa.schema(
        [("prompt", pa.string()), ("response", pa.string()), ("task_name", pa.int64())],
        metadata={"huggingface": note},
    )
    rows = {"prompt": ["a", "b", "c"], "response": ["x"] * 3, "task_name": [1, 0, -1]}
    pq.write_table(pa.table(rows, schema=schema), tmp_path / "a.parquet")
    corpus = ingest([tmp_path / "a.parquet"], tmp_path / "out")
    assert corpus.groups.task == ["rhymes", "sums", "a"]  # -1: no label, so the file's name
    assert corpus.groups.source == ["", "", "a"]
    assert corpus.prompts(0, 3) == ["a", "b", "c"]


def test_rows_without_a_task_get_the_name_of_their_file_and_task_name_overrules(tmp_path):
    row = {"prompt": "p", "response": "r"}
    files = [
        write_rows(tmp_path / f"in/{n}.jsonl", [row])
        for n in ("x-00000-of-00002", "x-00001-of-00002", "y")
    ]
    groups = ingest(files, tmp_path / "out").groups
    assert list(zip(groups.source, groups.task, groups.rows, strict=True)) == [
        ("x", "x", 2),
        ("y", "y", 1),
    ]
    groups = ingest(files, tmp_path / "out", task_name="all").groups
    assert list(zip(groups.source, groups.task, groups.rows, strict=True)) == [("", "all", 3)]


def test_empty_responses_are_kept_on_request_but_missing_ones_are_not(tmp_path):
    rows = [{"prompt": "p", "response": r} for r in ("", "  ", "x", None)]
    corpus = ingest_rows(tmp_path, rows, keep_empty_responses=True)
    assert corpus.rows(np.arange(3)).column("response").to_pylist() == ["", "  ", "x"]
    assert corpus.manifest["rows"]["dropped"] == {"no response": 1}


def test_a_corpus_with_no_usable_row_is_an_error_that_shows_the_reasons(tmp_path):
    with pytest.raises(CorpusError) as caught:
        ingest_rows(tmp_path, [{"prompt": "p", "response": ""}, b"{"])
    for part in ("no row can be used", "empty response", "not JSON", "file.jsonl:2"):
        assert part in str(caught.value)
    assert not (tmp_path / "out" / "manifest.json").exists()


@pytest.mark.parametrize("content", [b"", b"\n\n", b"{}\n{}\n", b"[\n{}\n]\n"])
def test_a_file_without_rows_is_an_error(tmp_path, content):
    (tmp_path / "a.jsonl").write_bytes(content)
    with pytest.raises(CorpusError, match="no row can be used"):
        ingest([tmp_path / "a.jsonl"], tmp_path / "out")


def test_a_failed_ingest_leaves_nothing(tmp_path):
    good = write_rows(tmp_path / "a.jsonl", [FLAN] * 9)
    bad = tmp_path / "b.parquet"
    bad.write_bytes(b"PAR1 not really")
    with pytest.raises(CorpusError, match=r"b\.parquet"):
        ingest([good, bad], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("lost", [0, 1, 5])
def test_where_the_dropped_rows_are_listed_is_told_each_time(tmp_path, lost):
    """Also where the corpus is used again: the mixture lacks these rows then, too."""
    source = tmp_path / "rows.jsonl"
    source.write_text('{"prompt": "a", "response": "b"}\n' + "not JSON\n" * lost)
    for _ in range(2):
        notes = Notes()
        corpus = ingest([source], tmp_path / "out", progress=notes)
        found = [note for note in notes.notes if "dropped row" in note]
        assert len(found) == (lost > 0)
        if lost:
            assert found[0].startswith("1 dropped row," if lost == 1 else "5 dropped rows,")
            assert found[0].endswith(str(corpus.folder / "dropped.parquet"))
            assert len(dropped(corpus.folder)) == lost


def test_where_no_column_names_tasks_all_ways_to_have_some_are_told(tmp_path):
    corpus = ingest_rows(tmp_path, [{"prompt": "a", "response": "b"}])
    advice = one_task_advice(corpus.manifest["sources"])
    assert advice.startswith("no column names tasks")
    assert [way for way in ("`task_column`", "a source", "`tasks` auto") if way not in advice] == []
