"""Many runs: which there are, which are done, and the rest of them in processes side by side.

runs.jsonl has one line for each run that is done, written whole by one process; what it holds is
not run again. So a stopped bench goes on where it was, at the cost of the runs under way.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from quality.arms import UNTUNED
from quality.one_run import Setting

RUNS = "runs.jsonl"
Job = Any


@dataclass(frozen=True)
class Plan:
    """Which runs are wanted: each arm with each fold and seed, seeds outermost, so that what is
    there of a stopped bench is whole seeds.
    """

    arms: tuple[str, ...]
    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    like: Setting

    def settings(self) -> Iterator[Setting]:
        """Each run once; of the untuned model, once a fold."""
        common = asdict(self.like)
        for seed in self.seeds:
            for fold in self.folds:
                for arm in self.arms:
                    if arm != UNTUNED or seed == self.seeds[0]:
                        own = {"arm": arm, "fold": fold, "seed": 0 if arm == UNTUNED else seed}
                        yield Setting(**{**common, **own})


def done(folder: Path) -> list[dict[str, Any]]:
    """The lines that are there. A last line without its end was under way: it is cut off."""
    path = folder / RUNS
    if not path.exists():
        return []
    held = path.read_bytes()
    whole = held[: held.rfind(b"\n") + 1]
    if whole != held:
        with path.open("r+b") as file:
            file.truncate(len(whole))
    return [json.loads(line) for line in whole.splitlines()]


def left(plan: Plan, folder: Path, sample: str) -> list[Setting]:
    """The runs that are wanted and not done. sample: the digest of the one that is at hand.

    Raises SystemExit where the folder has runs of another sample.
    """
    lines = done(folder)
    others = {line["sample"] for line in lines} - {sample}
    if others:
        raise SystemExit(f"{folder / RUNS} has runs of another sample: use another --out")
    known = {json.dumps(line["setting"], sort_keys=True) for line in lines}
    return [
        setting
        for setting in plan.settings()
        if json.dumps(asdict(setting), sort_keys=True) not in known
    ]


def append(folder: Path, line: dict[str, Any]) -> None:
    """Adds a run to runs.jsonl."""
    text = json.dumps(line, separators=(",", ":")) + "\n"
    with (folder / RUNS).open("a") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def in_processes(
    jobs: Iterable[Job],
    work: Callable[[Job], Any],
    prepare: Callable[..., None],
    given: tuple[Any, ...],
    processes: int,
) -> Iterator[tuple[Job, Any]]:
    """Each job with what `work` makes of it, as they end, `processes` at a time.

    prepare: called with `given` once in each process. An error of one job ends all. Ctrl-C ends
    all at once.
    """
    context = multiprocessing.get_context("spawn")
    with _ended_at_once(ProcessPoolExecutor(processes, context, prepare, given)) as pool:
        waiting = iter(jobs)
        running: dict[Future[Any], Job] = {}
        while True:
            for job in waiting:
                running[pool.submit(work, job)] = job
                if len(running) > processes:
                    break
            if not running:
                return
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                yield running.pop(future), future.result()


class Clock:
    """Says how far the jobs are, and how long the rest will take."""

    def __init__(self, total: int, what: str) -> None:
        self.total, self.what, self.began, self.count = total, what, time.perf_counter(), 0

    def tell(self, text: str) -> None:
        """One more is done."""
        self.count += 1
        spent = time.perf_counter() - self.began
        rest = spent / self.count * (self.total - self.count)
        minutes = f"{rest / 3600:.1f} h" if rest > 5400 else f"{rest / 60:.0f} min"
        told = f"{self.what} {self.count} of {self.total}: {text}; {minutes} left"
        print(told, file=sys.stderr, flush=True)


@contextmanager
def _ended_at_once(pool: ProcessPoolExecutor) -> Iterator[ProcessPoolExecutor]:
    """Ends the processes where the work is stopped, instead of waiting for their jobs."""
    try:
        yield pool
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()
