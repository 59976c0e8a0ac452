"""One corpus, embedded, ranked and mixed in each way there is to divide the work; bytes compared.

    python tests/ways.py FOLDER SOURCE ... [--encoder NAME] [--ways one pool shards ray] [-- FLAGS]

Every command is one of the command line, in processes of its own. Prints seconds of each, and
whether run folders and mixtures have the same bytes; ends with status 1 where they have not.
FLAGS: of embedding, such as --student-rows 512. SOURCES: files that smartx reads.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clusters import cluster_of
from conftest import tree_digest
from smartx.run_folder import RECORDS

SHARDS = 4
WAYS = ("one", "pool", "shards", "ray")
EXECUTORS = {"pool": ("--executor", "processes:2"), "ray": ("--executor", "ray")}


def made(
    way: str,
    folder: Path,
    sources: Sequence[Path],
    embedding: Sequence[str],
    *,
    rows: int,
    environment: Mapping[str, str] | None = None,
) -> dict[str, float]:
    """Make FOLDER/work and FOLDER/mix in one way. Returns the seconds of each stage.

    embedding: flags of embedding.  rows: of the mixture.
    environment: what is set besides, such as the address of a cluster.
    """
    work, took = ("--run-dir", str(folder / "work")), {}
    own = EXECUTORS.get(way, ())
    env = {**os.environ, **(environment or {})}

    def call(stage: str, *flags: str) -> None:
        began = time.perf_counter()
        _ended([_started(stage, *flags, *work, env=env)])
        took[stage] = took.get(stage, 0.0) + time.perf_counter() - began

    call("ingest", *map(str, sources))
    for stage, flags in (("embed", tuple(embedding)), ("rank", ())):
        if way == "shards":
            began = time.perf_counter()
            told = [("--shard", f"{n}/{SHARDS}", "--threads", "1") for n in range(SHARDS)]
            _ended([_started(stage, *flags, *work, *one, env=env) for one in told])
            took[stage] = time.perf_counter() - began
        call(stage, *flags, *own)
    call("mix", "--rows", str(rows), "--out", str(folder / "mix"))
    return took


def tree_of(folder: Path) -> dict[str, str]:
    """Digest of every file, but for the notes for people."""
    tree = tree_digest(folder)
    del tree[f"work/{RECORDS}"]
    return tree


def differing(trees: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Names of the files that are not the same in all."""
    names = sorted({name for tree in trees.values() for name in tree})
    return [name for name in names if len({tree.get(name) for tree in trees.values()}) > 1]


def _started(*arguments: str, env: Mapping[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "smartx", *arguments, "--quiet"]
    return subprocess.Popen(
        command, env=dict(env), text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def _ended(processes: Sequence[subprocess.Popen[str]]) -> None:
    for process in processes:
        said = process.communicate(timeout=7200)[1]
        assert process.returncode == 0, (process.args, said[-3000:])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("sources", type=Path, nargs="+")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument("--rows", type=int, default=5000, help="of the mixture")
    asked, embedding = parser.parse_known_args()
    trees: dict[str, Any] = {}
    for way in asked.ways:
        arguments = (way, asked.folder / way, asked.sources, embedding)
        if way == "ray":
            with cluster_of(2, joined=False) as cluster:
                there = {"RAY_ADDRESS": cluster.address}
                took = made(*arguments, rows=asked.rows, environment=there)
        else:
            took = made(*arguments, rows=asked.rows)
        trees[way] = tree_of(asked.folder / way)
        whole = hashlib.sha256(repr(sorted(trees[way].items())).encode()).hexdigest()[:16]
        seconds = ", ".join(f"{stage} {second:.1f} s" for stage, second in took.items())
        print(f"{way}: {seconds}; {len(trees[way])} files, {whole}", flush=True)
    found = differing(trees)
    print(f"the same: {not found}", *found[:10], flush=True)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
