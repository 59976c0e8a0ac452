"""The nearest centre of each row against the definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartx.engine import nearest_centre, quantize
from smartx.errors import InputError


def rows_of(count, dimensions, seed):
    return quantize(np.random.default_rng(seed).normal(size=(count, dimensions)))


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 20), st.integers(0, 99))
def test_it_is_the_largest_product_and_ties_go_to_the_lower_centre(rows, centres, d, seed):
    x, c = rows_of(rows, d, seed), rows_of(centres, d, seed + 1)
    c = c[np.random.default_rng(seed).integers(0, centres, size=centres + 2)]  # some twice
    products = x.astype(np.int64) @ c.T.astype(np.int64)
    plain = [max(range(len(c)), key=lambda k, row=row: (row[k], -k)) for row in products.tolist()]
    for threads in (1, 3):
        nearest, product = nearest_centre(x, c, threads=threads)
        assert nearest.tolist() == plain
        assert product.tolist() == products.max(axis=1).tolist()


def test_blocks_do_not_show(monkeypatch):
    x, c = rows_of(50, 8, 1), rows_of(7, 8, 2)
    whole = [part.tolist() for part in nearest_centre(x, c)]
    monkeypatch.setattr("smartx.engine.nearest._BLOCK_VALUES", 20)
    assert [part.tolist() for part in nearest_centre(x, c)] == whole


def test_no_rows_have_no_centres():
    nearest, product = nearest_centre(np.empty((0, 4), np.int16), rows_of(2, 4, 1))
    assert len(nearest) == len(product) == 0


def test_centres_of_another_width_are_an_error():
    with pytest.raises(InputError, match="5 values"):
        nearest_centre(rows_of(3, 4, 1), rows_of(3, 5, 1))
