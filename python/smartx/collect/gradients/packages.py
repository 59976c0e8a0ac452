"""Gradients are collected by packages that not everyone has: first it is said which are missing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from smartx.causal.model import EXTRA, libraries
from smartx.collect.gradients.asked import Asked
from smartx.errors import MissingPackageError
from smartx.progress import Progress

if TYPE_CHECKING:
    from smartx.config import RunConfig
    from smartx.corpus import Corpus
    from smartx.features import StoredFeature


def collect_gradients(
    asked: Asked, config: RunConfig, corpus: Corpus, run: Path, progress: Progress
) -> dict[str, StoredFeature]:
    """The matrix `gradients`, (n, epochs x dimensions) float32, and, where there are targets, the
    table `target_gradients` with a row for each subtask.

    Raises ModelError, MissingPackageError, InputError, CorpusError for the file of targets, and
    StoreError where the disk has too little room.
    """
    libraries("gradients of a language model")
    try:
        import peft  # noqa: F401
        import safetensors  # noqa: F401
    except ImportError as problem:
        name = (problem.name or "peft").partition(".")[0]
        raise MissingPackageError(name, needed_for="adapters", extra=EXTRA) from None
    from smartx.collect.gradients.collecting import collect

    return collect(asked, config, corpus, run, progress)
