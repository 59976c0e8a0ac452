"""Strategies by text, mapping, preset and file."""

from __future__ import annotations

import pytest

from smartx.compare import DEFAULTS, Candidate, candidates, candidates_in
from smartx.errors import ConfigError

CODE = """
from dataclasses import dataclass
from typing import ClassVar
import numpy as np
from smartx.weights import Shares, WeightLaw

@dataclass(frozen=True)
class Logarithm(WeightLaw):
    name: ClassVar[str] = "logarithm"
    def shares(self, ground, total):
        order = np.flatnonzero(ground.rows).astype(np.int64)
        return Shares(order, np.log1p(ground.rows[order].astype(float)))
"""


def described(one):
    return one.name, one.facts()["weights"]["name"], one.facts()["ranker"]["name"]


def test_a_text_names_weights_and_ranker_and_perhaps_itself():
    found = candidates(
        [
            "equal / random",
            "mine = power:exponent=0.3 / graph-cut:penalty=0.2,per=task",
            "power:exponent=0.25 / random",
            "smart-acl2024",
            next(iter(set(DEFAULTS) - {"smart-acl2024"})),
        ]
    )
    assert [described(one) for one in found[:4]] == [
        ("equal / random", "equal", "random"),
        ("mine", "power", "graph-cut"),
        ("power:exponent=0.25 / random", "power", "random"),
        ("smart-acl2024", "taylor-softmax", "facility-location"),
    ]
    assert found[1].facts()["ranker"]["penalty"] == 0.2
    assert found[1].ranker.per == "task"


def test_a_mapping_and_an_object_stand_for_themselves():
    (one,) = candidates([{"weights": {"name": "power", "exponent": 0.1}, "ranker": "random"}])
    assert described(one) == ("power / random", "power", "random")
    assert candidates([one]) == [one]
    assert isinstance(one, Candidate)


def test_near_rows_may_be_left_out():
    given = [
        "mine=equal / random / near:cosine=0.9",
        {"weights": "equal", "ranker": "random", "near": {"within": "corpus"}},
        "equal / random",
    ]
    found = [one.facts() for one in candidates(given)]
    assert [one["near_duplicates"] for one in found] == [
        {"cosine": 0.9, "within": "task"},
        {"cosine": 0.95, "within": "corpus"},
        None,
    ]
    assert found[1]["name"] == "equal / random / near"


def test_no_name_is_all_usual_ones_and_others_may_stand_beside_them():
    usual = [one.name for one in candidates()]
    assert usual == list(DEFAULTS)
    beside = [one.name for one in candidates(["defaults", "mine=equal / random"])]
    assert beside == [*usual, "mine"]


@pytest.mark.parametrize("name", DEFAULTS)
def test_every_usual_strategy_can_be_made_and_takes_the_seed(name):
    (one,) = candidates([name], seed=7)
    assert one.name == name
    if "seed" in one.facts()["ranker"]:
        assert one.facts()["ranker"]["seed"] == 7


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["power"], '"power" is no strategy'),
        (["mine=equal / rondom"], "strategy mine: it must be one of"),
        (["mine=equal / graph-cut:penalti=3"], "strategy mine: penalti: .*no such parameter"),
        (["mine=equal / random / nar"], 'strategy mine: "nar" is not of the form near'),
        (
            ["mine=equal / random / near:cosine=2"],
            "strategy mine: cosine: a number from 1e-06 to 1",
        ),
        (["as-ranked / random"], "strategy as-ranked / random: weights: .*whole corpus"),
        (["a / b / c / d"], "is no strategy"),
        (["equal / random", "equal / random"], 'two strategies are named "equal / random"'),
        ([{"weights": "equal"}], "a strategy has weights, ranker"),
        ([{"weights": "equal", "ranker": "random", "rows": 3}], "a strategy has weights, ranker"),
    ],
)
def test_what_is_no_strategy_is_refused_by_name(given, words):
    with pytest.raises(ConfigError, match=words):
        candidates(given)


def test_a_file_lists_strategies_and_code_beside_it(tmp_path):
    (tmp_path / "mine.py").write_text(CODE)
    (tmp_path / "all.yaml").write_text(
        "strategies:\n"
        "  - {name: log, weights: {name: logarithm, code: mine.py}, ranker: random}\n"
        "  - {name: text, weights: 'logarithm:code=mine.py', ranker: random}\n"
        "  - smart-acl2024\n"
    )
    found = candidates(candidates_in(tmp_path / "all.yaml"))
    assert [one.name for one in found] == ["log", "text", "smart-acl2024"]
    assert found[0].facts()["weights"]["name"] == "logarithm"
    assert found[0].facts()["weights"] == found[1].facts()["weights"]


@pytest.mark.parametrize("content", ["- a", "strategies: 3", "strategies: []", "rows: 3"])
def test_a_file_of_anything_else_is_refused(tmp_path, content):
    (tmp_path / "all.yaml").write_text(content)
    with pytest.raises(ConfigError, match=r"all\.yaml"):
        candidates_in(tmp_path / "all.yaml")
