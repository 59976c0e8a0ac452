"""Rankers over vectors and scores: against plain references, and what published code gave."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartx.engine import SCALE, DenseKernel, FacilityLocation, maximize, quantize
from smartx.errors import InputError
from smartx.rankers import covering, k_center, lazily, novel_select, pool_of, semantic_duplicates
from smartx.rankers.covering import Best, Covering, Room, products_of_pairs
from smartx.rankers.deita import DeitaRanker
from smartx.rankers.density import DensityRanker, densities, hashes_of
from smartx.rankers.feature_based import FeatureBasedRanker, rises
from smartx.rankers.k_center import KCenterRanker, farthest_first, most_central
from smartx.rankers.mig import OFFSET, MigRanker
from smartx.rankers.novel_select import NovelSelectRanker, newest_first
from smartx.rankers.qdit import QditRanker
from smartx.rankers.saturated_coverage import SaturatedCoverageRanker, saturated
from smartx.rankers.score import LengthRanker, ScoreRanker
from smartx.rankers.seed import SeedRanker
from smartx.rankers.semantic_duplicates import D4Ranker, SemDeDupRanker, centrality, repeats

CONFORMANCE = Path(__file__).parent / "conformance"
UNIT = SCALE * SCALE
NONE = np.zeros(0, dtype=np.int64)


def published(name):
    return json.loads((CONFORMANCE / f"{name}.json").read_text())


def pool_with(sizes, **features):
    found = {name: np.asarray(values) for name, values in features.items()}
    return pool_of(np.array(sizes, dtype=np.int64), found)


def rows_of(vectors):
    return quantize(np.array(vectors, dtype=np.float64))


def order_of(ranker, count, **features):
    order, gains = ranker.rank(pool_with([count], **features), threads=1)
    assert sorted(order.tolist()) == list(range(count))
    return order.tolist(), gains


def some_rows(seed, count=30, d=5):
    """Some of them equal."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, d))
    rows[count // 2] = rows[1]
    rows[count - 1] = rows[0]
    return quantize(rows)


def exact_products(rows):
    wide = rows.astype(np.int64)
    return wide @ wide.T


SEEDS = pytest.mark.parametrize("seed", range(4))


# ---- scores and length ----


def test_scores_lead_and_rows_without_one_come_last():
    scores = np.array([2.0, np.nan, 5.0, 5.0, -1.0])
    order, gains = order_of(ScoreRanker(), 5, score=scores)
    assert order == [2, 3, 0, 4, 1]
    assert gains.tolist() == [5, 5, 2, -1, 0]
    order, gains = order_of(ScoreRanker("q", "lowest"), 5, q=scores)
    assert order == [4, 0, 2, 3, 1]
    assert gains.tolist() == [1, -2, -5, -5, 0]


def test_an_infinite_score_is_refused():
    with pytest.raises(InputError, match="row 1 is infinite"):
        order_of(ScoreRanker(), 2, score=np.array([0.0, -np.inf]))


@pytest.mark.parametrize(
    ("of", "first", "wanted"),
    [
        ("all", "longest", [1, 2, 0, 3]),
        ("prompt", "longest", [2, 0, 1, 3]),
        ("response", "longest", [1, 0, 2, 3]),
        ("all", "shortest", [3, 0, 1, 2]),
    ],
)
def test_length_is_that_of_what_is_asked_for(of, first, wanted):
    tokens = np.array([[3, 4], [2, 9], [10, 1], [1, 0]], dtype=np.int32)
    order, gains = order_of(LengthRanker(of, first), 4, tokens=tokens)
    assert order == wanted
    assert (np.diff(gains) <= 0).all()


# ---- covering ----


def saturated_gain(near, chosen, row, enough):
    def value(rows):
        return sum(min(int(near[u, rows].sum()), int(enough[u])) for u in range(len(near)))

    return value([*chosen, row]) - value(chosen)


@SEEDS
@pytest.mark.parametrize("alpha", [0.05, 0.3, 1.0])
def test_saturated_coverage_is_greedy_round_after_round(seed, alpha, monkeypatch):
    monkeypatch.setattr(covering, "_UPDATE_VALUES", 50)
    near = products_of_pairs(some_rows(seed, 14))
    assert (near == np.maximum(0, exact_products(some_rows(seed, 14)))).all()
    enough = [max(1, math.floor(alpha * int(near[u].sum()))) for u in range(14)]
    order, gains = saturated(near, alpha, NONE)
    chosen, left, first = [], list(range(14)), True
    for row, gain in zip(order.tolist(), gains.tolist(), strict=True):
        found = [saturated_gain(near, chosen, other, enough) for other in left]
        if max(found) == 0:
            chosen, first = [], False
            found = [saturated_gain(near, chosen, other, enough) for other in left]
        assert row == left[int(np.argmax(found))]
        assert gain * UNIT == pytest.approx(max(found) if first else 0)
        chosen.append(row)
        left.remove(row)


@SEEDS
@pytest.mark.parametrize("state", ["best", "room"])
@pytest.mark.parametrize("coarse", [1, 1 << 20])
def test_gains_that_are_kept_up_to_date_are_those_of_a_fresh_count(
    seed, state, coarse, monkeypatch
):
    monkeypatch.setattr(covering, "_UPDATE_VALUES", 50)
    near = products_of_pairs(some_rows(seed, 20)) // coarse  # steps of one too
    if state == "best":
        kept = Covering(near, Best(np.zeros(20, dtype=np.int32)))
    else:
        kept = Covering(near, Room(near.sum(axis=1, dtype=np.int64) // 3, near.max(axis=1)))
    for row in np.random.default_rng(seed).permutation(20).tolist():
        kept.add(row)
        fresh = kept.states.terms(near, np.arange(20)).sum(axis=0, dtype=np.int64)
        assert (fresh == kept.gains).all()


def test_saturated_coverage_gives_the_order_of_apricot():
    theirs = published("apricot")
    vectors, their = rows_of(theirs["vectors"]), theirs["saturated"]
    order, gains = order_of(SaturatedCoverageRanker(their["alpha"]), 40, vectors=vectors)
    assert order[: len(their["order"])] == their["order"]
    np.testing.assert_allclose(gains[: len(their["order"])], their["gains"], rtol=3e-3)


@SEEDS
def test_qdit_with_no_quality_is_facility_location_and_with_no_coverage_a_score(seed):
    rows, quality = some_rows(seed), np.random.default_rng(seed).normal(size=30)
    near = np.maximum(0, exact_products(rows)).astype(np.float64)
    core = maximize(FacilityLocation(), DenseKernel(near / UNIT), 30)
    order, gains = order_of(QditRanker(alpha=0, scaled=False), 30, vectors=rows, quality=quality)
    assert order == core.items.tolist()
    np.testing.assert_allclose(gains, core.gains, rtol=1e-12)
    order, gains = order_of(QditRanker(alpha=1, scaled=False), 30, vectors=rows, quality=quality)
    assert order == np.argsort(-quality, kind="stable").tolist()
    assert gains.tolist() == quality[order].tolist()


@SEEDS
@pytest.mark.parametrize("scaled", [True, False])
def test_qdit_is_greedy_on_the_weighted_sum(seed, scaled):
    rows, quality = some_rows(seed, 15), np.random.default_rng(seed).normal(size=15)
    quality[3] = np.nan
    near = np.maximum(0, exact_products(rows)).astype(np.float64)
    worth = np.where(np.isnan(quality), np.nanmin(quality), quality)
    unit = UNIT
    if scaled:
        worth = (worth - worth.min()) / (worth.max() - worth.min())
        unit = near.sum(axis=0).max()
    order, gains = order_of(QditRanker(alpha=0.4, scaled=scaled), 15, vectors=rows, quality=quality)
    best, left = np.zeros(15), list(range(15))
    for row, gain in zip(order, gains.tolist(), strict=True):
        found = [0.6 * (np.maximum(0, near[v] - best).sum() / unit) + 0.4 * worth[v] for v in left]
        assert row == left[int(np.argmax(found))]
        assert gain == pytest.approx(max(found), abs=1e-12)
        best = np.maximum(best, near[row])
        left.remove(row)


@pytest.mark.parametrize(
    "ranker", [SaturatedCoverageRanker(), QditRanker(), NovelSelectRanker()], ids=lambda r: r.name
)
def test_units_without_room_for_their_pairs_are_refused_with_the_limit(ranker, monkeypatch):
    for module in ("saturated_coverage", "qdit", "novel_select"):
        monkeypatch.setattr(f"smartx.rankers.{module}.MOST_ROWS", 29)
    with pytest.raises(InputError, match="at most 29 of them; here are 30"):
        order_of(ranker, 30, vectors=some_rows(0), quality=np.ones(30))


# ---- k-center ----


def plain_farthest_first(rows):
    near = exact_products(rows)
    norms = near.diagonal()
    squares = norms[:, None] + norms - 2 * near
    order = [int(np.argmax(near.sum(axis=1)))]
    gains = [4.0]
    while len(order) < len(rows):
        far = squares[order].min(axis=0)
        far[order] = -1
        order.append(int(far.argmax()))
        gains.append(far.max() / UNIT)
    return order, gains


@SEEDS
@pytest.mark.parametrize(("count", "d"), [(1, 3), (2, 3), (40, 2), (150, 7), (120, 3)])
@pytest.mark.parametrize("together", [3, 8])
def test_k_center_is_farthest_first_from_the_most_central_row(
    seed, count, d, together, monkeypatch
):
    monkeypatch.setattr(k_center, "_TOGETHER", together)
    monkeypatch.setattr(k_center, "_BLOCK_ROWS", 11)
    rng = np.random.default_rng(seed)
    coarse = rng.integers(-2, 3, size=(count, d)).astype(np.float64)  # many equal distances
    coarse[~coarse.any(axis=1), 0] = 1
    for rows in (quantize(coarse), quantize(rng.normal(size=(count, d)))):
        order, gains = order_of(KCenterRanker(), count, vectors=rows)
        assert (order, gains.tolist()) == plain_farthest_first(rows)


def test_rows_that_were_trained_on_are_centres_from_the_start():
    rows = some_rows(5)
    order, gains = farthest_first(rows, np.array([4, 9]))
    assert order[:2].tolist() == [4, 9]
    assert gains[:2].tolist() == [0, 0]
    near = exact_products(rows)
    norms = near.diagonal()
    squares = norms[:, None] + norms - 2 * near
    assert gains[2] * UNIT == squares[[4, 9]].min(axis=0).max()


# ---- features ----


@given(st.integers(0, 10**6), st.integers(1, 40), st.sampled_from(["sqrt", "log", "power"]))
@settings(max_examples=40, deadline=None)
def test_feature_based_is_naive_greedy(seed, count, phi):
    rng = np.random.default_rng(seed)
    matrix = rng.integers(0, 4, size=(count, 6)).astype(np.float32)  # ties are many
    ranker = FeatureBasedRanker(phi=phi, exponent=0.5)
    order, gains = order_of(ranker, count, features=matrix)
    so_far, left = np.zeros(6), list(range(count))
    for row, gain in zip(order, gains.tolist(), strict=True):
        found = rises(so_far, matrix[left].astype(np.float64), phi, 0.5).sum(axis=1)
        if phi == "power":
            assert gain == pytest.approx(found.max(), abs=1e-12)
        else:
            assert (row, gain) == (left[int(found.argmax())], found.max())
        so_far += matrix[row]
        left.remove(row)


@pytest.mark.parametrize("phi", ["sqrt", "log", "power"])
def test_gains_of_features_are_differences_of_the_function(phi):
    value = {"sqrt": np.sqrt, "log": np.log1p, "power": lambda x: x**0.3}[phi]
    matrix = np.random.default_rng(0).exponential(size=(25, 4)).astype(np.float32)
    ranker = FeatureBasedRanker(phi=phi, exponent=0.3)
    order, gains = order_of(ranker, 25, features=matrix)
    so_far = np.cumsum(matrix[order].astype(np.float64), axis=0)
    np.testing.assert_allclose(np.cumsum(gains), value(so_far).sum(axis=1), rtol=1e-9)


@pytest.mark.parametrize("phi", ["sqrt", "log"])
def test_features_give_the_order_of_apricot(phi):
    theirs = published("apricot")
    matrix, their = np.array(theirs["features"], dtype=np.float32), theirs["feature_based"][phi]
    order, gains = order_of(FeatureBasedRanker(phi=phi), 40, features=matrix)
    assert order == their["order"]
    np.testing.assert_allclose(gains, their["gains"], atol=1e-5)


@pytest.mark.parametrize("wrong", [-1.0, np.nan, np.inf])
def test_values_that_cannot_be_counted_are_refused(wrong):
    matrix = np.ones((3, 2), dtype=np.float32)
    matrix[1, 1] = wrong
    with pytest.raises(InputError, match="row 1 has another"):
        order_of(FeatureBasedRanker(), 3, features=matrix)


@pytest.mark.parametrize("worth", [np.arange(2000.0), np.zeros(2000)], ids=["rising", "equal"])
def test_lazy_greedy_looks_at_few_rows(worth):
    looked = []

    def gains_of(rows):
        looked.append(len(rows))
        return worth[rows]

    order, _ = lazily.lazily(2000, gains_of, lambda row: None, NONE)
    assert order.tolist() == np.argsort(-worth, kind="stable").tolist()
    assert max(looked[1:]) <= 33


# ---- density ----


def test_density_is_the_share_of_rows_in_the_same_cell():
    rows = some_rows(2)
    coins, offsets = hashes_of(70, 5, 3), np.random.default_rng(0).random(70)
    assert abs(float(coins.mean())) < 1
    assert 10 < float(coins.var()) < 22
    found = densities(rows, coins, offsets, 0.4)
    for row in range(30):
        total = 0
        for h in range(70):
            reach = rows.astype(np.int64) @ coins[:, h].astype(np.int64)
            cells = [math.floor(x / (4 * SCALE * 0.4) + offsets[h]) for x in reach.tolist()]
            total += cells.count(cells[row])
        assert found[row] == pytest.approx(total / (30 * 70), rel=1e-12)


def test_rows_in_a_crowd_are_drawn_in_inverse_proportion_to_it():
    rng = np.random.default_rng(0)
    crowd = np.array([1.0, 0, 0]) + 1e-3 * rng.normal(size=(90, 3))
    rows = quantize(np.concatenate([crowd, [[0, 1.0, 0], [0, 0, 1.0]]]))
    first, odds = [], []
    for seed in range(300):
        order, gains = order_of(DensityRanker(hashes=50, seed=seed), 92, vectors=rows)
        first.append(order[0] >= 90)
        odds.append(sum(gains[order.index(row)] for row in (90, 91)) / gains.sum())
        assert gains.min() >= 1
    expected = float(np.mean(odds))
    assert expected > 10 * 2 / 92
    assert abs(np.mean(first) - expected) < 3 * math.sqrt(expected * (1 - expected) / 300)


# ---- SemDeDup, D4 ----


@pytest.mark.parametrize("keep", ["hard", "easy"])
def test_semdedup_gives_the_numbers_and_order_of_its_code(keep):
    theirs = published("semdedup")
    rows, labels = rows_of(theirs["vectors"]), np.array(theirs["labels"], dtype=np.int32)
    first = centrality(rows, labels)
    found = repeats(rows, labels, first if keep == "hard" else -first) / UNIT
    their = np.array(theirs["repeats"][keep])
    np.testing.assert_allclose(found, their, atol=2e-3)
    for bound in (0.5, 0.8, 0.9, 0.95, 0.99):
        inside = np.argsort(found, kind="stable")[: int((their <= bound).sum())]
        assert set(inside.tolist()) == set(np.flatnonzero(their <= bound).tolist())


@pytest.mark.parametrize("keep", ["hard", "easy", "random"])
def test_what_semdedup_counts_is_the_nearest_row_before(keep, monkeypatch):
    monkeypatch.setattr(semantic_duplicates, "_BLOCK_ROWS", 7)
    rows, ids = some_rows(3, 60), np.arange(60)
    ranker = SemDeDupRanker(clusters=3, keep=keep)
    labels = ranker.labels(rows, ids)
    assert labels.max() == 2
    near, wide = exact_products(rows), rows.astype(np.float64)
    found = ranker.repeats(rows, ids)
    order, gains = order_of(ranker, 60, vectors=rows)
    assert (np.diff(gains) <= 0).all()
    assert (found[order] == np.sort(found)).all()
    if keep == "random":
        assert (found > 0).any()
        return
    for cluster in range(3):
        own = np.flatnonzero(labels == cluster)
        mean = wide[own].sum(axis=0)
        central = wide[own] @ mean / np.linalg.norm(mean)
        for row, place in zip(own, central, strict=True):
            before = own[(central < place) if keep == "hard" else (central > place)]
            level = own[(central == place) & (own < row)]
            others = np.concatenate([before, level])
            assert found[row] == max(0, near[row, others].max(initial=0))


def test_of_equal_rows_one_is_kept_and_the_others_come_last():
    rows = some_rows(4, 40)
    rows[30:40] = rows[3]
    order, _ = order_of(SemDeDupRanker(clusters=2), 40, vectors=rows)
    same = [order.index(row) for row in (3, *range(30, 40))]
    assert sorted(same)[1:] == list(range(30, 40))


def test_d4_keeps_a_part_and_leads_with_the_rows_far_from_their_centre():
    rows, ids = some_rows(6, 40), np.arange(40)
    ranker = D4Ranker(clusters=3, kept=0.75)
    order, gains = order_of(ranker, 40, vectors=rows)
    found = ranker.repeats(rows, ids)
    stay = np.argsort(found, kind="stable")[:30]
    assert set(order[:30]) == set(stay.tolist())
    assert order[30:] == np.argsort(found, kind="stable")[30:].tolist()
    kept = np.sort(stay)
    near = centrality(rows[kept], ranker.labels(rows[kept], kept))
    assert order[:30] == kept[np.argsort(near, kind="stable")].tolist()
    assert gains[30:].tolist() == [0] * 10


# ---- DEITA, SEED ----


def test_deita_accepts_what_its_code_accepts():
    theirs = published("deita")
    complexity, quality = np.array(theirs["complexity"]), np.array(theirs["quality"])
    order, gains = order_of(
        DeitaRanker(near=theirs["near"]),
        60,
        vectors=rows_of(theirs["vectors"]),
        complexity=complexity,
        quality=quality,
    )
    accepted = theirs["accepted"]
    assert 10 < len(accepted) < 50
    assert order[: len(accepted)] == accepted
    rest = order[len(accepted) :]
    scores = complexity * quality
    assert rest == sorted(rest, key=lambda row: -scores[row])
    np.testing.assert_array_equal(gains, scores[order])


def test_deita_treats_each_unit_by_itself():
    rows, scores = some_rows(1), np.random.default_rng(0).random(30)
    ones = np.ones(30)
    features = {"vectors": rows, "complexity": scores, "quality": ones}
    order, _ = DeitaRanker(near=0.5).rank(pool_with([10, 20], **features), threads=1)
    for part in (slice(0, 10), slice(10, 30)):
        own = {name: values[part] for name, values in features.items()}
        alone, _ = order_of(DeitaRanker(near=0.5), part.stop - part.start, **own)
        assert order[part].tolist() == alone


@pytest.mark.parametrize("neighbours", [20, 5])
def test_seed_accepts_what_its_code_accepts(neighbours):
    theirs = published("seed")
    influence = np.array(theirs["influence"])
    order, gains = order_of(
        SeedRanker(neighbours=neighbours),
        90,
        vectors=rows_of(theirs["vectors"]),
        influence=influence,
    )
    accepted = theirs["accepted"][str(neighbours)]
    assert 5 < len(accepted) < 60
    assert order[: len(accepted)] == accepted
    rest = order[len(accepted) :]
    assert rest == sorted(rest, key=lambda row: -influence[row])
    np.testing.assert_array_equal(gains, influence[order])


@SEEDS
def test_edges_go_to_those_of_the_nearest_rows_that_are_near(seed):
    rows = rows_of(np.random.default_rng(seed).normal(size=(40, 3)) + 1.0)
    wide = rows.astype(np.float64)
    unit = wide / np.linalg.norm(wide, axis=1, keepdims=True)
    cosines, near = unit @ unit.T, exact_products(rows)
    wanted = set()
    for row in range(40):
        others = sorted(set(range(40)) - {row}, key=lambda other: (-near[row, other], other))[:6]
        least = max(0.7, 0.95 * min(cosines[row, others]))  # as published; 0.7 decides
        wanted |= {(row, other) for other in others if cosines[row, other] >= least}
    left, right = SeedRanker(neighbours=6).edges(rows, threads=1)
    assert set(zip(left.tolist(), right.tolist(), strict=True)) == wanted
    assert 40 < len(wanted) < 240


# ---- NovelSelect ----


def test_novel_select_gives_the_order_of_its_code():
    theirs = published("novel_select")
    rows = rows_of(theirs["vectors"])
    dense = novel_select.densities(rows, 10)
    order, _ = newest_first(rows, dense, len(rows), theirs["order"][0])
    assert order.tolist() == theirs["order"]


def plain_novelty(rows, dense, chosen, row, depth):
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    far = sorted(
        max(0.0, 1 - unit[row] @ unit[other]) * (dense[row] + dense[other]) for other in chosen
    )
    return sum(x / (rank + 1) for rank, x in enumerate(far[:depth])) / len(chosen)


@SEEDS
@pytest.mark.parametrize("depth", [1, 4, 40])
def test_novel_select_takes_the_newest(seed, depth):
    rows = some_rows(seed, 40)
    order, gains = order_of(NovelSelectRanker(neighbours=3, depth=depth), 40, vectors=rows)
    assert order[0] == most_central(rows)
    dense = novel_select.densities(rows, 3)
    for step in range(1, 40):
        left = [row for row in range(40) if row not in order[:step]]
        found = [
            plain_novelty(rows.astype(np.float64), dense, order[:step], row, depth) for row in left
        ]
        scale = float(dense.max())
        assert gains[step] == pytest.approx(max(found), abs=1e-6 * scale)
        assert found[left.index(order[step])] == pytest.approx(max(found), abs=1e-6 * scale)


def test_densities_are_those_of_the_nearest_different_rows():
    rows = some_rows(0, 20)
    wide = rows.astype(np.float64)
    different = np.unique(wide, axis=0)
    for row, dense in zip(wide, novel_select.densities(rows, 4).tolist(), strict=True):
        far = np.sort(((different - row) ** 2).sum(axis=1))[1:5] / UNIT
        assert dense == pytest.approx(1 / math.sqrt(far.mean() + 1e-9))


# ---- MIG ----


def mig_features(theirs):
    labels = np.zeros((len(theirs["labels"]), len(theirs["label_vectors"])), dtype=np.float32)
    for row, own in enumerate(theirs["labels"]):
        labels[row, own] = 1
    table = np.array(theirs["label_vectors"], dtype=np.float32)
    return {"labels": labels, "label_vectors": table, "quality": np.array(theirs["quality"])}


@pytest.mark.parametrize("quality", ["whole", "shared"])
def test_mig_gives_the_order_of_its_code(quality):
    theirs = published("mig")
    order, _ = order_of(MigRanker(shared=quality == "shared"), 50, **mig_features(theirs))
    assert order[:49] == theirs["order"][quality]
    assert theirs["order"]["whole"] != theirs["order"]["shared"]


def test_mig_without_label_vectors_is_the_slope_of_each_label():
    rng = np.random.default_rng(0)
    labels = (rng.random((25, 6)) < 0.3).astype(np.float32)
    quality = rng.integers(1, 5, 25).astype(np.float64)
    quality[7] = np.nan
    ranker = MigRanker(label_vectors="none")
    order, gains = order_of(ranker, 25, labels=labels, quality=quality)
    told = labels.astype(np.float64) * np.nan_to_num(quality)[:, None]
    so_far = np.zeros(6)
    for step, row in enumerate(order):
        found = told @ (0.8 * (so_far + OFFSET) ** -0.2)
        assert gains[step] == pytest.approx(found[row])
        left = [other for other in range(25) if other not in order[:step]]
        assert found[row] == pytest.approx(max(found[left]))
        so_far += told[row]
    assert gains[order.index(7)] == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"quality": np.full(50, -1.0)}, "quality must be finite and at least 0"),
        ({"label_vectors": np.ones((3, 2), dtype=np.float32)}, "3 rows for 15 labels"),
        ({"labels": np.full((50, 15), np.nan, dtype=np.float32)}, "a value is not finite"),
    ],
)
def test_what_mig_cannot_use_is_named(change, message):
    features = mig_features(published("mig"))
    with pytest.raises(InputError, match=message):
        order_of(MigRanker(), 50, **{**features, **change})
