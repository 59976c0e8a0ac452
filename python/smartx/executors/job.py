"""What a worker is told: JSON of a configuration, paths and names. No arrays travel.

Before any work it shows that it is of one kind with the process that asks (the same version of
smartx, Python and pyarrow), that it sees the same run folder (it answers with what stands in a file
there), and that it would make the same of the same (the key of the stage).
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import platform
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from smartx import __version__
from smartx.config import STRATEGIES, RunConfig
from smartx.errors import ConfigError, StoreError, WorkerError
from smartx.files import temporary_path
from smartx.options import Options
from smartx.strategies import RANKERS, facts_of

# What no unit depends on: where the corpus came from, what is done with rankings, who does it.
_NOT_TOLD = {
    *STRATEGIES,
    *("preset", "sources", "rows", "tokens", "token_kind", "floor", "cap", "pin", "exclude"),
    *("include_rows", "exclude_rows", "epochs", "rounding", "out", "overwrite", "run_dir"),
    *("threads", "memory", "executor"),
}


@dataclass(frozen=True)
class Job:
    """What workers make units of.

    config: fields of a RunConfig, as JSON has them.  folder: the working directory, in which paths
    are seen.  kind: versions of the process that asks.  stage, key: of what is divided.
    nonce: a file in the run folder whose content a worker answers with.
    threads, memory: for each worker; None: as it finds them.
    """

    config: dict[str, Any]
    folder: str
    kind: dict[str, str]
    stage: str = ""
    key: str = ""
    nonce: str = ""
    threads: int | None = None
    memory: int | None = None

    @classmethod
    def of(cls, config: RunConfig) -> Job:
        """The job of a configuration. Raises ConfigError for a ranker that is only in memory."""
        told = {name: getattr(config, name) for name in RunConfig.model_fields}
        usual = {name: field.default for name, field in RunConfig.model_fields.items()}
        fields = {
            name: _plain(value)
            for name, value in told.items()
            if name not in _NOT_TOLD and value != usual[name]
        }
        fields |= {"ranker": _named(config.row_ranker), "run_dir": str(config.work_folder)}
        return cls(fields, os.getcwd(), kind_here())

    def json(self) -> str:
        """All of it as one text."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> Job:
        """The job of such a text."""
        return cls(**json.loads(text))

    def configuration(self) -> RunConfig:
        """What a worker goes by; to be called in `folder`."""
        own = {"threads": self.threads, "memory": self.memory}
        given = {name: value for name, value in own.items() if value is not None}
        return RunConfig.model_validate({**self.config, **given})

    def answer(self) -> str:
        """What stands in the nonce file. Raises WorkerError where this process cannot take part."""
        here = kind_here()
        if differ := [name for name in self.kind if self.kind[name] != here.get(name)]:
            told = ", ".join(f"{n} {here.get(n)} (there: {self.kind[n]})" for n in differ)
            raise WorkerError(
                f"{platform.node()} has {told}",
                fix="install the same versions everywhere: others may write other bytes",
            )
        try:
            return Path(self.nonce).read_text()
        except OSError as problem:
            raise WorkerError(
                f"{platform.node()} does not see the run folder ({problem.strerror})",
                place=self.nonce,
                fix="the run folder must be on a disk that all nodes share, at the same path",
            ) from None


def kind_here() -> dict[str, str]:
    """What workers must have in common, of this process."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {"smartx": __version__, "python": python, "pyarrow": metadata.version("pyarrow")}


@contextmanager
def handshake(run: Path, job: Job) -> Iterator[Job]:
    """The job with a nonce file, which stands in the run folder for as long as the block runs."""
    path = temporary_path(Path(os.path.abspath(run)) / "handshake.txt")
    try:
        path.write_text(uuid.uuid4().hex)
    except OSError as problem:
        raise StoreError(
            f"it cannot be written ({problem.strerror})",
            place=str(run),
            fix="choose another folder",
        ) from problem
    try:
        yield dataclasses.replace(job, nonce=str(path))
    finally:
        with suppress(OSError):
            path.unlink()


def check_answer(job: Job, answer: str, where: str) -> None:
    """Raise WorkerError where a worker read something else from the nonce file."""
    if answer != Path(job.nonce).read_text():
        raise WorkerError(
            f"{where} sees another run folder at the same path",
            place=str(Path(job.nonce).parent),
            fix="the run folder must be on a disk that all nodes share",
        )


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _named(ranker: Any) -> dict[str, Any]:
    """A ranker as a mapping that makes it again, in another process."""
    mapping = {"name": ranker.name, **Options.parameters(ranker)}  # as fields, not as in keys
    kind = type(ranker)
    if kind.__module__.partition(".")[0] != "smartx" or "code" in facts_of(ranker):
        module = sys.modules.get(kind.__module__)
        place = getattr(module, "__file__", None) or ""
        with suppress(OSError, TypeError):
            place = place or inspect.getfile(kind)
        if place and kind.__module__ != "__main__":
            mapping["code"] = os.path.abspath(place)
    try:
        mapping = json.loads(json.dumps(mapping))
        same = facts_of(RANKERS.made(dict(mapping))) == facts_of(ranker)
    except (ConfigError, TypeError, ValueError):
        same = False
    if not same:
        raise ConfigError(
            f"other processes cannot make the ranker {ranker.name}, which is known here only",
            place="ranker",
            fix="put it in a file and name it {name: NAME, code: FILE.py}, or leave `executor` out",
        )
    return mapping
