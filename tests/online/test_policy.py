"""Online Data Mixing: its probabilities are the published ones, and it finds the better arm."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from smartx.errors import InputError, StoreError
from smartx.online import OnlineMixing


class Paper:
    """The update of the paper in plain Python: Exp3 with a moving average, turn by turn."""

    def __init__(self, names, alpha=0.9):
        self.names, self.alpha, self.turn = names, alpha, 1
        self.reward = dict.fromkeys(names, 0.0)

    def eps(self, turn):
        k = len(self.names)
        return 1 / k if turn == 0 else min(1 / k, math.sqrt(math.log(k) / (k * turn)))

    def probs(self):
        k, now, before = len(self.names), self.eps(self.turn), self.eps(self.turn - 1)
        weights = {name: math.exp(before * self.reward[name]) for name in self.names}
        total = sum(weights.values())
        return {name: (1 - k * now) * weights[name] / total + now for name in self.names}

    def update(self, losses):
        probs = self.probs()
        for name, loss in losses.items():
            gained = loss / probs[name]
            self.reward[name] = self.alpha * self.reward[name] + (1 - self.alpha) * gained
        self.turn += 1


class Repository:
    """The update of the authors' repository in plain Python: its SmoothedMeanWeightUpdater."""

    def __init__(self, names, alpha=0.9):
        self.names, self.alpha, self.turn = names, alpha, 0
        self.reward = dict.fromkeys(names, 0.0)
        self.shares = {name: 1 / len(names) for name in names}

    def probs(self):
        return self.shares

    def update(self, losses):
        self.turn += 1
        k = len(self.names)
        eps = min(1 / k, math.sqrt(math.log(k) / (k * self.turn)))
        for name, loss in losses.items():
            own = self.alpha * self.reward[name]
            self.reward[name] = own + (1 - self.alpha) * math.exp(loss)
        scale = (1 - k * eps) / sum(self.reward.values())
        self.shares = {name: self.reward[name] * scale + eps for name in self.names}


@pytest.mark.parametrize(("rule", "reference"), [("paper", Paper), ("repository", Repository)])
@pytest.mark.parametrize("alpha", [0.9, 0.5])
def test_probabilities_are_the_published_ones(rule, reference, alpha):
    names = [f"task {i}" for i in range(7)]
    mixing = OnlineMixing(names, seed=3, rule=rule, alpha=alpha)
    slow = reference(names, alpha)
    rng = np.random.default_rng(0)
    moved = 0.0
    for _ in range(500):
        assert mixing.probs().tolist() == pytest.approx(list(slow.probs().values()), abs=1e-12)
        moved = max(moved, float(mixing.probs().max() - mixing.probs().min()))
        drawn = {mixing.draw() for _ in range(3)}
        losses = {name: float(rng.gamma(2.0, 0.5 + names.index(name))) for name in drawn}
        mixing.update_all(losses)
        slow.update(losses)
    assert mixing.turn == 500
    assert moved > 0.1


def test_all_tasks_are_equal_until_turn_k_ln_k_and_none_is_ever_left_out():
    tasks = 12
    mixing = OnlineMixing([str(i) for i in range(tasks)], seed=0)
    for turn in range(1, 200):
        uniform = np.allclose(mixing.probs(), 1 / tasks, atol=1e-15)
        assert uniform == (turn <= tasks * math.log(tasks))
        assert mixing.probs().min() >= min(1 / tasks, math.sqrt(math.log(12) / 12 / turn)) - 1e-15
        mixing.update("3", 4.0)


def test_a_bandit_of_known_answer_is_drawn_more_than_by_chance_and_pays_more():
    """One arm of eight pays 3, the others 0.5 (times noise): what 800 draws pay on the mean of 20
    seeds is by chance 0.8125, with a standard error below 0.008.
    """
    pays = np.full(8, 0.5)
    pays[5] = 3.0
    earned, shares = [], []
    for seed in range(20):
        mixing = OnlineMixing([str(i) for i in range(8)], seed=seed)
        rng = np.random.default_rng(1000 + seed)
        total = 0.0
        for _ in range(800):
            task = mixing.draw()
            reward = pays[int(task)] * rng.uniform(0.5, 1.5)
            total += reward
            mixing.update(task, reward)
        earned.append(total / 800)
        shares.append(mixing.probs()[5])
    by_chance = pays.mean()
    assert np.mean(earned) > by_chance + 8 * 0.008
    assert min(shares) > 1 / 8


@pytest.mark.parametrize("rule", ["paper", "repository"])
def test_resumed_is_uninterrupted_also_through_a_file(rule, tmp_path):
    def loss(name, turn):
        return 1.0 + math.sin(turn * (1 + int(name)))

    def run(mixing, turns):
        drawn = []
        for turn in range(mixing.turn, mixing.turn + turns):
            name = mixing.draw()
            drawn.append(name)
            mixing.update(name, loss(name, turn))
        return drawn

    names = [str(i) for i in range(5)]
    settings = {"seed": 9, "rule": rule, "prior": [1, 2, 3, 4, 5], "warmup": 20, "lag": 3}
    whole = OnlineMixing(names, **settings)
    expected = run(whole, 300)
    first = OnlineMixing(names, **settings)
    drawn = run(first, 137)
    first.save(tmp_path / "state.json")
    second = OnlineMixing.load(tmp_path / "state.json")
    assert drawn + run(second, 163) == expected
    assert second.state() == whole.state()
    assert json.loads((tmp_path / "state.json").read_text())["turn"] == 137


def test_a_state_that_was_changed_or_is_of_another_policy_is_refused(tmp_path):
    mixing = OnlineMixing(["a", "b"], seed=1)
    mixing.save(tmp_path / "state.json")
    text = (tmp_path / "state.json").read_text()
    (tmp_path / "state.json").write_text(text.replace('"turn": 0', '"turn": 7'))
    with pytest.raises(StoreError, match="not what was written"):
        OnlineMixing.load(tmp_path / "state.json")
    for other in (OnlineMixing(["a", "c"], seed=1), OnlineMixing(["a", "b"], seed=2)):
        with pytest.raises(InputError, match="differs in"):
            other.restore(mixing.state())


def test_with_a_prior_draws_begin_with_it_and_equal_losses_leave_it():
    prior = np.array([0.7, 0.2, 0.1])
    mixing = OnlineMixing(["a", "b", "c"], seed=0, prior=prior, alpha=0.0)
    assert mixing.probs() == pytest.approx(prior)
    for _ in range(200):
        mixing.update_all({"a": 2.0, "b": 2.0, "c": 2.0})
    assert mixing.probs() == pytest.approx(prior, rel=0.05)
    for _ in range(50):
        mixing.update_all({"a": 0.1, "b": 0.1, "c": 3.0})
    assert mixing.probs()[2] > 0.115
    assert mixing.probs().sum() == pytest.approx(1)


def test_a_uniform_prior_is_the_published_rule():
    plain = OnlineMixing(["a", "b", "c"], seed=0)
    given = OnlineMixing(["a", "b", "c"], seed=0, prior=[5, 5, 5])
    for turn in range(100):
        for mixing in (plain, given):
            mixing.update("abc"[turn % 3], 1.0 + turn % 3)
    assert plain.probs() == pytest.approx(given.probs(), abs=1e-12)


def test_draws_follow_the_probabilities():
    mixing = OnlineMixing(["a", "b", "c"], seed=4, prior=[0.5, 0.3, 0.2])
    counts = np.bincount(mixing.drawn(0, 0, 30_000), minlength=3)
    expected = 30_000 * np.array([0.5, 0.3, 0.2])
    assert np.all(np.abs(counts - expected) < 5 * np.sqrt(expected))


def test_with_lag_rows_are_drawn_by_older_probabilities_and_losses_count_by_them():
    mixing = OnlineMixing(["a", "b"], seed=0, lag=2)
    seen = []
    for _ in range(12):
        seen.append(mixing.probs())
        turn = mixing.turn
        assert mixing.probs_of(turn) == pytest.approx(seen[max(0, turn - 2)])
        reward, chance = mixing.rewards[0], mixing.probs_of(turn)[0]
        mixing.update("a", 2.0)
        assert mixing.rewards[0] == pytest.approx(0.9 * reward + 0.1 * 2.0 / chance)
    mixing.probs_of(mixing.turn + 2)
    with pytest.raises(InputError, match="lag"):
        mixing.probs_of(mixing.turn + 3)


def test_during_warmup_nothing_is_learned():
    mixing = OnlineMixing(["a", "b"], seed=0, warmup=10)
    for _ in range(10):
        mixing.update("a", 5.0)
    assert mixing.probs().tolist() == [0.5, 0.5]
    assert not mixing.rewards.any()
    mixing.update("a", 5.0)
    assert mixing.probs()[0] > 0.5


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_changes_nothing(loss):
    mixing = OnlineMixing(["a", "b"], seed=0)
    with pytest.raises(InputError, match="'b'"):
        mixing.update_all({"a": 1.0, "b": loss})
    assert mixing.turn == 0
    assert not mixing.rewards.any()


def test_what_cannot_be_is_refused():
    with pytest.raises(InputError, match="differ"):
        OnlineMixing(["a", "a"], seed=0)
    with pytest.raises(InputError, match="rule"):
        OnlineMixing(["a", "b"], seed=0, rule="exp4")
    with pytest.raises(InputError, match="prior"):
        OnlineMixing(["a", "b"], seed=0, prior=[1, 0])
    with pytest.raises(InputError, match="'c'"):
        OnlineMixing(["a", "b"], seed=0).update("c", 1.0)
