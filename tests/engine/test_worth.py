"""What a set is worth under facility location, and that no set of its size is worth more."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from smartx.compare.objective import covered
from smartx.engine import SCALE, quantize
from smartx.engine.worth import facility_worth

SIXTEEN_BITS = 7 * 2.0**-15  # of the cosines of 7 rows


def by_definition(rows, items):
    products = rows.astype(int) @ rows[list(items)].astype(int).T
    return float(np.maximum(products.max(axis=1), 0).sum()) / SCALE**2 if len(items) else 0.0


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [0, 1, 3, 7])
def test_the_value_is_that_of_the_definition_and_the_bound_holds_for_every_set(seed, count):
    rng = np.random.default_rng(seed)
    rows = quantize(rng.normal(size=(7, 3)))
    items = rng.permutation(7)[:count]
    value, bound = facility_worth(rows, items, threads=1)
    assert value == pytest.approx(by_definition(rows, items), abs=SIXTEEN_BITS)
    best = max(by_definition(rows, some) for some in combinations(range(7), count))
    assert best <= bound + SIXTEEN_BITS
    if count:
        assert covered(rows, items) == pytest.approx(by_definition(rows, items))
    if count == 7:
        assert bound == value  # nothing is left to add
