"""Kill runs at random moments, let the same command go on, and compare every file at the end.

    python tests/crash_run.py FOLDER --signal KILL --kills 100 --seed 1

Each run is a fork of this process, so that kills fall into work and not into imports. The vectors
come from an encoder of our own; shards and parts are small, so that a run has many files. With
--points the kills fall on visits to the disk (a flush, a rename, a deletion) instead: every one of
them in turn, or every Nth. With --shards several processes rank a shard each, and are killed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from conftest import tree_digest
from embed_fakes import FakeEncoder, known_rate, some_prompts, write_rows
from embed_tokenizers import model2vec_folder
from smartx import forecast, pipeline, session
from smartx.config import config_from
from smartx.embed import embed_corpus, encoding
from smartx.embed import work as embed_work
from smartx.embed.encoders import PACKAGED
from smartx.progress import Silent
from smartx.rankers import pieces, rankings
from smartx.rankers import run as rank_run

SHARD_ROWS, PIECE_ROWS = 96, 48
VOLATILE = "work/run.json"
NEAR = {"near_duplicates": 0.9}  # so that rankings have all the columns there are


def use_small_files(*, real: bool = False) -> None:
    """400 rows become 5 shards and 5 parts; the encoder is replaced, but for a `real` one."""
    for module in (rank_run, rankings):
        module.PART_ROWS = module.BLOCK_ROWS = SHARD_ROWS
    rank_run.BUNDLE_ROWS, pieces.PIECE_ROWS = 50, 20
    embed_work.FIRST_ROWS, encoding.KEPT_SECONDS = (
        PIECE_ROWS,
        0.0,
    )  # a scrap in each part of vectors
    embed_work.Sizes.took = lambda *_: None  # type: ignore[method-assign]

    def embed(corpus: Any, spec: Any, out: Path, **options: Any) -> Any:
        encoder = spec if real else FakeEncoder()
        return embed_corpus(corpus, encoder, out, part_rows=SHARD_ROWS, **options)

    session.embed_corpus, forecast.embedding_rate = embed, known_rate


def start(source: Path, folder: Path, *, visit: int = 0, shard: str = "", **fields: Any) -> int:
    """A run in a process of its own, killed at its disk visit number `visit`. Returns its id.

    shard: "0/3": only that shard of the ranking; "-": all that comes before.
    """
    child = os.fork()
    if child:
        return child
    status = 1
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background
    warnings.simplefilter("ignore", RuntimeWarning)  # of the fork, which is on purpose here
    try:
        counted = count_visits(kill_at=visit)
        values = {"sources": [str(source)], "rows": 150, "threads": 1, **NEAR}
        values |= {"out": folder / "mix", "run_dir": folder / "work", "encoder": PACKAGED, **fields}
        work(config_from(values), shard)
        (source.parent / "visits").write_text(str(counted()))
        status = 0
    except KeyboardInterrupt:
        status = 130
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def work(config: Any, shard: str) -> None:
    if not shard:
        pipeline.run(config)
    elif shard == "-":
        pipeline.ingest_step(config, Silent())
        pipeline.embed_step(config, Silent())
    else:
        pipeline.shard_step(config, Silent(), "rank", shard)


def count_visits(kill_at: int) -> Callable[[], int]:
    """Count what touches the disk; kill this process at the given count. Returns the counter."""
    visits = 0

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal visits
            visits += 1
            if visits == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return call

    for name in ("fsync", "replace", "rename", "unlink"):
        setattr(os, name, counted(getattr(os, name)))
    return lambda: visits


def wait(child: int) -> int:
    """Its exit status; negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def final_tree(folder: Path) -> dict[str, str]:
    tree = tree_digest(folder)
    del tree[VOLATILE]
    return tree


class Trial:
    """A source, what an undisturbed run makes of it, and how long that takes."""

    def __init__(self, folder: Path, out: str, **fields: Any) -> None:
        """out: where the mixture goes, in the folder of each run.  fields: of its configuration."""
        self.out, self.fields = out, fields
        self.source = write_rows(folder / "rows.jsonl", some_prompts(400))
        self.folder = folder / "disturbed"
        began = time.perf_counter()
        assert wait(self.start(folder / "undisturbed")) == 0
        self.seconds = time.perf_counter() - began
        self.visits = int((folder / "visits").read_text())
        self.expected = final_tree(folder / "undisturbed")
        self.shard_seconds = self.seconds / 4

    def start(self, folder: Path, **options: Any) -> int:
        return start(self.source, folder, out=folder / self.out, **self.fields, **options)

    def kill_randomly(self, kind: int, dice: random.Random) -> int:
        """Start and kill up to three times. Returns how often the kill was in time."""
        hits = 0
        for _ in range(dice.randint(1, 3)):
            child = self.start(self.folder)
            time.sleep(dice.uniform(0, self.seconds))
            os.kill(child, kind)
            hit = wait(child) != 0
            hits += hit
            self.seconds *= 1.05 if hit else 0.8  # follows how busy the machine is
        return hits

    def kill_shards(self, of: int, kind: int, dice: random.Random) -> int:
        """Start all shards of a ranking at once, and kill most of them. Returns how many died."""
        assert wait(self.start(self.folder, shard="-")) == 0
        dies = [dice.random() < 0.7 for _ in range(of)]
        began, children = time.perf_counter(), []
        for shard in range(of):
            children.append(self.start(self.folder, shard=f"{shard}/{of}"))
        for child in (one for one, dead in zip(children, dies, strict=True) if dead):
            time.sleep(dice.uniform(0, self.shard_seconds))
            os.kill(child, kind)
        statuses = [wait(child) for child in children]
        assert all(dead or not status for dead, status in zip(dies, statuses, strict=True))
        if not any(statuses):
            self.shard_seconds = (time.perf_counter() - began) / 2
        return sum(status != 0 for status in statuses)

    def kill_at(self, visit: int) -> int:
        """Start a run that dies at this visit to the disk."""
        assert wait(self.start(self.folder, visit=visit)) == -signal.SIGKILL
        return 1

    def differing(self) -> list[str]:
        """Let the command go on; names of the files that are not as they should be."""
        assert wait(self.start(self.folder)) == 0, "the run after the kill failed"
        tree, expected = final_tree(self.folder), self.expected
        shutil.rmtree(self.folder)
        return sorted(n for n in {*tree, *expected} if tree.get(n) != expected.get(n))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--signal", choices=["KILL", "INT"], default="KILL")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--points", type=int, default=0, help="every Nth visit to the disk")
    parser.add_argument("--together", type=int, default=0, help="pairs of runs at the same time")
    parser.add_argument("--shards", type=int, default=0, help="kills fall on so many at once")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="mix", help="of the mixture, in the folder of a run")
    parser.add_argument("--tasks", help="how tasks are found; else they are those of the rows")
    parser.add_argument("--student", help="student or hybrid: by one of a static encoder")
    asked = parser.parse_args()
    use_small_files(real=bool(asked.student))
    fields = {"tasks": asked.tasks}
    if asked.student:
        teacher = model2vec_folder(asked.folder / "teacher")
        fields |= {"encoder": f"{asked.student}:{teacher}", "student_rows": 100}
        fields |= {"teacher_rows": "40%"} if asked.student == "hybrid" else {}
        fields |= {"near_duplicates": None}  # nearly all of these texts are
    trial = Trial(asked.folder, asked.out, **fields)
    dice, kind = random.Random(asked.seed), getattr(signal, "SIG" + asked.signal)
    kills, differing = 0, []
    while kills < asked.kills:
        if asked.shards:
            kills += trial.kill_shards(asked.shards, kind, dice)
        else:
            kills += trial.kill_randomly(kind, dice)
        differing.append(trial.differing())
    if asked.points:
        for visit in range(1, trial.visits + 1, asked.points):
            kills += trial.kill_at(visit)
            differing.append(trial.differing())
    for _ in range(asked.together):
        both = [trial.start(trial.folder) for _ in range(2)]
        assert [wait(child) for child in both] == [0, 0]
        differing.append(trial.differing())
    told = {"kills": kills, "files": len(trial.expected), "visits": trial.visits}
    sys.stdout.write(json.dumps({**told, "differing": differing}) + "\n")


if __name__ == "__main__":
    main()
