"""Rows whose answers are those of other rows: training on them should hurt, which shows that the
bench can see harm.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from quality.sample import Sample
from quality.texts import Tokens


def shuffled(sample: Sample, rows: NDArray[np.int64], rng: np.random.Generator) -> Sample:
    """The rows alone, in order, each with the answer of the next one in a random circle."""
    tokens = sample.tokens
    circle = rng.permutation(len(rows))
    giver = np.empty(len(rows), dtype=np.int64)
    giver[circle] = rows[np.roll(circle, 1)]
    ids = []
    for row, other in zip(rows.tolist(), giver.tolist(), strict=True):
        prompt = tokens.starts[row] + tokens.lengths[row] - tokens.targets[row]
        end = tokens.starts[other] + tokens.lengths[other]
        ids.append(tokens.ids[tokens.starts[row] : prompt])
        ids.append(tokens.ids[end - tokens.targets[other] : end])
    lengths = (tokens.lengths - tokens.targets)[rows] + tokens.targets[giver]
    mixed = Tokens(np.concatenate(ids), lengths, tokens.targets[giver], tokens.ends[giver])
    names = [sample.tasks[row] for row in rows.tolist()]
    return replace(
        sample,
        tokens=mixed,
        tasks=names,
        templates=[sample.templates[row] for row in rows.tolist()],
        parts=sample.parts[rows],
        of=np.full(len(rows), -1, dtype=np.int64),
        source=sample.source[rows],
        vectors=sample.vectors[rows],
        whole=sample.whole[rows],
    )
