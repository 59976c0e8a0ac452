"""Random choices: of the right sizes, of every row alike, the same again."""

from __future__ import annotations

import numpy as np

from smartx.compare.controls import chance, interval, means_by, orders_in_tasks, random_rows

POOL = np.arange(100, 160)


def test_a_draw_is_so_many_rows_of_the_pool_and_the_same_again():
    first = random_rows(POOL, 20, 0, seed=3)
    assert len(set(first.tolist())) == 20
    assert set(first.tolist()) <= set(POOL.tolist())
    assert (np.diff(first) > 0).all()
    assert (first == random_rows(POOL, 20, 0, seed=3)).all()
    assert (first != random_rows(POOL, 20, 1, seed=3)).any()
    assert set(first.tolist()) <= set(random_rows(POOL, 30, 0, seed=3).tolist())


def test_every_row_is_drawn_about_as_often():
    often = sum(np.isin(POOL, random_rows(POOL, 15, draw, seed=1)) for draw in range(400))
    assert often.sum() == 400 * 15
    assert (abs(often - 100) < 4.5 * np.sqrt(400 * 0.25 * 0.75)).all()


def test_places_are_an_order_inside_each_task():
    task = np.repeat([0, 2, 5], [10, 20, 30])
    places = orders_in_tasks(POOL, task, 7, seed=2)
    for name in (0, 2, 5):
        assert sorted(places[task == name].tolist()) == list(range((task == name).sum()))
    assert (places[task == 5] != np.arange(30)).any()


def test_chance_is_mean_and_deviation_and_tells_where_a_value_stands():
    found = chance(np.array([1.0, 2.0, 3.0]))
    assert (found.mean, found.deviation, found.z(4.0)) == (2.0, 1.0, 2.0)
    assert chance(np.array([1.0, 1.0])).z(1.0) is None


def test_the_interval_is_of_families_and_widens_where_they_are_fewer():
    rng = np.random.default_rng(0)
    deltas = np.repeat(rng.normal(size=10), 4)
    alone = interval(deltas, np.arange(40), seed=0)
    together = interval(deltas, np.repeat(np.arange(10), 4), seed=0)
    assert together[1] - together[0] > 1.5 * (alone[1] - alone[0])
    assert together[0] < deltas.mean() < together[1]
    assert interval(deltas, np.repeat(np.arange(4), 10), seed=0) is None


def test_the_interval_covers_the_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for seed in range(100):
        low, high = interval(rng.normal(1.0, 2.0, size=40), np.arange(40), seed=seed)
        hits += low <= 1.0 <= high
    assert 85 <= hits <= 100


def test_means_are_those_of_equal_keys():
    found = dict(means_by(np.array([1.0, 2.0, 5.0]), np.array([7, 3, 7])))
    assert found == {3: 2.0, 7: 3.0}
