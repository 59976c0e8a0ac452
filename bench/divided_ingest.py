"""Ingest in one go, in shards, by a pool, and from an object store: seconds, and the same bytes?

    SMARTX_DATA=FOLDER python bench/divided_ingest.py FOLDER [--files 8] [--ways one s3]

The sources are T0 and BIG-bench as so many files of JSON Lines each, pass-through columns included,
written to FOLDER first. `cpu` are the processor seconds of all processes, which a busy machine
changes little; the shards run one after another. `s3` reads the same files from a server of moto on
this machine (needs s3fs and moto), whose own processor seconds are not counted.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SHARDS = 4


def write_sources(folder: Path, files: int) -> Path:
    """T0 and BIG-bench in `files` files each, cut by rows."""
    there = folder / f"sources-{files}"
    if there.is_dir():
        return there
    there.mkdir(parents=True)
    for name in ("t0", "bigbench"):
        table = pq.read_table(Path(os.environ["SMARTX_DATA"]) / f"{name}.parquet")
        table = table.append_column("row", pa.array(range(table.num_rows)))
        size = -(-table.num_rows // files)
        for number in range(files):
            rows = table.slice(number * size, size).to_pylist()
            text = "".join(json.dumps(row) + "\n" for row in rows)
            (there / f"{name}-{number:05d}-of-{files:05d}.jsonl").write_text(text)
    return there


def call(*arguments: str, **environment: str) -> tuple[float, float]:
    """Wall and processor seconds of a command of smartx."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "smartx", *arguments, "--quiet"]
    subprocess.run(command, check=True, env={**os.environ, **environment})
    after, took = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - began
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return took, cpu


def digest(run: Path) -> str:
    """Of all rows of the corpus, its groups, what was dropped and the other columns."""
    paths = sorted(path for path in (run / "corpus").glob("*/*.parquet"))
    state = hashlib.sha256()
    for path in paths:
        state.update(path.name.encode() + path.read_bytes())
    return state.hexdigest()[:16]


@contextmanager
def served(sources: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The files of a folder in a bucket of a server in a process of its own."""
    import s3fs

    from fake_s3 import server

    with server() as environment:
        os.environ.update(environment)
        store = s3fs.S3FileSystem()
        store.mkdir("bench")
        for path in sorted(sources.iterdir()):
            store.put_file(str(path), f"bench/{path.name}")
        yield "s3://bench", environment


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--ways", nargs="+", default=["one", "shards", "pool", "s3"])
    asked = parser.parse_args()
    sources = write_sources(asked.folder, asked.files)
    size = sum(path.stat().st_size for path in sources.iterdir())
    print(f"{2 * asked.files} files, {size / 1e6:.0f} MB, {os.cpu_count()} processors")
    for way in asked.ways:
        run = asked.folder / way
        told = ("--run-dir", str(run))
        took: list[tuple[str, float, float]] = []
        if way == "shards":
            for shard in range(SHARDS):
                which = f"{shard}/{SHARDS}"
                took.append((which, *call("ingest", str(sources), *told, "--shard", which)))
            took.append(("finish", *call("ingest", str(sources), *told)))
        elif way == "pool":
            pool = ("--executor", "processes:2")
            took.append((way, *call("ingest", str(sources), *told, *pool)))
        elif way == "s3":
            with served(sources) as (url, environment):
                took.append((way, *call("ingest", url, *told, **environment)))
        else:
            took.append((way, *call("ingest", str(sources), *told)))
        each = ", ".join(f"{name} {wall:.1f} s (cpu {cpu:.1f})" for name, wall, cpu in took)
        cpu = sum(cpu for *_, cpu in took)
        print(f"{way}: cpu {cpu:.1f} s; {each}; {digest(run)}", flush=True)


if __name__ == "__main__":
    main()
