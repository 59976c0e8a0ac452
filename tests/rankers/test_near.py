"""Near duplicates across units: against the definition, one row at a time."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from small import Vectors, flan_like
from smartx.engine import quantize
from smartx.errors import InputError
from smartx.needs import VECTORS
from smartx.rankers import FacilityLocationRanker, rank_corpus
from smartx.rankers.near import MOST_ROWS, check_within, near_duplicates_line, set_apart
from smartx.rankers.pool import Pool

UNIT = 10**6


@st.composite
def ranked_pools(draw):
    """Units of few directions, some rows trained on, and parts that are units, wider or finer."""
    sizes = draw(st.lists(st.integers(0, 7), min_size=1, max_size=5))
    n = sum(sizes)
    some = st.lists(st.integers(-2, 2), min_size=2, max_size=2).filter(any)
    vectors = draw(st.lists(some, min_size=n, max_size=n))
    order = [place for size in sizes for place in draw(st.permutations(range(size)))]
    within = draw(st.sampled_from(["unit", "pairs", "all", "halves"]))
    parts = {
        "unit": None,
        "pairs": [sum(sizes[i : i + 2]) for i in range(0, len(sizes), 2)],
        "all": [n],
        "halves": [part for size in sizes for part in (size // 2, size - size // 2)],
    }[within]
    trained = draw(st.none() | st.lists(st.booleans(), min_size=n, max_size=n))
    rows = quantize(np.array(vectors, np.float64)) if n else np.empty((0, 2), np.int16)
    pool = Pool(
        np.array(sizes, np.int64),
        np.arange(n) * 3 + 5,
        np.zeros(n, np.int32),
        {VECTORS.key: rows},
        None if trained is None else np.array(trained, np.bool_),
    )
    return pool, np.array(order, np.int32), parts


def by_definition(pool, order, parts, millionths):
    """{row: the row that stays instead}, in places of the pool."""
    parts = pool.sizes.tolist() if parts is None else parts
    behind = {}
    start = 0
    for size in pool.sizes.tolist():
        for rank in range(size):
            behind[start + int(order[start + rank])] = Fraction(rank, size)
        start += size
    trained = [False] * len(pool) if pool.trained is None else pool.trained.tolist()
    instead, start = {}, 0
    for size in parts:
        rows = sorted(range(start, start + size), key=lambda r: (not trained[r], behind[r], r))
        start += size
        stays = []
        for row in rows:
            a = pool.vectors[row].tolist()
            for other in stays:
                b = pool.vectors[other].tolist()
                dot = sum(x * y for x, y in zip(a, b, strict=True))
                norms = sum(x * x for x in a) * sum(x * x for x in b)
                if dot > 0 and (dot * UNIT) ** 2 >= millionths**2 * norms:
                    instead[row] = other
                    break
            else:
                stays.append(row)
    return {row: other for row, other in instead.items() if not trained[row]}


@given(ranked_pools(), st.sampled_from([700_000, 1_000_000]))
def test_of_near_rows_the_better_ranked_one_stays(made, millionths):
    pool, order, parts = made
    gains = np.arange(len(pool), dtype=np.float64)
    sizes = None if parts is None else np.array(parts, np.int64)
    (places, moved), columns = set_apart(
        pool, (order, gains), millionths / UNIT, within=sizes, threads=1
    )
    expected = by_definition(pool, order, parts, millionths)
    rows = pool.begins() + places
    instead = dict(zip(rows.tolist(), columns[0].to_pylist(), strict=True))
    ids = {
        row: None if row not in expected else int(pool.row_ids[expected[row]]) for row in instead
    }
    assert instead == ids
    for part in pool.parts():
        own = rows[part].tolist()
        ranked = (part.start + order[part]).tolist()
        assert own == sorted(ranked, key=lambda row: row in expected)  # stable: both in order
    by_row = dict(zip((pool.begins() + order).tolist(), gains.tolist(), strict=True))
    assert moved.tolist() == [by_row[row] for row in rows.tolist()]


def test_a_corpus_of_too_many_rows_is_refused_with_the_time():
    check_within(MOST_ROWS, 384, "corpus")
    check_within(10 * MOST_ROWS, 384, "task")
    with pytest.raises(InputError, match=r"17,600,000 rows .* 82h") as told:
        check_within(17_600_000, 384, "corpus")
    assert "task" in told.value.fix


def test_the_line_says_where_they_were_looked_for():
    found = {"rows": 3, "threshold": 0.95}
    assert near_duplicates_line(10, found).endswith("(cosine >= 0.95) and left out")
    wide = near_duplicates_line(10, {**found, "within": "corpus"})
    assert "within the corpus" in wide


class TestWholeCorpus:
    """rank_corpus over tasks and templates that share directions."""

    @pytest.fixture
    def corpus(self, tmp_path):
        return flan_like(tmp_path)

    @pytest.fixture
    def vectors(self, corpus):
        rng = np.random.default_rng(3)
        rows = rng.normal(size=(12, 8))[rng.integers(12, size=corpus.num_rows)]
        return Vectors(quantize(rows), manifest={"inputs": {"corpus": corpus.digest}})

    @pytest.mark.parametrize("within", ["template", "task", "corpus"])
    @pytest.mark.parametrize("per", ["template", "task"])
    @pytest.mark.parametrize("most", [1 << 16, 5])
    def test_just_one_row_of_a_direction_stays_in_each_part(
        self, corpus, vectors, tmp_path, monkeypatch, per, within, most
    ):
        monkeypatch.setattr("smartx.rankers.run.BUNDLE_ROWS", most)
        ranker = FacilityLocationRanker(per=per)
        gone, before = np.array([0, 1, 7, 20]), np.array([3, 22])
        more = {"near_duplicates": 0.999, "left_out": gone, "trained": before}
        ranked = rank_corpus(
            corpus, vectors, ranker, tmp_path, threads=2, near_within=within, **more
        )
        part = np.repeat(np.arange(len(corpus.groups)), corpus.groups.rows)
        if within != "template":
            tasks = corpus.groups.tasks()
            part = np.repeat(np.arange(len(tasks)), tasks.rows)
        if within == "corpus":
            part = np.zeros_like(part)
        keys = [(int(p), tuple(v)) for p, v in zip(part, vectors.table.tolist(), strict=True)]
        table = ranked.duplicates().to_pydict()
        instead = dict(zip(table["row_id"], table["duplicate_of"], strict=True))
        takeable = set(range(corpus.num_rows)) - {*gone.tolist(), *before.tolist()}
        assert set(instead) <= takeable
        assert all(keys[row] == keys[other] for row, other in instead.items())
        known = {keys[row] for row in before.tolist()}
        stays = sorted(takeable - set(instead))
        assert len({keys[row] for row in stays}) == len(stays)
        assert {keys[row] for row in stays} | known == {keys[row] for row in takeable} | known
        assert not {keys[row] for row in stays} & known
        assert int(ranked.kept(corpus.groups).sum()) == len(stays)
        assert ranked.near_duplicates["rows"] == len(instead)
        assert ranked.near_duplicates.get("within", per) == within
        assert int(ranked.kept_of_groups(corpus.groups).sum()) == len(stays)

    def test_the_unit_that_is_ranked_is_the_usual_place(self, corpus, vectors, tmp_path):
        ranker = FacilityLocationRanker()
        usual, named, wide = (
            rank_corpus(
                corpus, vectors, ranker, tmp_path, threads=1, near_duplicates=0.9, near_within=place
            )
            for place in (None, "template", "corpus")
        )
        assert usual.folder == named.folder != wide.folder
        assert wide.near_duplicates["rows"] > usual.near_duplicates["rows"]
