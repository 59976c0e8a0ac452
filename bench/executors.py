"""What it costs to have a ranking made by other processes, or by Ray on this machine.

    python bench/executors.py --rows 60000 --groups 300 --executors this processes:2 ray
    python bench/executors.py --run-dir DIR/run --executors processes:2 ray processes:2 ray

Ranks made-up rows with each executor, or those of a run folder (its rankings are deleted), such as
one of `bench/flan_shape.py --until vectors`, from the same vectors; says how long each took, when
its workers were ready, and whether the bytes are the same. Then hands out units that are there
already: what is left is what handing a unit out and hearing of it costs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from smartx import pipeline
from smartx.config import RunConfig, config_from
from smartx.dividing import divided
from smartx.executors.choose import crew_of
from smartx.executors.drive import drive
from smartx.executors.job import Job, handshake
from smartx.progress import Silent
from smartx.session import Session

_LOOK_SECONDS = 0.2  # between looks at the processes below


def write_corpus(folder: Path, rows: int, groups: int, dimensions: int) -> dict[str, Any]:
    """Rows in groups of very different sizes, around a centre each."""
    rng = np.random.default_rng(3)
    shares = rng.pareto(1.2, size=groups) + 0.1
    group = np.sort(rng.choice(groups, size=rows, p=shares / shares.sum()))
    with (folder / "rows.jsonl").open("w") as file:
        for row, task in enumerate(group.tolist()):
            told = {"prompt": f"{task} {row}", "response": "yes", "task": f"task-{task}"}
            file.write(json.dumps(told) + "\n")
    centres = rng.normal(size=(groups, dimensions)).astype(np.float32)
    noise = rng.normal(size=(rows, dimensions)).astype(np.float32)
    np.save(folder / "rows.npy", centres[group] + noise)
    return {"sources": [str(folder / "rows.jsonl")], "vectors": str(folder / "rows.npy")}


class First(Silent):
    """When the first unit was there."""

    def __init__(self) -> None:
        self.when = 0.0

    def advance(self, amount: int) -> None:
        self.when = self.when or time.perf_counter()


class Workers:
    """Processor seconds of all processes below this one, as they were last seen."""

    def __init__(self) -> None:
        self.seconds: dict[int, float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Workers:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def most(self) -> float:
        """Of the one that worked longest."""
        return max(self.seconds.values(), default=0.0)

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            below = [os.getpid()]
            while below:
                place = Path("/proc") / str(below.pop())
                try:
                    for listed in place.glob("task/*/children"):
                        below += map(int, listed.read_text().split())
                    told = (place / "stat").read_text().rpartition(")")[2].split()
                except (OSError, ValueError):
                    continue  # it has ended
                if place.name != str(os.getpid()):
                    ticks = int(told[11]) + int(told[12])
                    self.seconds[int(place.name)] = ticks / os.sysconf("SC_CLK_TCK")


def ranked(config: RunConfig) -> tuple[float, float, Workers, str]:
    """Seconds that ranking takes, until the first unit is there, what workers took, and a digest of
    the folder.
    """
    folder = config.work_folder / "rankings"
    shutil.rmtree(folder, ignore_errors=True)
    began, first = time.perf_counter(), First()
    with Workers() as workers:
        pipeline.rank_step(config, first)
    took, sha = time.perf_counter() - began, sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        sha.update(path.name.encode() + path.read_bytes())
    return took, first.when - began, workers, sha.hexdigest()


class AllOver:
    """Units that are there, as if they were not: several rounds of them."""

    def __init__(self, work: Any, rounds: int) -> None:
        self._work, self.name, self.key = work, work.name, work.key
        self._rounds = rounds

    def units(self) -> list[Any]:
        return list(self._work.units())

    def done(self, unit: Any) -> bool:
        return False

    def split(self, unit: Any) -> list[Any]:
        return []


def handed_out(config: RunConfig, rounds: int) -> tuple[float, float, int]:
    """Seconds until the crew is ready, seconds a unit that is there, and how many were given."""
    shutil.rmtree(config.work_folder / "rankings", ignore_errors=True)
    here = config.model_copy(update={"executor": None})
    planned = divided(Session(here, None, command="rank"), "rank")
    assert planned is not None
    pipeline.shard_step(here, Silent(), "rank", "0/1")
    session = Session(here, None, command="rank")
    with session.alone(), ExitStack() as stack:
        work = divided(session, "rank", planned.key)
        assert work is not None
        job = replace(Job.of(config), stage=work.name, key=work.key)
        kind, _, rest = str(config.executor).partition(":")
        began = time.perf_counter()
        told = stack.enter_context(handshake(config.work_folder, job))
        crew = stack.enter_context(crew_of(config, kind, rest, told, Silent()))
        all_over = AllOver(work, rounds)
        drive(all_over, crew, Silent())  # workers start, and open the job
        ready = time.perf_counter() - began
        began = time.perf_counter()
        for _ in range(rounds):
            drive(all_over, crew, Silent())
        count = rounds * len(work.units())
        return ready, (time.perf_counter() - began) / max(1, count), count


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--groups", type=int, default=300)
    parser.add_argument("--dimensions", type=int, default=128)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--run-dir", type=Path, help="one with vectors; its rankings are deleted")
    parser.add_argument("--executors", nargs="+", default=["this", "processes:2"])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, digests, seen = Path(name), set(), set()
        fields: dict[str, Any] = {"rows": 1000, "out": str(folder / "mix")}
        if asked.run_dir:
            fields |= {"run_dir": str(asked.run_dir)}
        else:
            fields |= write_corpus(folder, asked.rows, asked.groups, asked.dimensions)
            fields |= {"run_dir": str(folder / "run")}
            pipeline.ingest_step(config_from(fields), Silent())
            pipeline.embed_step(config_from(fields), Silent())
        for executor in asked.executors:
            config = config_from({**fields, "executor": executor, "threads": asked.threads})
            took, first, workers, digest = ranked(config)
            digests.add(digest)
            sys.stdout.write(
                f"{executor}: ranked in {took:.1f} s, {took - first:.1f} s of them after the first "
                f"unit was there; processor seconds of the busiest worker {workers.most():.1f}, of "
                f"all {sum(workers.seconds.values()):.1f}; load {os.getloadavg()[0]:.0f}\n"
            )
            sys.stdout.flush()
            if executor != "this" and executor not in seen:
                seen.add(executor)
                ready, each, count = handed_out(config, asked.rounds)
                sys.stdout.write(
                    f"{executor}: ready after {ready:.1f} s, {each * 1000:.1f} ms a unit that was "
                    f"there ({count} units)\n"
                )
        sys.stdout.write(f"bytes the same: {len(digests) == 1}\n")


if __name__ == "__main__":
    main()
