"""Features that are made of others, once these are whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from smartx.collect.llm.passes import BY, Where
from smartx.collect.stage import Collected
from smartx.features import SHARD_ROWS

if TYPE_CHECKING:
    from smartx.features import StoredFeature

Columns = list[NDArray[np.float64]]


def derived(
    name: str,
    rule: Callable[[Columns], NDArray[np.float64]],
    of: Sequence[StoredFeature],
    where: Where,
) -> StoredFeature:
    """A column of whole columns."""
    named = [feature.manifest["parameters"]["name"] for feature in of]
    parameters: dict[str, Any] = {"by": BY, "rule": rule.__name__, "of": named}
    inputs = {f"feature {n}": feature.digest for n, feature in zip(named, of, strict=True)}
    made = Collected.open_or_begin(
        where.run, where.corpus, "column", name, parameters, inputs, part_rows=SHARD_ROWS
    )
    if missing := made.missing():
        values = rule([feature.rows(0, where.corpus.num_rows) for feature in of])
        for number in missing:
            start, stop = made.bounds(number)
            made.commit_part(number, values[start:stop])
    return made.finish()


def quotient(columns: Columns) -> NDArray[np.float64]:
    """The first by the second; NaN where that is 0."""
    above, below = columns
    found = np.full(len(above), np.nan)
    np.divide(above, below, out=found, where=below > 0)
    return found


def band(columns: Columns) -> NDArray[np.float64]:
    """How far from the middle a row is in any of the columns: 0 to 50, in percent of the rows.

    Rows with at most 25 are within the quartiles of all three difficulties, which 3DS keeps.
    NaN where a row has no number.
    """
    far = []
    for column in columns:
        known = np.sort(column[~np.isnan(column)])
        below = np.searchsorted(known, column, side="left")
        upto = np.searchsorted(known, column, side="right")
        place = (below + upto) / 2 / max(1, len(known))
        far.append(np.where(np.isnan(column), np.nan, np.abs(100 * place - 50)))
    worst: NDArray[np.float64] = np.max(far, axis=0)
    return worst
