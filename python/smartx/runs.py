"""The folder of a run: where its stages stand, and which of them a later command means.

    RUN/corpus/ID  RUN/vectors/ID  RUN/embeddings/ID  RUN/means/ID  RUN/rankings/ID
    RUN/current.json   the corpus and the embeddings that the last command named
    RUN/run.json       when, where, how long: for people

Stages of other sources, columns, encoders and parameters stand side by side, each under the first
digits of its key. None is ever withdrawn.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from smartx import __version__
from smartx.corpus import Corpus, open_corpus
from smartx.embed import Embeddings, open_embeddings
from smartx.errors import StoreError
from smartx.files import canonical_json, commit_bytes
from smartx.rankers import Rankings, open_rankings
from smartx.store import MANIFEST

CORPUS, VECTORS, EMBEDDINGS = "corpus", "vectors", "embeddings"
MEANS, RANKINGS = "means", "rankings"
CURRENT, RECORDS = "current.json", "run.json"


@dataclass(frozen=True)
class Run:
    """The folder of a run, for reading what its stages left."""

    folder: Path

    def corpus(self) -> Corpus:
        """The rows that were ingested last. Raises StoreError where there are none."""
        return open_corpus(self._meant(CORPUS, "ingest"))

    def embeddings(self, corpus: Corpus | None = None) -> Embeddings:
        """The vectors of the rows, as they were asked for last.

        Raises StoreError where there are none, or those there belong to another corpus.
        """
        return open_embeddings(self._meant(EMBEDDINGS, "embed"), corpus or self.corpus())

    def rankings(self) -> list[Rankings]:
        """Every finished ranking, one for each choice of rows, vectors, ranker and parameters."""
        finished = sorted(path.parent for path in (self.folder / RANKINGS).glob(f"*/{MANIFEST}"))
        return [open_rankings(folder) for folder in finished]

    def mean(self, **stages: Path) -> None:
        """From now on commands that name no sources, or no encoder, mean these."""
        current = {**self.current(), **{name: folder.name for name, folder in stages.items()}}
        if current != self.current():
            commit_bytes(self.folder / CURRENT, canonical_json(current))

    def _meant(self, stage: str, command: str) -> Path:
        name = self.current().get(stage)
        if not isinstance(name, str) or not name.isalnum():
            raise StoreError(
                f"the {stage} stage has not been finished here",
                place=str(self.folder),
                fix=f"run `smartx {command}` on this run folder first",
            )
        return self.folder / stage / name

    def current(self) -> Mapping[str, Any]:
        """Names of the stages that are meant."""
        try:
            current = json.loads((self.folder / CURRENT).read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        return current if isinstance(current, dict) else {}

    def record(self, step: str, started: datetime, seconds: float, threads: int) -> None:
        """Note what was true of this step only."""
        record = {
            "step": step,
            "started": started.isoformat(timespec="seconds"),
            "seconds": round(seconds, 3),
            "command": [argument.encode(errors="replace").decode() for argument in sys.argv],
            "smartx": __version__,
            "python": platform.python_version(),
            "numpy": metadata.version("numpy"),
            "pyarrow": metadata.version("pyarrow"),
            "platform": platform.platform(),
            "threads": threads,
        }
        path = self.folder / RECORDS
        commit_bytes(path, canonical_json([*_earlier_records(path), record]))


def _earlier_records(path: Path) -> list[Any]:
    """What run.json says already; nothing if it is missing or damaged: only people read it."""
    try:
        records = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return []
    return records if isinstance(records, list) else []


def open_run(folder: Path | str) -> Run:
    """The run in a folder. Raises StoreError where there is none."""
    run = Run(Path(folder))
    run.corpus()
    return run
