"""Groups that are ranked in parts: what a part is, how parts are put together, what is lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from large_rows import KINDS as MADE

from ground_sets import clustered
from small import Vectors, flan_like, vectors_for
from smartx.engine import FacilityLocation, LogDet, evaluate, quantize, rank_groups
from smartx.errors import ConfigError
from smartx.rankers import (
    FacilityLocationRanker,
    GraphCutRanker,
    LogDetRanker,
    Ranking,
    SubmodularRanker,
    parts,
    rank_corpus,
    rankings,
    run,
    units_of,
)
from smartx.rankers.large import LargeUnit
from smartx.rankers.pool import Pool, pool_of
from smartx.report.repeat import _strategy
from smartx.strategies import RANKERS as KNOWN
from smartx.strategies import facts_of

ROWS = quantize(clustered(240))
POOL = pool_of(np.array([240]), {"vectors": ROWS}, first_row=1_000)
TEMPLATES = np.repeat(np.array([0, 1, 2], np.int32), [120, 90, 30])
RANKERS: list[SubmodularRanker] = [FacilityLocationRanker(), GraphCutRanker(), LogDetRanker()]
every_ranker = pytest.mark.parametrize("ranker", RANKERS, ids=lambda ranker: ranker.name)
WAYS = ["near", "drawn"]


def part_of(rows, count, way, *, seed=0, threads=1, first_row=0):
    ids = np.arange(first_row, first_row + len(rows))
    return parts.cut(lambda a, b: rows[a:b], ids, count, way, seed=seed, threads=threads)


@pytest.mark.parametrize("way", WAYS)
def test_parts_are_of_equal_size_and_hang_on_rows_and_seed_alone(way, monkeypatch):
    found = part_of(ROWS, 7, way)
    assert np.bincount(found).tolist() == parts.part_sizes(240, 7).tolist()
    assert np.ptp(np.bincount(found)) == 1
    assert part_of(ROWS, 7, way, threads=2).tobytes() == found.tobytes()
    assert part_of(ROWS, 7, way, seed=1).tolist() != found.tolist()
    assert part_of(ROWS, 7, way, first_row=5).tolist() != found.tolist()
    monkeypatch.setattr(parts, "BLOCK_ROWS", 13)
    assert part_of(ROWS, 7, way).tobytes() == found.tobytes()


def test_rows_that_are_near_are_in_one_part_but_where_a_part_ends():
    own = np.repeat(np.arange(8), 30)
    rows = quantize(np.eye(8)[own] + np.random.default_rng(0).normal(0, 0.01, (240, 8)))
    found = part_of(rows, 4, "near")
    assert sum(len(np.unique(found[own == cluster])) for cluster in range(8)) <= 8 + 3
    drawn = part_of(rows, 4, "drawn")
    assert all(len(np.unique(drawn[own == cluster])) == 4 for cluster in range(8))


@pytest.mark.parametrize("pieces", [2, 3, 5])
def test_centres_lie_so_that_near_ones_are_adjacent_and_weights_can_be_halved(pieces):
    angles = np.linspace(0, np.pi, 60)
    shuffled = np.random.default_rng(1).permutation(60)
    centres = quantize(np.stack([np.cos(angles), np.sin(angles)], axis=1)[shuffled])
    weights = np.where(angles[shuffled] < 1, 9, 3)
    place = parts.line_of(centres, weights, pieces)
    assert sorted(place.tolist()) == list(range(60))
    along = np.argsort(place)
    middle = np.cumsum(weights[along]) - weights[along] / 2
    piece = (middle * pieces / weights.sum()).astype(int)
    for number in range(pieces):  # an arc, and what its last centre is too heavy for
        own = np.sort(shuffled[along[piece == number]])
        assert np.abs(weights[along[piece == number]].sum() - weights.sum() / pieces) <= 9
        assert (np.diff(own) > 1).sum() <= 1


@every_ranker
@pytest.mark.parametrize("per", ["template", "task"])
def test_one_part_is_the_ranking_of_the_whole_group(ranker, per):
    pool = replace(POOL, templates=TEMPLATES)
    whole = replace(ranker, per=per).rank(pool, threads=1)
    for rows in (240, 1_000):
        order, gains = replace(ranker, per=per, part_rows=rows).rank(pool, threads=1)
        assert (order.tobytes(), gains.tobytes()) == (whole[0].tobytes(), whole[1].tobytes())
    assert replace(ranker, per=per, part_rows=100).rank(pool, threads=1)[0].tolist() != (
        whole[0].tolist()
    )


@every_ranker
def test_each_unit_has_every_row_once_and_small_ones_are_as_ever(ranker):
    sizes = np.array([30, 150, 60])
    pool = pool_of(sizes, {"vectors": ROWS})
    order, gains = replace(ranker, part_rows=60).rank(pool, threads=1)
    whole = ranker.rank(pool, threads=1)
    for own in pool.parts():
        assert sorted(order[own].tolist()) == list(range(own.stop - own.start))
    for own in (slice(0, 30), slice(180, 240)):
        assert order[own].tolist() == whole[0][own].tolist()
        assert gains[own].tobytes() == whole[1][own].tobytes()
    again = replace(ranker, part_rows=60).rank(pool, threads=2)
    assert (again[0].tobytes(), again[1].tobytes()) == (order.tobytes(), gains.tobytes())


def test_facility_location_in_parts_is_greedy_of_the_sum_of_the_parts():
    ranker = FacilityLocationRanker(part_rows=50)
    order, gains = ranker.rank(POOL, threads=1)
    part = ranker.cut(lambda a, b: ROWS[a:b], POOL.row_ids, 1)
    orders = [
        rank_groups(ROWS[part == p], np.array([(part == p).sum()]), FacilityLocation())
        for p in range(5)
    ]
    left, expected = [list(zip(*one, strict=True)) for one in orders], []
    while any(left):  # by definition: whichever part adds most with its next row
        best = max((p for p in range(5) if left[p]), key=lambda p: (left[p][0][1], -p))
        place, gain = left[best].pop(0)
        expected.append((int(np.flatnonzero(part == best)[place]), gain))
    assert sorted(gains.tolist(), reverse=True) == gains.tolist()
    assert gains.tolist() == pytest.approx([gain for _, gain in expected])
    for count in (1, 10, 40, 240):
        taken = order[:count]
        held = [np.flatnonzero(np.isin(np.flatnonzero(part == p), taken)) for p in range(5)]
        worth = sum(evaluate(FacilityLocation(), ROWS[part == p], held[p]) for p in range(5))
        assert worth == pytest.approx(gains[:count].sum())
        assert evaluate(FacilityLocation(), ROWS, taken) >= worth * (1 - 1e-12)


def test_log_det_chooses_again_among_the_first_rows_of_all_parts():
    ranker = LogDetRanker(part_rows=60)
    order, gains = ranker.rank(POOL, threads=1)
    for count in (1, 20, 60):
        worth = evaluate(LogDet(), ROWS, order[:count])
        assert worth == pytest.approx(gains[:count].sum())
    whole = LogDetRanker().rank(POOL, threads=1)[0]
    assert evaluate(LogDet(), ROWS, order[:12]) > 0.99 * evaluate(LogDet(), ROWS, whole[:12])


def test_gains_of_graph_cut_are_about_those_of_the_whole_group():
    whole = GraphCutRanker().rank(POOL, threads=1)[1]
    gains = GraphCutRanker(part_rows=60).rank(POOL, threads=1)[1]
    assert gains[:20].mean() == pytest.approx(whole[:20].mean(), rel=0.1)


@every_ranker
def test_every_prefix_of_a_task_in_parts_is_balanced_and_trained_rows_come_first(ranker):
    trained = np.zeros(240, np.bool_)
    trained[[3, 100, 230]] = True
    ranker = replace(ranker, per="task", part_rows=60)
    for before in (None, trained):
        pool = Pool(POOL.sizes, POOL.row_ids, TEMPLATES, POOL.features, before)
        order, gains = ranker.rank(pool, threads=1)
        assert sorted(order.tolist()) == list(range(240))
        own = order
        if before is not None:
            assert order[:3].tolist() == [3, 100, 230]
            assert not gains[:3].any()
            own = order[3:]
        for template in range(3):
            mine = TEMPLATES[own] == template
            share = mine.sum() * np.arange(1, len(own) + 1) / len(own)
            assert (np.abs(np.cumsum(mine) - share) < 1).all()
    loose = replace(ranker, balance=False).rank(replace(POOL, templates=TEMPLATES), threads=1)
    assert loose[0].tolist() == replace(ranker, per="template").rank(POOL, threads=1)[0].tolist()


def covered(rows, order, share, clients):
    chosen = rows[order[: int(share * len(rows))]].astype(np.float32)
    return float((clients @ chosen.T).max(axis=1).sum())


@pytest.mark.parametrize("kind", ["clustered", "repeats"])
def test_little_of_the_objective_is_lost(kind):
    rows = quantize(MADE[kind](20_000, 24))
    clients = rows[::10].astype(np.float32)
    pool = pool_of(np.array([20_000]), {"vectors": rows})
    # Kernels are as small beside the group as those of a million rows are.
    ranker = FacilityLocationRanker(dense_limit=1 << 21)
    whole = ranker.rank(pool, threads=1)[0]
    for count in (2, 8):
        order = replace(ranker, part_rows=-(-20_000 // count)).rank(pool, threads=1)[0]
        assert (np.bincount(order, minlength=20_000) == 1).all()
        for share in (0.01, 0.05, 0.2):
            worth = covered(rows, order, share, clients)
            assert worth >= 0.98 * covered(rows, whole, share, clients)


def test_parts_are_parameters_only_where_they_are_asked_for():
    assert not {"part_rows", "part_seed"} & FacilityLocationRanker().parameters().keys()
    ranker = KNOWN.made("facility-location:part_rows=500k,part_seed=3")
    assert ranker == FacilityLocationRanker(part_rows=500_000, part_seed=3)
    assert (ranker.parts(500_000), ranker.parts(500_001), ranker.parts(0)) == (1, 2, 1)
    assert KNOWN.made(_strategy(facts_of(ranker))) == ranker  # as a report says to do it again
    for wrong in ("10%", "1", "many"):
        with pytest.raises(ConfigError, match="a number of rows such as 500k"):
            KNOWN.made(f"graph-cut:part_rows={wrong}")


def test_a_part_costs_less_than_the_group():
    sizes, d = np.array([1_000_000]), 384
    for ranker in RANKERS:
        smaller = replace(ranker, part_rows=125_000)
        assert smaller.memory(sizes, d, 2) < ranker.memory(sizes, d, 2)
        assert smaller.held_rows(1_000_000) == 125_000
        assert smaller.engine(1_000_000) == f"{ranker.engine(125_000)} in parts"
    fast = replace(FacilityLocationRanker(), part_rows=125_000)
    assert fast.seconds(sizes, d)[0] < 0.2 * FacilityLocationRanker().seconds(sizes, d)[0]


# ---- on disk ----


SIZES = {"one": [50, 30, 0, 0], "two": [9, 0, 0, 0], "three": [0, 70, 0, 0]}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return flan_like(tmp_path_factory.mktemp("parts"), SIZES)


@pytest.fixture
def small_files(monkeypatch):
    for module in (run, rankings):
        monkeypatch.setattr(module, "PART_ROWS", 24)
        monkeypatch.setattr(module, "BLOCK_ROWS", 24)


PARTED = FacilityLocationRanker(per="task", part_rows=20)


def files_of(ranked):
    return {path.name: path.read_bytes() for path in sorted(ranked.folder.glob("*.parquet"))}


@every_ranker
@pytest.mark.parametrize("near", [None, 0.9])
def test_on_disk_it_is_the_ranking_in_memory(corpus, tmp_path, ranker, near, small_files):
    ranker = replace(ranker, per="task", part_rows=20)
    vectors = vectors_for(corpus)
    out, trained = np.arange(5, 60, 7), np.array([4, 40, 41])
    made = rank_corpus(
        corpus, vectors, ranker, tmp_path, threads=2, left_out=out, trained=trained,
        near_duplicates=near,
    )  # fmt: skip
    features = {"vectors": vectors}
    ranking = Ranking(corpus.groups, ranker, features, out, trained, near)
    units = units_of(corpus.groups, "task")
    together = ranking.ranked(0, len(units))  # the ranker's own way, all vectors at once
    prefixes = list(made.prefixes(units.start, units.rows))
    assert np.concatenate([ids for ids, _, _ in prefixes]).tolist() == together.row_ids.tolist()
    assert np.concatenate([gains for *_, gains in prefixes]).tobytes() == together.gains.tobytes()
    assert max(ranking.parts) > 1


def test_parts_that_a_killed_run_had_made_are_not_made_again(
    corpus, tmp_path, monkeypatch, small_files
):
    vectors = vectors_for(corpus)
    expected = files_of(rank_corpus(corpus, vectors, PARTED, tmp_path / "one", threads=1))
    real, made = LargeUnit.ranked, []

    def dies(self, part):
        if len(made) in (2, 5):
            made.append(None)
            raise KeyboardInterrupt
        made.append((self.number, part))
        return real(self, part)

    monkeypatch.setattr(LargeUnit, "ranked", dies)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            rank_corpus(corpus, vectors, PARTED, tmp_path / "two", threads=1)
    ranked = rank_corpus(corpus, vectors, PARTED, tmp_path / "two", threads=1)
    assert files_of(ranked) == expected
    done = [one for one in made if one]
    assert len(done) == len(set(done)) == 4 + 4
    assert not list((tmp_path / "two").rglob("pieces"))


def test_a_part_on_disk_that_is_damaged_is_made_again(corpus, tmp_path, monkeypatch, small_files):
    vectors = vectors_for(corpus)
    expected = files_of(rank_corpus(corpus, vectors, PARTED, tmp_path / "one", threads=1))

    def stops(work):
        for unit in work.units():
            work.make(unit, lambda _: None)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rank_corpus(corpus, vectors, PARTED, tmp_path / "two", threads=1, divide=stops)
    kept = sorted((tmp_path / "two").rglob("*-part-*.parquet"))
    assert len(kept) == 8
    kept[0].write_bytes(b"torn")
    kept[1].unlink()
    assert files_of(rank_corpus(corpus, vectors, PARTED, tmp_path / "two", threads=1)) == expected


def test_vectors_are_read_a_part_at_a_time(corpus, tmp_path, monkeypatch, small_files):
    monkeypatch.setattr(parts, "BLOCK_ROWS", 16)
    monkeypatch.setattr(run, "BUNDLE_ROWS", 16)
    read = []

    class Watched(Vectors):
        def rows(self, start, stop):
            read.append(stop - start)
            return super().rows(start, stop)

    known = vectors_for(corpus)
    watched = Watched(known.table, known.digest, known.manifest)
    rank_corpus(corpus, watched, PARTED, tmp_path, threads=1)
    assert max(read) == 16
