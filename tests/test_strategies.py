"""One form for a strategy: a text, a mapping and an object mean the same; errors say what could be
given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import pytest

from smartx.config import PRESETS, RunConfig, config_from
from smartx.engine import DENSE_BYTES, FacilityLocation, GraphCut, LogDet
from smartx.errors import ConfigError
from smartx.options import Options, by_name, listed, number, spelled, whole
from smartx.rankers import FacilityLocationRanker, GraphCutRanker, LogDetRanker, RandomRanker
from smartx.strategies import LAWS, RANKERS, facts_of
from smartx.weights import Equal, RandomTasks, TaylorSoftmax


@pytest.mark.parametrize(
    ("form", "meant"),
    [
        ("equal", Equal()),
        ({"name": "equal"}, Equal()),
        (Equal(), Equal()),
        ("taylor-softmax:temperature=2", TaylorSoftmax(temperature=2.0)),
        ("taylor-softmax:num_tasks=3", TaylorSoftmax(num_tasks=3)),
        (
            " taylor-softmax: num-tasks = 3 , temperature = 2 ",
            TaylorSoftmax(num_tasks=3, temperature=2),
        ),
        ("taylor-softmax:num_tasks=none", TaylorSoftmax()),
        ("taylor-softmax:function=log-det", TaylorSoftmax(LogDet())),
        ("taylor-softmax:function=log-det,function.ridge=3", TaylorSoftmax(LogDet(3.0))),
        ("taylor-softmax:function.ridge=3,function=log-det", TaylorSoftmax(LogDet(3.0))),
        ("taylor-softmax:function.penalty=0.3", TaylorSoftmax(GraphCut(0.3))),
        ("taylor-softmax:function=random", TaylorSoftmax(RandomTasks())),
        ({"name": "taylor-softmax", "function": "log-det:ridge=3"}, TaylorSoftmax(LogDet(3.0))),
        (
            {"name": "taylor-softmax", "function": {"name": "log-det", "ridge": 3}, "num_tasks": 9},
            TaylorSoftmax(LogDet(3.0), num_tasks=9),
        ),
        (
            {"name": "taylor-softmax", "function": FacilityLocation()},
            TaylorSoftmax(FacilityLocation()),
        ),
        (PRESETS["smart-acl2024"][0], TaylorSoftmax()),
    ],
)
def test_a_text_a_mapping_and_an_object_mean_the_same_law(form, meant):
    assert LAWS.made(form) == meant
    assert config_from({"weights": form}).law == meant


@pytest.mark.parametrize(
    ("form", "meant"),
    [
        ("facility-location:dense_limit=1K", FacilityLocationRanker(dense_limit=1024)),
        ("graph-cut:penalty=0.6", GraphCutRanker(0.6)),
        ({"name": "log-det", "ridge": "3"}, LogDetRanker(3.0)),
        ("random", RandomRanker(7)),  # the seed of the configuration
        ("random:seed=3", RandomRanker(3)),
        (GraphCutRanker(0.6), GraphCutRanker(0.6)),
    ],
)
def test_a_text_a_mapping_and_an_object_mean_the_same_ranker(form, meant):
    assert config_from({"ranker": form, "seed": 7}).row_ranker == meant


def test_a_yaml_file_has_every_form(tmp_path):
    file = tmp_path / "mix.yaml"
    file.write_text(
        "weights:\n  name: taylor-softmax\n  num_tasks: 9\n  function: {name: log-det, ridge: 3}\n"
        "ranker: graph-cut:penalty=0.6\n"
    )
    config = config_from({}, file=file)
    assert config.law == TaylorSoftmax(LogDet(3.0), num_tasks=9)
    assert config.row_ranker == GraphCutRanker(0.6)
    assert config_from({"weights": "equal"}, file=file).law == Equal()  # a flag wins, whole


TAKES = "taylor-softmax takes function (a function over tasks), num_tasks (a whole number from 1,"


@pytest.mark.parametrize(
    ("field", "form", "fault", "fix"),
    [
        ("weights", "taylor-softmax:temp=2", "temp: taylor-softmax has no such parameter", TAKES),
        ("weights", "taylor-softmax:temperature=0", "temperature: a number above 0 is needed", ""),
        ("weights", "taylor-softmax:temperature=nan", "temperature: a number above 0", ""),
        ("weights", "taylor-softmax:temperature=x", "(given: 'x')", ""),
        ("weights", "taylor-softmax:num_tasks=2.5", "num_tasks: a whole number from 1", ""),
        ("weights", {"name": "taylor-softmax", "num_tasks": True}, "num_tasks: a whole", ""),
        (
            "weights",
            "taylor-softmax:function=log",
            "function: it must be one of graph-cut",
            "log-det",
        ),
        ("weights", "taylor-softmax:function=equal", "function: it must be one of", ""),
        (
            "weights",
            "taylor-softmax:function.ridge=3",
            "function.ridge: graph-cut has no",
            "penalty",
        ),
        ("weights", "taylor-softmax:function.penalty=-1", "function.penalty: -1", ""),
        ("weights", "taylor-softmax:temperature", "not of the form PARAMETER=VALUE", "NAME:"),
        (
            "weights",
            "taylor-softmax:temperature=1,temperature=2",
            "temperature: it is given twice",
            "",
        ),
        ("weights", {"name": "taylor-softmax", "function": Equal()}, "function: Equal is no", ""),
        (
            "weights",
            {"name": "taylor-softmax", "function": 3},
            "function: int is no",
            "TaskFunction",
        ),
        ("weights", "equal:x=3", "x: equal has no such parameter", "no parameters"),
        (
            "weights",
            "taylor",
            "one of taylor-softmax, scale-free",
            "did you mean taylor-softmax?",
        ),
        ("weights", "", "one of taylor-softmax", ""),
        ("weights", {"temperature": 2}, "name: the name of a weight law is needed", ""),
        ("weights", ["equal"], "list is no weight law", "smartx.weights.WeightLaw"),
        ("weights", RandomRanker(), "RandomRanker is no weight law", ""),
        ("ranker", Equal(), "Equal is no ranker", ""),
        ("ranker", "log-det:ridge=0", "ridge: a number from 1e-12 to 1e+12 is needed", ""),
        ("ranker", "log-det:ridge=1e-320", "ridge: a number from 1e-12", ""),
        ("ranker", "graph-cut:penalty=-1", "penalty: a number from 0 to 1e+12", ""),
        ("ranker", "graph-cut:penalty=1e300", "penalty: a number from 0", ""),
        ("ranker", "facility-location:dense_limit=much", "dense_limit: a size such as 4G", ""),
    ],
)
def test_an_error_names_the_parameter_and_what_it_takes(field, form, fault, fix):
    with pytest.raises(ConfigError) as caught:
        config_from({field: form})
    assert caught.value.place == field
    assert fault in caught.value.fault
    assert fix in caught.value.fix
    quoted = "is not of the form" in caught.value.fault  # what was given stands in the fault
    assert str(caught.value).count("given:") == (not quoted)


def test_keys_and_manifests_say_what_they_said_before_there_was_one_form():
    assert facts_of(RunConfig(preset="smart-acl2024").law) == {
        "name": "taylor-softmax",
        "function": {"name": "graph-cut", "penalty": 0.4},
        "num_tasks": None,
        "temperature": 1.0,
    }
    published = ("facility-location", "graph-cut", "log-det", "random")
    assert [facts_of(RANKERS.made(name)) for name in published] == [
        {"name": "facility-location", "dense_bytes": DENSE_BYTES, "graph_neighbours": 64},
        {"name": "graph-cut", "penalty": 0.4},
        {"name": "log-det", "ridge": 1.0},
        {"name": "random", "seed": 0},
    ]


@dataclass(frozen=True)
class Everything(Options):
    """A parameter of each kind."""

    mode: Literal["slow", "fast"] = "fast"
    sure: bool = False
    text: str = "x"
    count: Annotated[int, whole(0, 9)] = 1
    parts: Annotated[dict[str, float], by_name(number(0))] = None  # type: ignore[assignment]

    name: ClassVar[str] = "everything"

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", self.parts or {})
        super().__post_init__()


def test_a_dataclass_says_what_its_parameters_take():
    assert listed(Everything) == (
        "mode (one of slow, fast), sure (yes or no), text (a text), "
        "count (a whole number from 0 to 9), parts (for each name a number from 0)"
    )
    assert Everything(sure="yes", count="3", parts={"a": "2"}) == Everything(
        sure=True, count=3, parts={"a": 2.0}
    )
    for wrong in ({"mode": "quick"}, {"sure": 3}, {"count": 10}, {"parts": {"a": -1}}):
        with pytest.raises(ConfigError) as caught:
            Everything(**wrong)
        assert caught.value.place == next(iter(wrong))


def test_names_behind_a_dot_may_hold_dots_and_dashes():
    assert spelled("x:parts.flan/v2.1=0.4,parts.t-0=1") == {
        "name": "x",
        "parts": {"flan/v2.1": "0.4", "t-0": "1"},
    }
