"""Small corpora and vectors for the tests of what comes after ingest and embed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx import strategies
from smartx.budget import allot
from smartx.corpus import Columns, Corpus, ingest
from smartx.engine import quantize
from smartx.mixture import Mixture, assemble, mixture_facts, write_mixture
from smartx.needs import VECTORS
from smartx.rankers import RandomRanker, rank_corpus
from smartx.weights import Proportional


def _plain_rankers() -> Iterator[tuple[str, Any]]:
    """Those that read nothing but vectors, as they are without parameters."""
    for name in strategies.RANKERS.ours:
        fields = dataclasses.fields(strategies.RANKERS.find(name))
        empty = dataclasses.MISSING
        if all(f.default is not empty or f.default_factory is not empty for f in fields):
            ranker = strategies.RANKERS.made(name, per="template")
            if set(ranker.needs) <= {VECTORS}:
                yield name, ranker


RANKERS = dict(_plain_rankers())
NAMES = ["zs_opt", "zs_noopt", "fs_opt", "fs_noopt"]


@dataclass(frozen=True)
class Vectors:
    """Stands in for embeddings on disk: rows of an array, and which were asked for."""

    table: NDArray[np.int16]
    digest: str = "vectors"
    manifest: dict[str, Any] = field(default_factory=lambda: {"inputs": {}})

    @property
    def num_rows(self) -> int:
        return len(self.table)

    @property
    def dimensions(self) -> int:
        return int(self.table.shape[1])

    def rows(self, start: int, stop: int) -> NDArray[np.int16]:
        return self.table[start:stop]


def vectors_for(corpus: Corpus, dimensions: int = 8, seed: int = 0) -> Vectors:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(len(corpus.groups), dimensions))
    group = np.repeat(np.arange(len(corpus.groups)), corpus.groups.rows)
    rows = centres[group] + 0.4 * rng.normal(size=(corpus.num_rows, dimensions))
    return Vectors(quantize(rows), manifest={"inputs": {"corpus": corpus.digest}})


def row(
    prompt: str, task: str, template: str = "zs_opt", source: str = "t", response: str = "yes"
) -> dict[str, str]:
    return {
        "inputs": prompt,
        "targets": response,
        "task_source": source,
        "task_name": task,
        "template_type": template,
    }


def corpus_of(
    rows: list[dict[str, object]], folder: Path, *, columns: Columns | None = None
) -> Corpus:
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ingest([source], folder / "corpus", columns=columns or Columns())


def flan_like(folder: Path, sizes: dict[str, list[int]] | None = None) -> Corpus:
    """Tasks with the given numbers of rows in FLAN's four templates."""
    sizes = sizes or {
        "anli": [9, 4, 3, 2],
        "boolq": [30, 0, 0, 0],
        "cot": [0, 1, 0, 0],
        "qa": [7, 0, 5, 0],
    }
    rows = [
        row(f"{task} {name} question {i}", task, name)
        for task, counts in sizes.items()
        for name, count in zip(NAMES, counts, strict=True)
        for i in range(count)
    ]
    return corpus_of(list(rows), folder)


def mixture_of_all(corpus: Corpus, folder: Path) -> Mixture:
    """All rows of a corpus as a mixture in folder/mix, by the random ranker."""
    law, ranker = Proportional(), RandomRanker()
    ranked = rank_corpus(corpus, None, ranker, folder / "rankings", threads=1)
    allotment = allot(corpus.groups, law, means=None, total=corpus.num_rows, seed=0)
    chosen = assemble(corpus, ranked, allotment.groups, seed=0)
    named = {"law": law, "ranker": ranker, "preset": "", "seed": 0, "version": "0"}
    facts = mixture_facts(corpus, ranked, allotment, chosen, **named)
    return write_mixture(corpus, chosen, folder / "mix", facts=facts)
