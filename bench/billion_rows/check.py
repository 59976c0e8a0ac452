"""The simulation beside a real run: a ranking by pools of 1 and 2 processes of this machine."""

from __future__ import annotations

import os
import resource
import shutil
import time
from pathlib import Path
from typing import Any

from billion_rows.schedule import makespan
from executors import write_corpus
from smartx import pipeline
from smartx.config import config_from
from smartx.dividing import divided
from smartx.executors import child
from smartx.progress import Silent
from smartx.session import Session

ROWS, GROUPS, DIMENSIONS = 60_000, 200, 128


def checked(folder: Path | None, run: Path | None) -> str:
    """Predicted and measured seconds, a line for each pool.

    folder: for a made-up corpus; else run: one with vectors, whose rankings are deleted.
    The wall time of a pool on a quiet machine is that of its busiest process and what the driver
    does alone; so both are given: as the clock has it, and by the processor time of driver and
    workers. The scale of the cost model is that of the pool of one, so that only the second line
    is a prediction: of how units go to two workers.
    """
    fields: dict[str, Any] = {"run_dir": str(run)}
    if run is None:
        assert folder is not None
        folder.mkdir(parents=True, exist_ok=True)
        fields = write_corpus(folder, ROWS, GROUPS, DIMENSIONS)
        fields["run_dir"] = str(folder / "run")
        pipeline.ingest_step(config_from(fields), Silent())
        pipeline.embed_step(config_from(fields), Silent())
    lines, scale = [], 1.0
    for count in (1, 2):
        own = {**fields, "threads": count}
        config = config_from({**own, "executor": f"processes:{count}"})
        shutil.rmtree(config.work_folder / "rankings", ignore_errors=True)
        units = _units(config_from(own))
        wall, driver, workers = _measured(config)
        if count == 1:  # what a worker takes besides its units, and the driver
            start, model = _start(config), sum(unit.seconds for unit in units)
            scale = (workers[0] - start) / model
        said = start + makespan(units, count, 1 / scale, 0.0) + driver
        busy = max(workers) + driver
        lines.append(
            f"pool of {count}: predicted {said:.1f} s; by processor time {busy:.1f} s "
            f"({', '.join(f'{one:.1f}' for one in workers)} s of workers, {driver:.1f} s of the "
            f"driver); by the clock {wall:.1f} s, load {os.getloadavg()[0]:.0f}; "
            f"{len(units)} units, scale {scale:.2f}\n"
        )
    return "".join(lines)


def _units(config: Any) -> list[Any]:
    session = Session(config, None, command="rank")
    with session.alone():
        work = divided(session, "rank")
    assert work is not None
    return list(work.units())


def _measured(config: Any) -> tuple[float, float, list[float]]:
    """Seconds by the clock, of the driver's processor time, and of each worker's."""
    workers: list[float] = []
    real = child.Child.close

    def close(self: Any) -> None:
        _, status, used = os.wait4(self.process.pid, 0)
        self.process.returncode = status
        workers.append(used.ru_utime + used.ru_stime)
        real(self)

    child.Child.close = close  # type: ignore[method-assign]
    try:
        began, before = time.perf_counter(), _own()
        pipeline.rank_step(config, Silent())
        return time.perf_counter() - began, _own() - before, workers
    finally:
        child.Child.close = real  # type: ignore[method-assign]


def _own() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _start(config: Any) -> float:
    """Processor seconds of a worker that only starts: of a ranking without vectors, nearly."""
    again = config.model_copy(update={"ranker": "random", "preset": "equal"})
    again = config_from({**again.model_dump(exclude_unset=True), "executor": "processes:1"})
    return _measured(again)[2][0]
