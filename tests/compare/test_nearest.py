"""Lists of nearest rows give what a look at every row gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartx.compare import nearest
from smartx.compare.nearest import list_length, near_lists, taken


class Table:
    def __init__(self, table):
        self.table = table

    def rows(self, start, stop):
        return self.table[start:stop]


def by_looking(queries, table, chosen):
    """The nearest chosen row of each query: the formula, a query at a time."""
    found = []
    for query in queries.astype(np.int64):
        best = max(chosen, key=lambda row: (int(query @ table[row].astype(np.int64)), -row))
        found.append((best, int(query @ table[best].astype(np.int64))))
    return found


@st.composite
def cases(draw):
    n, d, q = draw(st.integers(1, 30)), draw(st.integers(1, 3)), draw(st.integers(1, 6))
    values = st.integers(-2, 2)  # few values: ties are real
    table = draw(st.lists(st.lists(values, min_size=d, max_size=d), min_size=n + q, max_size=n + q))
    pool = sorted(draw(st.sets(st.integers(0, n - 1), min_size=1)))
    chosen = sorted(draw(st.sets(st.sampled_from(pool), min_size=1)))
    return np.array(table, dtype=np.int16), n, pool, chosen, draw(st.integers(1, 31))


@given(cases())
def test_the_nearest_chosen_row_is_that_of_a_look_at_each(case):
    table, n, pool, chosen, length = case
    lists = near_lists(table[n:], Table(table), np.array(pool), length=length)
    mask = np.zeros(n, dtype=bool)
    mask[chosen] = True
    rows, products = lists.nearest(mask)
    assert list(zip(rows.tolist(), products.tolist(), strict=True)) == by_looking(
        table[n:], table, chosen
    )


@given(cases())
def test_a_list_is_the_pool_in_order_of_products_and_then_of_rows(case):
    table, n, pool, _, length = case
    lists = near_lists(table[n:], Table(table), np.array(pool), length=length)
    for query, rows in zip(table[n:].astype(np.int64), lists.row_ids.tolist(), strict=True):
        wanted = sorted(pool, key=lambda row: (-int(query @ table[row].astype(np.int64)), row))
        assert rows == wanted[:length]


def test_blocks_of_queries_and_of_the_pool_change_nothing(monkeypatch):
    rng = np.random.default_rng(1)
    table = rng.integers(-3, 4, size=(300, 2)).astype(np.int16)
    pool = np.arange(20, 280)
    whole = near_lists(table[:20], Table(table), pool, length=50)
    monkeypatch.setattr(nearest, "QUERIES", 7)
    monkeypatch.setattr(nearest, "COLUMNS", 11)
    cut = near_lists(table[:20], Table(table), pool, length=50)
    assert (whole.row_ids == cut.row_ids).all()
    assert (whole.products == cut.products).all()


def test_products_of_long_rows_are_exact():
    """The largest that a Q12 row may have: 2^24."""
    table = np.zeros((3, 16), dtype=np.int16)
    table[:, :] = 1024
    table[1, 0] = 1023
    lists = near_lists(table[:1], Table(table), np.arange(1, 3))
    assert lists.products.tolist() == [[1 << 24, (1 << 24) - 1024]]


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_rows_are_taken_in_the_order_asked_for(monkeypatch, chunk):
    monkeypatch.setattr(nearest, "CHUNK", chunk)
    table = np.arange(40).reshape(20, 2)
    wanted = np.array([7, 3, 19, 0, 3])
    assert (taken(lambda start, stop: table[start:stop], wanted) == table[wanted]).all()
    assert taken(lambda start, stop: table[start:stop], wanted[:0]).shape == (0, 2)


def test_lists_keep_within_their_bytes_where_there_are_many_queries():
    assert list_length(10, 10**6) == nearest.LONGEST
    assert list_length(10, 5) == 5
    assert 12 * 40_000 * list_length(40_000, 10**6) <= nearest.LIST_BYTES
