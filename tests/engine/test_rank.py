"""Orders of many groups at once, and of tasks by their means."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import reference
import smartx
from smartx.engine import (
    DenseKernel,
    FacilityLocation,
    GraphCut,
    LogDet,
    maximize,
    quantize,
    rank_groups,
    task_gains,
)

FUNCTIONS = [FacilityLocation(), GraphCut(0.4), LogDet(1.0)]
SIZES = np.array([1, 0, 2, 40, 1, 7, 0, 29, 2], dtype=np.int64)


def some_rows(n: int, d: int = 10, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, d))
    rows[rng.integers(n, size=n // 3)] = rows[0]
    return quantize(rows)


ROWS = some_rows(int(SIZES.sum()))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_group_is_ordered_as_if_it_were_alone(function: Any) -> None:
    order, gains = rank_groups(ROWS, SIZES, function)
    assert (order.dtype, gains.dtype) == (np.int32, np.float64)
    start = 0
    for size in SIZES.tolist():
        if size:
            alone = maximize(function, ROWS[start : start + size], size, optimizer="naive")
            assert order[start : start + size].tolist() == alone.items.tolist()
            assert gains[start : start + size].tobytes() == alone.gains.tobytes()
        start += size


@pytest.mark.parametrize("function", FUNCTIONS)
def test_threads_change_no_byte(function: Any) -> None:
    expected = [array.tobytes() for array in rank_groups(ROWS, SIZES, function, threads=1)]
    for threads in (2, 8):
        orders = rank_groups(ROWS, SIZES, function, threads=threads)
        assert [array.tobytes() for array in orders] == expected


def test_a_large_group_beside_small_ones_changes_no_byte() -> None:
    """One group that outweighs all others has all threads."""
    sizes = np.array([3, 4200, 50, 1])
    rows = some_rows(int(sizes.sum()), d=4)
    one = rank_groups(rows, sizes, FacilityLocation(), threads=1)
    two = rank_groups(rows, sizes, FacilityLocation(), threads=2)
    assert [array.tobytes() for array in one] == [array.tobytes() for array in two]
    assert sorted(one[0][3:4203].tolist()) == list(range(4200))


def test_a_group_whose_kernel_does_not_fit_is_ordered_over_its_graph() -> None:
    limit = 32 * 32 * 2  # of 32 rows
    order, gains = rank_groups(ROWS, SIZES, FacilityLocation(), memory_bytes=limit)
    dense, _ = rank_groups(ROWS, SIZES, FacilityLocation())
    start, stop = 3, 43
    large = maximize(FacilityLocation(), ROWS[start:stop], 40, memory_bytes=limit)
    assert large.engine == "graph+dense-head"
    assert order[start:stop].tolist() == large.items.tolist()
    assert gains[start:stop].tobytes() == large.gains.tobytes()
    outside = np.r_[0:start, stop : len(ROWS)]
    assert order[outside].tolist() == dense[outside].tolist()


def test_whole_numbers_of_another_scale_are_no_rows() -> None:
    with pytest.raises(smartx.SmartxError, match="another scale"):
        rank_groups((ROWS // 32).astype(np.int16), SIZES, FacilityLocation())


def test_no_rows_give_no_order() -> None:
    order, gains = rank_groups(ROWS[:0], np.array([0, 0]), FacilityLocation())
    assert len(order) == len(gains) == 0
    order, gains = rank_groups(ROWS[:0], np.zeros(0, np.int64), FacilityLocation())
    assert len(order) == len(gains) == 0


@pytest.mark.parametrize(
    ("rows", "sizes", "words"),
    [
        (ROWS, SIZES[:-1], ["sizes", "80", "82"]),
        (ROWS, np.array([83, -1]), ["sizes", "group 1", "negative"]),
        (ROWS, SIZES.astype(float), ["sizes", "float64"]),
        (ROWS, SIZES[None], ["sizes", "(1, 9)"]),
        (np.zeros_like(ROWS), SIZES, ["rows", "zero length"]),
        (np.full_like(ROWS, 4000), SIZES, ["rows", "Q12"]),
    ],
)
def test_rows_and_sizes_that_do_not_fit_are_refused(
    rows: Any, sizes: Any, words: list[str]
) -> None:
    with pytest.raises(smartx.SmartxError) as caught:
        rank_groups(rows, sizes, FacilityLocation())
    assert all(word in str(caught.value) for word in words), caught.value


# ---- tasks ----


@pytest.mark.parametrize(
    ("function", "f"),
    [
        (FacilityLocation(), reference.facility_location),
        (GraphCut(0.4), reference.graph_cut(0.4)),
        (LogDet(1.0), reference.log_det(1.0)),
    ],
)
def test_tasks_are_ordered_by_greedy_over_the_cosines_of_their_means(
    function: Any, f: reference.SetFunction
) -> None:
    means = np.random.default_rng(2).normal(size=(9, 33)) + 0.4
    selection = task_gains(means, function)
    unit = means / np.linalg.norm(means, axis=1, keepdims=True)
    kernel = (unit @ unit.T).tolist()
    chosen: list[int] = []
    for item, gain in zip(selection.items.tolist(), selection.gains.tolist(), strict=True):
        gains = {v: reference.gain(f, kernel, chosen, v) for v in range(9) if v not in chosen}
        assert gain == pytest.approx(gains[item], abs=1e-9)
        assert gain >= max(gains.values()) - 1e-9
        chosen.append(item)
    assert sorted(chosen) == list(range(9))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_more_tasks_than_all_pairs_have_room_for_are_ordered_as_well(
    function: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rounding of the means changes gains in the fourth place, and hence near ties alone."""
    means = np.random.default_rng(2).normal(size=(120, 33)) + 0.4
    expected = task_gains(means, function)
    monkeypatch.setattr("smartx.engine.rank.DENSE_TASKS", 119)
    selection = task_gains(means, function)
    assert sorted(selection.items.tolist()) == list(range(120))
    assert selection.gains == pytest.approx(expected.gains, abs=0.05)
    assert selection.gains.sum() == pytest.approx(expected.gains.sum(), rel=1e-3)
    again = task_gains(means * 8.0, function, threads=2)
    assert again.items.tobytes() == selection.items.tobytes()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_lengths_of_means_and_threads_do_not_matter(function: Any) -> None:
    means = np.random.default_rng(2).normal(size=(40, 16))
    expected = task_gains(means, function, threads=1)
    for other in (means * 2.0**300, means * 2.0**-300, np.asfortranarray(means)):
        selection = task_gains(other, function, threads=2)
        assert selection.items.tobytes() == expected.items.tobytes()
        assert selection.gains.tobytes() == expected.gains.tobytes()


def test_a_task_is_as_near_to_its_copy_as_to_itself() -> None:
    """The diagonal is computed like every other entry, so equal tasks tie exactly."""
    means = np.random.default_rng(2).normal(size=(5, 16))
    means[4] = means[1]
    selection = task_gains(means, FacilityLocation())
    assert selection.items.tolist().index(1) < selection.items.tolist().index(4)
    assert selection.gains[selection.items.tolist().index(4)] == 0.0


@pytest.mark.parametrize(
    ("row", "value", "words"),
    [(3, 0.0, ["task 3", "zero length"]), (2, np.nan, ["task 2", "not finite"])],
)
def test_a_mean_without_direction_is_refused_by_its_task(
    row: int, value: float, words: list[str]
) -> None:
    means = np.ones((5, 4))
    means[row] = value
    with pytest.raises(smartx.SmartxError) as caught:
        task_gains(means, GraphCut())
    assert all(word in str(caught.value) for word in words), caught.value
    for wrong in (means[0], means[:0], means.astype(np.float32)):
        with pytest.raises(smartx.SmartxError, match="means"):
            task_gains(wrong, GraphCut())


def test_one_task_has_its_gain() -> None:
    assert task_gains(np.ones((1, 4)), FacilityLocation()).gains.tolist() == pytest.approx([1.0])
    assert DenseKernel(np.ones((1, 1))).is_symmetric()
