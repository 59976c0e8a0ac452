"""Attacks on the core: ground sets of every odd kind, each claim held against its definition.

The sets are those of `odd_rows.ground_set(number)`, the numbers are fixed and a failing test names
its own. `SMARTX_ATTACK_SECONDS=60` goes on for a minute with every claim, over sets that no shorter
run has seen; `SMARTX_ATTACK_START=100000` begins elsewhere.
"""

from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest

import integer_greedy as by_definition
import q12_reference
from ground_sets import UNIT, as_graph, same
from odd_rows import DIMENSIONS, KINDS, GroundSet, ground_set
from smartx import _core
from smartx.engine import (
    DenseKernel,
    FacilityLocation,
    GraphCut,
    LogDet,
    knn_graph,
    maximize,
    quantize,
    rank_groups,
)

SECONDS = float(os.environ.get("SMARTX_ATTACK_SECONDS", "0"))
START = int(os.environ.get("SMARTX_ATTACK_START", "0"))
ROUNDS = float(os.environ.get("SMARTX_ATTACK_ROUNDS", "2"))  # of all kinds, where no time is given
LEVELS = _core.simd_levels()
COSINE = 1.0 / UNIT  # of one unit of exact similarity
COVER = 256.0 * COSINE  # of one unit of the 16-bit kernel
OPTIMA = [1e-3, 0.1, 1.0, 10.0]


def attacks(kinds=KINDS, most: int = 140, rounds: float = 1.0) -> Iterator[GroundSet]:
    """`rounds` times ROUNDS sets of every kind, and more while there is time."""
    least, end = math.ceil(rounds * ROUNDS * len(kinds)), time.monotonic() + SECONDS
    for number in itertools.count(START):
        if number - START >= least and time.monotonic() >= end:
            return
        yield ground_set(number, kinds, most)


def chosen(selection) -> tuple[list[int], list[float]]:
    return selection.items.tolist(), selection.gains.tolist()


def scaled(order: tuple[list[int], list], unit: float) -> tuple[list[int], list[float]]:
    return order[0], [float(gain) * unit for gain in order[1]]


# ---- rows, similarities, neighbours ----


def test_rows_of_every_type_and_order_of_memory_become_the_whole_numbers_of_the_letter():
    for attack in attacks():
        forms = [attack.rows, np.asfortranarray(attack.rows), attack.rows.astype(">f8")]
        forms.append(np.repeat(attack.rows, 2, axis=0)[::2])
        for form in forms:
            assert np.array_equal(quantize(form, threads=attack.threads), attack.q12), attack


def test_similarities_and_the_16_bit_kernel_are_exact_on_every_level():
    for attack in attacks():
        rows, exact = attack.q12, attack.similarities
        others = exact[~np.eye(attack.n, dtype=bool)]
        for level in LEVELS:
            options = (level, attack.threads)
            assert np.array_equal(_core.similarities(rows, rows, *options), exact), attack
            assert np.array_equal(_core.kernel16(rows, *options), attack.kernel16), attack
            smallest = _core.min_similarity(rows, *options)
            assert smallest == (others.min() if attack.n > 1 else 0), attack


def test_neighbours_are_those_of_a_stable_sort_for_every_k_on_every_level():
    for attack in attacks():
        for k in {1, int(attack.rng.integers(1, attack.n + 2)), attack.n, attack.n + 9}:
            expected = q12_reference.nearest(attack.q12, k)
            for level in LEVELS:
                found = _core.neighbours(attack.q12, k, level, attack.threads)
                assert np.array_equal(found, expected), (attack, k, level)


def test_a_symmetric_graph_holds_who_is_near_either_way():
    for attack in attacks():
        k, n = int(attack.rng.integers(1, 12)), attack.n
        near = np.eye(n, dtype=bool)
        np.put_along_axis(near, q12_reference.nearest(attack.q12, k)[0], True, axis=1)
        near |= near.T
        graph = knn_graph(attack.q12, k, "exact", threads=attack.threads)
        row, column = np.nonzero(near)
        assert np.array_equal(graph.indices, column), attack
        assert np.array_equal(graph.indptr, np.searchsorted(row, np.arange(n + 1))), attack
        assert np.array_equal(graph.weights, attack.similarities[near]), attack


# ---- greedy ----


def test_facility_location_is_greedy_over_the_16_bit_kernel_and_its_bound_the_formula():
    for attack in attacks():
        f, budget = by_definition.FacilityLocation(attack.kernel16), attack.budget
        order = by_definition.greedy(f, range(attack.n), budget)
        selection = maximize(
            FacilityLocation(), attack.rows, budget, threads=attack.threads, certificate=True
        )
        assert chosen(selection) == scaled(order, COVER), attack
        left = np.sort(np.delete(f.gains(), order[0]))[::-1]
        best = (sum(order[1]) + left[:budget].sum()) * COVER
        assert selection.bound == pytest.approx(best, rel=1e-12), attack


def test_graph_cut_is_greedy_over_exact_similarities_for_any_number_of_candidates():
    for attack in attacks():
        f = by_definition.GraphCut(attack.similarities, attack.penalty)
        order = scaled(by_definition.greedy(f, range(attack.n), attack.budget), COSINE)
        cut = _core.GraphCut(attack.penalty)
        for candidates in (0, 1, 3, 17):
            request = _core.Request(cut, attack.budget, candidates=candidates)
            items, gains, *_ = _core.maximize_rows(attack.q12, request, attack.threads)
            assert (items.tolist(), gains.tolist()) == order, (attack, candidates)


def test_naive_greedy_is_greedy_by_definition_too():
    options = {"optimizer": "naive"}
    for attack in attacks():
        options["threads"] = attack.threads
        cover = by_definition.FacilityLocation(attack.kernel16)
        order = scaled(by_definition.greedy(cover, range(attack.n), attack.budget), COVER)
        naive = maximize(FacilityLocation(), attack.q12, attack.budget, **options)
        assert chosen(naive) == order, attack
        cut = by_definition.GraphCut(attack.similarities, attack.penalty)
        order = scaled(by_definition.greedy(cut, range(attack.n), attack.budget), COSINE)
        naive = maximize(GraphCut(attack.penalty), attack.q12, attack.budget, **options)
        assert chosen(naive) == order, attack


def test_lazy_log_det_is_naive_log_det_and_no_other_row_had_a_larger_gain():
    for attack in attacks():
        ridge = float(attack.rng.choice([1e-6, 1e-4, 1e-2, 0.3, 1.0, 100.0, 1e8]))
        lazy, naive = (
            maximize(
                LogDet(ridge),
                attack.q12,
                attack.budget,
                optimizer=optimizer,
                threads=threads,
                certificate=True,
            )
            for optimizer, threads in (("lazy", attack.threads), ("naive", 1))
        )
        assert same(lazy, naive), (attack, ridge)
        assert lazy.bound == naive.bound, (attack, ridge)
        if ridge < 1e-4:
            continue  # float64 does not tell such variances
        f = by_definition.LogDet(attack.similarities * COSINE, ridge)
        left = np.ones(attack.n, dtype=bool)
        for item, gain in zip(*chosen(lazy), strict=True):
            variances = f.gains()
            assert math.exp(gain) == pytest.approx(variances[item], rel=1e-6), (attack, ridge)
            assert variances[item] >= variances[left].max() * (1 - 1e-6), (attack, ridge)
            left[item] = False
            f.add(item)


@pytest.mark.parametrize("ridge", [1.0, 1e-2, 1e-4, 1e-6, 1e-8, 1e-10, 1e-12])
def test_lazy_log_det_is_naive_log_det_over_many_epochs(ridge: float):
    """Some times as many rows as dimensions: an epoch is as many additions as there are of them."""
    shapes = {
        "normal": lambda rng, x: x,
        "n/6 distinct": lambda rng, x: x[rng.integers(1 + len(x) // 6, size=len(x))],
        "in a cone": lambda rng, x: np.abs(x) + 3,
        "of falling scale": lambda rng, x: x * 10.0 ** -np.arange(x.shape[1]) + 1e-9,
    }
    for attack in attacks(kinds=shapes, rounds=0.5):
        d = int(attack.rng.choice([1, 2, 3, 5, 8, 12, 16, 17, 24, 33]))
        n = int(attack.rng.integers(3, 8)) * max(d, 16)
        rows = quantize(shapes[attack.kind](attack.rng, attack.rng.normal(size=(n, d))))
        naive = maximize(LogDet(ridge), rows, n, optimizer="naive", threads=1)
        assert same(maximize(LogDet(ridge), rows, n, threads=attack.threads), naive), (attack, n, d)


def test_a_sample_is_that_of_its_definition_and_lazier_than_lazy_draws_the_same():
    for attack in attacks():
        budget = max(1, attack.budget)
        epsilon = float(attack.rng.choice([0.01, 0.1, 0.5, 0.9]))
        options = {
            "epsilon": epsilon,
            "seed": int(attack.rng.integers(1 << 63)),
            "threads": attack.threads,
        }
        sample = (attack.n, budget, epsilon, options["seed"])
        expected = {
            FacilityLocation(): by_definition.FacilityLocation(attack.kernel16),
            GraphCut(attack.penalty): by_definition.GraphCut(attack.similarities, attack.penalty),
            LogDet(0.1): None,
        }
        for function, f in expected.items():
            drawn, lazier = (
                maximize(function, attack.q12, budget, optimizer=optimizer, **options)
                for optimizer in ("stochastic", "lazier-than-lazy")
            )
            assert same(drawn, lazier), (attack, function, options)
            if f is not None:
                assert drawn.items.tolist() == by_definition.stochastic(f, *sample), attack


def test_greedy_over_a_graph_is_greedy_over_its_matrix():
    for attack in attacks():
        graph = knn_graph(attack.q12, int(attack.rng.integers(1, 12)), threads=attack.threads)
        matrix = np.zeros((attack.n, attack.n), np.int64)
        matrix[np.repeat(np.arange(attack.n), np.diff(graph.indptr)), graph.indices] = graph.weights
        for function, f in (
            (FacilityLocation(), by_definition.FacilityLocation(np.maximum(matrix, 0))),
            (GraphCut(attack.penalty), by_definition.GraphCut(matrix, attack.penalty)),
        ):
            order = by_definition.greedy(f, range(attack.n), attack.budget)
            selection = maximize(function, graph, attack.budget, threads=attack.threads)
            assert chosen(selection) == scaled(order, COSINE), (attack, function)


def test_lazy_is_naive_over_kernels_of_either_precision():
    for attack in attacks():
        for dtype in (np.float32, np.float64):
            kernel = DenseKernel((attack.similarities * COSINE).astype(dtype))
            for function in (FacilityLocation(), GraphCut(attack.penalty), LogDet(0.5)):
                naive = maximize(function, kernel, attack.budget, optimizer="naive", threads=1)
                lazy = maximize(function, kernel, attack.budget, threads=attack.threads)
                assert same(lazy, naive), (attack, function, dtype)


def test_with_costs_it_is_the_better_of_two_greedy_runs():
    for attack in attacks():
        costs, kernel = attack.costs, attack.kernel16
        total = float(1.2 * attack.rng.random() * costs.sum())
        for function in (FacilityLocation(), GraphCut(attack.penalty), LogDet(0.1)):
            options = {"costs": costs, "threads": attack.threads}
            lazy = maximize(function, attack.q12, total, **options)
            naive = maximize(function, attack.q12, total, optimizer="naive", **options)
            assert same(lazy, naive), (attack, function)
            assert costs[lazy.items].sum() <= total * (1 + 1e-12), (attack, function)
            if isinstance(function, FacilityLocation):
                expected = by_definition.with_costs(
                    lambda of=kernel: by_definition.FacilityLocation(of), costs, total, COVER
                )
                assert lazy.items.tolist() == expected, attack


# ---- certificates ----


def test_no_set_of_a_few_rows_is_better_than_its_bound():
    for attack in attacks(most=8, rounds=3):
        n, budget = attack.n, int(attack.rng.integers(1, attack.n + 1))
        kernel, penalty = attack.similarities * COSINE, attack.penalty
        ridge = float(attack.rng.choice(OPTIMA))
        values = {
            FacilityLocation(): covering(kernel),
            GraphCut(penalty): cutting(kernel, penalty),
            LogDet(ridge): lambda s, k=kernel, r=ridge: np.linalg.slogdet(
                k[np.ix_(s, s)] + r * np.eye(len(s))
            )[1],
        }
        for function, value in values.items():
            best = max(value(list(s)) for s in itertools.combinations(range(n), budget))
            for ground in (attack.q12, DenseKernel(kernel)):
                bound = maximize(function, ground, budget, threads=1, certificate=True).bound
                # The 16-bit kernel of rows rounds a similarity by up to half of its unit.
                rounding = n * COVER if isinstance(function, FacilityLocation) else 0.0
                assert bound >= best - rounding - 1e-9 * max(1.0, abs(best)), (attack, function)


def test_no_set_is_better_than_its_bound_over_similarities_of_any_sign():
    for seed in range(START, START + round(60 * ROUNDS)):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(2, 8))
        kernel = np.tril(rng.normal(size=(n, n)))
        kernel += np.tril(kernel, -1).T
        budget = int(rng.integers(1, n + 1))
        for penalty in (0.25, 0.5, 1.0, 2.0):
            value = cutting(kernel, penalty)
            best = max(value(list(s)) for s in itertools.combinations(range(n), budget))
            for ground in (DenseKernel(kernel), as_graph(kernel)):
                bound = maximize(
                    GraphCut(penalty), ground, budget, threads=1, certificate=True
                ).bound
                assert bound >= best - 1e-9, (seed, penalty)


def covering(kernel):
    return lambda s: np.maximum(kernel[s].max(axis=0), 0).sum()


def cutting(kernel, penalty: float):
    return lambda s: kernel[s].sum() - penalty * kernel[np.ix_(s, s)].sum()


# ---- groups, near duplicates, the dense head ----


def test_groups_are_ordered_as_if_alone_and_near_duplicates_are_those_of_the_definition():
    for attack in attacks():
        cuts = np.sort(attack.rng.integers(attack.n + 1, size=int(attack.rng.integers(4))))
        sizes = np.diff([0, *cuts, attack.n]).astype(np.int64)
        functions = (FacilityLocation(), GraphCut(attack.penalty), LogDet(0.1))
        function = functions[int(attack.rng.integers(3))]
        order, gains = rank_groups(attack.q12, sizes, function, threads=attack.threads)
        millionths = int(attack.rng.choice([10**6, 950_000, 1, attack.rng.integers(1, 10**6)]))
        origins = []
        for start, size in zip(np.cumsum(sizes) - sizes, sizes, strict=True):
            own = slice(start, start + size)
            if size:
                alone = maximize(function, attack.q12[own], int(size), threads=1)
                assert np.array_equal(order[own], alone.items), (attack, function)
                assert np.array_equal(gains[own], alone.gains), (attack, function)
            origins += by_definition.near_duplicates(attack.q12[own], order[own], millionths)
        for level in LEVELS:
            options = (millionths, level, attack.threads)
            found, _ = _core.near_duplicates(attack.q12, sizes, order, *options)
            assert found.tolist() == origins, (attack, millionths, level)


def test_the_dense_head_and_its_worth_are_those_of_the_definition():
    for attack in attacks():
        n, budget = attack.n, max(1, attack.budget)
        candidates = int(attack.rng.integers(1, n + 1))
        head = int(attack.rng.integers(candidates + 1))
        near = q12_reference.nearest(attack.q12, 5)[0]
        graph = np.where(np.eye(n, dtype=bool), attack.similarities, 0)
        np.put_along_axis(graph, near, np.take_along_axis(attack.similarities, near, 1), axis=1)
        graph = np.maximum(np.maximum(graph, graph.T), 0)  # negative ones cover nothing
        proposed = by_definition.FacilityLocation(graph)
        among, _ = by_definition.greedy(proposed, range(n), candidates)
        dense = by_definition.FacilityLocation(attack.kernel16)
        expected, _ = by_definition.greedy(dense, among, min(head, budget))
        sparse = by_definition.FacilityLocation(graph)
        for row in expected:
            sparse.add(row)
        rest = [row for row in range(n) if row not in expected]
        expected += by_definition.greedy(sparse, rest, budget - len(expected))[0]
        arrays = knn_graph(attack.q12, 5, "exact")
        edges = (arrays.indptr, arrays.indices, arrays.weights)
        request = _core.Request(_core.FacilityLocation(), budget)
        items, *_ = _core.maximize_with_head(
            attack.q12, *edges, candidates, head, request, attack.threads
        )
        assert items.tolist() == expected, (attack, candidates, head)
        whole = by_definition.FacilityLocation(attack.kernel16)
        for row in expected:
            whole.add(row)
        left = np.sort(np.delete(whole.gains(), expected))[::-1][:budget].sum()
        worth = _core.dense_worth(attack.q12, items, attack.threads)
        assert worth == pytest.approx((whole.best.sum() * COVER, left * COVER)), attack


# ---- where the core changes its way of working ----


@pytest.mark.parametrize("n", [16, 17, 192, 193, 1024, 2049, 4097])
def test_no_size_of_block_or_epoch_shows_on_every_level(n: int):
    rng, kind = np.random.default_rng(n), "normal" if n % 2 else "one among many"
    rows = quantize(KINDS[kind](rng, rng.normal(size=(n, 6))))
    exact, few = q12_reference.similarities(rows, rows), min(n, 12)
    for function, f, unit in (
        (FacilityLocation(), by_definition.FacilityLocation(q12_reference.kernel16(rows)), COVER),
        (GraphCut(0.4), by_definition.GraphCut(exact, 0.4), COSINE),
    ):
        order = scaled(by_definition.greedy(f, range(n), few), unit)
        for threads in (1, 3):
            assert chosen(maximize(function, rows, few, threads=threads)) == order
    for k in (1, 5, 64) if n < 4000 else ():
        nearest = q12_reference.nearest(rows, k)
        for level, threads in itertools.product(LEVELS, (1, 3)):
            assert np.array_equal(_core.neighbours(rows, k, level, threads), nearest), (k, level)
    for function in (FacilityLocation(), GraphCut(0.4), LogDet(0.1)):
        budget = min(n, 900)
        whole = maximize(function, rows, budget, threads=1)
        assert same(maximize(function, rows, budget, threads=3), whole)
        assert chosen(maximize(function, rows, few)) == tuple(part[:few] for part in chosen(whole))


@pytest.mark.parametrize("d", [d for d in DIMENSIONS if d > 300] + [2048, 4096])
def test_sums_of_rows_at_the_edge_of_their_digits_are_exact(d: int):
    """As large values as rows may have, all at the same places of a register, of one sign."""
    for lanes, every in itertools.product((16, 32), (1, 4, 32)):
        places = np.arange(0, d, every)
        if every == 1:  # two values of each register alone
            places = np.flatnonzero(np.arange(d) % lanes < 2)
        value = math.isqrt(2**24 // len(places))
        n = min(200, max(2, 32767 // value))
        for sign in (1, -1):
            rows = np.zeros((n, d), np.int16)
            rows[:, places] = sign * value
            rows[0] *= -1
            rows[1, places[0]] -= sign
            f = by_definition.GraphCut(q12_reference.similarities(rows, rows), 0.4)
            order = scaled(by_definition.greedy(f, range(n), min(n, 12)), COSINE)
            selection = maximize(GraphCut(0.4), rows, min(n, 12), threads=1)
            assert chosen(selection) == order, (lanes, every, sign)


@pytest.mark.skipif("SMARTX_SIMD" in os.environ, reason="this is the run for one instruction set")
@pytest.mark.parametrize("level", LEVELS[:-1])
def test_every_claim_holds_on_every_instruction_set(level: str):
    """The fastest is that of this process."""
    options = ["-q", "-p", "no:cacheprovider", "-k", "not on_every_level"]
    child = subprocess.run(
        [sys.executable, "-m", "pytest", __file__, *options],
        env={**os.environ, "SMARTX_SIMD": level, "SMARTX_ATTACK_ROUNDS": "0.5"},
        capture_output=True,
        text=True,
    )
    assert child.returncode == 0, child.stdout
