"""Orders in which every template keeps to its share, and rows that come first: by definition.

By definition all gains are computed anew every round, and the best row of those templates is taken
that `reference.may_give` names; the fast ways have to give the same order and the same bits.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import integer_greedy as by_definition
import q12_reference
import reference
import smartx
from ground_sets import UNIT, clustered
from smartx import _core
from smartx.engine import (
    FacilityLocation,
    GraphCut,
    LogDet,
    knn_graph,
    quantize,
    rank_groups,
    simd_levels,
)
from smartx.engine.memory import dense_head
from smartx.engine.objectives import in_core

Q12 = NDArray[np.int16]
Labels = NDArray[np.int32]
FUNCTIONS = [FacilityLocation(), GraphCut(0.4), GraphCut(2.0), LogDet(1.0), LogDet(1e-3)]
COSINE, COVER = 1.0 / UNIT, 256.0 / UNIT
SIZES = [1, 2, 16, 17, 110]
KINDS = ["one", "two", "four", "skewed", "adjacent", "one large", "each its own"]
every_function = pytest.mark.parametrize("function", FUNCTIONS, ids=repr)
every_kind = pytest.mark.parametrize("kind", KINDS)


def rows_of(n: int, d: int = 9, distinct: int = 0) -> Q12:
    """A third are copies of their centre; of few distinct ones nearly all rows repeat others."""
    rows = quantize(clustered(n, d, seed=n + distinct))
    return rows[np.random.default_rng(n).integers(0, min(n, distinct), n)] if distinct else rows


def labels(n: int, kind: str) -> Labels:
    """Templates of n rows."""
    rng = np.random.default_rng([n, len(kind)])
    drawn = {
        "one": lambda: np.zeros(n),
        "two": lambda: np.arange(n) % 2,
        "four": lambda: rng.choice(4, n, p=[0.2, 0.3, 0.2, 0.3]),
        "skewed": lambda: rng.geometric(0.4, n) - 1,
        "adjacent": lambda: np.sort(rng.integers(0, 5, n)),
        "one large": lambda: np.where(np.arange(n) < n // 2, n - 1, np.arange(n)),
        "each its own": lambda: rng.permutation(n),
    }[kind]()
    return np.minimum(drawn, n - 1).astype(np.int32)


def some_first(n: int) -> NDArray[np.bool_]:
    return np.random.default_rng(n).random(n) < 0.2


class Turns:
    """Who may give the next row, of the rows that are not there from the start."""

    def __init__(self, templates: Labels, rows: NDArray[np.intp]) -> None:
        self.templates = templates
        self.sizes = np.bincount(templates[rows], minlength=int(templates.max()) + 1).tolist()
        self.got = [0] * len(self.sizes)

    def of(self, rows: set[int]) -> list[int]:
        may = reference.may_give(self.sizes, self.got)
        return [row for row in rows if self.templates[row] in may]

    def give(self, row: int) -> None:
        self.got[self.templates[row]] += 1


def greedy(
    f: by_definition.SetFunction, rows: set[int], budget: int, turns: Turns
) -> tuple[list[int], list[Any]]:
    """What is chosen of `rows`, and the gains; ends early where no row is left whose turn it is."""
    left, items, gains = set(rows), [], []
    while len(items) < budget and (own := turns.of(left)):
        of_all = f.gains()
        items.append(by_definition.best_of(of_all, own))
        gains.append(of_all[items[-1]])
        f.add(items[-1])
        turns.give(items[-1])
        left.remove(items[-1])
    return items, gains


def set_function(function: Any, rows: Q12) -> tuple[by_definition.SetFunction, float]:
    """In exact integers, and what a unit of its gains is worth."""
    if isinstance(function, FacilityLocation):
        return by_definition.FacilityLocation(q12_reference.kernel16(rows)), COVER
    return by_definition.GraphCut(q12_reference.similarities(rows, rows), function.penalty), COSINE


def in_core_naively(
    function: Any, rows: Q12, templates: Labels, first: NDArray[np.bool_], **options: Any
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """All rows that do not come first."""
    options = {"optimizer": _core.Optimizer.naive, **options}
    before = np.flatnonzero(first).astype(np.int32)
    budget = len(rows) - len(before)
    request = _core.Request(in_core(function), budget, templates=templates, first=before, **options)
    return _core.maximize_rows(rows, request, 1)[:2]


# ---- the order ----


@every_function
@every_kind
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("distinct", [0, 7])
def test_the_order_and_every_gain_are_those_of_the_definition(
    function: Any, kind: str, n: int, distinct: int
) -> None:
    rows, templates = rows_of(n, distinct=distinct), labels(n, kind)
    for first in (np.zeros(n, np.bool_), some_first(n)):
        before, others = np.flatnonzero(first), np.flatnonzero(~first)
        for threads in (1, 3):
            order, gains = rank_groups(
                rows, np.array([n]), function, templates=templates, first=first, threads=threads
            )
            assert order[: len(before)].tolist() == before.tolist()
            assert not gains[: len(before)].any()
            own = order[len(before) :], gains[len(before) :]
            naive = in_core_naively(function, rows, templates, first)
            assert [a.tobytes() for a in own] == [a.tobytes() for a in naive]
        if not isinstance(function, LogDet):  # of which naive greedy is held to the formula below
            f, unit = set_function(function, rows)
            for row in before:
                f.add(row)
            expected, worth = greedy(f, set(others.tolist()), len(others), Turns(templates, others))
            assert own[0].tolist() == expected
            assert own[1].tolist() == [float(gain) * unit for gain in worth]


@pytest.mark.parametrize("ridge", [1.0, 1e-3])
@pytest.mark.parametrize("kind", ["four", "one large"])
@pytest.mark.parametrize("distinct", [0, 7])
def test_no_row_whose_turn_it_was_had_a_larger_log_det_gain(
    ridge: float, kind: str, distinct: int
) -> None:
    rows, templates = rows_of(110, distinct=distinct), labels(110, kind)
    first = some_first(110)
    order, gains = rank_groups(
        rows, np.array([110]), LogDet(ridge), templates=templates, first=first
    )
    f = by_definition.LogDet(q12_reference.similarities(rows, rows) * COSINE, ridge)
    others = np.flatnonzero(~first)
    turns, left, error = Turns(templates, others), set(others.tolist()), 1e-9 / ridge
    for item, gain in zip(order.tolist(), gains.tolist(), strict=True):
        if not first[item]:
            variances = f.gains()
            own = turns.of(left)
            assert item in own
            assert np.exp(gain) == pytest.approx(variances[item], rel=error)
            assert variances[item] >= variances[own].max() * (1 - error)
            turns.give(item)
            left.remove(item)
        f.add(item)
    assert not left


@every_function
@pytest.mark.parametrize(("n", "d"), [(300, 500), (700, 6), (400, 40)])
@pytest.mark.parametrize("kind", ["two", "four", "skewed", "one large"])
def test_lazy_is_naive_to_the_bit_over_larger_sets(
    function: Any, n: int, d: int, kind: str
) -> None:
    """Of more rows than values and of fewer, over which log-det works in two ways."""
    rows, templates, first = rows_of(n, d), labels(n, kind), some_first(n)
    for before in (np.zeros(n, np.bool_), first):
        naive = in_core_naively(function, rows, templates, before)
        lazy = {"optimizer": _core.Optimizer.lazy}
        found = in_core_naively(function, rows, templates, before, **lazy)
        assert [a.tobytes() for a in found] == [a.tobytes() for a in naive]


@pytest.mark.parametrize("candidates", [1, 2, 5, 30, 0])
@pytest.mark.parametrize("penalty", [0.0, 0.4, 5.0])
@every_kind
def test_any_number_of_candidates_of_graph_cut_gives_the_same(
    candidates: int, penalty: float, kind: str
) -> None:
    rows, templates, first = rows_of(180, distinct=90), labels(180, kind), some_first(180)
    naive = in_core_naively(GraphCut(penalty), rows, templates, first)
    options = {"optimizer": _core.Optimizer.lazy, "candidates": candidates}
    found = in_core_naively(GraphCut(penalty), rows, templates, first, **options)
    assert [a.tobytes() for a in found] == [a.tobytes() for a in naive]


@every_function
def test_a_smaller_budget_is_a_prefix(function: Any) -> None:
    rows, templates = rows_of(150), labels(150, "four")
    whole, gains = rank_groups(rows, np.array([150]), function, templates=templates)
    for budget in (0, 1, 2, 33, 149):
        request = _core.Request(in_core(function), budget, templates=templates)
        part = _core.maximize_rows(rows, request, 1)
        assert part[0].tolist() == whole[:budget].tolist()
        assert part[1].tobytes() == gains[:budget].tobytes()


@every_function
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_every_prefix_is_balanced_and_all_rows_are_ordered(
    function: Any, data: st.DataObject
) -> None:
    n = data.draw(st.integers(1, 60))
    most = data.draw(st.integers(0, n - 1))
    templates = np.array(
        data.draw(st.lists(st.integers(0, most), min_size=n, max_size=n)), np.int32
    )
    order, _ = rank_groups(rows_of(60)[:n], np.array([n]), function, templates=templates)
    assert sorted(order.tolist()) == list(range(n))
    sizes = np.bincount(templates)
    got = np.cumsum(templates[order][:, None] == np.arange(len(sizes)), axis=0)
    shares = sizes * np.arange(1, n + 1)[:, None]  # times n
    assert (np.abs(got * n - shares) < n).all()


@every_function
def test_one_template_is_no_template(function: Any) -> None:
    rows = rows_of(200)
    expected = rank_groups(rows, np.array([150, 0, 50]), function)
    for number in (0, 3):
        templates = np.full(200, number, np.int32)
        found = rank_groups(rows, np.array([150, 0, 50]), function, templates=templates)
        assert [a.tobytes() for a in found] == [a.tobytes() for a in expected]


@every_function
def test_equal_rows_of_two_templates_take_turns(function: Any) -> None:
    """They are not one: of 40 and 20 equal rows two of the lower ones go first, then one other."""
    rows = np.repeat(rows_of(1), 60, axis=0)
    templates = np.repeat(np.array([1, 0], np.int32), [40, 20])
    order, _ = rank_groups(rows, np.array([60]), function, templates=templates)
    assert templates[order].tolist() == [1, 1, 0] * 20
    for t in (0, 1):
        assert (np.diff(order[templates[order] == t]) > 0).all()


@every_function
def test_every_group_is_ordered_as_if_it_were_alone(function: Any) -> None:
    sizes = np.array([1, 0, 2, 70, 1, 27, 0, 49])
    rows = rows_of(150, distinct=60)
    templates = np.concatenate([labels(size, "four") for size in sizes if size])
    first = some_first(150)
    for threads in (1, 2, 3):
        order, gains = rank_groups(
            rows, sizes, function, templates=templates, first=first, threads=threads
        )
        for start, size in zip(np.cumsum(sizes) - sizes, sizes, strict=True):
            own = slice(start, start + size)
            alone = rank_groups(
                rows[own], np.array([size]), function, templates=templates[own], first=first[own]
            )
            assert order[own].tolist() == alone[0].tolist()
            assert gains[own].tobytes() == alone[1].tobytes()


@every_function
def test_where_all_rows_come_first_they_are_the_order(function: Any) -> None:
    for n in (1, 40):
        order, gains = rank_groups(
            rows_of(n),
            np.array([n]),
            function,
            templates=labels(n, "two"),
            first=np.ones(n, np.bool_),
        )
        assert order.tolist() == list(range(n))
        assert not gains.any()


# ---- beyond the dense kernel ----


def graph_weights(rows: Q12) -> NDArray[np.int64]:
    """How well v covers u over the graph, whole Q12 similarities."""
    graph = knn_graph(rows, 64, "exact")
    dense = np.zeros((len(rows), len(rows)), np.int64)
    dense[np.repeat(np.arange(len(rows)), np.diff(graph.indptr)), graph.indices] = graph.weights
    return dense


def with_head(
    rows: Q12, templates: Labels, first: NDArray[np.bool_], limit: int
) -> tuple[list[int], list[float]]:
    """Proposals by the graph, the head by the dense kernel among them, the rest by the graph."""
    before, others = np.flatnonzero(first), np.flatnonzero(~first)
    candidates, head = dense_head(len(rows), limit)
    weights, kernel = graph_weights(rows), q12_reference.kernel16(rows)

    def started(covers: NDArray[np.int64], rows_in: list[int]) -> by_definition.FacilityLocation:
        f = by_definition.FacilityLocation(covers)
        for row in rows_in:
            f.add(row)
        return f

    pool, there = set(others.tolist()), before.tolist()
    proposed, _ = greedy(started(weights, there), pool, candidates, Turns(templates, others))
    turns = Turns(templates, others)
    items, dense = greedy(started(kernel, there), set(proposed), head, turns)
    rest, sparse = greedy(
        started(weights, there + items), pool - set(items), len(others) - len(items), turns
    )
    gains = [float(g) * COVER for g in dense] + [float(g) * COSINE for g in sparse]
    return [*there, *items, *rest], [0.0] * len(there) + gains


@every_kind
@pytest.mark.parametrize("limit", [2 * 224 * 220 - 1, 20_000])
@pytest.mark.parametrize("starts", [False, True])
def test_beyond_the_dense_kernel_head_and_rest_keep_to_their_shares(
    kind: str, limit: int, starts: bool
) -> None:
    rows, templates = rows_of(220, d=12), labels(220, kind)
    first = some_first(220) & starts
    expected = with_head(rows, templates, first, limit)
    for threads in (1, 3):
        order, gains = rank_groups(
            rows,
            np.array([220]),
            FacilityLocation(),
            templates=templates,
            first=first,
            threads=threads,
            memory_bytes=limit,
        )
        assert order.tolist() == expected[0]
        assert gains.tolist() == expected[1]


def test_without_room_for_a_head_the_graph_alone_keeps_to_the_shares() -> None:
    rows, templates, first = rows_of(220, d=12), labels(220, "four"), some_first(220)
    others = np.flatnonzero(~first)
    f = by_definition.FacilityLocation(graph_weights(rows))
    for row in np.flatnonzero(first):
        f.add(row)
    expected, _ = greedy(f, set(others.tolist()), len(others), Turns(templates, others))
    order, _ = rank_groups(
        rows,
        np.array([220]),
        FacilityLocation(),
        templates=templates,
        first=first,
        memory_bytes=0,
    )
    assert order[first.sum() :].tolist() == expected


# ---- machines ----


def digest() -> str:
    """Of orders and gains of every function and engine."""
    rows, templates, first = rows_of(400, d=40), labels(400, "four"), some_first(400)
    sizes, sha = np.array([300, 20, 80]), hashlib.sha256()
    templates = np.concatenate([labels(size, "four") for size in sizes])
    for function in FUNCTIONS:
        for memory in (1 << 30, 40_000):
            for threads in (1, 2, 3):
                for array in rank_groups(
                    rows,
                    sizes,
                    function,
                    templates=templates,
                    first=first,
                    threads=threads,
                    memory_bytes=memory,
                ):
                    sha.update(array.tobytes())
    return sha.hexdigest()


@pytest.mark.parametrize("level", simd_levels())
def test_every_instruction_set_gives_the_same_bits(level: str) -> None:
    found = subprocess.run(
        [sys.executable, "-c", "import test_balanced; print(test_balanced.digest())"],
        env={**os.environ, "SMARTX_SIMD": level, "PYTHONPATH": _paths()},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == digest()


def _paths() -> str:
    here = Path(__file__).parent
    return os.pathsep.join([str(here), str(here.parent)])


# ---- what is refused ----


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({"templates": np.zeros(9, np.int32)}, ["templates", "(10,)", "(9,)"]),
        ({"templates": np.zeros(10)}, ["templates", "float64"]),
        ({"templates": np.full(10, 6, np.int32)}, ["templates", "row 0", "6", "10"]),
        ({"templates": np.full(10, -1, np.int32)}, ["templates", "row 0", "-1"]),
        ({"first": np.zeros(9, np.bool_)}, ["first", "(10,)", "(9,)"]),
        ({"first": np.zeros(10, np.int8)}, ["first", "int8"]),
    ],
)
def test_what_does_not_fit_the_rows_is_refused_by_name(known: Any, words: list[str]) -> None:
    with pytest.raises(smartx.SmartxError) as caught:
        rank_groups(rows_of(10), np.array([6, 4]), FacilityLocation(), **known)
    assert all(word in str(caught.value) for word in words), caught.value


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"templates": np.zeros(9, np.int32)}, "templates"),
        ({"templates": np.full(10, 10, np.int32)}, "templates"),
        ({"templates": np.full(10, -1, np.int32)}, "templates"),
        ({"first": np.array([3, 3], np.int32)}, "first"),
        ({"first": np.array([10], np.int32)}, "first"),
        ({"first": np.array([0], np.int32), "budget": 10}, "budget"),
        ({"first": np.array([0], np.int32), "certificate": True}, "first"),
        ({"first": np.array([0], np.int32), "costs": np.ones(10)}, "costs"),
        ({"templates": np.zeros(10, np.int32), "optimizer": _core.Optimizer.stochastic}, "templ"),
    ],
)
def test_the_core_refuses_what_it_would_trip_over(options: dict[str, Any], words: str) -> None:
    options = {"budget": 5, **options}
    with pytest.raises((ValueError, smartx.SmartxError), match=words):
        _core.maximize_rows(rows_of(10), _core.Request(_core.FacilityLocation(), **options), 1)


@pytest.mark.parametrize(
    ("known", "word"),
    [
        ({"templates": np.zeros(9, np.int32)}, "templates"),
        ({"templates": np.full(10, 6, np.int32)}, "templates"),
        ({"templates": np.full(10, -1, np.int32)}, "templates"),
        ({"first": np.zeros(9, np.bool_)}, "first"),
    ],
)
def test_the_core_refuses_groups_that_do_not_fit(known: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        _core.rank_groups(rows_of(10), np.array([6, 4]), _core.FacilityLocation(), **known)
