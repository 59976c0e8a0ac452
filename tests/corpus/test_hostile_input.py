"""Input that is damaged or means harm: one typed error, or one counted reason, with file and line.

The first table is of rows: a good row stands before and behind the bad one, and both are kept.
The second is of files: nothing of them can be trusted, so the run ends before anything is written.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest_files import Notes, compressed, dropped, write_arrow
from smartx.corpus import ingest, streams
from smartx.embed import VectorsSpec, embed_corpus
from smartx.errors import CorpusError, InputError, VectorsError
from smartx.mixture.others import OtherColumns

GOOD = b'{"prompt": "p", "response": "r", "task": "t"}'
NOT_UTF8 = b'{"prompt": "\xff", "response": "r"}'
DEEP = b"[" * 300 + b"]" * 300


def lines(bad: bytes) -> bytes:
    return GOOD + b"\n" + bad + b"\n" + GOOD + b"\n"


def array(bad: bytes) -> bytes:
    return b"[" + GOOD + b",\n" + bad + b",\n" + GOOD + b"]"


def table(bad: bytes) -> bytes:
    return b"prompt,response\np,r\n" + bad + b"\np,r\n"


def parquet(prompts: pa.Array) -> bytes:
    out = pa.BufferOutputStream()
    columns = {"prompt": prompts, "response": ["r"] * 3}
    pq.write_table(pa.table(columns), out, store_schema=False)
    return out.getvalue().to_pybytes()


def not_utf8() -> pa.Array:
    binary = pa.array([b"p", b"\xff", b"p"], pa.binary())
    return pa.Array.from_buffers(pa.string(), 3, binary.buffers())


def turns(text: str) -> bytes:
    return b'{"messages": [{"role": "user", "content": "p"}, ' + text.encode() + b"]}"


ROWS = {
    "bad UTF-8 in JSON Lines": (
        "a.jsonl",
        lines(b'{"prompt": "\xff", "response": "r"}'),
        "not UTF-8",
    ),
    "bad UTF-8 in a JSON array": (
        "a.json",
        array(b'{"prompt": "\xff", "response": "r"}'),
        "not UTF-8",
    ),
    "bad UTF-8 in CSV": ("a.csv", table(b"\xff,r"), "not UTF-8"),
    "bad UTF-8 in Parquet": ("a.parquet", parquet(not_utf8()), "not UTF-8"),
    "overlong UTF-8": ("a.jsonl", lines(b'{"prompt": "\xc0\xaf", "response": "r"}'), "not UTF-8"),
    "lone surrogate": ("a.jsonl", lines(b'{"prompt": "\\ud800", "response": "r"}'), "not JSON"),
    "lone surrogate in an array": (
        "a.json",
        array(b'{"prompt": "\\ud800", "response": "r"}'),
        "not JSON",
    ),
    "NaN": ("a.jsonl", lines(b'{"prompt": "p", "response": "r", "x": NaN}'), "not JSON"),
    "Infinity": ("a.json", array(b'{"prompt": "p", "response": -Infinity}'), "not JSON"),
    "200,000 brackets": ("a.jsonl", lines(b"[" * 200_000), "not JSON"),
    "nested in an unused column": (
        "a.jsonl",
        lines(b'{"prompt": "p", "response": "r", "x": ' + DEEP + b"}"),
        "nested too deeply",
    ),
    "nested in a turn": (
        "a.jsonl",
        lines(turns('{"role": "assistant", "content": "r", "x": ' + DEEP.decode() + "}")),
        "nested too deeply",
    ),
    "an array as a line": ("a.jsonl", lines(b"[1]"), "not an object"),
    "cut line": ("a.jsonl", lines(GOOD[:20]), "not JSON"),
    "null prompt": ("a.jsonl", lines(b'{"prompt": null, "response": "r"}'), "no prompt"),
    "null prompt in Parquet": ("a.parquet", parquet(pa.array(["p", None, "p"])), "no prompt"),
    "missing column": ("a.jsonl", lines(b'{"prompt": "p"}'), "no response"),
    "number for a text": (
        "a.jsonl",
        lines(b'{"prompt": 7, "response": "r"}'),
        "wrong type: prompt",
    ),
    "object for a task": (
        "a.jsonl",
        lines(b'{"prompt": "p", "response": "r", "task": {"a": 1}}'),
        "wrong type: task",
    ),
    "too few cells": ("a.csv", table(b"p"), "wrong number of cells"),
    "too many cells": ("a.csv", table(b"p,r,x"), "wrong number of cells"),
    "white space for a prompt": ("a.tsv", b"prompt\tresponse\np\tr\n \tr\np\tr\n", "empty prompt"),
    "only a system turn": (
        "a.jsonl",
        lines(b'{"messages": [{"role": "system", "content": "p"}]}'),
        "no assistant turn",
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_a_hostile_row_is_counted_under_one_reason_and_costs_only_itself(tmp_path, name):
    file, content, reason = ROWS[name]
    path = tmp_path / "in" / file
    path.parent.mkdir()
    path.write_bytes(content)
    progress = Notes()
    corpus = ingest([path], tmp_path / "out", progress=progress)
    assert corpus.num_rows == 2
    (drop,) = dropped(tmp_path / "out")
    line = 3 if path.suffix in (".csv", ".tsv") else 2
    assert (drop["file"], drop["line"], drop["reason"]) == (file, line, reason)
    assert any(f"{reason}: {path}:{line}" in note for note in progress.notes)


def bomb_of_lines(compress) -> bytes:
    return compress((GOOD + b"\n") * 40_000)


def cut(content: bytes) -> bytes:
    return content[: len(content) * 2 // 3]


def many() -> bytes:
    random = np.random.default_rng(0)
    return b"".join(GOOD[:-2] + random.bytes(30).hex().encode() + b'"}\n' for _ in range(9_000))


def arrow_with_bad_offsets() -> bytes:
    out = io.BytesIO()
    offsets = np.array([0, 1, 2**30, 3], np.int32)
    text = pa.Array.from_buffers(
        pa.string(), 3, [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(b"abc" + b"\0" * 61)]
    )
    table = pa.table({"prompt": ["p"] * 3, "response": ["r"] * 3})
    with pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table)
    good = pa.py_buffer(np.array([0, 1, 2, 3], np.int32).tobytes()).to_pybytes()
    assert len(text) == 3
    return out.getvalue().replace(good, offsets.tobytes(), 1)


FILES = {
    "nothing": ("a.jsonl", b"", 0, "no row can be used"),
    "only a header": ("a.csv", b"prompt,response\n", 0, "no row can be used"),
    "gzip bomb of lines": ("a.jsonl.gz", bomb_of_lines(gzip.compress), None, "times as much"),
    "zstd bomb of lines": (
        "a.jsonl.zst",
        bomb_of_lines(lambda b: compressed(b, ".zst")),
        None,
        "times as much",
    ),
    "gzip bomb of one line": ("a.jsonl.gz", gzip.compress(b" " * 3_000_000), 1, "times as much"),
    "cut gzip": ("a.jsonl.gz", cut(gzip.compress(many())), None, "cut off"),
    "cut zstd": ("a.jsonl.zst", cut(compressed(many(), ".zst")), None, "cut off"),
    "no gzip": ("a.jsonl.gz", lines(GOOD), 1, "damaged"),
    "gzip of the wrong checksum": (
        "a.jsonl.gz",
        gzip.compress(lines(GOOD))[:-8] + b"\0" * 8,
        None,
        "damaged",
    ),
    "cut Parquet": ("a.parquet", cut(parquet(pa.array(["p"] * 3))), 0, "Parquet"),
    "no Parquet": ("a.parquet", lines(GOOD), 0, "Parquet"),
    "no Arrow": ("a.arrow", lines(GOOD), 1, "Arrow"),
    "Arrow with offsets outside": ("a.arrow", arrow_with_bad_offsets(), 1, "Arrow"),
    "cut array": ("a.json", cut(array(GOOD)), 3, "JSON|cut off"),
    "array nested without end": ("a.json", array(b"[" * 200_000), 2, "nested"),
    "array with a broken element": ("a.json", array(b"{,}"), 2, "not JSON"),
    "quote without end": ("a.csv", table(b'"p,r'), 3, "not closed"),
    "CSV header that is no text": ("a.csv", b"prompt,\xff\np,r\n", 1, "header"),
    "a column there twice": ("a.csv", b"prompt,prompt,response\np,q,r\n", 1, "more than once"),
    "no column that is known": ("a.jsonl", b'{"x": "p"}\n', 0, "no columns were recognised"),
    "no column that is known, in CSV": ("a.csv", b"x,y\np,r\n", 0, "no columns were recognised"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_is_one_error_that_names_file_and_line(tmp_path, monkeypatch, name):
    file, content, line, says = FILES[name]
    monkeypatch.setattr(streams, "BOMB_BYTES", 1 << 20)
    path = tmp_path / file
    path.write_bytes(content)
    with pytest.raises(CorpusError, match=says) as caught:
        ingest([path], tmp_path / "out")
    assert caught.value.path == str(path)
    assert caught.value.line == line if line is not None else caught.value.line > 0
    assert caught.value.fix
    out = tmp_path / "out"
    assert not out.exists() or list(out.iterdir()) == []


def test_a_bomb_is_never_unpacked_whole(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    packer = zlib.compressobj(wbits=31)
    with path.open("wb") as file:
        for _ in range(400):
            file.write(packer.compress(b" " * (1 << 20)))
        file.write(packer.flush())
    tracemalloc.start()
    with pytest.raises(CorpusError, match="times as much"):
        ingest([path], tmp_path / "out")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200 << 20


NAMES = ["../../x", "a/b", "nul\0", "n" * 300, "Twin", "twin", "CON", "<script>", '">', "\x1b[31m"]
NAMES += ["two\nlines", "key: value", "!!python/object:os.system", "{{ 7 * 7 }}", "\u202e", ""]


def test_hostile_names_are_names_and_nothing_else(tmp_path):
    rows = [{"prompt": "p", "response": "r", "task": name, name or "x": 1} for name in NAMES]
    path = tmp_path / "in/a.jsonl"
    path.parent.mkdir()
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    corpus = ingest([path], tmp_path / "out")
    named = zip(corpus.groups.source, corpus.groups.task, strict=True)
    assert list(named) == [*(("", name) for name in sorted(NAMES) if name), ("a", "a")]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "out"]
    types = corpus.manifest["extra"]["columns"]["types"]
    assert set(types) == {name or "x" for name in NAMES}


def test_messages_write_control_characters_out(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"\x1b[2Jx": "p", "\u202ey": "r"}))
    with pytest.raises(CorpusError) as caught:
        ingest([path], tmp_path / "out")
    assert r"\x1b[2Jx" in str(caught.value)
    assert not set("\x1b\u202e") & set(str(caught.value))
    path.write_bytes(lines(b'{"prompt": "p", "response": "r", "task": ["x"]}'))
    progress = Notes()
    path = path.rename(tmp_path / "b\x1b[31m.jsonl")
    ingest([path], tmp_path / "out", progress=progress)
    assert any("dropped" in note for note in progress.notes)
    assert not any("\x1b" in note for note in progress.notes)


def _good(folder: Path) -> list[Path]:
    (folder / "good.jsonl").write_bytes(GOOD)
    return [folder / "good.jsonl"]


def test_thousands_of_columns_lie_in_one_beyond_the_first_thousand(tmp_path):
    rows = [{"prompt": f"{i}", "response": "r", f"key{i}": i} for i in range(3_000)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    corpus = ingest([tmp_path / "a.jsonl"], tmp_path / "out")
    facts = corpus.manifest["extra"]["columns"]
    assert (len(facts["types"]), facts["more"]) == (1_000, True)
    others = OtherColumns.of(corpus, ())
    (rows,) = others.rows(np.arange(3_000), 3_000, tmp_path)
    table = others.appended(pa.table({"row_id": rows["row_id"]}), rows)
    assert table["key999"].to_pylist() == [999 if i == 999 else None for i in range(3_000)]
    beyond = [text and json.loads(text) for text in table["other_columns"].to_pylist()]
    assert beyond == [None] * 1_000 + [{f"key{i}": i} for i in range(1_000, 3_000)]


def test_huge_rows_and_huge_row_groups_go_through(tmp_path):
    texts = [f"{i}" * (1 << 20) for i in range(20)]
    table = pa.table({"prompt": texts, "response": ["r"] * 20})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=20)
    write_arrow(tmp_path / "b.arrow", table, rows=20)
    corpus = ingest([tmp_path / "a.parquet", tmp_path / "b.arrow"], tmp_path / "out")
    assert corpus.num_rows == 40
    assert corpus.prompts(3, 4) == [texts[3]]


def npy(array) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)
    return out.getvalue()


VECTORS = {
    "objects": (npy(np.array([{}, [], None], dtype=object)), "object"),
    "cut": (npy(np.ones((3, 4), np.float32))[:-5], "cut|short|hold"),
    "cut header": (npy(np.ones((3, 4), np.float32))[:20], "npy"),
    "one too few": (npy(np.ones((2, 4), np.float32)), "2 vectors"),
    "not a number": (npy(np.array([[1, 0], [np.nan, 1], [1, 1]])), "not finite"),
    "infinite": (npy(np.array([[1, 0], [np.inf, 1], [1, 1]])), "not finite"),
    "zero": (npy(np.array([[1.0, 0], [0, 0], [1, 1]])), "zero"),
    "integers": (npy(np.ones((3, 4), np.int64)), "int64"),
    "a pickle": (b"\x80\x04cos\nsystem\n(S'true'\ntR.", "npy"),
}


@pytest.mark.parametrize("name", VECTORS)
def test_hostile_vectors_are_one_error_that_names_the_file(tmp_path, name):
    content, says = VECTORS[name]
    (tmp_path / "a.jsonl").write_bytes((GOOD + b"\n") * 3)
    (tmp_path / "v.npy").write_bytes(content)
    corpus = ingest([tmp_path / "a.jsonl"], tmp_path / "out")
    with pytest.raises(VectorsError, match=says) as caught:
        embed_corpus(corpus, VectorsSpec(tmp_path / "v.npy"), tmp_path / "vectors")
    assert "v.npy" in caught.value.place


def test_a_source_that_cannot_be_read_is_one_error(tmp_path, monkeypatch):
    (path,) = _good(tmp_path)

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(sys.modules["smartx.corpus.ingest"], "unchanged_digest", refuse)
    with pytest.raises(CorpusError, match="Permission denied") as caught:
        ingest([path], tmp_path / "out")
    assert caught.value.path == str(path)


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "loop.jsonl").symlink_to(tmp_path / "loop.jsonl")
    for name in ("pipe.jsonl", "loop.jsonl"):
        with pytest.raises(InputError) as caught:
            ingest([tmp_path / name], tmp_path / "out")
        assert name in str(caught.value)
