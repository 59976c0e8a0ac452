"""The report of a finished mixture, made from its run folder: with what a rerun would change."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow.parquet as pq

from smartx.corpus import Corpus, open_corpus
from smartx.embed import Embeddings, open_embeddings
from smartx.errors import InputError, StoreError
from smartx.mixture import Mixture
from smartx.rankers import Rankings, open_rankings
from smartx.report.compared import Compared, compared
from smartx.report.html import Beside, render
from smartx.report.material import Material
from smartx.report.stages import stage_lines
from smartx.run_folder import CORPUS, EMBEDDINGS, RANKINGS
from smartx.store import MANIFEST

_MOST = 64 << 20  # bytes of a comparison
Found = TypeVar("Found", Corpus, Rankings)


def report_again(mixture: Mixture, run: Path, *, comparison: Path | None = None) -> str:
    """The page of a mixture with what its stages took, and with a comparison.

    run: the folder where the mixture was made.  comparison: a file of `smartx compare --json`.
    Raises StoreError where the run folder has not what the mixture was made from, InputError where
    the comparison is none.
    """
    other = None if comparison is None else _comparison(comparison, mixture.manifest)
    return render(
        mixture.folder,
        mixture.manifest,
        material_of(mixture, run),
        Beside(stage_lines(run), other),
    )


def material_of(mixture: Mixture, run: Path) -> Material:
    """The corpus, ranking and vectors that a mixture was made from. Raises StoreError."""
    corpus = _made_from(mixture, run, "corpus", CORPUS, open_corpus)
    rankings = _made_from(mixture, run, "rankings", RANKINGS, open_rankings)
    paths = sorted((mixture.folder / "data").glob("train-*.parquet"))
    rows = [pq.read_table(path, columns=["smartx_row"])["smartx_row"].to_numpy() for path in paths]
    ids = np.concatenate([np.zeros(0, np.int64), *rows])
    return Material(corpus, rankings, ids, _embeddings(mixture, run, corpus))


def _made_from(
    mixture: Mixture, run: Path, kind: str, room: str, opened: Callable[[Path], Found]
) -> Found:
    """The corpus or the rankings that the mixture names."""
    wanted = mixture.manifest["inputs"][kind]
    for folder in _finished(run / room):
        found = opened(folder)
        if found.digest == wanted:
            return found
    raise _lacking(run, "ranking" if kind == "rankings" else kind)


def _embeddings(mixture: Mixture, run: Path, corpus: Corpus) -> Embeddings | None:
    """None where nothing looked at vectors."""
    embedding = mixture.manifest.get("embedding")
    if not embedding:
        return None
    for folder in _finished(run / EMBEDDINGS):
        found = open_embeddings(folder)
        of_corpus = found.manifest["inputs"].get("corpus") == corpus.digest
        if of_corpus and found.digest == embedding["digest"]:
            return found
    raise _lacking(run, "vectors")


def _finished(folder: Path) -> Iterator[Path]:
    return (path.parent for path in sorted(folder.glob(f"*/{MANIFEST}")))


def _lacking(run: Path, what: str) -> StoreError:
    return StoreError(
        f"the {what} that the mixture was made from is not here",
        place=str(run),
        fix="name the run folder that made it in `run_dir`",
    )


def _comparison(path: Path, mixture: dict[str, Any]) -> Compared:
    try:
        if path.stat().st_size > _MOST:
            raise ValueError("it has more than 64 MiB")
        facts = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as problem:
        raise InputError(
            f"it cannot be read ({problem})",
            place=str(path),
            fix="make one with `smartx compare --json`",
        ) from None
    return compared(facts, str(path), mixture)
