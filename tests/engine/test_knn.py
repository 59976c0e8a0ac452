from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import q12_reference as reference
from smartx import _core

LEVELS = _core.simd_levels()


def assert_nearest(rows: NDArray[np.int16], k: int, level: str, threads: int) -> None:
    items, similarities = _core.neighbours(rows, k, level, threads)
    wanted_items, wanted = reference.nearest(rows, k)
    assert np.array_equal(items, wanted_items)
    assert np.array_equal(similarities, wanted)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("threads", [1, 2, 8])
@pytest.mark.parametrize("k", [1, 5, 64])
def test_neighbours_are_those_of_a_stable_sort(level: str, threads: int, k: int) -> None:
    for n, d in [(2, 1), (60, 3), (333, 33), (1500, 16)]:
        assert_nearest(reference.random_rows(n, d, seed=n), k, level, threads)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("threads", [1, 2, 8])
def test_among_duplicates_the_lower_row_wins(level: str, threads: int) -> None:
    rng = np.random.default_rng(0)
    distinct = reference.random_rows(40, 24, seed=1)
    assert_nearest(distinct[rng.integers(0, 40, 1000)], 64, level, threads)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("threads", [1, 2, 8])
def test_many_blocks_of_duplicates_keep_the_tie_rule(level: str, threads: int) -> None:
    """Large d makes the blocks small, so that rows meet as columns, as rows and across threads."""
    rng = np.random.default_rng(1)
    distinct = reference.random_rows(9, 4096, seed=2)
    assert_nearest(distinct[rng.integers(0, 9, 700)], 30, level, threads)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("threads", [1, 2, 8])
@pytest.mark.parametrize(("k", "better"), [(16, 12), (64, 20), (64, 63)])
def test_ties_stay_when_some_better_rows_come_after_many_of_them(
    level: str, threads: int, k: int, better: int
) -> None:
    """Row 0 meets many equally near rows first, then fewer than k nearer ones: ties fill the rest.

    T0 vectors found this: a second trim of a list dropped all that equalled the k-th value.
    """
    near = np.zeros(4, dtype=np.int16)
    near[:2] = 4000, 100
    ties, nearer = np.tile(near, (6 * k + 200, 1)), np.tile(near, (better, 1))
    ties[:, 0] = 3000
    row0 = np.array([[4000, 0, 0, 0]], dtype=np.int16)
    assert_nearest(np.concatenate([row0, ties, nearer]), k, level, threads)


@pytest.mark.parametrize("level", LEVELS)
def test_equal_rows_list_the_lowest_others(level: str) -> None:
    rows = np.full((200, 5), 1000, dtype=np.int16)
    items, _ = _core.neighbours(rows, 3, level, 2)
    assert items[0].tolist() == [1, 2, 3]
    assert items[1].tolist() == [0, 2, 3]
    assert all(line == [0, 1, 2] for line in items[3:].tolist())


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("n", [1, 2, 3, 47, 48, 49, 97])
def test_k_of_n_or_more_lists_all_others(level: str, n: int) -> None:
    rows = reference.random_rows(n, 6, seed=n)
    for k in (n - 1, n, n + 7, 10_000):
        if k < 1:
            continue
        items, _ = _core.neighbours(rows, k, level, 2)
        assert items.shape == (n, n - 1)
        assert_nearest(rows, k, level, 2)


@pytest.mark.parametrize("level", LEVELS)
def test_extreme_rows_and_negative_similarities(level: str) -> None:
    for d in (1, 2, 30, 385):
        assert_nearest(reference.extreme_rows(150, d), 20, level, 2)
        assert_nearest(reference.extreme_rows(150, d), 149, level, 2)


@pytest.mark.parametrize("level", LEVELS)
def test_rows_in_ascending_similarity_are_the_worst_case_and_still_right(level: str) -> None:
    """Every later row is nearer, so every candidate passes the filter."""
    angle = np.linspace(0.0, 1.5, 1200)
    rows = np.trunc(4000 * np.stack([np.cos(angle), np.sin(angle)], axis=1)).astype(np.int16)
    for some in (rows, rows[::-1].copy()):
        assert_nearest(some, 16, level, 2)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_small_set_agrees_with_the_reference(data: st.DataObject) -> None:
    n, d = data.draw(st.integers(2, 120)), data.draw(st.integers(1, 5))
    values = st.integers(-3, 3)  # many ties, both signs
    flat = data.draw(st.lists(values, min_size=n * d, max_size=n * d))
    rows = np.array(flat, dtype=np.int16).reshape(n, d) * np.int16(500)
    k, threads = data.draw(st.integers(1, 130)), data.draw(st.sampled_from([1, 2, 5]))
    for level in LEVELS:
        assert_nearest(rows, k, level, threads)


@pytest.mark.corpus
def test_real_vectors_give_the_same_neighbours_at_every_level_and_thread_count(
    real_data: Path,
) -> None:
    vectors = np.load(real_data / "t0_minilm_q12.npy", mmap_mode="r")
    for part in (slice(None, None, 30), slice(6_500, 8_000)):  # spread; one task
        rows = np.ascontiguousarray(vectors[part])
        wanted_items, wanted = reference.nearest(rows, 64)
        for level in LEVELS:
            for threads in (1, 2):
                items, similarities = _core.neighbours(rows, 64, level, threads)
                assert np.array_equal(items, wanted_items)
                assert np.array_equal(similarities, wanted)
