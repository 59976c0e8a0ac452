"""Which crew a configuration asks for."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace

from smartx.config import RunConfig
from smartx.engine import default_memory, resolve_threads
from smartx.executors.drive import Crew, drive, missing_units
from smartx.executors.job import Job, handshake
from smartx.progress import Progress
from smartx.units import Divide, Divided


def elsewhere(config: RunConfig, progress: Progress) -> Divide | None:
    """What has units made as `executor` says; None where this process makes them itself.

    Raises ConfigError where workers could not be told what to do, MissingPackageError without Ray.
    """
    kind, _, rest = (config.executor or "this").partition(":")
    if kind == "this":
        return None
    if kind == "ray":
        from smartx.executors.on_ray import check_ray

        check_ray(rest)
    job = Job.of(config)

    def divide(work: Divided) -> None:
        if not missing_units(work):
            return
        sources = {"sources": list(config.sources)} if work.name == "ingest" else {}
        told = replace(job, config={**job.config, **sources}, stage=work.name, key=work.key)
        with (
            handshake(config.work_folder, told) as told,
            crew_of(config, kind, rest, told, progress) as crew,
        ):
            drive(work, crew, progress)

    return divide


def crew_of(
    config: RunConfig, kind: str, rest: str, job: Job, progress: Progress
) -> AbstractContextManager[Crew]:
    """The crew of an executor, which is there inside the block. rest: what stands after `kind:`."""
    if kind == "ray":
        from smartx.executors.on_ray import ray_crew

        return ray_crew(rest, job, config.threads or 1, config.memory, progress)
    from smartx.executors.processes import processes

    count = int(rest)
    threads = max(1, resolve_threads(config.threads) // count)
    memory = config.memory or default_memory()  # of all: units are given as they fit beside others
    return processes(count, replace(job, threads=threads, memory=memory), memory, progress)
