"""Rankers that look at gradients: against plain references, and what published code gave."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from smartx.errors import ConfigError, InputError
from smartx.rankers import pool_of, tagcos
from smartx.rankers.directions import directions, products
from smartx.rankers.influence import InfluenceRanker, influence
from smartx.rankers.tagcos import TagcosRanker, pursuit, pursuits, side_by_side
from smartx.strategies import RANKERS

CONFORMANCE = Path(__file__).parent / "conformance"
NAMES = ("rows", "table")


def published(name):
    return json.loads((CONFORMANCE / f"{name}.json").read_text())


def pool_with(sizes, **features):
    found = {name: np.asarray(values, dtype=np.float32) for name, values in features.items()}
    return pool_of(np.array(sizes, dtype=np.int64), found)


# ---- directions ----

ROWS = arrays(
    np.float32,
    st.tuples(st.integers(1, 5), st.integers(1, 6)),
    elements=st.floats(-(2.0**60), 2.0**60, width=32),
)


@given(ROWS)
def test_directions_have_length_one_and_lengths_are_those_of_the_rows(rows):
    unit, lengths = directions(rows, name="rows")
    assert (unit * 2**25 == np.rint(unit * 2**25)).all()
    for row, own, length in zip(rows.astype(np.float64), unit, lengths.tolist(), strict=True):
        norm = np.linalg.norm(row)
        assert length == pytest.approx(norm, rel=2e-7)
        if norm > 0:
            np.testing.assert_allclose(own, row / norm, atol=2e-7)
        else:
            assert not own.any()


def test_products_are_exact_in_any_order():
    rng = np.random.default_rng(0)
    rows, table = rng.normal(size=(7, 900)), rng.normal(size=(3, 900))
    found = products(rows, table, names=NAMES, cosines=True)
    unit, other = directions(rows, name="")[0], directions(table, name="")[0]
    for i, j in np.ndindex(found.shape):
        pairs = zip(unit[i].tolist(), other[j].tolist(), strict=True)
        assert Fraction(found[i, j]) == sum(Fraction(a) * Fraction(b) for a, b in pairs)
    mixed = rng.permutation(900)
    again = products(rows[:, mixed] * 8, table[:, mixed], names=NAMES, cosines=True)
    assert again.tobytes() == found.tobytes()
    np.testing.assert_allclose(
        products(rows, table, names=NAMES, cosines=False), rows @ table.T, atol=1e-4
    )


def test_blocks_change_nothing(monkeypatch):
    rng = np.random.default_rng(1)
    rows, table = rng.normal(size=(40, 9)), rng.normal(size=(5, 9))
    whole = products(rows, table, names=NAMES, cosines=False)
    monkeypatch.setattr("smartx.rankers.directions.BLOCK_VALUES", 60)
    assert products(rows, table, names=NAMES, cosines=False).tobytes() == whole.tobytes()


# ---- LESS ----


def test_influence_gives_the_order_and_scores_of_less():
    theirs = published("less")
    ranker = InfluenceRanker(
        "g0+g1+g2", "t0+t1+t2", theirs["rates"], subtask_rows=theirs["subtask_rows"]
    )
    features = {f"g{c}": values for c, values in enumerate(theirs["gradients"])}
    features |= {f"t{c}": values for c, values in enumerate(theirs["targets"])}
    order, gains = ranker.rank(pool_with([40], **features), threads=1)
    np.testing.assert_allclose(gains, theirs["scores"], atol=1e-6)
    mine, other = order.tolist(), theirs["order"]
    first, second = mine.index(3), mine.index(7)
    assert second == first + 1  # two equal rows: the lower first
    assert {3, 7} == {other[first], other[second]}  # torch sorts them as it likes
    other[first], other[second] = 3, 7
    assert mine == other


@pytest.mark.parametrize("cosines", [True, False])
def test_influence_is_the_formula(cosines):
    rng = np.random.default_rng(2)
    gradients, targets = rng.normal(size=(2, 30, 5)), rng.normal(size=(2, 6, 5))
    rates = [0.25, 0.75]
    got = influence(
        gradients, targets, rates, names=[NAMES, NAMES], subtask_rows=3, cosines=cosines
    )
    for row in range(30):
        scores = []
        for subtask in range(2):
            total = 0.0
            for c in range(2):
                for t in range(3 * subtask, 3 * subtask + 3):
                    a, b = gradients[c][row], targets[c][t]
                    scale = np.linalg.norm(a) * np.linalg.norm(b) if cosines else 1.0
                    total += rates[c] * (a @ b) / scale / 3
            scores.append(total)
        assert got[row] == pytest.approx(max(scores), abs=1e-6)


def test_equal_rows_tie_whatever_stands_beside_them():
    rng = np.random.default_rng(3)
    gradients = rng.normal(size=(301, 64))
    gradients[[5, 250, 300]] = gradients[100]
    pool = pool_with([301], gradients=gradients, target_gradients=rng.normal(size=(4, 64)))
    order, gains = InfluenceRanker().rank(pool, threads=1)
    at = [order.tolist().index(row) for row in (5, 100, 250, 300)]
    assert at == list(range(at[0], at[0] + 4))
    assert len(set(gains[at].tolist())) == 1


def test_what_does_not_fit_together_is_named():
    with pytest.raises(ConfigError, match="2 are named, and 1 gradients") as caught:
        RANKERS.made("influence:targets=a+b")
    assert caught.value.place == "targets"
    with pytest.raises(ConfigError, match="2 are given for 1 checkpoints") as caught:
        RANKERS.made("influence:rates=1e-5+2e+5")
    assert caught.value.place == "rates"
    with pytest.raises(ConfigError, match="numbers above 0"):
        RANKERS.made("tagcos:rates=1+0")
    made = RANKERS.made("influence:gradients=a+b,targets=c+d,rates=1e+2+3e-1")
    assert (made.gradients, made.targets, made.rates) == (("a", "b"), ("c", "d"), (100.0, 0.3))
    rows = np.ones((4, 3))
    with pytest.raises(InputError, match="2 values, and those of gradients have 3"):
        InfluenceRanker().rank(
            pool_with([4], gradients=rows, target_gradients=np.ones((2, 2))), threads=1
        )
    with pytest.raises(InputError, match="not 1 subtasks of 2 rows"):
        InfluenceRanker(subtask_rows=2).rank(
            pool_with([4], gradients=rows, target_gradients=np.ones((3, 3))), threads=1
        )
    rows[2, 1] = np.nan
    with pytest.raises(InputError, match="row 2 is not finite"):
        InfluenceRanker().rank(
            pool_with([4], gradients=rows, target_gradients=np.ones((2, 3))), threads=1
        )


# ---- TAGCOS ----


def inner_of(rows):
    inner = rows @ rows.T
    return inner, inner.mean(axis=0), float(inner.mean())


@pytest.mark.parametrize("case", range(4))
def test_a_pursuit_takes_the_rows_of_the_published_one(case):
    theirs = published("tagcos")["pursuits"][case]
    inner, aim, length = inner_of(np.array(theirs["rows"]))
    for most, chosen in enumerate(theirs["chosen_by_most"], start=1):
        assert sorted(pursuit(inner, aim, length, most, theirs["ridge"])) == chosen


def test_a_twentieth_of_each_cluster_is_what_the_published_code_takes():
    theirs = published("tagcos")
    rows, labels = np.array(theirs["rows"]), np.array(theirs["labels"])
    order = side_by_side(rows, labels, 0.05, 1.0)
    assert sorted(order[: len(theirs["selected"])].tolist()) == theirs["selected"]
    assert sorted(order.tolist()) == list(range(len(rows)))


def plain_pursuit(rows, most, ridge):
    """Over the rows themselves, weights by least squares; what is put back as the paper has it."""
    target, chosen, rest = rows.mean(axis=0), [], rows.mean(axis=0)
    while len(chosen) < most and np.linalg.norm(rest) >= 1e-4 * np.linalg.norm(target):
        row = int(np.argmax(rows @ rest))
        if row in chosen:
            break
        chosen.append(row)
        first = len(chosen) == 1
        while True:
            own = rows[chosen]
            system = own @ own.T + (0.0 if first else ridge) * np.eye(len(chosen))
            weights = np.linalg.lstsq(system, own @ target, rcond=None)[0]
            if first or weights.min() >= 0:
                break
            worst = int(weights.argmin())
            gone = chosen.pop(worst)
            if gone == row and worst == len(chosen):
                return chosen
        rest = target - weights @ own
    return chosen


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 14), st.integers(1, 6), st.floats(0, 1.5))
def test_a_pursuit_over_products_is_one_over_rows(seed, count, width, common):
    rng = np.random.default_rng(seed)
    rows = common + rng.normal(size=(count, width))
    inner, aim, length = inner_of(rows)
    for most in (1, 3, count):
        assert pursuit(inner, aim, length, most, 0.5) == plain_pursuit(rows, most, 0.5)


def test_pursuits_go_on_over_what_is_left():
    rng = np.random.default_rng(4)
    rows = 0.5 + rng.normal(size=(60, 4))
    rows[7] = 0.0
    order = pursuits(rows, 0.1, 1.0).tolist()
    assert sorted(order) == list(range(60))
    assert order[-1] == 7  # a row without a gradient adds to nothing
    unit, lengths = directions(rows, name="")
    inner = (unit @ unit.T) * lengths[:, None] * lengths
    aim, length = inner.mean(axis=0), float(inner.mean())
    left, got, budget = [row for row in range(60) if row != 7], [], 6
    while left:
        found = [left[i] for i in pursuit(inner[np.ix_(left, left)], aim[left], length, budget, 1)]
        got += found
        left = [row for row in left if row not in found]
        budget = budget - len(found) or 6
    assert order[:-1] == got


def test_clusters_advance_side_by_side():
    rng = np.random.default_rng(5)
    labels = np.repeat([0, 1, 2], [10, 20, 50]).astype(np.int32)
    order = side_by_side(rng.normal(size=(80, 3)), labels, 0.05, 1.0)
    for size in range(81):
        got = np.bincount(labels[order[:size]], minlength=3)
        assert (np.abs(got - size * np.array([10, 20, 50]) / 80) <= 1.5).all()


def test_rows_without_any_gradient_keep_their_order():
    assert pursuits(np.zeros((5, 3)), 0.05, 1.0).tolist() == [0, 1, 2, 3, 4]


def test_a_cluster_without_room_is_refused(monkeypatch):
    monkeypatch.setattr(tagcos, "MOST_ROWS", 9)
    pool = pool_with([20], gradients=np.ones((20, 3)))
    with pytest.raises(InputError, match="20 rows, and there is room"):
        TagcosRanker().rank(pool, threads=1)


def test_checkpoints_of_gradients_have_one_width():
    pool = pool_with([4], a=np.ones((4, 3)), b=np.ones((4, 2)))
    with pytest.raises(InputError, match="2 values, and those of a have 3"):
        TagcosRanker("a+b").rank(pool, threads=1)


@pytest.mark.parametrize("ranker", [InfluenceRanker(), TagcosRanker(clusters=4)])
def test_units_are_ranked_by_themselves_and_whole(ranker):
    rng = np.random.default_rng(6)
    gradients, targets = rng.normal(size=(130, 5)), rng.normal(size=(3, 5))
    gradients[20:30] = gradients[20]
    sizes = [1, 90, 0, 2, 37]
    pool = pool_with(sizes, gradients=gradients, target_gradients=targets)
    order, gains = ranker.rank(pool, threads=2)
    for part in pool.parts():
        assert sorted(order[part].tolist()) == list(range(part.stop - part.start))
        features = {"gradients": gradients[part].astype(np.float32)}
        features["target_gradients"] = targets.astype(np.float32)
        own_sizes = np.array([part.stop - part.start])
        alone = pool_of(own_sizes, features, first_row=part.start)
        own, won = ranker.rank(alone, threads=1)
        assert own.tolist() == order[part].tolist()
        assert won.tobytes() == gains[part].tobytes()
