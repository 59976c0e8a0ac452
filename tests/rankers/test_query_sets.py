"""Rankers that look at query sets: against plain references, and the order that published code
gave (`conformance/`, each with where it comes from).
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from q12_reference import random_rows
from smartx.draws import draws
from smartx.errors import InputError
from smartx.rankers import Pool, mutual_information, pool_of, query_sets
from smartx.rankers.exponentials import exponentials
from smartx.rankers.mutual_information import FlqmiRanker, FlvmiRanker, GcmiRanker, cover_queries
from smartx.rankers.rds import RdsRanker, round_robin
from smartx.rankers.tsds import TsdsRanker, densities, masses, neighbours_of, transport

CONFORMANCE = Path(__file__).parent / "conformance"


def published(name):
    return json.loads((CONFORMANCE / f"{name}.json").read_text())


def pool_with(vectors, sizes=None, **tables):
    own = np.asarray(vectors, dtype=np.int16)
    features = {name: np.asarray(table, dtype=np.float32) for name, table in tables.items()}
    sizes = [len(own)] if sizes is None else sizes
    return pool_of(np.array(sizes, dtype=np.int64), {"vectors": own, **features})


@pytest.fixture(autouse=True)
def q12_queries(monkeypatch):
    """Query tables of these tests hold Q12 rows already: rounding twice would change them."""
    monkeypatch.setattr(query_sets, "quantize", lambda table: np.asarray(table, dtype=np.int16))


# ---- RDS+ ----


def test_round_robin_gives_the_order_of_the_published_code():
    theirs = published("rds")
    tables = {f"set{i}": table for i, table in enumerate(theirs["queries"])}
    ranker = RdsRanker("+".join(tables))
    order, _ = ranker.rank(pool_with(theirs["vectors"], **tables), threads=1)
    assert order.tolist() == theirs["order"]


@given(
    st.integers(1, 4).flatmap(
        lambda sets: st.lists(
            st.lists(st.integers(0, 5), min_size=sets, max_size=sets), min_size=1, max_size=12
        )
    )
)
def test_round_robin_is_popping_from_each_list_in_turn(scores):
    lists = [
        sorted(range(len(scores)), key=lambda row: -scores[row][place])
        for place in range(len(scores[0]))
    ]
    taken = {}
    while len(taken) < len(scores):
        for place, names in enumerate(lists):
            row = names.pop(0)
            taken.setdefault(row, scores[row][place])
    order, gains = round_robin(np.array(scores, dtype=np.float64))
    assert order.tolist() == list(taken)
    assert gains.tolist() == list(taken.values())


# ---- submodular mutual information ----

THEIRS = [
    (f"{kind} {eta}", maker(eta=eta))
    for kind, maker in (("flqmi", FlqmiRanker), ("flvmi", FlvmiRanker))
    for eta in (0.0, 0.3, 1.0, 2.5)
] + [("gcmi", GcmiRanker())]


@pytest.mark.parametrize(("kind", "ranker"), THEIRS, ids=[kind for kind, _ in THEIRS])
@pytest.mark.parametrize("case", [0, 1])
def test_greedy_gives_the_order_and_gains_of_submodlib(kind, ranker, case):
    """As long as there are gains. Where rows tie, it takes any of them."""
    theirs = published("submodlib")["cases"][case]
    order, gains = ranker.rank(pool_with(theirs["vectors"], queries=theirs["queries"]), threads=1)
    greedy = [(row, gain) for row, gain in theirs["greedy"][kind] if abs(gain) > 1e-6]
    atol = 1e-6 if kind.startswith("flvmi") else 1e-8  # eta times a cosine is rounded to 2^-24
    np.testing.assert_allclose(gains[: len(greedy)], [gain for _, gain in greedy], atol=atol)
    if not kind.startswith("flvmi"):
        assert order[: len(greedy)].tolist() == [row for row, _ in greedy]


def flvmi(similar, reach, chosen):
    return sum(
        min(max([0.0, *(float(similar[v][a]) for a in chosen)]), reach[v])
        for v in range(len(similar))
    )


@pytest.mark.parametrize("eta", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("case", [0, 1])
def test_flvmi_is_plain_greedy_and_so_is_the_order_of_submodlib(eta, case):
    """A row that is covered as far as it is near to a query is so by many: ties are the rule."""
    theirs = published("submodlib")["cases"][case]
    vectors, queries = np.array(theirs["vectors"]), np.array(theirs["queries"])
    similar = (vectors @ vectors.T).tolist()
    near = (vectors @ queries.T).max(axis=1)
    reach = np.rint(np.maximum(near, 0) * eta).tolist()
    ranker = FlvmiRanker(eta=eta)
    order, gains = ranker.rank(pool_with(vectors, queries=queries), threads=1)
    ours = list(zip(order.tolist(), gains.tolist(), strict=True))
    for told, exact in ((ours, True), (theirs["greedy"][f"flvmi {eta}"], False)):
        chosen = []
        for row, gain in told:
            value = flvmi(similar, reach, chosen)
            best = {
                r: flvmi(similar, reach, [*chosen, r]) - value
                for r in range(len(similar))
                if r not in chosen
            }
            most = max(best.values())
            assert gain == pytest.approx(most / 2**24, abs=1e-6)
            assert best[row] == pytest.approx(most, abs=32)
            if exact and most > 0:
                assert row == min(r for r in best if best[r] == most)
            chosen.append(row)


def flqmi(similar, eta, chosen):
    covered = [max([0, *(int(similar[a][q]) for a in chosen)]) for q in range(len(similar[0]))]
    return sum(covered) + eta * sum(int(max(similar[a])) for a in chosen)


@given(
    st.integers(1, 4).flatmap(
        lambda q: st.lists(
            st.lists(st.integers(-3, 6), min_size=q, max_size=q), min_size=1, max_size=9
        )
    ),
    st.sampled_from([0.0, 0.25, 1.0, 4.0]),
)
def test_lazy_flqmi_is_plain_greedy(similar, eta):
    order, gains = cover_queries(np.array(similar, dtype=np.float32), eta)
    chosen = []
    for row, gain in zip(order.tolist(), gains.tolist(), strict=True):
        left = [r for r in range(len(similar)) if r not in chosen]
        value = flqmi(similar, eta, chosen)
        best = {r: flqmi(similar, eta, [*chosen, r]) - value for r in left}
        assert gain == best[row] == max(best.values())
        ties = [r for r in left if best[r] == gain]
        nearest = max(max(similar[r]) for r in ties)
        assert row in (ties[0], min(r for r in ties if max(similar[r]) == nearest))
        chosen.append(row)


def test_rows_that_no_query_is_near_come_by_their_nearness():
    vectors = random_rows(40, 6, 3)
    pool = pool_with(vectors, queries=vectors[:3] // 2 * 2)
    near = (vectors.astype(int) @ (vectors[:3].astype(int) // 2 * 2).T).max(axis=1)
    order, gains = FlqmiRanker(eta=0.0).rank(pool, threads=1)
    rest = order[gains == 0]
    assert len(rest) > 30
    assert near[rest].tolist() == sorted(near[rest], reverse=True)
    order, gains = FlvmiRanker(eta=0.2).rank(pool, threads=1)
    rest = order[gains == 0]
    assert len(rest) > 5
    assert near[rest].tolist() == sorted(near[rest], reverse=True)


@pytest.mark.parametrize("ranker", [FlqmiRanker(eta=0.5), FlvmiRanker(eta=0.9)])
def test_what_trained_rows_cover_counts_for_nothing(ranker):
    """Gains are those of greedy that goes on from the trained rows; they have none themselves."""
    vectors, queries = random_rows(24, 5, 11), random_rows(4, 5, 12)
    plain = pool_with(vectors, queries=queries)
    trained = np.zeros(24, dtype=bool)
    plainly, _ = ranker.rank(plain, threads=1)
    known = plainly[:3].tolist()
    trained[known] = True
    pool = Pool(plain.sizes, plain.row_ids, plain.templates, plain.features, trained)
    order, gains = ranker.rank(pool, threads=1)
    wide, other = vectors.astype(np.int64), queries.astype(np.int64)
    near = (wide @ other.T).max(axis=1)
    if isinstance(ranker, FlqmiRanker):
        similar = (wide @ other.T).tolist()

        def value(chosen):
            return flqmi(similar, 0.0, chosen) + 0.5 * sum(near[a] for a in chosen)
    else:
        similar, reach = (wide @ wide.T).tolist(), np.rint(np.maximum(near, 0) * 0.9).tolist()

        def value(chosen):
            return flvmi(similar, reach, chosen)

    chosen = list(known)
    for row, gain in zip(order.tolist(), gains.tolist(), strict=True):
        left = [r for r in range(24) if r not in order[: order.tolist().index(row)]]
        if gain > 0 and row not in known:
            best = max(value([*chosen, r]) - value(chosen) for r in left if r not in chosen)
            assert gain == pytest.approx(best / 2**24, abs=1e-12)
        chosen.append(row)
    assert plainly.tolist() != order.tolist()


def test_what_has_no_room_is_refused_with_what_to_do(monkeypatch):
    vectors = random_rows(20, 6, 3)
    pool = pool_with(vectors, queries=vectors[:3])
    monkeypatch.setattr(mutual_information, "MOST_ROWS", 19)
    with pytest.raises(InputError, match="20 rows, and the cosines of all pairs of at most 19"):
        FlvmiRanker().rank(pool, threads=1)
    monkeypatch.setattr(query_sets, "MOST_BYTES", 4 * 59)
    with pytest.raises(InputError, match="20 rows by 3 queries"):
        FlqmiRanker().rank(pool, threads=1)


# ---- TSDS ----


@pytest.mark.parametrize("case", range(4))
def test_probabilities_are_those_of_the_published_code(case):
    """Theirs are sums of float32 distances."""
    theirs = published("tsds")["cases"][case]
    names = ("alpha", "scale", "sigma", "neighbours", "density_neighbours")
    ranker = TsdsRanker(**{name: theirs[name] for name in names})
    order, gains = ranker.rank(pool_with(theirs["vectors"], queries=theirs["queries"]), threads=1)
    odds = np.empty(len(order))
    odds[order] = gains
    np.testing.assert_allclose(odds, theirs["probabilities"], atol=2e-6)
    np.testing.assert_array_equal(odds > 0, np.array(theirs["probabilities"]) > 0)


def plain_transport(distances, crowd, alpha, scale):
    """The level rises from one event to the next; of each query its cost is summed anew."""
    full = [[math.fsum(1 / c for c in row[: k + 1]) for k in range(len(row) - 1)] for row in crowd]
    events = sorted((at, k, j) for j, row in enumerate(full) for k, at in enumerate(row))
    last = [0] * len(crowd)
    now = [-1] * len(crowd)
    for at, k, j in events:
        now[j] = k
        cost = math.fsum(
            distances[i][now[i] + 1] * full[i][now[i]]
            - math.fsum(d / c for d, c in zip(distances[i], crowd[i][: now[i] + 1], strict=False))
            for i in range(len(crowd))
            if now[i] >= 0
        )
        if alpha / scale * cost >= (1 - alpha) * len(crowd):
            return last, at
        last[j] = k
    return last, events[-1][0]


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(2, 9), st.floats(0.05, 1.0))
def test_transport_is_that_of_a_plain_walk_and_loses_no_mass(seed, queries, count, alpha):
    rng = np.random.default_rng(seed)
    distances = np.sort(rng.random((queries, count)), axis=1)
    crowd = 1 + 2 * rng.random((queries, count))
    last, level = transport(distances, crowd, alpha, 0.5)
    plain, at = plain_transport(distances.tolist(), crowd.tolist(), alpha, 0.5)
    assert last.tolist() == plain
    assert level == pytest.approx(at)
    rows = np.stack([rng.permutation(12)[:count] for _ in range(queries)])
    got = masses(rows, crowd, last, level, 12)
    assert (got >= 0).all()
    assert got.sum() == pytest.approx(1)


def test_neighbours_and_densities_are_those_of_all_pairs(monkeypatch):
    monkeypatch.setattr("smartx.rankers.tsds._BLOCK_ROWS", 7)
    vectors, queries = random_rows(60, 8, 1), random_rows(9, 8, 2)
    vectors[30:36] = vectors[5]
    wide = vectors.astype(np.int64)
    far = ((wide[:, None] - queries.astype(np.int64)[None]) ** 2).sum(axis=2)
    rows, squares, nearest = neighbours_of(vectors, queries, 11)
    for query in range(9):
        plain = sorted(range(60), key=lambda row: (far[row, query], row))[:11]
        assert rows[query].tolist() == plain
        assert squares[query].tolist() == far[plain, query].tolist()
    assert nearest.tolist() == far.min(axis=1).tolist()
    pairs = ((wide[:, None] - wide[None]) ** 2).sum(axis=2) / (0.998 * 4096) ** 2
    for most in (3, 60):
        first = np.sort(pairs, axis=1)[:, :most]
        plain = np.maximum(0, 1 - first / 0.9**2).sum(axis=1)
        np.testing.assert_allclose(densities(vectors, 0.9, most), plain, rtol=1e-12)


def test_exponentials_are_logarithms():
    keys = np.concatenate([draws(0, 1, 0, 1000), np.array([0, 2**64 - 1], dtype=np.uint64)])
    u = [((int(key) >> 12) + 0.5) / 2**52 for key in keys]
    np.testing.assert_allclose(exponentials(keys), [-math.log(x) for x in u], rtol=2e-15)


def test_rows_are_drawn_by_their_probabilities():
    """Of 4,000 seeds the first row and the second, which is drawn from what is left."""
    vectors = random_rows(40, 4, 7)
    pool = pool_with(vectors, queries=vectors[:1])
    order, gains = TsdsRanker(sigma=0.0).rank(pool, threads=1)
    odds = np.zeros(40)
    odds[order] = gains
    keys = np.stack([draws(seed, 26, 0, 40) for seed in range(4000)])
    races = exponentials(keys.ravel()).reshape(keys.shape) / np.maximum(odds, 1e-300)
    firsts = races.argsort(axis=1)[:, :2]
    assert order[: (odds > 0).sum()].tolist() == races[0].argsort()[: (odds > 0).sum()].tolist()
    few = np.flatnonzero(odds)
    for row in few.tolist():
        share = (firsts[:, 0] == row).mean()
        assert share == pytest.approx(odds[row], abs=4 * math.sqrt(odds[row] / 4000))
        second = sum(odds[a] * odds[row] / (1 - odds[a]) for a in few.tolist() if a != row)
        share = (firsts[:, 1] == row).mean()
        assert share == pytest.approx(second, abs=4 * math.sqrt(second / 4000))


def test_rows_without_a_probability_follow_by_nearness():
    vectors = random_rows(60, 5, 8)
    pool = pool_with(vectors, queries=vectors[:2])
    order, gains = TsdsRanker().rank(pool, threads=1)
    near = neighbours_of(vectors, vectors[:2], 2)[2]
    rest = order[gains == 0]
    assert len(rest) > 40
    assert near[rest].tolist() == sorted(near[rest].tolist())
    assert (gains[: 60 - len(rest)] > 0).all()


# ---- all of them ----

RANKERS = [RdsRanker(), FlqmiRanker(), FlvmiRanker(), GcmiRanker(), TsdsRanker()]


@pytest.mark.parametrize("ranker", RANKERS, ids=[ranker.name for ranker in RANKERS])
class TestEach:
    def test_units_are_ranked_by_themselves_and_whole(self, ranker):
        vectors, queries = random_rows(70, 6, 4), random_rows(5, 6, 5)
        vectors[3:9] = vectors[2]
        sizes = [1, 40, 0, 2, 27]
        pool = pool_with(vectors, sizes, queries=queries)
        order, gains = ranker.rank(pool, threads=2)
        assert order.dtype == np.int32
        for part in pool.parts():
            assert sorted(order[part].tolist()) == list(range(part.stop - part.start))
            features = {"vectors": vectors[part], "queries": pool.feature("queries")}
            alone = pool_of(np.array([part.stop - part.start]), features, first_row=part.start)
            own, won = ranker.rank(alone, threads=1)
            assert own.tolist() == order[part].tolist()
            assert won.tobytes() == gains[part].tobytes()

    def test_queries_of_other_dimensions_or_without_a_direction_are_named(self, ranker):
        vectors = random_rows(12, 6, 4)
        with pytest.raises(InputError, match="7 values, and those of the vectors have 6") as caught:
            ranker.rank(pool_with(vectors, queries=random_rows(2, 7, 1)), threads=1)
        assert caught.value.place == "queries"
        with pytest.raises(InputError, match="no direction"):
            ranker.rank(pool_with(vectors, queries=np.zeros((2, 6))), threads=1)
        with pytest.raises(InputError, match="no rows"):
            ranker.rank(pool_with(vectors, queries=np.zeros((0, 6))), threads=1)

    def test_several_query_sets_are_named_with_plus(self, ranker):
        vectors = random_rows(30, 6, 4)
        pool = pool_with(vectors, mmlu=random_rows(3, 6, 1), bbh=random_rows(4, 6, 2))
        both = type(ranker)("mmlu+bbh")
        assert both == type(ranker)(["mmlu", "bbh"])
        assert [need.key for need in both.needs] == ["vectors", "mmlu", "bbh"]
        order, _ = both.rank(pool, threads=1)
        assert sorted(order.tolist()) == list(range(30))
