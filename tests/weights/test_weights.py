"""The contract of every weight law, and what is particular to each."""

from __future__ import annotations

import json

import numpy as np
import pytest

from small import flan_like, vectors_for
from smartx.budget import allot
from smartx.draws import ROW_ORDER, draws
from smartx.engine import FacilityLocation, task_gains
from smartx.errors import BudgetError, ConfigError, InputError
from smartx.means import task_means
from smartx.options import described
from smartx.rankers import RandomRanker, pool_of
from smartx.strategies import LAWS
from smartx.weights import (
    Equal,
    Ground,
    Proportional,
    RandomRows,
    RandomTasks,
    TaylorSoftmax,
    group_ground,
    task_ground,
)

WITH_PARAMETERS = ("given", "cali-budget", "mixmin")  # that they cannot do without
LAW_CASES = {
    **{name: LAWS.made(name) for name in LAWS.ours if name not in WITH_PARAMETERS},
    **{
        form: LAWS.made(form)
        for form in (
            "given:parts.*=1",
            "given:parts.t/qa=1,parts.*=2,caps.boolq=9",
            "proportional:cap=5",
            "power:exponent=0,cap=3",
            "scale-free:effective=2.5,function=facility-location",
            "scale-free:curve=taylor,kernel=centred,num_tasks=3",
            "coverage-mass:num_tasks=3,of=rows",
            "taylor-softmax:kernel=exact,function=scaled-graph-cut,num_tasks=3",
            "taylor-softmax:kernel=whitened",
            "cali-budget:need=loss",
            "cali-budget:need=loss,floor=4,exponent=0",
            "mixmin:log_probs=probs",
            "mixmin:log_probs=probs,lengths=lengths,steps=9,columns=boolq+anli+qa+cot",
        )
    },
    "taylor-softmax, 3 random tasks": TaylorSoftmax(RandomTasks(), num_tasks=3),
    "taylor-softmax, facility location": TaylorSoftmax(FacilityLocation()),
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return flan_like(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def means(corpus):
    return task_means(vectors_for(corpus), corpus.groups.tasks())


def features_for(law, corpus):
    """Something for all that a law needs: scores of rows, some of them without, and tables."""
    rng, found = np.random.default_rng(1), {}
    widths = {"probs": len(corpus.groups.tasks()), "lengths": 1}
    for need in law.needs:
        if need.kind == "column":
            found[need.key] = rng.gamma(2.0, size=corpus.num_rows)
            found[need.key][3] = np.nan
        else:
            found[need.key] = rng.gamma(2.0, size=(9, widths[need.name])).astype(np.float32)
    return found


def ranked_of(corpus):
    """The groups of all rows in some order, as a ranking of the whole corpus gives it."""
    rows = np.random.default_rng(8).permutation(corpus.num_rows)
    return corpus.groups.of_rows(rows)


@pytest.mark.parametrize("law", LAW_CASES.values(), ids=LAW_CASES)
class TestEveryLaw:
    def ground(self, law, corpus, means, seed=3):
        if law.unit == "group":
            return group_ground(corpus.groups, seed=seed, ranked=ranked_of(corpus))
        means = means if law.needs_means else None
        return task_ground(
            corpus.groups, means=means, seed=seed, features=features_for(law, corpus)
        )

    def test_shares_name_units_once_with_weights_above_zero(self, law, corpus, means):
        ground = self.ground(law, corpus, means)
        shares = law.shares(ground, 20)
        assert len(shares.order) == len(shares.weights) == len(set(shares.order.tolist()))
        assert set(shares.order.tolist()) <= set(range(len(ground.names)))
        assert (shares.weights > 0).all()
        assert np.isfinite(shares.weights).all()

    def test_the_same_seed_gives_the_same_shares(self, law, corpus, means):
        ground = self.ground(law, corpus, means)
        first, again = law.shares(ground, 20), law.shares(ground, 20)
        assert first.order.tolist() == again.order.tolist()
        assert first.weights.tobytes() == again.weights.tobytes()

    def test_parameters_can_be_written_and_tell_the_law_apart(self, law, corpus, means):
        written = json.dumps({"name": law.name, **law.parameters()}, allow_nan=False)
        others = [other for other in LAW_CASES.values() if other != law]
        assert written not in [json.dumps({"name": o.name, **o.parameters()}) for o in others]

    def test_it_is_registered_under_its_name(self, law, corpus, means):
        assert LAWS.find(law.name) is type(law)

    @pytest.mark.parametrize("total", [0, 1, 7, 20, 29])
    def test_budgets_sum_and_fit(self, law, corpus, means, total):
        features = features_for(law, corpus)
        known = {"means": means, "features": features, "ranked": ranked_of(corpus)}
        given = allot(corpus.groups, law, total=total, seed=5, **known)
        tasks = corpus.groups.tasks()
        assert given.groups.sum() == given.tasks.sum() == total
        assert (given.groups >= 0).all()
        assert (given.groups <= corpus.groups.rows).all()
        by_task = [
            given.groups[a:b].sum()
            for a, b in zip(tasks.first_group[:-1], tasks.first_group[1:], strict=True)
        ]
        assert given.tasks.tolist() == by_task
        assert given.asked.sum() == total
        if total:
            assert given.weights.sum() == pytest.approx(1)

    def test_more_rows_than_the_corpus_holds_is_an_error(self, law, corpus, means):
        features = features_for(law, corpus)
        with pytest.raises(BudgetError) as caught:
            allot(corpus.groups, law, means=means, total=62, seed=5, features=features)
        assert (caught.value.asked, caught.value.available) == (62, 61)


def test_examples_proportional_mixing_gives_each_task_its_share_of_the_corpus(corpus):
    given = allot(corpus.groups, Proportional(), means=None, total=30, seed=0)
    exact = 30 * corpus.groups.tasks().rows / corpus.num_rows
    assert (np.abs(given.tasks - exact) < 1).all()


def test_equal_mixing_fills_small_tasks_and_shares_the_rest_equally(corpus):
    given = allot(corpus.groups, Equal(), means=None, total=40, seed=0)
    by_name = dict(zip(corpus.groups.tasks().task, given.tasks.tolist(), strict=True))
    assert by_name == {"anli": 14, "boolq": 13, "cot": 1, "qa": 12}


@pytest.mark.parametrize("total", [0, 1, 30, 60, 61])
def test_random_rows_counts_the_lowest_draws_of_all_rows(corpus, total):
    given = allot(corpus.groups, RandomRows(), means=None, total=total, seed=11)
    sample = np.argsort(draws(11, ROW_ORDER, 0, corpus.num_rows), kind="stable")[:total]
    group = np.repeat(np.arange(len(corpus.groups)), corpus.groups.rows)
    assert (
        given.groups.tolist() == np.bincount(group[sample], minlength=len(corpus.groups)).tolist()
    )


@pytest.mark.parametrize("total", range(9))
def test_equal_draws_go_to_the_lower_row_in_law_and_ranker_alike(monkeypatch, total):
    keys = np.array([5, 3, 3, 9, 3, 5, 3, 3], dtype=np.uint64)
    for name in ("weights.random_rows.draws", "rankers.random.draws_at"):
        monkeypatch.setattr(f"smartx.{name}", lambda *where: keys)
    sizes = np.array([3, 4, 1])
    starts = np.cumsum(sizes) - sizes
    shares = RandomRows().shares(Ground([("a",), ("b",), ("c",)], starts, sizes, None, 0), total)
    counts = dict(zip(shares.order.tolist(), shares.weights.astype(int).tolist(), strict=True))
    order, _ = RandomRanker().rank(pool_of(sizes), threads=1)
    chosen = [
        int(row)
        for group, start in enumerate(starts)
        for row in start + order[start : start + counts.get(group, 0)]
    ]
    assert sorted(chosen) == sorted(np.argsort(keys, kind="stable")[:total].tolist())


def test_taylor_softmax_takes_the_first_tasks_of_the_greedy_order_over_all(corpus, means):
    ground = task_ground(corpus.groups, means=means, seed=0)
    chosen = task_gains(means, TaylorSoftmax().function)
    shares = TaylorSoftmax(num_tasks=2).shares(ground, 10)
    assert shares.order.tolist() == chosen.items[:2].tolist()
    raw = 1 + chosen.gains[:2] + chosen.gains[:2] ** 2 / 2
    np.testing.assert_allclose(shares.weights, raw / raw.sum(), rtol=1e-15)


def test_random_tasks_share_equally_and_change_with_the_seed(corpus):
    law = TaylorSoftmax(RandomTasks(), num_tasks=3)
    orders = set()
    for seed in range(20):
        shares = law.shares(task_ground(corpus.groups, seed=seed), 10)
        assert len(set(shares.weights.tolist())) == 1
        orders.add(tuple(shares.order.tolist()))
    assert len(orders) > 5


def test_chosen_tasks_that_hold_too_little_are_an_error_that_says_by_how_much(corpus):
    law = TaylorSoftmax(RandomTasks(), num_tasks=1)
    with pytest.raises(
        BudgetError, match=r"the 1 chosen tasks hold .* fewer than the 60"
    ) as caught:
        allot(corpus.groups, law, means=None, total=60, seed=1)
    assert "let `weights` choose more tasks" in caught.value.fix


@pytest.mark.parametrize(
    "options", [{"num_tasks": 0}, {"temperature": 0.0}, {"temperature": float("nan")}]
)
def test_unusable_options_are_an_error_before_any_work(options):
    with pytest.raises(ConfigError) as caught:
        TaylorSoftmax(**options)
    assert caught.value.place == next(iter(options))


def test_more_tasks_than_there_are_is_an_error_with_both_numbers(corpus, means):
    with pytest.raises(ConfigError, match="5 tasks are asked for and the corpus has 4"):
        allot(corpus.groups, TaylorSoftmax(num_tasks=5), means=means, total=3, seed=0)


def test_missing_means_are_an_error(corpus):
    with pytest.raises(InputError, match="mean vector"):
        allot(corpus.groups, TaylorSoftmax(), means=None, total=3, seed=0)


def test_task_means_are_the_exact_means_of_the_stored_rows(corpus, monkeypatch):
    monkeypatch.setattr("smartx.means.CHUNK", 5)  # several chunks a task
    vectors, tasks = vectors_for(corpus), corpus.groups.tasks()
    found = task_means(vectors, tasks)
    for place, (start, rows) in enumerate(zip(tasks.start, tasks.rows, strict=True)):
        exact = vectors.table[start : start + rows].astype(np.int64).sum(axis=0) / rows
        assert found[place].tobytes() == exact.tobytes()


def test_a_law_is_described_by_its_name_and_options():
    assert described(TaylorSoftmax().function) == {"name": "graph-cut", "penalty": 0.4}
    assert described(RandomTasks()) == {"name": "random-tasks"}


def test_a_ground_of_no_groups_has_no_shares():
    empty = np.zeros(0, dtype=np.int64)
    assert len(RandomRows().shares(Ground([], empty, empty, None, 0), 0).order) == 0
