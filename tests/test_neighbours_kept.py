"""bench/neighbours_kept.py against plain loops: what is kept of one encoder by another."""

import numpy as np
import pytest
from neighbours_kept import kept, neighbours_kept, pairs_in_groups, task_means

from smartx.embed.student.loss import random_pairs
from smartx.engine import quantize

GROUPS = np.repeat(np.arange(6), [30, 25, 40, 3, 60, 22])
TASKS = np.repeat(np.arange(5), [30, 25, 43, 60, 22])


@pytest.fixture(scope="module")
def teacher():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((6, 16))[GROUPS] + rng.standard_normal((len(GROUPS), 16))
    return quantize(rows.astype(np.float32))


def _blurred(rows, noise, seed=1):
    rng = np.random.default_rng(seed)
    moved = rows / 4096 + noise * rng.standard_normal(rows.shape)
    return quantize(moved.astype(np.float32))


def test_a_teacher_keeps_all_of_itself(teacher):
    found = kept(teacher, teacher, GROUPS, TASKS)
    assert all(value == pytest.approx(1) for value in found.values())


def test_the_more_noise_the_less_is_kept(teacher):
    near, far = (kept(teacher, _blurred(teacher, noise), GROUPS, TASKS) for noise in (0.05, 0.5))
    for name in ("cosine", "pairs", "pairs_in_groups", "gain_5", "gain_10", "neighbours"):
        assert 1 > near[name] > far[name]


def test_vectors_of_another_space_have_no_cosine_and_all_else(teacher):
    turn = np.linalg.qr(np.random.default_rng(2).standard_normal((24, 16)))[0]
    wider = quantize((teacher.astype(np.float32) / 4096) @ turn.T.astype(np.float32))
    found = kept(teacher, wider, GROUPS, TASKS)
    assert found.pop("cosine") is None
    assert wider.shape[1] == 24
    assert all(value > 0.97 for value in found.values())


def test_vectors_without_meaning_keep_no_more_than_chance(teacher):
    other = quantize(np.random.default_rng(3).standard_normal(teacher.shape).astype(np.float32))
    found = kept(teacher, other, GROUPS, TASKS)
    assert abs(found["pairs"]) < 0.05
    assert abs(found["gain_10"]) < 0.5
    assert found["neighbours"] < 0.15


def test_neighbours_are_those_of_every_pair(teacher):
    other = _blurred(teacher, 0.1)
    shares = []
    for row in range(len(teacher)):
        lists = []
        for rows in (teacher.astype(np.int64), other.astype(np.int64)):
            near = sorted((-int(rows[row] @ rows[i]), i) for i in range(len(rows)) if i != row)
            lists.append({i for _, i in near[:10]})
        shares.append(len(lists[0] & lists[1]) / 10)
    assert neighbours_kept(teacher, other) == pytest.approx(np.mean(shares))


def test_correlations_inside_groups_are_of_ranks_and_count_by_rows(teacher):
    other = _blurred(teacher, 0.1)
    total = weight = 0.0
    for group in range(6):
        own = np.flatnonzero(group == GROUPS)
        if len(own) < 20:
            continue
        pairs = random_pairs(len(own), group, 200)
        ranks = []
        for rows in (teacher, other):
            values = [int(rows[own[a]].astype(int) @ rows[own[b]].astype(int)) for a, b in pairs]
            ranks.append(
                [sum(x < v for x in values) + sum(x == v for x in values) / 2 for v in values]
            )
        total += len(own) * np.corrcoef(*ranks)[0, 1]
        weight += len(own)
    assert pairs_in_groups(teacher, other, GROUPS) == pytest.approx(total / weight)
    assert pairs_in_groups(teacher[:3], other[:3], GROUPS[:3]) is None


def test_the_means_of_tasks_are_the_directions_of_their_sums(teacher):
    found = task_means(teacher, TASKS)
    for task in range(5):
        total = teacher[task == TASKS].astype(np.float64).sum(axis=0)
        wanted = total / np.linalg.norm(total)
        assert found[task] / np.linalg.norm(found[task]) == pytest.approx(wanted, abs=1e-3)
