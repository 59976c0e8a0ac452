"""What is ranked by itself: templates, tasks or the corpus; and rows that nobody takes."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from small import flan_like, vectors_for
from smartx.engine import FacilityLocation, maximize, rank_groups
from smartx.errors import BudgetError, InputError
from smartx.mixture import assemble
from smartx.needs import InMemory, Need
from smartx.rankers import (
    FacilityLocationRanker,
    GraphCutRanker,
    RandomRanker,
    Ranker,
    is_ranked,
    rank_corpus,
    rankings,
    run,
    units_of,
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return flan_like(tmp_path_factory.mktemp("units"))


@pytest.fixture(scope="module")
def vectors(corpus):
    return vectors_for(corpus)


def rows_of(ranked):
    tables = [pq.read_table(path) for path in sorted(ranked.folder.glob("ranks-*.parquet"))]
    return [row for table in tables for row in table.to_pylist()]


def group_of(corpus, row_ids):
    return np.searchsorted(corpus.groups.start, row_ids, side="right") - 1


@pytest.mark.parametrize("per", ["template", "task", "corpus"])
def test_units_are_runs_of_groups(corpus, per):
    units, groups = units_of(corpus.groups, per), corpus.groups
    assert len(units) == {"template": len(groups), "task": 4, "corpus": 1}[per]
    assert units.of_groups(groups.rows).tolist() == units.rows.tolist()
    assert (units.start + units.rows).tolist() == [*units.start[1:].tolist(), corpus.num_rows]


@pytest.mark.parametrize("per", ["task", "corpus"])
def test_a_unit_is_ranked_as_one(corpus, vectors, tmp_path, per, monkeypatch):
    for module in (run, rankings):
        monkeypatch.setattr(module, "PART_ROWS", 24)
        monkeypatch.setattr(module, "BLOCK_ROWS", 8)
    ranked = rank_corpus(corpus, vectors, GraphCutRanker(0.2, per=per), tmp_path, threads=1)
    units, table = units_of(corpus.groups, per), rows_of(ranked)
    assert ranked.per == per
    for start, rows in zip(units.start.tolist(), units.rows.tolist(), strict=True):
        own = table[start : start + rows]
        assert sorted(row["row_id"] for row in own) == list(range(start, start + rows))
        assert [row["rank"] for row in own] == list(range(rows))
        assert [r["group_id"] for r in own] == group_of(corpus, [r["row_id"] for r in own]).tolist()


def test_per_template_is_not_in_the_key_and_others_are(corpus, vectors, tmp_path):
    folders = {
        rank_corpus(corpus, vectors, ranker, tmp_path, threads=1).folder
        for ranker in (
            RandomRanker(),
            RandomRanker(per="template"),
            RandomRanker(per="task"),
            RandomRanker(per="corpus"),
        )
    }
    assert len(folders) == 3
    assert "per" not in RandomRanker().parameters()
    assert RandomRanker(per="task").parameters() == {"per": "task", "seed": 0}


@pytest.mark.parametrize("near", [None, 0.9])
@pytest.mark.parametrize("per", ["template", "task", "corpus"])
def test_rows_that_are_left_out_stand_last_and_change_nothing_before(
    corpus, vectors, tmp_path, per, near
):
    """Ranking what is left is ranking a corpus without them."""
    rng = np.random.default_rng(3)
    out = np.flatnonzero(rng.random(corpus.num_rows) < 0.3)
    ranker = RandomRanker(5, per=per)
    ranked = rank_corpus(
        corpus, vectors, ranker, tmp_path, threads=1, left_out=out, near_duplicates=near
    )
    units, table, kept = units_of(corpus.groups, per), rows_of(ranked), ranked.kept(corpus.groups)
    whole = rank_corpus(corpus, None, ranker, tmp_path, threads=1)
    gone = set(out.tolist())
    for unit, (start, rows) in enumerate(zip(units.start, units.rows, strict=True)):
        own = table[int(start) : int(start + rows)]
        taken = [row["row_id"] for row in own[: kept[unit]]]
        rest = {row["row_id"] for row in own[kept[unit] :]}
        near_ones = {r["row_id"] for r in own if r.get("duplicate_of") is not None}
        assert rest == near_ones | {i for i in range(start, start + rows) if i in gone}
        assert not near_ones & gone
        order = whole.prefix(int(start), int(rows))[0].tolist()
        assert taken == [i for i in order if i not in gone and i not in near_ones]
    assert ranked.kept_of_groups(corpus.groups).sum() == kept.sum()
    for rows, there in ((out, True), (out[1:], False)):
        asked = {"left_out": rows, "near_duplicates": near}
        assert is_ranked(corpus, vectors, ranker, tmp_path, **asked) == there


def test_a_left_out_row_covers_nobody(corpus, vectors, tmp_path):
    out = np.array([0, 2, 5])
    ranked = rank_corpus(
        corpus, vectors, FacilityLocationRanker(), tmp_path, threads=1, left_out=out
    )
    first = int(corpus.groups.rows[0])
    stay = np.setdiff1d(np.arange(first), out)
    alone = maximize(FacilityLocation(), vectors.table[stay], len(stay))
    row_ids, _, gains = ranked.prefix(0, len(stay))
    assert row_ids.tolist() == stay[alone.items].tolist()
    assert gains.tolist() == alone.gains.tolist()


def test_rows_that_were_trained_on_are_told_to_the_ranker_and_not_taken(corpus, tmp_path):
    seen = []

    class Seeing(RandomRanker):
        def rank(self, pool, *, threads):
            if pool.trained is not None:
                seen.extend(pool.row_ids[pool.trained].tolist())
            return super().rank(pool, threads=threads)

    trained = np.array([1, 4, 20])
    ranked = rank_corpus(corpus, None, Seeing(), tmp_path, threads=1, trained=trained)
    assert sorted(seen) == [1, 4, 20]
    budgets, groups = ranked.kept_of_groups(corpus.groups), corpus.groups
    assert (groups.rows - budgets).sum() == 3
    last = [r["row_id"] for r in rows_of(ranked) if r["rank"] >= budgets[r["group_id"]]]
    assert sorted(last) == [1, 4, 20]
    chosen = assemble(corpus, ranked, budgets, seed=0)
    assert set(chosen.row_ids) == set(range(corpus.num_rows)) - {1, 4, 20}
    budgets[0] += 1
    with pytest.raises(BudgetError, match="group 0 holds"):
        assemble(corpus, ranked, budgets, seed=0)


@pytest.mark.parametrize("ranked_per", ["template", "task", "corpus"])
@pytest.mark.parametrize("of", ["template", "task"])
def test_budgets_of_other_units_take_rows_in_the_order_of_the_ranking(
    corpus, tmp_path, ranked_per, of
):
    ranked = rank_corpus(corpus, None, RandomRanker(2, per=ranked_per), tmp_path, threads=1)
    cells = units_of(corpus.groups, of)
    budgets = (cells.rows * 2) // 3
    chosen = assemble(corpus, ranked, budgets, of=of, seed=1)
    order = [row["row_id"] for row in rows_of(ranked)]
    for start, rows, budget in zip(cells.start, cells.rows, budgets, strict=True):
        first = [i for i in order if start <= i < start + rows][:budget]
        assert set(first) == {i for i in chosen.row_ids.tolist() if start <= i < start + rows}


class Scored(Ranker):
    """Needs a column that somebody gave, and a table."""

    name = "scored"

    @property
    def needs(self):
        return (Need("quality", "column"), Need("targets", "table"))

    def rank(self, pool, *, threads):
        values, table = pool.feature("quality"), pool.feature("targets")
        assert table.shape == (2, 3)
        orders = [np.argsort(-values[part], kind="stable") for part in pool.parts()]
        order = np.concatenate(orders).astype(np.int32)
        return order, values[pool.begins() + order]


def test_features_are_read_by_those_who_need_them_and_are_in_the_key(corpus, tmp_path):
    values = np.random.default_rng(0).random(corpus.num_rows)
    table = np.zeros((2, 3), dtype=np.float32)
    features = {"quality": InMemory(values, "a"), "targets": InMemory(table, "b", table=True)}
    with pytest.raises(InputError, match='needs "quality" of the rows'):
        rank_corpus(corpus, None, Scored(), tmp_path, threads=1)
    ranked = rank_corpus(corpus, None, Scored(), tmp_path, threads=1, features=features)
    row_ids, _, gains = ranked.prefix(0, int(corpus.groups.rows[0]))
    assert gains.tolist() == sorted(values[: len(gains)], reverse=True)
    assert values[row_ids].tolist() == gains.tolist()
    assert ranked.manifest["inputs"] == {
        "corpus": corpus.digest, "feature quality": "a", "feature targets": "b",
    }  # fmt: skip
    other = {**features, "quality": InMemory(values, "c"), "unread": InMemory(values, "d")}
    again = rank_corpus(corpus, None, Scored(), tmp_path, threads=1, features=other)
    assert again.folder != ranked.folder
    unread = rank_corpus(
        corpus,
        None,
        Scored(),
        tmp_path,
        threads=1,
        features={**features, "unread": other["unread"]},
    )
    assert unread.folder == ranked.folder


def test_vectors_of_another_encoder_are_named(corpus, vectors, tmp_path):
    other = vectors_for(corpus, dimensions=5, seed=9)
    named = {"other": InMemory(other.table, "o")}
    asked = FacilityLocationRanker(vectors="other")
    ranked = rank_corpus(corpus, None, asked, tmp_path, threads=1, features=named)
    assert ranked.manifest["inputs"] == {"corpus": corpus.digest, "feature other": "o"}
    assert ranked.manifest["parameters"]["vectors"] == "other"
    own = rank_corpus(corpus, other, FacilityLocationRanker(), tmp_path, threads=1)
    assert ranked.digest == own.digest
    with pytest.raises(InputError, match="random looks at no vectors"):
        RandomRanker(vectors="other")


def test_templates_that_lose_all_their_rows_leave_the_balance_of_the_others(
    corpus, vectors, tmp_path
):
    """One row of each template stays, none of the first: as in a corpus that never held others."""
    groups, tasks = corpus.groups, corpus.groups.tasks()
    task = int(np.argmax(np.diff(tasks.first_group)))
    own = np.arange(tasks.start[task], tasks.start[task] + tasks.rows[task])
    stay = groups.start[tasks.first_group[task] + 1 : tasks.first_group[task + 1]]
    assert len(stay)
    ranker = FacilityLocationRanker(per="task")
    out = np.setdiff1d(own, stay)
    ranked = rank_corpus(corpus, vectors, ranker, tmp_path, threads=1, left_out=out)
    templates = np.arange(len(stay), dtype=np.int32)
    order, gains = rank_groups(
        vectors.table[stay], np.array([len(stay)]), FacilityLocation(), templates=templates
    )
    row_ids, _, found = ranked.prefix(int(own[0]), len(stay))
    assert row_ids.tolist() == stay[order].tolist()
    assert found.tolist() == gains.tolist()
