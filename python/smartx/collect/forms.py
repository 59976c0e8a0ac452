"""A collected feature in another form: for the same rows in another order, or as vectors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx.collect.stage import Collected
from smartx.corpus import Corpus
from smartx.features import SHARD_ROWS, StoredFeature
from smartx.needs import Kind

PART_BYTES = 1 << 27  # of a part that is made at a time


def as_vectors(
    feature: StoredFeature, run: Path, corpus: Corpus, *, make: bool
) -> StoredFeature | None:
    """The rows of a matrix as vectors, of which only the direction is kept.

    make: where they are not there yet; else None is returned then.
    """
    return _formed(feature, run, corpus, "vectors", make, feature.rows)


def for_rows(
    feature: StoredFeature, of: Corpus, run: Path, corpus: Corpus, *, make: bool
) -> StoredFeature | None:
    """What was collected of the rows of a corpus, for a corpus of the same rows in another order.

    make: where it is not there yet; else None is returned then.
    """
    kind: Kind = feature.manifest["parameters"]["kind"]
    if kind == "table":
        return feature
    order = np.argsort(of.source_positions(0, of.num_rows), kind="stable")
    rising = of.source_positions(0, of.num_rows)[order]

    def rows(start: int, stop: int) -> NDArray[Any]:
        found = np.searchsorted(rising, corpus.source_positions(start, stop))
        return feature.take(order[found])

    return _formed(feature, run, corpus, kind, make, rows)


def _formed(
    feature: StoredFeature,
    run: Path,
    corpus: Corpus,
    kind: Kind,
    make: bool,
    rows: Callable[[int, int], NDArray[Any]],
) -> StoredFeature | None:
    told = feature.manifest["parameters"]
    part_rows = SHARD_ROWS
    while part_rows > 1 and part_rows * feature.dimensions * 4 > PART_BYTES:
        part_rows //= 2
    parameters = {"by": told.get("by", "collected"), "form_of": told["kind"]}
    inputs = {"feature": feature.digest}
    form = Collected.open_or_begin(
        run, corpus, kind, told["name"], parameters, inputs, part_rows=part_rows, begin=make
    )
    if not make and not form.done:
        return None
    for number in form.missing():
        form.commit_part(number, rows(*form.bounds(number)))
    return form.finish(named=False)
