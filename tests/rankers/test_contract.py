"""What every ranker promises, over all of `strategies.RANKERS`, with made-up features."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartx.engine import quantize
from smartx.needs import TOKENS
from smartx.rankers import pool_of
from smartx.rankers.pool import Pool
from smartx.rankers.ranker import Ranker
from smartx.strategies import RANKERS, facts_of

D = 6  # of every feature, and rows of every table: labels have a vector each, queries the width
NAMES = list(RANKERS.ours)
UNITS = [13, 0, 1, 40, 2, 0, 7]
PERS = ("template", "task", "corpus")
WITH_COLUMNS = [
    name for name in NAMES if any(need.kind == "column" for need in RANKERS.made(name).needs)
]


def features_for(ranker, count, seed=0):
    """What a ranker needs of so many rows."""
    if not count:
        return taken(ranker, features_for(ranker, 1), slice(0, 0))
    rng, found = np.random.default_rng(seed), {}
    for need in ranker.reads:
        if need.kind == "vectors":
            rows = rng.normal(size=(3, D))[rng.integers(0, 3, count)]
            found[need.key] = quantize(rows + 0.6 * rng.normal(size=(count, D)))
        elif need.kind == "matrix":
            found[need.key] = rng.exponential(size=(count, D)).astype(np.float32)
        elif need.kind == "column":
            found[need.key] = rng.uniform(0.1, 1.0, size=count)
        elif need.kind == "tokens":
            found[need.key] = rng.integers(1, 300, size=(count, 2)).astype(np.int32)
        else:
            found[need.key] = rng.normal(size=(D, D)).astype(np.float32)
    return found


def tables_of(ranker):
    return {need.key for need in ranker.needs if need.kind == "table"}


def taken(ranker, features, rows):
    tables = tables_of(ranker)
    return {k: v if k in tables else v[rows] for k, v in features.items()}


def pool(ranker, sizes, seed=0, first_row=0, features=None):
    sizes = np.array(sizes, dtype=np.int64)
    count = int(sizes.sum())
    templates = np.concatenate([np.arange(size) * 3 // max(1, size) for size in sizes])
    return pool_of(
        sizes,
        features or features_for(ranker, count, seed),
        first_row=first_row,
        templates=templates.astype(np.int32),
    )


def same(left, right):
    return all(a.tobytes() == b.tobytes() for a, b in zip(left, right, strict=True))


def check_order(own, order, gains):
    assert order.dtype == np.int32
    assert gains.dtype == np.float64
    assert order.shape == gains.shape == (len(own),)
    for part in own.parts():
        assert sorted(order[part].tolist()) == list(range(part.stop - part.start))
    assert np.isfinite(gains).all()


@pytest.fixture(params=NAMES)
def ranker(request):
    return RANKERS.made(request.param)


@pytest.fixture(params=PERS)
def per(request):
    return request.param


def test_every_unit_is_ordered_whole_with_finite_gains(ranker, per):
    ranker = dataclasses.replace(ranker, per=per)
    own = pool(ranker, UNITS)
    before = {name: values.copy() for name, values in own.features.items()}
    check_order(own, *ranker.rank(own, threads=1))
    assert all((before[name] == values).all() for name, values in own.features.items())


def test_threads_do_not_show(ranker):
    own = pool(ranker, UNITS, seed=1)
    assert same(ranker.rank(own, threads=1), ranker.rank(own, threads=3))


def test_units_do_not_know_of_each_other(ranker, per):
    ranker = dataclasses.replace(ranker, per=per)
    own = pool(ranker, UNITS, seed=2)
    together = ranker.rank(own, threads=1)
    for part, size in zip(own.parts(), UNITS, strict=True):
        if not size:
            continue
        features = taken(ranker, own.features, part)
        alone = Pool(np.array([size]), own.row_ids[part], own.templates[part], features)
        assert same(ranker.rank(alone, threads=1), [values[part] for values in together])


@pytest.mark.parametrize("sizes", [[0], [0, 0], [1], [1, 1], [2]], ids=str)
def test_there_may_be_no_rows_or_one(ranker, sizes):
    own = pool(ranker, sizes)
    check_order(own, *ranker.rank(own, threads=1))


def is_drawn(ranker):
    return any(field.name == "seed" for field in dataclasses.fields(ranker))


def test_rows_that_are_all_equal_come_in_their_own_order_unless_they_are_drawn(ranker):
    features = taken(ranker, features_for(ranker, 1), np.zeros(17, dtype=np.int64))
    own = pool_of(np.array([17]), features)
    order, gains = ranker.rank(own, threads=1)
    check_order(own, order, gains)
    if not is_drawn(ranker):
        assert order.tolist() == list(range(17))


@given(st.integers(0, 1000))
@settings(max_examples=4, deadline=None)
@pytest.mark.parametrize("name", NAMES)
def test_of_two_equal_rows_the_lower_comes_first_unless_they_are_drawn(name, seed):
    ranker = RANKERS.made(name)
    rng = np.random.default_rng(seed)
    twins = np.concatenate([np.arange(20), rng.permutation(20)])
    features = taken(ranker, features_for(ranker, 20, seed), twins)
    own = pool_of(np.array([40]), features)
    order, gains = ranker.rank(own, threads=1)
    check_order(own, order, gains)
    if not is_drawn(ranker):
        place = np.argsort(order)
        for row in range(20):
            first, second = np.flatnonzero(twins == row).tolist()
            assert place[first] < place[second]


def test_a_seed_changes_the_order_of_those_that_have_one(ranker):
    own = pool(ranker, [200], seed=3)
    order, _ = ranker.rank(own, threads=1)
    elsewhere = pool(ranker, [200], seed=3, first_row=1000)
    moved, _ = ranker.rank(elsewhere, threads=1)
    if is_drawn(ranker):
        other, _ = dataclasses.replace(ranker, seed=ranker.seed + 1).rank(own, threads=1)
        assert (other != order).any()
        assert (moved != order).any()  # draws go by the numbers of the rows
    else:
        assert (moved == order).all()


def test_rows_that_were_trained_on_do_not_break_the_order(ranker):
    own = pool(ranker, [30, 4], seed=4)
    trained = np.zeros(34, dtype=np.bool_)
    trained[[2, 11, 30, 31, 32, 33]] = True
    own = dataclasses.replace(own, trained=trained)
    check_order(own, *ranker.rank(own, threads=1))


@pytest.mark.parametrize("name", WITH_COLUMNS)
def test_a_row_without_a_number_is_ranked_too(name):
    ranker = RANKERS.made(name)
    columns = [need.key for need in ranker.needs if need.kind == "column"]
    features = features_for(ranker, 20)
    for column in columns:
        features[column][[3, 9]] = np.nan
    own = pool_of(np.array([20]), features)
    check_order(own, *ranker.rank(own, threads=1))
    for column in columns:
        features[column][:] = np.nan
    check_order(own, *ranker.rank(own, threads=1))


def test_costs_grow_with_rows_and_are_above_nothing(ranker):
    sizes = np.array([1, 100, 10_000], dtype=np.int64)
    seconds = ranker.seconds(sizes, 384)
    assert seconds.shape == (3,)
    assert seconds.dtype == np.float64
    assert (np.diff(seconds) > 0).all()
    assert seconds[0] > 0
    memory = [ranker.memory(sizes[: k + 1], 384, 2) for k in range(3)]
    assert all(isinstance(held, int) for held in memory)
    assert 0 < memory[0] <= memory[1] < memory[2]
    assert ranker.engine(100)


def test_facts_name_it_and_make_it_again(ranker):
    assert isinstance(ranker, Ranker)
    assert RANKERS.ours[ranker.name].endswith(type(ranker).__name__)
    facts = json.loads(json.dumps(facts_of(ranker), allow_nan=False))
    assert facts["name"] == ranker.name
    own = {field.name for field in dataclasses.fields(ranker)}
    again = RANKERS.made({k: v for k, v in facts.items() if k == "name" or k in own})
    assert again.reads == ranker.reads
    assert TOKENS not in ranker.needs or ranker.name == "length"
