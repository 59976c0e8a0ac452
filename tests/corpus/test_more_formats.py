"""JSON documents, delimited text, Arrow files: the same rows, whatever the file is written in."""

from __future__ import annotations

import io
import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_files import FLAN, dropped, table_of, write_arrow, write_delimited, write_json
from smartx.corpus import ingest
from smartx.corpus.formats import open_source
from smartx.corpus.json_rows import JsonValues
from smartx.corpus.sources import SourceFile, find_sources
from smartx.errors import CorpusError

TEXTS = ["plain", 'with "quotes", commas', "two\nlines\r\nthree", "\ttab", "ünï 任务", "'", "]}"]
ROWS = [{"prompt": f"{text} {i}", "response": text} for i in range(700) for text in TEXTS]


def reader_of(path):
    return open_source(find_sources([path], print)[0])


def rows_of(path, *names):
    blocks = list(reader_of(path).blocks(names))
    found = []
    for block in blocks:
        columns = [block.cells[name] for name in names]
        lists = [c if isinstance(c, list) else c.to_pylist() for c in columns]
        found += zip(*lists, strict=True)
    return found, blocks


def written(path, stream=False):
    if ".json" in path.name:
        return write_json(path, ROWS, indent=None if stream else 2)
    if ".csv" in path.name or ".tsv" in path.name:
        return write_delimited(path, ROWS)
    return write_arrow(path, pa.Table.from_pylist(ROWS), stream=stream)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "name",
    [
        *("a.json", "a.json.gz", "a.json.zst", "a.csv", "a.csv.gz", "a.tsv", "a.tsv.zst"),
        *("a.arrow", "a.feather"),
    ],
)
def test_every_format_gives_the_same_rows(tmp_path, name, stream):
    path = written(tmp_path / name, stream)
    found, blocks = rows_of(path, "prompt", "response")
    assert found == [(row["prompt"], row["response"]) for row in ROWS]
    assert len(blocks) > 1
    assert np.concatenate([b.places for b in blocks]).tolist() == list(range(len(ROWS)))
    assert sum(b.read for b in blocks) == path.stat().st_size
    if ".json" in name or ".arrow" in name:
        lines = np.concatenate([b.lines for b in blocks]).tolist()
        assert lines == list(range(1, len(ROWS) + 1))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(deadline=None, max_examples=150)
@given(
    rows=st.lists(st.dictionaries(st.text(max_size=3), json_values, max_size=3), max_size=6),
    indent=st.sampled_from([None, 0, 3]),
    ascii_only=st.booleans(),
    chunk=st.integers(1, 30),
    array=st.booleans(),
)
def test_elements_are_found_wherever_the_reads_end(rows, indent, ascii_only, chunk, array):
    texts = [json.dumps(row, indent=indent, ensure_ascii=ascii_only) for row in rows]
    text = "[" + " ,\n".join(texts) + "] " if array else "\n".join(texts)
    stream = io.BytesIO(b"\xef\xbb\xbf" + text.encode())
    reader = JsonValues(SourceFile("x", "x", "json", None))  # type: ignore[arg-type]
    found = list(reader.items(lambda size: stream.read(chunk)))
    assert [number for number, _ in found] == list(range(1, len(rows) + 1))
    assert [json.loads(element or b"") for _, element in found] == rows


@pytest.mark.parametrize(
    ("content", "number", "says"),
    [
        (b'[{"n": 1}, {"n": 2}', 3, "cut off"),
        (b'[{"n": 1}, {"n": 2', 2, "not JSON"),
        (b'[{"n": 1}, {bad}, {"n": 2}]', 2, "not JSON"),
        (b'[{"n": 1} {"n": 2}]', 1, "comma"),
        (b'[{"n": 1}, ]', 1, "comma"),
        (b'[{"n": 1}] x', 1, "behind the end"),
        (b'[{"n": ' + b"[" * 200_000 + b"]", 1, "nested"),
    ],
)
def test_a_broken_array_is_an_error_that_names_the_element(tmp_path, content, number, says):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(CorpusError, match=says) as caught:
        rows_of(path, "n")
    assert (caught.value.path, caught.value.line) == (str(path), number)


def test_a_json_file_of_lines_is_read_as_lines_and_a_bad_line_costs_only_itself(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b'\n{"n": 1}\n{bad}\n{"n": 2}\n')
    found, (block,) = rows_of(path, "n")
    assert found == [(1,), (2,)]
    assert block.lines.tolist() == [2, 4]


def test_an_element_that_is_no_row_costs_only_itself(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b'[{"n": 1}, 12, null, "t", {"n": NaN}, {"n": "\xff"}, {"n": 2}]')
    found, (block,) = rows_of(path, "n")
    assert found == [(1,), (2,)]
    assert [(line, why.reason) for _, line, why in block.drops] == [
        *((n, "not an object") for n in (2, 3, 4)),
        (5, "not JSON"),
        (6, "not UTF-8"),
    ]


def test_a_large_array_is_never_held_whole(tmp_path):
    import tracemalloc

    path = write_json(tmp_path / "a.json", [{"n": "x" * 100_000}] * 600)
    tracemalloc.start()
    count = sum(len(block.places) for block in reader_of(path).blocks(["n"]))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 600
    assert peak < path.stat().st_size / 2


def test_rows_of_delimited_text_are_named_by_the_line_they_start_in(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(
        b'\xef\xbb\xbfprompt,response\r\n"a\nb",c\r\n\r\nd,e,f\r\ng\r\n\xff,h\r\ni,"say ""x"""\n'
    )
    found, (block,) = rows_of(path, "prompt", "response")
    assert found == [("a\nb", "c"), ("i", 'say "x"')]
    assert block.lines.tolist() == [2, 8]
    assert [(line, why.reason) for _, line, why in block.drops] == [
        (5, "wrong number of cells"),
        (6, "wrong number of cells"),
        (7, "not UTF-8"),
    ]


def test_a_quote_that_is_never_closed_is_an_error_and_swallows_no_rows(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('prompt,response\na,b\n"c,d\ne,f\ng,h\n')
    with pytest.raises(CorpusError, match="not closed") as caught:
        rows_of(path, "prompt")
    assert caught.value.line == 3


def test_semicolons_are_taken_where_the_header_has_no_comma(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("prompt;response\na, b;c\n")
    assert rows_of(path, "prompt", "response")[0] == [("a, b", "c")]


def test_an_arrow_file_that_lies_about_its_offsets_is_an_error(tmp_path):
    path = write_arrow(tmp_path / "a.arrow", pa.table({"prompt": [f"{i}" for i in range(99)]}))
    whole = path.read_bytes()
    offsets = np.arange(0, 40, dtype=np.int32)
    place = whole.find(offsets[:10].tobytes())
    assert place > 0
    path.write_bytes(whole[: place + 8] + b"\xff\xff\xff\x7f" + whole[place + 12 :])
    with pytest.raises(CorpusError, match=r"a\.arrow"):
        rows_of(path, "prompt")


def test_arrow_text_that_is_not_utf8_costs_only_its_row(tmp_path):
    binary = pa.array([b"ok", b"\xff", b"ok too"], pa.binary())
    text = pa.Array.from_buffers(pa.string(), 3, binary.buffers())
    write_arrow(tmp_path / "a.arrow", pa.table({"prompt": text, "response": ["r"] * 3}))
    corpus = ingest([tmp_path / "a.arrow"], tmp_path / "out")
    assert corpus.prompts(0, 2) == ["ok", "ok too"]
    assert [(d["line"], d["reason"]) for d in dropped(tmp_path / "out")] == [(2, "not UTF-8")]


@pytest.mark.parametrize("name", ["a.arrow", "a.json", "a.json.gz", "a.csv.gz"])
def test_a_file_cut_in_half_is_an_error_that_names_it(tmp_path, name):
    path = written(tmp_path / name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CorpusError) as caught:
        rows_of(path, "prompt")
    assert caught.value.path == str(path)


@pytest.mark.parametrize("name", ["a.json", "a.csv", "a.tsv", "a.arrow", "b.json"])
def test_flan_rows_become_the_same_corpus_from_every_format(tmp_path, name):
    rows = [{**FLAN, "inputs": f"{i}", "task_name": f"t{i % 3}"} for i in range(20)]
    path = tmp_path / "in" / name
    path.parent.mkdir()
    if name == "b.json":
        write_json(path, rows, indent=1)
    elif name == "a.json":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif name == "a.arrow":
        write_arrow(path, pa.Table.from_pylist(rows), rows=7)
    else:
        write_delimited(path, rows)
    found = table_of(ingest([path], tmp_path / "out"))
    expected = sorted(rows, key=lambda row: row["task_name"])
    assert [(r["name"][1], r["prompt"]) for r in found] == [
        (r["task_name"], r["inputs"]) for r in expected
    ]
