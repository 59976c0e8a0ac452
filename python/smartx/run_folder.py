"""What stands in the folder of a run, and which of its stages a later command means.

    RUN/corpus/ID  RUN/vectors/ID  RUN/students/ID  RUN/embeddings/ID  RUN/tasks/ID  RUN/features/ID
    RUN/adapters/ID  RUN/means/ID  RUN/rankings/ID
    RUN/current.json   the corpus, the embeddings and the ranking of the last command; by corpus and
                       name the features that were collected last
    RUN/run.json       when, where, how long: for people
    RUN/.lock          who works in the folder

Stages of other sources, columns, encoders and parameters stand side by side, each under the first
digits of its key. None is ever withdrawn.
"""

from __future__ import annotations

import json
import platform
import resource
import sys
from collections.abc import Mapping
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from smartx import __version__
from smartx.errors import StoreError
from smartx.files import MARK, canonical_json, check_alone, commit_bytes, is_beside_others
from smartx.urls import without_secrets

CORPUS, VECTORS, EMBEDDINGS, STUDENTS = "corpus", "vectors", "embeddings", "students"
TASKS, MEANS, RANKINGS = "tasks", "means", "rankings"
FEATURES, LEAVE_OUT, CLEAN = "features", "leave_out", "clean"
ADAPTERS = "adapters"
STAGES = (
    *(CORPUS, VECTORS, STUDENTS, EMBEDDINGS, TASKS, FEATURES, ADAPTERS, LEAVE_OUT, CLEAN),
    *(MEANS, RANKINGS),
)
CURRENT, RECORDS, LOCK = "current.json", "run.json", ".lock"
NAMES = (*STAGES, CURRENT, RECORDS, LOCK, MARK)
_COMMANDS = {CORPUS: "ingest", EMBEDDINGS: "embed"}
_COLLECTED = "collected"
_DIGITS = 16  # of a corpus's digest, by which its features stand


def current(run: Path) -> Mapping[str, str]:
    """Name of the folder that is meant, by stage."""
    found = _read(run / CURRENT)
    told = {stage: found.get(stage) for stage in STAGES} if isinstance(found, dict) else {}
    return {s: name for s, name in told.items() if isinstance(name, str) and name.isalnum()}


def meant(run: Path, stage: str) -> Path:
    """The folder of a stage that a command means which names none. Raises StoreError."""
    name = current(run).get(stage)
    if name is None:
        raise StoreError(
            f"the {stage} stage has not been finished here",
            place=str(run),
            fix=f"run `smartx {_COMMANDS[stage]}` on this run folder first",
        )
    return run / stage / name


def mean(run: Path, **stages: Path) -> None:
    """From now on, commands that name no sources, or no encoder, mean these folders.

    Raises NotAlone beside others, where they did not mean them before.
    """
    before = current(run)
    now = {**before, **{stage: folder.name for stage, folder in stages.items()}}
    if now != before:
        check_alone()
        _mean(run, now, _all_collected(run))


def collected(run: Path, corpus: str) -> Mapping[str, Path]:
    """Folders of the features that were collected last for a corpus, by name.

    corpus: its digest.
    """
    found = _all_collected(run).get(corpus[:_DIGITS], {})
    return {name: run / FEATURES / folder for name, folder in found.items()}


def collected_names(run: Path) -> set[str]:
    """Names of all that were collected, for whichever corpus."""
    return {name for found in _all_collected(run).values() for name in found}


def collect(run: Path, corpus: str, name: str, folder: Path) -> None:
    """From now on this feature of a corpus is found by its name. corpus: its digest.

    Raises NotAlone beside others.
    """
    before = _all_collected(run)
    own = {**before.get(corpus[:_DIGITS], {}), name: folder.name}
    now = {**before, corpus[:_DIGITS]: own}
    if now != before:
        check_alone()
        _mean(run, current(run), now)


def _all_collected(run: Path) -> dict[str, dict[str, str]]:
    """Folder of each collected feature, by corpus and name; what is damaged is left out."""
    found = _read(run / CURRENT)
    told = found.get(_COLLECTED) if isinstance(found, dict) else None
    return {
        corpus: {
            name: folder
            for name, folder in own.items()
            if isinstance(folder, str) and folder.isalnum()
        }
        for corpus, own in (told.items() if isinstance(told, dict) else ())
        if isinstance(own, dict)
    }


def _mean(run: Path, stages: Mapping[str, str], features: Mapping[str, Mapping[str, str]]) -> None:
    more = {_COLLECTED: features} if features else {}
    commit_bytes(run / CURRENT, canonical_json({**stages, **more}))


def record(run: Path, step: str, started: datetime, seconds: float, threads: int) -> None:
    """Note what was true of one step only; nothing beside others, who would write it too."""
    if is_beside_others():
        return
    noted = {
        "step": step,
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        "command": [without_secrets(a.encode(errors="replace").decode()) for a in sys.argv],
        "smartx": __version__,
        "python": platform.python_version(),
        "numpy": metadata.version("numpy"),
        "pyarrow": metadata.version("pyarrow"),
        "platform": platform.platform(),
        "threads": threads,
        "peak_memory": _peak_memory(),
    }
    commit_bytes(run / RECORDS, canonical_json([*records(run), noted]))


def records(run: Path) -> list[dict[str, Any]]:
    """What was noted of steps; nothing where it is missing or damaged: only people read it."""
    found = _read(run / RECORDS)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _peak_memory() -> int:
    """The most bytes that this process has held so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak << 10


def _read(path: Path) -> Any:
    try:
        content = json.loads(path.read_bytes())
        canonical_json(content)  # what cannot be written again, such as NaN, is damage
        return content
    except (OSError, ValueError, RecursionError):
        return None
