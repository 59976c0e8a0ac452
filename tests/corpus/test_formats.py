from __future__ import annotations

import gzip
import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_files import FLAN, compressed, write_rows
from smartx.corpus.blocks import LINE_LIMIT, Drop
from smartx.corpus.formats import open_source
from smartx.corpus.json_rows import parse_object
from smartx.corpus.sources import find_sources
from smartx.corpus.streams import read_lines
from smartx.errors import CorpusError


def reader_of(path):
    return open_source(find_sources([path], print)[0])


def all_cells(path, column):
    return [v for block in reader_of(path).blocks([column]) for v in as_list(block.cells[column])]


def as_list(cells):
    return cells if isinstance(cells, list) else cells.to_pylist()


@given(
    st.lists(st.binary(max_size=6).filter(lambda b: b"\n" not in b), max_size=8),
    st.integers(1, 9),
    st.integers(0, 7),
    st.booleans(),
)
def test_lines_are_those_of_split_whatever_the_size_of_a_read(lines, chunk, limit, ended):
    content = b"\n".join(lines) + (b"\n" if ended else b"")
    stream = io.BytesIO(content)
    expected = content.split(b"\n")
    if not expected[-1]:
        expected.pop()
    wanted = [(n, line if len(line) <= limit else None) for n, line in enumerate(expected, 1)]
    if wanted and wanted[0][1]:
        wanted[0] = (1, wanted[0][1].removeprefix(b"\xef\xbb\xbf"))
    assert list(read_lines(lambda size: stream.read(chunk), limit)) == wanted


def test_a_line_over_the_limit_is_not_held_in_memory():
    import tracemalloc

    blocks = iter([b"x" * (1 << 20)] * 64 + [b"\nend\n"])
    tracemalloc.start()
    found = list(read_lines(lambda size: next(blocks, b""), 1 << 20))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == [(1, None), (2, b"end")]
    assert peak < 8 << 20


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"a": "\xff"}', "not UTF-8"),
        (b'{"a": "\\ud800"}', "not JSON"),
        (b'{"a": NaN}', "not JSON"),
        (b'{"a": Infinity}', "not JSON"),
        (b"[" * 200_000, "not JSON"),
        (b'{"a": 1} {"a": 2}', "not JSON"),
        (b'{"a": ', "not JSON"),
        (b"[1]", "not an object"),
        (b"null", "not an object"),
        (b'"text"', "not an object"),
        (None, "line too long"),
    ],
)
def test_what_is_no_row_has_a_named_reason(line, reason):
    found = parse_object(line)
    assert isinstance(found, Drop)
    assert found.reason == reason
    assert found.detail


def test_of_a_repeated_key_the_last_value_counts():
    assert parse_object(b'{"a": 1, "a": 2}') == {"a": 2}


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz", ".jsonl.zst", ".ndjson", ".parquet"])
def test_every_ending_gives_the_same_cells_and_lines(tmp_path, ending):
    path = write_rows(tmp_path / f"a{ending}", [{"n": f"r{i}", "x": i} for i in range(10_000)])
    blocks = list(reader_of(path).blocks(["n"]))
    assert len(blocks) > 1
    assert [v for b in blocks for v in as_list(b.cells["n"])] == [f"r{i}" for i in range(10_000)]
    assert np.concatenate([b.lines for b in blocks]).tolist() == list(range(1, 10_001))
    assert np.concatenate([b.places for b in blocks]).tolist() == list(range(10_000))
    assert sum(b.read for b in blocks) == path.stat().st_size


def test_blank_lines_count_as_lines_but_not_as_rows_and_a_byte_order_mark_is_no_text(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"n": 1}\r\n\r\n  \n{"n": 2}\n\n{"n": 3}')
    (block,) = reader_of(path).blocks(["n"])
    assert block.cells["n"] == [1, 2, 3]
    assert block.lines.tolist() == [1, 4, 6]
    assert block.places.tolist() == [0, 1, 2]


def test_several_compressed_members_in_one_file_are_all_read(tmp_path):
    for ending in (".jsonl.gz", ".jsonl.zst"):
        path = tmp_path / f"a{ending}"
        path.write_bytes(compressed(b'{"n": 1}\n', ending) + compressed(b'{"n": 2}\n', ending))
        assert all_cells(path, "n") == [1, 2]


@pytest.mark.parametrize("ending", [".jsonl.gz", ".jsonl.zst"])
def test_a_cut_compressed_file_is_an_error_that_names_it_and_the_line(tmp_path, ending):
    lines = [json.dumps({"n": np.random.default_rng(i).bytes(40).hex()}) for i in range(40_000)]
    whole = compressed("\n".join(lines).encode(), ending)
    path = tmp_path / f"cut{ending}"
    path.write_bytes(whole[: len(whole) * 3 // 4])
    with pytest.raises(CorpusError) as caught:
        all_cells(path, "n")
    assert caught.value.path == str(path)
    assert 1 <= caught.value.line <= 40_000


@pytest.mark.parametrize("ending", [".jsonl.gz", ".jsonl.zst", ".parquet"])
def test_a_file_that_is_not_what_its_ending_says_is_an_error_that_names_it(tmp_path, ending):
    path = tmp_path / f"wrong{ending}"
    path.write_bytes(b'{"prompt": "a", "response": "b"}\n' * 9)
    with pytest.raises(CorpusError, match="wrong"):
        all_cells(path, "prompt")


def test_a_small_gzip_that_unpacks_to_one_endless_line_is_one_unusable_row(tmp_path):
    path = tmp_path / "bomb.jsonl.gz"
    with gzip.open(path, "wb") as file:
        for _ in range((LINE_LIMIT >> 20) + 2):
            file.write(b" " * (1 << 20))
        file.write(b'\n{"n": 1}\n')
    (block,) = reader_of(path).blocks(["n"])
    assert [(line, why.reason) for _, line, why in block.drops] == [(1, "line too long")]
    assert block.lines.tolist() == [2]


def test_a_damaged_page_of_parquet_is_an_error(tmp_path):
    path = tmp_path / "a.parquet"
    table = pa.table({"prompt": [f"text {i * i}" for i in range(9_999)]})
    pq.write_table(table, path, write_page_checksum=True, compression="none", use_dictionary=False)
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorpusError, match=r"a\.parquet"):
        all_cells(path, "prompt")


def test_a_column_that_is_needed_and_there_twice_is_an_error(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(
        pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], ["prompt", "prompt"]), path
    )
    with pytest.raises(CorpusError, match="more than once"):
        all_cells(path, "prompt")


def test_huge_rows_of_parquet_come_in_small_batches(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"prompt": [f"{i}" * (1 << 20) for i in range(40)]}), path)
    blocks = list(reader_of(path).blocks(["prompt"]))
    assert max(len(block.places) for block in blocks) <= 16
    assert sum(len(block.places) for block in blocks) == 40


def test_the_names_of_hugging_face_labels_come_with_the_block(tmp_path):
    feature = {"names": ["sums", "rhymes"], "_type": "ClassLabel"}
    note = json.dumps({"info": {"features": {"task_name": feature, "x": {"_type": "Value"}}}})
    path = tmp_path / "a.parquet"
    schema = pa.schema([("task_name", pa.int64())], metadata={"huggingface": note})
    pq.write_table(pa.table({"task_name": [1, 0]}, schema=schema), path)
    (block,) = reader_of(path).blocks(["task_name"])
    assert block.cells["task_name"].to_pylist() == ["rhymes", "sums"]
    assert reader_of(path).sample().values["task_name"] == ["rhymes", "sums"]


def test_a_sample_sees_keys_of_later_rows_and_rows_behind_broken_ones(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", [b"{", {"a": 1}, {**FLAN}])
    assert reader_of(path).sample().names == ("a", *FLAN)
