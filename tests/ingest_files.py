"""Small source files of every kind, and an independent account of what ingest must make of them."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from smartx.corpus import ingest

FLAN = {
    "inputs": "2 + 2 =",
    "targets": "4",
    "task_source": "maths",
    "task_name": "sums",
    "template_type": "zs_opt",
}


class Notes:
    """A progress that keeps what it is told."""

    def __init__(self) -> None:
        self.notes, self.done, self.total = [], {}, {}

    def start(self, step, total, unit):
        self._step = step
        self.total[step], self.done[step] = total, 0

    def advance(self, amount):
        self.done[self._step] += amount

    def finish(self):
        pass

    def note(self, message):
        self.notes.append(message)


def compressed(content: bytes, ending: str) -> bytes:
    if ending.endswith(".gz"):
        return gzip.compress(content, mtime=0)
    if ending.endswith(".zst"):
        return pa.compress(content, codec="zstd", asbytes=True)
    return content


def write_rows(path: Path, rows: list) -> Path:
    """Rows (dicts; for JSON Lines also ready lines as bytes) in the format that the ending says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        names = dict.fromkeys(name for row in rows for name in row)
        pq.write_table(pa.table({n: [row.get(n) for row in rows] for n in names}), path)
    else:
        lines = [r if isinstance(r, bytes) else json.dumps(r).encode() for r in rows]
        path.write_bytes(compressed(b"".join(line + b"\n" for line in lines), path.name))
    return path


def turns_of(messages: list[dict] | None) -> list[dict] | None:
    """Turns without their other keys."""
    return messages and [{"role": t["role"], "content": t["content"]} for t in messages]


def tree(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def dropped(folder: Path) -> list[dict]:
    return pq.read_table(folder / "dropped.parquet").to_pylist()


def table_of(corpus) -> list[dict]:
    """Every row with the names of its group, by row id."""
    import numpy as np

    rows = corpus.rows(np.arange(corpus.num_rows)).to_pylist()
    for row in rows:
        group = row["group_id"]
        row["name"] = tuple(
            getattr(corpus.groups, role)[group] for role in ("source", "task", "template")
        )
    return rows


def real_corpus(name: str) -> Path:
    """A real corpus, where this machine has it."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    path = Path(os.environ.get("SMARTX_DATA", beside)) / name
    if not path.exists():
        pytest.skip(f"{name} is not here (set SMARTX_DATA)")
    return path


def write_json(path: Path, value, **layout) -> Path:
    """A value as one JSON document."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(compressed(json.dumps(value, **layout).encode(), path.name))
    return path


def write_delimited(path: Path, rows: list[dict]) -> Path:
    """Rows of texts as CSV or TSV, quoted as the csv module does."""
    import csv
    import io

    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), delimiter="\t" if ".tsv" in path.name else ",")
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes(compressed(text.getvalue().encode(), path.name))
    return path


def write_arrow(path: Path, table: pa.Table, *, stream: bool = False, rows: int = 1_000) -> Path:
    """A table as an Arrow file or stream, in batches of `rows`."""
    opened = pa.ipc.new_stream if stream else pa.ipc.new_file
    with opened(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=rows)
    return path


def ingest_rows(folder, rows, ending=".jsonl", **options):
    path = write_rows(folder / f"in/file{ending}", rows)
    return ingest([path], folder / "out", **options)
