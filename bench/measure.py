"""What every case measures in its own process: CPU and wall seconds by stage, and peak memory.

Standard library only: it runs inside the peers' environments too.
"""

from __future__ import annotations

import ctypes
import json
import resource
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

ENOUGH_SECONDS = 3.0  # a job that took less is run again, up to MOST_RUNS times
MOST_RUNS = 10
IN_TURNS = 4  # times as long and as often where two ways are compared by their least wall time


class Watch:
    """CPU and wall seconds of the stages of one job."""

    def __init__(self):
        self.cpu, self.wall = {}, {}

    @contextmanager
    def stage(self, name):
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall[name] = self.wall.get(name, 0.0) + time.perf_counter() - wall
        self.cpu[name] = self.cpu.get(name, 0.0) + time.process_time() - cpu


def measured(job, alone=None):
    """job(watch) -> (its result, a record of the run that took the least CPU time).

    memory: bytes at the peak of the first run above what the process held before it.
    alone: the same job on one thread; it runs after each run of the job, so that both meet the same
    minutes of the machine, and "wall_alone" is its least wall time.
    """
    _forget_peak()
    before = _memory("VmRSS")
    result, records, memory, walls_alone = None, [], 0, []
    patience = IN_TURNS if alone else 1
    while not records or (
        len(records) < MOST_RUNS * patience
        and sum(r["cpu"] for r in records) < ENOUGH_SECONDS * patience
    ):
        result = None  # the last one's memory goes back first
        watch = Watch()
        wall, cpu = time.perf_counter(), time.process_time()
        result = job(watch)
        seconds = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
        records.append(seconds | {"stages": watch.cpu, "stages_wall": watch.wall})
        if len(records) == 1:
            memory = max(0, _memory("VmHWM") - before)
        if alone:
            wall = time.perf_counter()
            alone(Watch())
            walls_alone.append(time.perf_counter() - wall)
    best = min(records, key=lambda record: record["cpu"])
    best_wall = min(record["wall"] for record in records)
    more = {"wall_alone": min(walls_alone)} if alone else {}
    return result, best | {"wall": best_wall, "memory": memory, "runs": len(records)} | more


def alone(job, asked):
    """job(watch, threads) on one thread, where several are asked for."""
    return (lambda watch: job(watch, threads=1)) if asked["threads"] > 1 else None


def arguments():
    """What the driver asks of this case."""
    return json.loads(sys.argv[1])


def answer(**fields):
    """Tell the driver."""
    print(json.dumps(fields))


def _memory(name):
    """Bytes of VmRSS or VmHWM of this process."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) << 10
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _forget_peak():
    """VmHWM starts anew from what is held now, where the system allows it."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # what was freed and kept would hide the job's first MB
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
