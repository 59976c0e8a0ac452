"""Units made by tasks of Ray, on a cluster whose nodes share the run folder.

Core tasks only: no actors, no Ray Data, no objects but texts. Deaths are counted by `drive.py` and
not by Ray (max_retries=0), so that a unit which ends its workers is told from a node that vanished.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from typing import Any, ClassVar

from smartx.errors import ConfigError, MissingPackageError, WorkerError
from smartx.executors.drive import Heard
from smartx.executors.job import Job, check_answer
from smartx.executors.processes import as_error
from smartx.executors.worker import Opened, open_job, told
from smartx.progress import Progress, counted
from smartx.units import Unit

_AHEAD = 2  # units given for each that the cluster can make at once
_LOOK_SECONDS = 5.0  # between looks at how large the cluster is
_STAYS = "finished units are kept, and the same command goes on from there"


def check_ray(address: str) -> None:
    """Raise MissingPackageError without Ray, ConfigError for an address that cannot be meant."""
    if find_spec("ray") is None:
        raise MissingPackageError("ray", needed_for="the executor ray", extra="ray")
    if address.startswith("//"):
        raise ConfigError(
            "Ray Client is not used: what drives the work must be in the cluster",
            place="executor",
            fix="run smartx there (`ray job submit -- smartx ...`) with ray, or give ray:HOST:PORT",
        )


@contextmanager
def ray_crew(
    address: str, job: Job, threads: int, memory: int | None, progress: Progress
) -> Iterator[RayTasks]:
    """A crew of the nodes of a cluster: of `address`, of the one that this process is in already,
    or of one on this machine for as long as the block runs.

    threads: of each unit.  Raises WorkerError where a node cannot take part.
    """
    ray = import_module("ray")
    joined = ray.is_initialized()
    if not joined:
        try:
            ray.init(
                address or None,
                log_to_driver=False,
                logging_level=logging.ERROR,  # what it does is told here
                include_dashboard=False,
            )
        except (ConnectionError, RuntimeError, ValueError) as problem:
            line = str(problem).strip().splitlines()[0][:200]
            raise WorkerError(f"Ray cannot be reached ({line})", place="executor") from problem
    crew = RayTasks(ray, replace(job, threads=threads, memory=memory), threads, memory)
    try:
        crew.greet(progress)
        yield crew
    finally:
        crew.cancel()
        if not joined:
            ray.shutdown()


class RayTasks:
    """Tasks of Ray, a unit each; implements smartx.executors.drive.Crew."""

    def __init__(self, ray: Any, job: Job, threads: int, memory: int | None = None) -> None:
        self._ray, self._threads, self._most = ray, threads, memory
        gpus = ray.cluster_resources().get("GPU", 0) if job.stage == "embed" else 0
        self._gpus = int(gpus >= 1 and job.config.get("device", "auto") != "cpu")
        if self._gpus:  # Ray shows a task just the one that it is given
            job = replace(job, config={**job.config, "device": "auto"})
        self._job = job
        self._task = ray.remote(make_there)
        self._given: dict[Any, str] = {}
        self._looked, self._slots, self._largest = 0.0, 1, 0

    def greet(self, progress: Progress) -> None:
        """Have every node answer. Raises WorkerError for the first that cannot take part; one that
        is gone meanwhile need not.
        """
        affinity = import_module("ray.util.scheduling_strategies").NodeAffinitySchedulingStrategy
        nodes = self._nodes()
        if not nodes:
            raise WorkerError("the cluster has no node with a processor", place="executor")
        asked = [
            self._task.options(
                num_cpus=0, max_retries=2, scheduling_strategy=affinity(node["NodeID"], soft=False)
            ).remote(self._job.json(), "")
            for node in nodes
        ]
        for node, ref in zip(nodes, asked, strict=True):
            where = f"node {node['NodeManagerAddress']}"
            try:
                said = self._ray.get(ref)
            except self._ray.exceptions.RayError as problem:
                if self._gone(node, problem):
                    continue
                line = str(problem).strip().splitlines()[-1][:200]
                fix = "is smartx installed there, in the same version?"
                raise WorkerError(f"{where} cannot take part ({line})", fix=fix) from None
            if said[0] == "failed":
                raise as_error(*said[1:], doing=f"the handshake with {where}")
            check_answer(self._job, said[1], where)
        progress.note(f"Ray: {counted(len(nodes), 'node')}, {self._slots} units at a time")

    @property
    def memory(self) -> int:
        """Of a task, at most: as given, or what the largest node has."""
        return self._most or self._largest or sys.maxsize

    def fits(self, unit: Unit) -> bool:
        """Ray waits for memory itself."""
        del unit
        return True

    def room(self) -> int:
        """Twice as many as the cluster can make at once, less those that are given."""
        self._nodes()
        return _AHEAD * self._slots - len(self._given)

    def give(self, unit: Unit) -> None:
        """As a task that asks for threads, and for memory by the cost model."""
        options = {"memory": min(unit.memory, self._largest)} if self._largest else {}
        task = self._task.options(
            name=unit.name,
            num_cpus=self._threads,
            num_gpus=self._gpus,
            max_retries=0,
            **options,
        )
        self._given[task.remote(self._job.json(), unit.name)] = unit.name

    def hear(self) -> Sequence[Heard]:
        """At least one unit."""
        waiting = list(self._given)
        first, others = self._ray.wait(waiting, num_returns=1)
        more = self._ray.wait(others, num_returns=len(others), timeout=0)[0] if others else []
        return [self._heard(ref) for ref in [*first, *more]]

    def cancel(self) -> None:
        """End what was given and is not made."""
        for ref in self._given:
            with suppress(Exception):
                self._ray.cancel(ref, force=True)

    def _heard(self, ref: Any) -> Heard:
        name, errors = self._given.pop(ref), self._ray.exceptions
        try:
            kind, *content = self._ray.get(ref)
        except errors.RayTaskError as problem:
            line = str(problem).strip().splitlines()[-1][:200]
            raise WorkerError(f"a task of Ray failed ({line}; in {name})", fix=_STAYS) from None
        except (errors.WorkerCrashedError, errors.OutOfMemoryError) as problem:
            return Heard(name, _first_line(problem))
        except errors.RayError as problem:
            return Heard(name, _first_line(problem), blameless=True)
        if kind == "failed":
            raise as_error(*content, doing=name)
        return Heard(name)

    def _gone(self, node: dict[str, Any], problem: Exception) -> bool:
        """Whether a node is no more; the list of nodes may not know that yet."""
        errors = self._ray.exceptions
        if isinstance(problem, (errors.NodeDiedError, errors.TaskUnschedulableError)):
            return True
        alive = {one["NodeID"] for one in self._ray.nodes() if one["Alive"]}
        return node["NodeID"] not in alive

    def _nodes(self) -> list[dict[str, Any]]:
        """Nodes that can make units; how many at once is looked up every few seconds."""
        if self._looked and time.monotonic() - self._looked < _LOOK_SECONDS:
            return []
        self._looked = time.monotonic()
        nodes = [
            node
            for node in self._ray.nodes()
            if node["Alive"] and node["Resources"].get("CPU", 0) >= 1
        ]
        most = max((int(node["Resources"]["CPU"]) for node in nodes), default=1)
        self._threads = min(self._threads, most)  # else no task would ever be begun
        slots = sum(int(node["Resources"]["CPU"]) // self._threads for node in nodes)
        self._slots = max(1, slots)
        self._largest = max((int(node["Resources"].get("memory", 0)) for node in nodes), default=0)
        return nodes


def _first_line(problem: BaseException) -> str:
    return f"{type(problem).__name__}: {str(problem).strip().splitlines()[0][:160]}"


class _Here:
    """What this process, a worker of Ray, has open: the last job, by its text."""

    text: ClassVar[str] = ""
    answer: ClassVar[str] = ""
    opened: ClassVar[Opened | None] = None


def make_there(text: str, name: str) -> list[str]:
    """In a worker of Ray: make a unit of a job; without a name only say that it could.

    Returns ["made", the answer of the handshake], or what went wrong as `told` has it.
    """
    try:
        if _Here.text != text or _Here.opened is None:
            job = Job.read(text)
            _Here.text, _Here.opened = "", None
            _Here.answer = job.answer()
            _Here.opened = open_job(job, lambda _: None)
            _Here.text = text
        if name:
            _Here.opened.make(name)
        return ["made", _Here.answer]
    except Exception as problem:
        return ["failed", *told(problem)]
