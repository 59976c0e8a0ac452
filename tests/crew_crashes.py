"""Kill workers of an executor at random moments, now and then the driver, and look at the bytes.

    python tests/crew_crashes.py FOLDER --executor processes:2|ray --kills 50 --seed 1

Runs embed and rank rows with a small hybrid encoder, in many small units whose makers wait a little
before each file gets its name, so that kills find half-written ones. A driver that was killed, or
that gave a unit up, is started again. On a cluster (a head and two nodes of this machine) now and
then a node goes and another comes. Each run that ends is compared, file by file, with one that
nobody disturbed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from clusters import cluster_of, patiently
from conftest import tree_digest
from embed_fakes import some_prompts, write_rows
from embed_tokenizers import model2vec_folder
from smartx import pipeline
from smartx.config import config_from
from smartx.embed import plan
from smartx.executors import on_ray, processes, worker
from smartx.rankers import pieces, rankings, run
from smartx.run_folder import RECORDS

ROWS, MIXED = 600, 150
PART_TEXTS, PIECE_ROWS = 60, 30
WAIT_SECONDS = 0.06  # of a worker, before a file gets its name
DRIVER, NODE = 0.12, 0.08  # of so many kills it is the driver, or a node goes
READY = 0.8  # and of so many a worker that has been there for a while
EARLY = ("ended before any work", "cannot take part (The worker died")  # a driver, of many kills
ENDED = ("ended whoever made", *EARLY)
RAY_TITLES = ("ray::make_there", "ray::embed-", "ray::teach-", "ray::rank-")  # of its workers
REAL = on_ray.make_there


def use_small_units() -> None:
    for module in (run, rankings):
        module.PART_ROWS = module.BLOCK_ROWS = 96
    run.BUNDLE_ROWS, pieces.PIECE_ROWS = 16, PIECE_ROWS
    plan.part_sizes = lambda texts, least: plan._equal(texts, PART_TEXTS)  # type: ignore[attr-defined]


def wait_before_names() -> None:
    """Once in a process."""
    if getattr(os.replace, "waits", False):
        return
    real = os.replace

    def slow(*arguments: Any, **options: Any) -> None:
        time.sleep(WAIT_SECONDS)
        real(*arguments, **options)

    slow.waits = True  # type: ignore[attr-defined]
    os.replace = slow  # type: ignore[assignment]


def main_of_worker(descriptor: int, parent: int) -> None:
    use_small_units()
    wait_before_names()
    worker.main(descriptor, parent)


def make_there(text: str, name: str) -> list[str]:
    use_small_units()
    wait_before_names()
    return REAL(text, name)


def drive(fields: dict[str, Any]) -> None:
    """A driver, in a process of its own."""
    use_small_units()
    processes.WORKER = "crew_crashes:main_of_worker"
    on_ray.make_there = make_there
    pipeline.run(config_from(fields))


class Trial:
    """What an undisturbed run makes, and runs that are disturbed."""

    def __init__(self, folder: Path, executor: str, dice: random.Random, cluster: Any) -> None:
        self.folder, self.dice, self.cluster = folder / "disturbed", dice, cluster
        teacher = model2vec_folder(folder / "teacher")
        source = write_rows(folder / "rows.jsonl", some_prompts(ROWS))
        self.fields = {
            "sources": [str(source)],
            "rows": MIXED,
            "threads": 1,
            "encoder": f"hybrid:{teacher}",
            "student_rows": 100,
            "teacher_rows": "40%",
        }
        self.executor = {"executor": executor}
        self.counts = {"workers": 0, "drivers": 0, "nodes": 0, "runs": 0, "starts": 0}
        began = time.monotonic()
        said = (undisturbed := self.start(folder / "undisturbed", {})).communicate()[1]
        assert undisturbed.returncode == 0, said
        self.expected = tree_of(folder / "undisturbed")
        self.between = (time.monotonic() - began) / 8  # seconds; follows how busy the machine is

    @property
    def kills(self) -> int:
        return self.counts["workers"] + self.counts["drivers"] + self.counts["nodes"]

    def start(self, folder: Path, own: dict[str, str]) -> subprocess.Popen[str]:
        fields = {**self.fields, "out": str(folder / "mix"), "run_dir": str(folder / "work"), **own}
        address = {"RAY_ADDRESS": self.cluster.address} if self.cluster else {}
        return subprocess.Popen(
            [sys.executable, __file__, "--drive", json.dumps(fields)],
            env={**os.environ, **address},
            stderr=subprocess.PIPE,
            text=True,
        )

    def disturbed(self, most: int) -> list[str]:
        """A run to its end; names of files that are not as they should be."""
        ended = False
        while not ended:
            self.counts["starts"] += 1
            driver, before = self.start(self.folder, self.executor), self.kills
            killed = self._disturb(driver, most)
            said = driver.communicate()[1]
            ended = driver.returncode == 0
            if any(words in said for words in EARLY):
                self.between *= 1.2
            elif ended and self.kills < before + 3:
                self.between *= 0.8
            if not ended and not killed and not any(words in said for words in ENDED):
                raise AssertionError(said[-4000:])
        self.counts["runs"] += 1
        tree = tree_of(self.folder)
        shutil.rmtree(self.folder)
        names = {*tree, *self.expected}
        return sorted(name for name in names if tree.get(name) != self.expected.get(name))

    def _disturb(self, driver: subprocess.Popen[str], most: int) -> bool:
        """Kill until a driver ends. Returns whether it was it that was killed."""
        while driver.poll() is None:
            time.sleep(self.dice.uniform(0, 2 * self.between))
            if self.kills >= most:
                continue
            there = workers_of(os.getpid() if self.cluster else driver.pid, bool(self.cluster))
            chance = self.dice.random()
            if there and chance < DRIVER:
                driver.kill()
                self.counts["drivers"] += 1
                return True
            if self.cluster and there and chance < DRIVER + NODE:
                self._replace_node()
            elif there:
                older = [one for one in there if age_of(one) > self.between]
                chosen = older if self.dice.random() < READY else there
                self.counts["workers"] += killed(self.dice.choice(chosen)) if chosen else 0
        return False

    def _replace_node(self) -> None:
        node = self.dice.choice(sorted(self.cluster.worker_nodes, key=lambda node: node.node_id))
        self.cluster.remove_node(node, allow_graceful=False)
        patiently(self.cluster.add_node, num_cpus=1)
        self.counts["nodes"] += 1


def tree_of(folder: Path) -> dict[str, str]:
    tree = tree_digest(folder)
    del tree[f"work/{RECORDS}"]
    return tree


def workers_of(parent: int, of_ray: bool) -> list[int]:
    """Processes below one that make units, or are about to."""
    found, looked = [], [parent]
    while looked:
        process = looked.pop()
        try:
            command = Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace")
            listed = Path(f"/proc/{process}/task").glob("*/children")
            looked += [int(child) for path in listed for child in path.read_text().split()]
        except (OSError, ValueError):
            continue  # it has ended
        marks = RAY_TITLES if of_ray else ("main_of_worker",)
        if any(mark in command for mark in marks):
            found.append(process)
    return sorted(found)


def age_of(process: int) -> float:
    """Seconds that it has been there; 0 of one that is not."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return float(Path("/proc/uptime").read_text().split()[0]) - started


def killed(process: int) -> int:
    """1, or 0 for one that has ended meanwhile."""
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return 0
    return 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--executor", default="processes:2")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    differing = []
    with ExitStack() as stack:
        of_ray = asked.executor == "ray"
        cluster = stack.enter_context(cluster_of(2, joined=False)) if of_ray else None
        trial = Trial(asked.folder, asked.executor, random.Random(asked.seed), cluster)
        while trial.kills < asked.kills:
            differing.append(trial.disturbed(asked.kills))
            sys.stderr.write(f"{trial.counts}, differing {differing[-1]}\n")
    told = {**trial.counts, "files": len(trial.expected), "differing": differing}
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    import crew_crashes as there

    if sys.argv[1:2] == ["--drive"]:
        there.drive(json.loads(sys.argv[2]))
    else:
        main()
