"""Rankers that look at losses: S2L by trajectories, LoBaSS by two columns; and the clusters."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, homogeneity_score
from threadpoolctl import threadpool_info, threadpool_limits

import smartx
from smartx.draws import CLUSTER_ROWS, CLUSTER_STARTS, draws_at
from smartx.errors import ConfigError, InputError, MissingPackageError
from smartx.rankers import clusters, pool_of, s2l
from smartx.rankers.clusters import clusters_of
from smartx.rankers.learnability import LobassRanker
from smartx.rankers.s2l import S2lRanker, by_quota
from smartx.strategies import RANKERS

THEIRS = json.loads((Path(__file__).parent / "conformance" / "s2l.json").read_text())


def relabelled(labels):
    """Numbered in the order in which they appear."""
    names = {}
    return [names.setdefault(label, len(names)) for label in labels]


# ---- clusters ----


def plain_clusters(rows, count, row_ids, seed, iterations):
    """Lloyd's K-means from the rows with the lowest draws; on rows where no cluster runs empty."""
    keys = draws_at(seed, CLUSTER_STARTS, row_ids)
    centres = rows[np.sort(np.argsort(keys, kind="stable")[:count])]
    for _ in range(iterations):
        labels = ((rows[:, None] - centres[None]) ** 2).sum(axis=2).argmin(axis=1)
        centres = np.stack([rows[labels == label].mean(axis=0) for label in range(count)])
    return ((rows[:, None] - centres[None]) ** 2).sum(axis=2).argmin(axis=1)


@pytest.mark.parametrize("seed", range(4))
def test_clusters_are_those_of_plain_k_means(seed):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(5, 3))[rng.integers(0, 5, 80)] * 4 + rng.normal(size=(80, 3))
    row_ids = np.arange(1000, 1080)
    found = clusters_of(rows, 6, row_ids, seed=seed, iterations=50)
    assert relabelled(found) == relabelled(plain_clusters(rows, 6, row_ids, seed, 50).tolist())


def test_threads_change_no_cluster(monkeypatch):
    """Sums of several threads differ in the last bits, which rarely shows: one must do them all."""
    rng = np.random.default_rng(9)
    rows = rng.normal(size=(3000, 16)).astype(np.float32)
    found, used, fit = [], set(), KMeans.fit

    def watched(self, X):
        used.update(library["num_threads"] for library in threadpool_info())
        return fit(self, X)

    monkeypatch.setattr(KMeans, "fit", watched)
    for threads in (1, 2, 4):
        with threadpool_limits(threads):
            found.append(clusters_of(rows, 40, np.arange(3000), seed=1).tolist())
    assert found[0] == found[1] == found[2]
    assert used == {1}


def test_equal_rows_are_in_one_cluster_and_numbers_have_no_gaps():
    rows = np.repeat(np.eye(3), 5, axis=0)
    found = clusters_of(rows, 10, np.arange(15), seed=0)
    assert relabelled(found) == np.repeat([0, 1, 2], 5).tolist()
    assert set(found.tolist()) == {0, 1, 2}
    assert clusters_of(rows[:1], 10, np.arange(1), seed=0).tolist() == [0]
    assert clusters_of(rows[:0], 10, np.arange(0), seed=0).tolist() == []


def test_rows_that_are_not_finite_are_named_and_a_missing_package_says_what_to_install(
    monkeypatch,
):
    rows = np.zeros((4, 2))
    rows[2, 1] = np.inf
    with pytest.raises(InputError, match="row 12 is not finite"):
        clusters_of(rows, 2, np.arange(10, 14), seed=0)
    monkeypatch.setitem(__import__("sys").modules, "sklearn.cluster", None)
    with pytest.raises(MissingPackageError, match="scikit-learn"):
        clusters._fitted(np.zeros((4, 2)), np.zeros((2, 2)), 3)


# ---- S2L ----


def published_quotas(sizes, budget):
    """Clusters from small to large, as schedules/s2l.py of S2L counts; sizes above 2, ascending."""
    quotas = []
    for place, size in enumerate(sizes):
        quota = min(size, budget // (len(sizes) - place))
        quotas.append(quota)
        budget -= quota
    return quotas


def test_every_prefix_has_as_many_rows_of_each_cluster_as_the_published_code_drew():
    labels = np.array(THEIRS["labels"])
    for seed in range(3):
        order = by_quota(labels, draws_at(seed, CLUSTER_ROWS, np.arange(len(labels))))
        large = np.bincount(labels) > 2
        for budget, counts in enumerate(THEIRS["rows_of_each_label_by_budget"], start=1):
            got = np.bincount(labels[order[:budget]], minlength=6)
            assert got[large].tolist() == np.array(counts)[large].tolist()
            assert got[~large].sum() == np.array(counts)[~large].sum()


def test_the_trajectories_of_the_published_run_have_its_clusters():
    """From this start; from another, as theirs, it may split one cluster and join two."""
    losses = np.array(THEIRS["losses"])
    found = clusters_of(losses, 6, np.arange(len(losses)), seed=33)
    assert relabelled(found.tolist()) == relabelled(THEIRS["labels"])


@given(st.lists(st.integers(1, 9), min_size=1, max_size=7), st.integers(0, 99))
def test_every_prefix_has_the_published_quotas(sizes, seed):
    labels = np.repeat(np.arange(len(sizes)), sizes).astype(np.int32)
    labels = np.random.default_rng(seed).permutation(labels)
    order = by_quota(labels, draws_at(seed, CLUSTER_ROWS, np.arange(len(labels))))
    assert sorted(order.tolist()) == list(range(len(labels)))
    ascending = [c for c in np.argsort(sizes, kind="stable").tolist() if sizes[c] > 2]
    room = sum(sizes[c] for c in ascending)
    for budget in range(len(labels) + 1):
        got = np.bincount(labels[order[:budget]], minlength=len(sizes))
        plain = published_quotas([sizes[c] for c in ascending], min(budget, room))
        assert got[ascending].tolist() == plain


def test_rows_of_a_cluster_and_those_of_tiny_ones_are_drawn_uniformly():
    labels = np.array([0, 0, 0, 0, 1, 2, 2], dtype=np.int32)
    first = np.zeros(7)
    fifth = np.zeros(7)
    for seed in range(3000):
        order = by_quota(labels, draws_at(seed, CLUSTER_ROWS, np.arange(7)))
        first[order[0]] += 1
        fifth[order[4]] += 1
    np.testing.assert_allclose(first / 3000, [0.25] * 4 + [0] * 3, atol=0.035)
    np.testing.assert_allclose(fifth / 3000, [0] * 4 + [1 / 3] * 3, atol=0.035)


def test_s2l_ranks_units_by_themselves_and_takes_nan_for_0():
    rng = np.random.default_rng(3)
    losses = rng.gamma(2.0, size=(90, 5)).astype(np.float32)
    losses[4, 2] = np.nan
    ranker = RANKERS.made("s2l:clusters=7,seed=3")
    assert ranker == S2lRanker(clusters=7, seed=3)
    pool = pool_of(np.array([1, 60, 0, 29]), {"losses": losses})
    order, gains = ranker.rank(pool, threads=2)
    assert not gains.any()
    for part in pool.parts():
        assert sorted(order[part].tolist()) == list(range(part.stop - part.start))
        size = np.array([part.stop - part.start])
        alone = pool_of(size, {"losses": losses[part]}, first_row=part.start)
        assert ranker.rank(alone, threads=1)[0].tolist() == order[part].tolist()
    zero = pool_of(pool.sizes, {"losses": np.nan_to_num(losses)})
    assert ranker.rank(zero, threads=1)[0].tolist() == order.tolist()
    other = S2lRanker(clusters=7, seed=4).rank(pool, threads=1)[0]
    assert other.tolist() != order.tolist()


def planted(seed):
    """Trajectories of five kinds of rows, of unequal sizes: learned at once, slowly, never, known
    before, and forgotten. (n,) kind, (n, 12) float32 losses.
    """
    rng, t = np.random.default_rng(seed), np.linspace(0, 1, 12)
    shapes = np.stack(
        [3 * np.exp(-6 * t), 3 * np.exp(-1.5 * t), np.full(12, 2.6), np.full(12, 0.4), 1 + 1.2 * t]
    )
    kinds = rng.permutation(np.repeat(np.arange(5), (400, 250, 150, 120, 80)))
    level, noise = rng.normal(0, 0.08, (1000, 1)), rng.normal(0, 0.12, (1000, 12))
    return kinds, np.maximum(shapes[kinds] + level + noise, 0).astype(np.float32)


@pytest.mark.parametrize("seed", range(8))
def test_s2l_recovers_planted_clusters_of_trajectories(seed, monkeypatch):
    """As many clusters as kinds, from spread starts: all of them; more from random rows, as
    published: none that mixes kinds. From the first, every kind gets the published quota.
    """
    kinds, losses = planted(seed)
    made = []

    def kept(rows, count, row_ids, **more):
        made.append(clusters_of(rows, count, row_ids, **more))
        return made[-1]

    monkeypatch.setattr(s2l, "clusters_of", kept)
    pool = pool_of(np.array([1000]), {"losses": losses})
    order, _ = S2lRanker(clusters=5, starts="spread", seed=seed).rank(pool, threads=1)
    S2lRanker(clusters=20, seed=seed).rank(pool, threads=1)
    assert adjusted_rand_score(kinds, made[0]) > 0.99
    assert homogeneity_score(kinds, made[1]) > 0.99
    sizes = np.bincount(made[0])
    ascending = np.argsort(sizes, kind="stable")
    for budget in (25, 300, 700, 1000):
        got = np.bincount(made[0][order[:budget]], minlength=5)
        assert got[ascending].tolist() == published_quotas(sizes[ascending].tolist(), budget)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=8), st.data())
def test_the_law_equal_gives_tasks_what_the_published_rule_gives_sources(sizes, data):
    """But for which of equal tasks gets the row that does not divide."""
    budget = data.draw(st.integers(1, sum(sizes)))
    tasks = np.repeat(np.arange(len(sizes)), sizes)
    mixture = smartx.select(tasks=tasks, budget=budget, weights="equal", ranker="random")
    found = np.bincount(tasks[mixture.indices], minlength=len(sizes))
    ascending = np.argsort(sizes, kind="stable")
    published = np.empty(len(sizes), dtype=np.int64)
    published[ascending] = published_quotas(np.array(sizes)[ascending].tolist(), budget)
    assert found.sum() == published.sum() == budget
    assert np.abs(found - published).max() <= 1


def test_spread_starts_are_for_any_number_of_rows():
    ranker = S2lRanker(clusters=9, starts="spread")
    for rows in (1, 2, 5, 30):
        losses = np.repeat(np.eye(5), 6, axis=0)[:rows].astype(np.float32)
        order, _ = ranker.rank(pool_of(np.array([rows]), {"losses": losses}), threads=1)
        assert sorted(order.tolist()) == list(range(rows))


# ---- LoBaSS ----


def test_lobass_is_the_part_of_its_loss_that_a_row_loses():
    before = np.array([2.0, 1.0, 4.0, 0.0, np.nan, 3.0, 2.0, 8.0])
    after = np.array([1.0, 0.9, 1.0, 0.5, 1.0, np.nan, 1.0, 9.0])
    pool = pool_of(np.array([8]), {"loss_before": before, "loss_after": after})
    order, gains = LobassRanker().rank(pool, threads=1)
    assert order.tolist() == [2, 0, 6, 1, 7, 3, 4, 5]
    np.testing.assert_allclose(gains, [0.75, 0.5, 0.5, 0.1, -0.125, 0, 0, 0], atol=1e-15)
    order, _ = LobassRanker(normalised=False).rank(pool, threads=1)
    assert order.tolist() == [2, 0, 6, 1, 7, 3, 4, 5]
    order, _ = LobassRanker(least=1.0, most=8).rank(pool, threads=1)
    assert order.tolist() == [2, 0, 6, 1, 7, 3, 4, 5]
    order, gains = LobassRanker(most=2.0).rank(pool, threads=1)
    assert order.tolist() == [0, 6, 1, 2, 7, 3, 4, 5]
    assert gains[3] == 0.75


def test_lobass_by_units_names_its_columns_and_checks_its_bounds():
    values = np.array([1.0, 2.0, 3.0, 4.0])
    ranker = RANKERS.made("lobass:before=a,after=b,per=template")
    pool = pool_of(np.array([2, 2]), {"a": values + 1, "b": values[::-1].copy()})
    assert [need.key for need in ranker.needs] == ["a", "b"]
    assert ranker.rank(pool, threads=1)[0].tolist() == [1, 0, 1, 0]
    with pytest.raises(ConfigError, match="above `most`"):
        RANKERS.made("lobass:least=3,most=2")
