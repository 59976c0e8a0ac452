"""Makes what smartx is run on, in a process of its own: the sources, or the embeddings of a corpus.

python -m flan.make sources|embeddings SPEC.json FOLDER
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from vectors import real_folder

from flan import real
from flan.shape import Shape, flan, one_group, tiny_tasks
from flan.texts import write_sources
from flan.vectors import Geometry, NumberedEncoder
from smartx.embed import embed_corpus
from smartx.progress import step
from smartx.run_folder import mean
from smartx.runs import Run
from smartx.tellers import LogLines


@dataclass(frozen=True)
class Spec:
    """Which corpus. fraction, keep: of the shape "flan".  rows: of the shape "one-group".
    tasks: of the shape "tiny-tasks".  texts: "made" of few words, with vectors made for them, or
    "real"."""

    shape: str
    fraction: float
    keep: str
    rows: int
    tasks: int
    dimensions: int
    seed: int
    texts: str = "made"

    def made(self) -> Shape:
        if self.shape == "tiny-tasks":
            return tiny_tasks(self.tasks, self.seed)
        return (
            one_group(self.rows)
            if self.shape == "one-group"
            else flan(self.fraction, self.keep, self.seed)
        )


def sources(spec: Spec, folder: Path) -> None:
    """FOLDER/sources."""
    shape, place = spec.made(), folder / "sources"
    with LogLines(_console()) as progress, step(progress, "texts", shape.rows, "rows") as advance:
        if spec.texts == "real":
            real.write_sources(shape, place, spec.seed, real_data(), advance)
        else:
            write_sources(shape, place, spec.seed, advance)


def real_data() -> Path:
    """The folder of the real corpora."""
    folder = real_folder()
    if folder is None:
        raise SystemExit("T0 and BIG-bench are not here: set SMARTX_DATA to their folder")
    return folder


def embeddings(spec: Spec, folder: Path) -> None:
    """The vectors of FOLDER/run, by the stage that encoders go through."""
    geometry = Geometry(spec.made(), spec.dimensions, spec.seed)
    encoder = NumberedEncoder(geometry, {"name": "made-up vectors", **asdict(spec)})
    run = Run(folder / "run")
    with LogLines(_console()) as progress:
        made = embed_corpus(run.corpus(), encoder, run.folder, progress=progress)
    mean(run.folder, embeddings=made.folder)


def _console():
    from rich.console import Console

    return Console(stderr=True, soft_wrap=True, highlight=False)


PARTS: dict[str, Callable[[Spec, Path], None]] = {"sources": sources, "embeddings": embeddings}

if __name__ == "__main__":
    PARTS[sys.argv[1]](Spec(**json.loads(Path(sys.argv[2]).read_text())), Path(sys.argv[3]))
