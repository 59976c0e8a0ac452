"""Rows near those of another set, against the definition in plain whole numbers."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartx.engine import near_rows, quantize
from smartx.errors import InputError


def by_definition(rows, others, millionths):
    found = []
    for i, a in enumerate(rows.tolist()):
        best = None
        for j, b in enumerate(others.tolist()):
            dot = sum(x * y for x, y in zip(a, b, strict=True))
            norms = sum(x * x for x in a) * sum(x * x for x in b)
            near = dot > 0 and (dot * 10**6) ** 2 >= millionths**2 * norms
            if near and (best is None or dot / norms**0.5 > best[1]):
                best = (j, dot / norms**0.5)
        if best is not None:
            found.append((i, best[0]))
    return found


@st.composite
def two_sets(draw):
    """Few directions, so that equal rows and ties are common."""
    d = draw(st.integers(1, 3))
    some = st.lists(st.integers(-3, 3), min_size=d, max_size=d).filter(any)
    a = draw(st.lists(some, max_size=30))
    b = draw(st.lists(some, max_size=30))
    return tuple(
        quantize(np.array(x, np.float64).reshape(-1, d)) if x else np.empty((0, d), np.int16)
        for x in (a, b)
    )


@given(two_sets(), st.sampled_from([1, 600_000, 800_000, 950_000, 1_000_000]))
def test_every_row_finds_its_nearest_other_one(sets, millionths):
    rows, others = sets
    found = near_rows(rows, others, millionths / 10**6)
    expected = by_definition(rows, others, millionths)
    assert list(zip(found.rows.tolist(), found.others.tolist(), strict=True)) == expected


def test_blocks_and_threads_do_not_show(monkeypatch):
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(60, 6))
    rows, others = (
        quantize(centres[rng.integers(60, size=n)] + 0.1 * rng.normal(size=(n, 6)))
        for n in (700, 300)
    )
    whole = near_rows(rows, others, 0.98, threads=1)
    assert 100 < len(whole.rows) < 700
    place = sys.modules["smartx.engine.near_rows"]
    monkeypatch.setattr(place, "_ROWS", 64)
    monkeypatch.setattr(place, "_OTHERS", 50)
    for threads in (1, 2, 8):
        cut = near_rows(rows, others, 0.98, threads=threads)
        for name in ("rows", "others", "cosines"):
            assert getattr(cut, name).tobytes() == getattr(whole, name).tobytes()


@pytest.mark.parametrize(
    ("one", "other", "cosine"), [((3, 4), (4, 3), 0.96), ((0, 5), (3, 4), 0.8)]
)
def test_a_cosine_that_is_the_threshold_reaches_it(one, other, cosine):
    """Whole numbers of length 5, each twice so that they have the length of Q12 rows. For 4/5 a
    float64 is below its square.
    """
    a, b = (np.array([[601 * x, 601 * y, 554 * x, 554 * y]], np.int16) for x, y in (one, other))
    assert near_rows(a, b, cosine).rows.tolist() == [0]
    assert near_rows(a, b, cosine + 1e-6).rows.tolist() == []


def test_widths_that_differ_are_refused():
    with pytest.raises(InputError, match="one encoder"):
        near_rows(quantize(np.ones((2, 3))), quantize(np.ones((2, 4))), 0.9)
