"""Rankers of tasks: templates balanced, given what was trained on before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ground_sets import clustered
from smartx.engine import quantize, rank_groups
from smartx.rankers import FacilityLocationRanker, GraphCutRanker, LogDetRanker, SubmodularRanker
from smartx.rankers.pool import Pool

SIZES = np.array([40, 1, 23])
ROWS = quantize(clustered(64))
TEMPLATES = np.repeat(np.array([0, 1, 2, 0, 0, 1], np.int32), [20, 15, 5, 1, 11, 12])
POOL = Pool(SIZES, np.arange(64), TEMPLATES, {"vectors": ROWS})
RANKERS: list[SubmodularRanker] = [FacilityLocationRanker(), GraphCutRanker(), LogDetRanker()]
every_ranker = pytest.mark.parametrize("ranker", RANKERS, ids=lambda ranker: ranker.name)


@every_ranker
def test_tasks_are_ranked_with_their_templates_balanced(ranker: SubmodularRanker) -> None:
    order, gains = replace(ranker, per="task").rank(POOL, threads=1)
    expected = rank_groups(ROWS, SIZES, ranker.function, templates=TEMPLATES)
    assert order.tolist() == expected[0].tolist()
    assert gains.tobytes() == expected[1].tobytes()
    assert np.bincount(TEMPLATES[order[:8]]).tolist() == [4, 3, 1]


@every_ranker
def test_templates_are_let_go_where_nobody_asks_for_balance(ranker: SubmodularRanker) -> None:
    expected = rank_groups(ROWS, SIZES, ranker.function)[0].tolist()
    for other in (
        replace(ranker, per="task", balance=False),
        replace(ranker, per="template"),
        replace(ranker, per="corpus"),
    ):
        assert other.rank(POOL, threads=1)[0].tolist() == expected


@every_ranker
def test_rows_that_were_trained_on_come_first_and_count(ranker: SubmodularRanker) -> None:
    trained = np.zeros(64, np.bool_)
    trained[[3, 17, 40, 60]] = True
    pool = replace(POOL, trained=trained)
    for per in ("task", "template"):
        order, gains = replace(ranker, per=per).rank(pool, threads=1)
        assert order[:2].tolist() == [3, 17]
        assert order[[40, 41]].tolist() == [0, 19]
        assert not gains[[0, 1, 40, 41]].any()
        without = replace(ranker, per=per).rank(POOL, threads=1)[0][:40]
        assert [row for row in without if row not in (3, 17)] != order[2:40].tolist()


@every_ranker
def test_balance_is_a_parameter_where_tasks_are_ranked_alone(ranker: SubmodularRanker) -> None:
    for per in ("template", "corpus"):
        assert "balance" not in replace(ranker, per=per).parameters()
    assert replace(ranker, per="task").parameters()["balance"] is True
    assert replace(ranker, per="task", balance=False).parameters()["balance"] is False
