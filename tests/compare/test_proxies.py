"""Each proxy against its definition, written out plainly."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartx.compare.proxies import (
    BLOCK,
    coverage,
    macro_f1,
    overlap,
    probe,
    twins,
)
from smartx.engine import SCALE, quantize


def plain_twins(rows, tasks, templates, least):
    """The parts, a pair of rows at a time."""
    n = len(rows)
    kinds = {"anywhere": 0, "other_template": 0, "same_template": 0, "other_task": 0}
    for a in range(n):
        found = set()
        for b in range(n):
            cosine = int(rows[a].astype(int) @ rows[b].astype(int)) / SCALE**2
            if a == b or cosine < least:
                continue
            found.add("anywhere")
            if tasks[a] != tasks[b]:
                found.add("other_task")
            elif templates[a] != templates[b]:
                found.add("other_template")
            else:
                found.add("same_template")
        for kind in found:
            kinds[kind] += 1
    return {kind: count / n for kind, count in kinds.items()}


@pytest.mark.parametrize("seed", range(4))
def test_twins_are_those_of_all_pairs(seed):
    rng = np.random.default_rng(seed)
    rows = quantize(rng.normal(size=(40, 3)))
    templates = rng.integers(0, 8, size=40)
    tasks = templates // 3
    found = twins(rows, tasks, templates)
    assert vars(found) == plain_twins(rows, tasks, templates, 0.95)
    assert found.anywhere > 0


def test_twins_of_some_rows_are_looked_for_among_all():
    rows = quantize(np.eye(5)[[0, 0, 1, 2, 3]])
    tasks = templates = np.zeros(5, dtype=int)
    assert twins(rows, tasks, templates, looked_at=np.array([1, 4])).anywhere == 0.5


def test_blocks_of_rows_do_not_hide_a_twin():
    rng = np.random.default_rng(0)
    rows = quantize(rng.normal(size=(BLOCK + 5, 24)))
    rows[BLOCK + 4] = rows[3]
    task = np.arange(len(rows))
    found = twins(rows, task, task)
    assert found.other_task == found.anywhere == 2 / len(rows)


def test_a_row_alone_has_no_twin():
    one = quantize(np.eye(3)[:1])
    zero = np.zeros(1, dtype=int)
    assert twins(one, zero, zero).anywhere == 0


@given(st.lists(st.sets(st.integers(0, 9)), min_size=1, max_size=5), st.randoms())
def test_overlap_is_the_shared_part_of_either(sets, random):
    choices = []
    for one in sets:
        rows = list(one)
        random.shuffle(rows)
        choices.append(np.array(rows, dtype=np.int64))
    found = overlap(choices)
    for a, one in enumerate(sets):
        for b, other in enumerate(sets):
            wanted = len(one & other) / len(one | other) if one | other else 1.0
            assert found[a, b] == wanted


def test_coverage_is_mean_and_tenth_percentile_of_cosines():
    products = np.array([round(SCALE**2 * part / 10) for part in range(10, -1, -1)])
    found = coverage(products.astype(np.int32))
    assert math.isclose(found.mean, 0.5, abs_tol=1e-7)
    assert math.isclose(found.p10, 0.1, abs_tol=1e-7)


def test_macro_f1_by_hand():
    true = np.array([0, 0, 0, 1])
    said = np.array([0, 0, 2, 0])
    assert macro_f1(said, true) == pytest.approx((2 * 2 / (3 + 3) + 0) / 2)


def plain_probe(rows, tasks, held, ridge):
    """Ridge regression as a least-squares problem with rows for the penalty, in float64."""
    one = round(SCALE) / SCALE
    left = np.c_[rows / SCALE, np.full(len(rows), one)]
    names = sorted(set(tasks.tolist()))
    aims = np.array([[float(task == name) for name in names] for task in tasks.tolist()])
    d = left.shape[1]
    stacked = np.r_[left, math.sqrt(ridge) * np.eye(d)]
    weights = np.linalg.lstsq(stacked, np.r_[aims, np.zeros((d, len(names)))], rcond=None)[0]
    scores = np.c_[held / SCALE, np.full(len(held), one)] @ weights
    return np.array(names)[scores.argmax(axis=1)]


def test_the_probe_is_ridge_regression_to_the_task():
    rng = np.random.default_rng(3)
    centres = rng.normal(size=(4, 6))
    tasks, held_tasks = rng.integers(0, 4, size=60) * 5, rng.integers(0, 4, size=50) * 5
    rows = quantize(centres[tasks // 5] + rng.normal(size=(60, 6)))
    held = quantize(centres[held_tasks // 5] + rng.normal(size=(50, 6)))
    found = probe(rows, tasks, held, held_tasks)
    assert found == macro_f1(plain_probe(rows, tasks, held, 1.0), held_tasks)
    assert 0.4 < found < 1


def test_the_probe_knows_no_task_that_nothing_was_chosen_of():
    rows = quantize(np.eye(4))
    assert probe(rows, np.array([0, 0, 1, 1]), rows, np.array([2, 2, 2, 2])) == 0
    assert probe(rows, np.zeros(4, int), rows[:0], np.zeros(0, int)) is None
