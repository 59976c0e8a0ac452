"""Ingest keeps to the memory it may use, and no limit changes a byte of the corpus."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from ingest_files import FLAN, ingest_rows, tree, write_arrow, write_rows
from smartx.cli import app
from smartx.corpus import ingest
from smartx.corpus import room as rooms
from smartx.corpus.blocks import BLOCK_BYTES
from smartx.corpus.duplicates import repeats, repeats_in
from smartx.corpus.formats import open_source
from smartx.corpus.records import RECORD, Records
from smartx.corpus.room import LEAST_BYTES
from smartx.corpus.sources import find_sources
from smartx.errors import ConfigError, CorpusError

pytestmark = pytest.mark.processes
PEAK = """
import re, sys
from pathlib import Path
from smartx.corpus import ingest

sources, folder, memory = sys.argv[1:]
ingest([sources], Path(folder), duplicates="drop", memory=int(memory))
print(int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) << 10)
"""


def peak_of(source, folder, memory):
    """Bytes that a process of its own held at most."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(source), str(folder), str(memory)],
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    return int(done.stdout)


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_the_peak_stays_below_the_limit_and_the_bytes_are_the_same(tmp_path, ending):
    random = np.random.default_rng(0)
    words = np.array(["sense", "of", "order", "the", "ünder", "a", "lengthy", "row"])
    text = " ".join(random.choice(words, 400_000))
    starts = random.integers(0, len(text) - 4_000, 40_000).tolist()
    rows = [
        {"prompt": f"{i} {text[at : at + 1_800]}", "response": "r", "task": f"t{at % 900}"}
        for i, at in enumerate(starts)
    ]
    rows[30_000:] = rows[:10_000]  # repeated in full
    source = write_rows(tmp_path / f"rows{ending}", rows)
    tight = peak_of(source, tmp_path / "tight", LEAST_BYTES)
    peak_of(source, tmp_path / "ample", 4 << 30)
    assert tight <= LEAST_BYTES
    assert tree(tmp_path / "tight") == tree(tmp_path / "ample")


def test_memory_that_cannot_do_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ConfigError, match="100 MiB may be used") as caught:
        ingest_rows(tmp_path, [FLAN], memory=100 << 20)
    assert f"`memory` {LEAST_BYTES >> 20}M" in caught.value.fix
    assert not (tmp_path / "out").exists()
    ingest_rows(tmp_path, [FLAN], memory=LEAST_BYTES)
    ingest([tmp_path / "in/file.jsonl"], tmp_path / "out", memory=1)  # is there already


def needed_by(error):
    found = re.search(r"`memory` (\d+)M", error.value.fix)
    assert found is not None
    return int(found[1]) << 20


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz", ".json", ".csv", ".parquet", ".arrow"])
def test_a_row_too_large_is_refused_with_its_place_and_what_it_takes(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    rows = [{"prompt": "p", "response": "r"}, {"prompt": "long " * 2_500_000, "response": "r"}]
    if ending == ".json":
        path.write_text(json.dumps(rows, indent=1))
    elif ending == ".csv":
        path.write_text("prompt,response\n" + "".join(f"{r['prompt']},r\n" for r in rows))
    elif ending == ".arrow":
        write_arrow(path, pa.Table.from_pylist(rows), rows=1)
    else:
        write_rows(path, rows)
    with pytest.raises(CorpusError, match="of memory") as caught:
        ingest([path], tmp_path / "out", memory=LEAST_BYTES)
    line = {".csv": 3, ".parquet": 1}.get(ending, 2)  # Parquet: both rows come in one batch
    assert (caught.value.path, caught.value.line) in {(str(path), line), (str(path), 2)}
    corpus = ingest([path], tmp_path / "out", memory=2 * needed_by(caught))
    assert corpus.num_rows == 2


def test_rows_that_are_stored_together_and_too_large_are_refused(tmp_path):
    table = pa.table({"prompt": ["long " * 10_000] * 1_000, "response": ["r"] * 1_000})
    path = write_arrow(tmp_path / "a.arrow", table)
    with pytest.raises(CorpusError, match="1,000 rows that are stored together") as caught:
        ingest([path], tmp_path / "out", memory=LEAST_BYTES)
    assert caught.value.line == 1
    assert ingest([path], tmp_path / "out", memory=needed_by(caught) * 2).num_rows == 1_000


def test_a_row_group_of_any_size_is_read_in_pieces(tmp_path):
    table = pa.table({"prompt": [f"{i} " * 500 for i in range(20_000)]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=20_000, use_dictionary=False)
    (source,) = find_sources([tmp_path / "a.parquet"], print)
    blocks = list(open_source(source).blocks(["prompt"]))
    assert max(block.cells["prompt"].nbytes for block in blocks) < 2 * BLOCK_BYTES
    assert pa.concat_arrays([b.cells["prompt"] for b in blocks]) == table["prompt"].combine_chunks()


def test_long_rows_that_cannot_be_brought_into_order_are_refused_with_what_they_take(tmp_path):
    rows = [{**FLAN, "inputs": "long " * 2_000 + str(i)} for i in range(2_200)]
    with pytest.raises(ConfigError, match="order") as caught:
        ingest_rows(tmp_path, rows, memory=LEAST_BYTES)
    assert not (tmp_path / "out").exists()
    assert ingest_rows(tmp_path, rows, memory=needed_by(caught)).num_rows == 2_200


def test_too_many_groups_are_refused_with_a_row_and_a_way_out(tmp_path, monkeypatch):
    monkeypatch.setattr(rooms, "_NAME_BYTES", 1 << 20)
    rows = [{**FLAN, "task_name": str(i)} for i in range(100)]
    with pytest.raises(CorpusError, match="100 groups") as caught:
        ingest_rows(tmp_path, rows, memory=LEAST_BYTES)
    assert "`task_column`" in caught.value.fix
    assert caught.value.line == 100


def test_a_list_of_duplicates_that_is_too_long_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(rooms, "_REPEAT_BYTES", 1 << 20)
    with pytest.raises(ConfigError, match="99 duplicates"):
        ingest_rows(tmp_path, [FLAN] * 100, memory=LEAST_BYTES, duplicates="drop")
    assert ingest_rows(tmp_path, [FLAN] * 100, memory=LEAST_BYTES).num_rows == 100


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=60),
    st.integers(1, 70),
)
def test_repeats_found_in_parts_are_those_found_at_once(tmp_path_factory, pairs, most):
    digests = np.array(pairs, dtype=np.uint64)
    records = Records(tmp_path_factory.mktemp("r") / "records")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("smartx.corpus.records.CHUNK_ROWS", 7)
        records.add(
            len(pairs), {name: 0 for name in RECORD.names if name != "digest"} | {"digest": digests}
        )
        records.close()
        parts = list(repeats_in(records, most))
    found = sorted(
        pair for again, first in parts for pair in zip(again.tolist(), first.tolist(), strict=True)
    )
    again, first = repeats(digests)
    assert found == list(zip(again.tolist(), first.tolist(), strict=True))


def test_the_command_takes_the_limit(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", [FLAN])
    arguments = ["ingest", str(path), "--run-dir", str(tmp_path / "work"), "--memory"]
    refused = CliRunner().invoke(app, [*arguments, "64M"])
    assert refused.exit_code == 2
    assert "64 MiB may be used" in refused.output
    assert CliRunner().invoke(app, [*arguments, "1G"]).exit_code == 0
