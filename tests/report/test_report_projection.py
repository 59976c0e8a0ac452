"""Places of a map: principal components, in whole numbers, the same everywhere."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from smartx.engine import quantize
from smartx.report.points import packed, sampled
from smartx.report.projection import GRID, on_grid, plane


def stretched(rows=300, dimensions=24, seed=3):
    """Rows that vary most along two directions of their own."""
    rng = np.random.default_rng(seed)
    scales = np.array([1.0, 0.6, *[0.1] * (dimensions - 2)])
    turned = np.linalg.qr(rng.normal(size=(dimensions, dimensions)))[0]
    return quantize(2 + rng.normal(size=(rows, dimensions)) * scales @ turned)


def test_the_axes_are_the_principal_ones():
    rows = stretched()
    centred = rows - rows.mean(axis=0)
    reference = np.linalg.svd(centred, full_matrices=False)[2][:2]
    wanted = centred @ reference.T
    for found, own in zip(plane(rows).T, wanted.T, strict=True):
        assert abs(np.corrcoef(found, own)[0, 1]) > 0.999


def test_places_do_not_depend_on_the_threads_of_the_library_that_multiplies():
    threads = pytest.importorskip("threadpoolctl", reason="threadpoolctl is not installed")
    rows = stretched(rows=2_000, dimensions=64)
    found = []
    for count in (1, 4):
        with threads.threadpool_limits(count):
            found.append(plane(rows).tobytes())
    assert found[0] == found[1]


def test_places_do_not_depend_on_the_order_of_sums():
    """Whole numbers below 2^53: rows in another order get the very same places."""
    rows = stretched(rows=500)
    order = np.random.default_rng(0).permutation(len(rows))
    assert np.array_equal(plane(rows)[order], plane(rows[order]))


@pytest.mark.parametrize("count", [0, 1, 5])
def test_rows_that_are_all_equal_stand_in_one_place(count):
    rows = np.tile(quantize(np.ones((1, 8))), (count, 1))
    assert np.array_equal(plane(rows), np.zeros((count, 2)))
    assert len(on_grid(plane(rows))) == count


@given(arrays(np.float64, (7, 2), elements=st.floats(-1e6, 1e6)))
def test_a_picture_keeps_its_proportions_within_the_grid(places):
    found = on_grid(places).astype(float)
    assert found.min() >= 0
    assert found.max() < GRID
    spans = places.max(axis=0) - places.min(axis=0)
    if spans.max() > 1:
        drawn = found.max(axis=0) - found.min(axis=0)
        assert drawn == pytest.approx(spans / spans.max() * (GRID - 1), abs=1.01)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(2, 40))
def test_a_sample_is_as_large_as_there_is_room_for(others, picked, room):
    mine, taken = np.arange(others), np.arange(100, 100 + picked)
    a, b = sampled(mine, taken, room)
    assert len(a) + len(b) == min(room, others + picked)
    assert set(a) <= set(mine)
    assert set(b) <= set(taken)
    assert len(set(a)) == len(a)
    assert list(b) == sorted(set(b))
    if others >= room and picked >= room:
        assert abs(len(a) - len(b)) <= 1


def test_packed_places_are_read_back():
    places = np.array([[0, 4095], [1234, 77]], dtype=np.uint16)
    raw = base64.b64decode(packed(places))
    numbers = [int.from_bytes(raw[i : i + 3], "big") for i in range(0, len(raw), 3)]
    assert [(number >> 12, number & 4095) for number in numbers] == [(0, 4095), (1234, 77)]
