"""smartx.select: arrays in, rows out; the same rows as a run takes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow.parquet as pq
import pytest

import smartx
from smartx.budget import Demands
from smartx.errors import BudgetError, ConfigError, InputError
from smartx.needs import Need
from smartx.rankers import Ranker
from smartx.strategies import RANKERS

ROWS, WIDTH = 120, 6
PROMPTS = [f"p{i}" for i in range(ROWS)]


@dataclass(frozen=True)
class Arrays:
    X: np.ndarray
    tasks: list[str]
    templates: list[str]
    quality: np.ndarray


@pytest.fixture(scope="module")
def arrays():
    """Rows whose tasks and templates come in turns, and some equal ones."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(ROWS, WIDTH)).astype(np.float32) + rng.normal(size=WIDTH)
    X[50] = X[20]
    tasks = [("b", "a", "c", "é")[i % 4] for i in range(ROWS)]
    templates = [("x", "y")[(i // 4) % 2] if i < 100 else "z" for i in range(ROWS)]
    return Arrays(X.astype(np.float32), tasks, templates, rng.random(ROWS))


@pytest.fixture(scope="module")
def source(arrays, tmp_path_factory):
    folder = tmp_path_factory.mktemp("select")
    np.save(folder / "vectors.npy", arrays.X)
    rows = [
        {"prompt": f"p{i}", "response": "r" * (1 + i % 9), "task": task, "template": template,
         "quality": float(arrays.quality[i])}
        for i, (task, template) in enumerate(zip(arrays.tasks, arrays.templates, strict=True))
    ]  # fmt: skip
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


STRATEGIES = [
    ("taylor-softmax", "facility-location"),
    ("taylor-softmax:num_tasks=2,function=log-det", "graph-cut"),
    ("equal", "facility-location:per=task"),
    ("power:exponent=0.5", "random:per=corpus"),
    ("random-rows", "random"),
    ("coverage-mass:num_tasks=3", "log-det:per=task"),
    ("as-ranked", "facility-location:per=corpus"),
]


@pytest.mark.parametrize("near", [None, 0.9])
@pytest.mark.parametrize(("weights", "ranker"), STRATEGIES)
def test_the_same_rows_in_memory_and_on_disk(
    arrays, source, tmp_path_factory, weights, ranker, near
):
    out = tmp_path_factory.mktemp("mix")
    mixture = smartx.run(
        {
            "sources": [source / "rows.jsonl"],
            "vectors": source / "vectors.npy",
            "run_dir": source / "run",
            "out": out / "mix",
            "rows": 31,
            "seed": 5,
            "weights": weights,
            "ranker": ranker,
            **({} if near is None else {"near_duplicates": near}),
        }
    )
    table = pq.read_table(sorted((mixture.folder / "data").glob("*.parquet")))
    found = smartx.select(
        arrays.X,
        tasks=arrays.tasks,
        templates=arrays.templates,
        budget=31,
        seed=5,
        weights=weights,
        ranker=ranker,
        near_duplicates=near,
    )
    assert [f"p{i}" for i in found.indices] == table["prompt"].to_pylist()
    assert found.ranks.tolist() == table["smartx_rank"].to_pylist()
    assert found.gains.tolist() == table["smartx_gain"].to_pylist()
    tasks = mixture.manifest["tasks"]
    assert found.names == [(task["source"] and "", task["task"]) for task in tasks]
    assert found.budgets.tolist() == [task["rows"] for task in tasks]
    assert found.weights.tolist() == [task["weight"] for task in tasks]
    assert [found.names[t][1] for t in found.tasks] == table["task"].to_pylist()


@pytest.mark.parametrize("name", RANKERS.names())
def test_every_ranker_takes_the_same_rows_in_memory_and_on_disk(arrays, source, tmp_path, name):
    ranker = RANKERS.made(name, seed=0)
    rng = np.random.default_rng(2)
    made = {
        "matrix": lambda: rng.random((ROWS, WIDTH)).astype(np.float32),
        "vectors": lambda: rng.normal(size=(ROWS, WIDTH)).astype(np.float32),
        "column": lambda: rng.random(ROWS),
        "table": lambda: rng.random((WIDTH, WIDTH)).astype(np.float32),
    }
    features, files = {}, []
    for need in ranker.needs:
        if need.name and need.kind in made:
            features[need.name] = made[need.kind]()
            np.save(tmp_path / f"{need.name}.npy", features[need.name])
            files.append(f"{need.name}={tmp_path / need.name}.npy")
    columns = {n: v for n, v in features.items() if v.ndim == 1}
    lengths = [[-(-len(p) // 4), -(-(1 + i % 9) // 4)] for i, p in enumerate(PROMPTS)]
    found = smartx.select(
        arrays.X, budget=50, tasks=arrays.tasks, templates=arrays.templates, weights="equal",
        ranker=name, scores=columns, tokens=lengths,
        features={n: v for n, v in features.items() if v.ndim > 1},
    )  # fmt: skip
    mixture = smartx.run(
        {
            "sources": [str(source / "rows.jsonl")],
            "vectors": source / "vectors.npy",
            "rows": 50,
            "weights": "equal",
            "ranker": name,
            "feature": files,
            "run_dir": source / "work",
            "out": tmp_path / "mix",
        }
    )
    taken = pq.read_table(sorted((mixture.folder / "data").glob("*.parquet")))
    assert [PROMPTS[i] for i in found.indices] == taken["prompt"].to_pylist()
    assert found.ranks.tolist() == taken["smartx_rank"].to_pylist()
    assert found.gains.tolist() == taken["smartx_gain"].to_pylist()


def test_as_ranked_is_the_beginning_of_a_ranking_of_all_rows(arrays):
    out = np.arange(ROWS) % 7 == 2
    by = {"weights": "as-ranked", "ranker": "graph-cut:per=corpus"}
    found = smartx.select(arrays.X, tasks=arrays.tasks, budget=17, exclude=out, **by)
    assert sorted(found.ranks.tolist()) == list(range(17))
    left = np.flatnonzero(~out)
    order = np.argsort(np.array(arrays.tasks)[left], kind="stable")
    best = smartx.maximize(smartx.GraphCut(), arrays.X[left[order]], 17)
    assert set(left[order][best.items].tolist()) == set(found.indices.tolist())
    tokens = np.ones((ROWS, 2), dtype=int)
    with pytest.raises(InputError, match="counts rows, and the budget is in tokens"):
        smartx.select(arrays.X, budget=5, tokens=tokens, token_kind="all", **by)


def test_names_may_be_numbers_and_nothing_is_needed_but_a_budget(arrays):
    tasks = np.arange(ROWS) % 3
    found = smartx.select(tasks=tasks, budget=9, weights="equal", ranker="random")
    assert found.budgets.tolist() == [3, 3, 3]
    assert found.names == [("", "0"), ("", "1"), ("", "2")]
    alone = smartx.select(arrays.X, budget="10%", weights="equal")
    assert len(alone) == len(set(alone.indices.tolist())) == 12
    whole = smartx.maximize(smartx.FacilityLocation(), arrays.X, 12)
    assert set(alone.indices.tolist()) == set(whole.items.tolist())


def test_threads_change_nothing(arrays):
    asked = {"tasks": arrays.tasks, "budget": 40}
    one, two = (smartx.select(arrays.X, **asked, threads=threads) for threads in (1, 2))
    assert one.indices.tolist() == two.indices.tolist()
    assert one.gains.tolist() == two.gains.tolist()


def test_a_larger_budget_holds_the_smaller_one(arrays):
    asked = {"tasks": arrays.tasks, "weights": "equal", "rounding": "monotone"}
    before: set[int] = set()
    for budget in range(1, ROWS, 7):
        now = set(smartx.select(arrays.X, budget=budget, **asked).indices.tolist())
        assert before <= now
        before = now


def test_rows_that_must_and_must_not(arrays):
    must, out = [3, 77], np.arange(ROWS) % 5 == 1
    found = smartx.select(arrays.X, tasks=arrays.tasks, budget=20, include=must, exclude=out)
    assert set(must) <= set(found.indices.tolist())
    assert not out[found.indices].any()
    # what is excluded covers nothing: as if it were not there
    rest = smartx.select(
        arrays.X[~out], tasks=np.array(arrays.tasks)[~out], budget=20, weights="equal"
    )
    same = smartx.select(arrays.X, tasks=arrays.tasks, budget=20, exclude=out, weights="equal")
    assert set(np.flatnonzero(~out)[rest.indices]) == set(same.indices.tolist())
    with pytest.raises(InputError, match="include: 1 row must be included and may not"):
        smartx.select(arrays.X, tasks=arrays.tasks, budget=5, include=[1], exclude=[1])


def test_demands_and_copies(arrays):
    demands = Demands(floors={"a": "50%"}, caps={"b": 3})
    asked = {"tasks": arrays.tasks, "weights": "equal"}
    found = smartx.select(arrays.X, budget=24, demands=demands, **asked)
    assert found.budgets[0] == 12
    assert found.budgets[1] == 3
    twice = smartx.select(arrays.X, budget=ROWS + 40, epochs=2, **asked)
    assert len(twice) == ROWS + 40
    assert (twice.copies == 1).sum() == 40
    with pytest.raises(BudgetError):
        smartx.select(arrays.X, budget=ROWS + 1, **asked)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"rounding": "up"}, "rounding: it must be one of"),
        ({"epochs": 0}, "epochs: it must be at least 1"),
        ({"epochs": 1.5}, "epochs: a whole number"),
        ({"token_kind": "words"}, "token_kind: it must be one of"),
        ({"demands": {"floors": {"a": 3}}}, "demands: dict is no smartx.Demands"),
    ],
)
def test_budgets_that_mean_nothing_are_named(arrays, arguments, words):
    with pytest.raises(InputError, match=words):
        smartx.select(arrays.X, tasks=arrays.tasks, budget=5, **arguments)


def test_nothing_to_be_taken_is_no_budget_to_be_lowered(arrays):
    with pytest.raises(BudgetError, match="leave fewer rows out: none may be taken"):
        smartx.select(arrays.X, tasks=arrays.tasks, budget=3, demands=Demands(excludes=("*",)))


@pytest.mark.parametrize("wrong", [{"floors": {"a": "many"}}, {"caps": ["a"]}, {"excludes": [3]}])
def test_demands_that_are_none_are_refused_by_name(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Demands(**wrong)


def test_a_budget_in_tokens(arrays):
    tokens = np.stack([np.full(ROWS, 7), 1 + np.arange(ROWS) % 13], axis=1)
    asked = {"tasks": arrays.tasks, "weights": "equal", "tokens": tokens}
    found = smartx.select(arrays.X, budget=200, token_kind="supervised", **asked)
    taken = int(tokens[found.indices, 1].sum())
    assert 200 - 13 < taken <= 200
    flat = {**asked, "tokens": tokens.sum(axis=1)}
    both = [
        smartx.select(arrays.X, budget=200, token_kind="all", **one).indices.tolist()
        for one in (asked, flat)
    ]
    assert both[0] == both[1]
    with pytest.raises(InputError, match="prompt and response are needed"):
        smartx.select(arrays.X, budget=200, token_kind="prompt", **flat)


class Best(Ranker):
    """By a score, checked against a table."""

    name: ClassVar[str] = "best"

    @property
    def needs(self):
        return (Need("score", "column"), Need("bar", "table"))

    def rank(self, pool, *, threads):
        assert pool.feature("bar").dtype == np.float32
        values = pool.feature("score")
        orders = [np.argsort(-values[part], kind="stable") for part in pool.parts()]
        order = np.concatenate(orders).astype(np.int32)
        return order, values[pool.begins() + order]


def test_scores_and_features(arrays):
    asked = {"tasks": arrays.tasks, "budget": 8, "weights": "equal", "ranker": Best()}
    bar = {"bar": np.zeros((2, 3))}
    for scores in (arrays.quality, {"score": arrays.quality}):
        found = smartx.select(scores=scores, features=bar, **asked)
        for task in "abcé":
            of_task = np.array(arrays.tasks) == task
            best = np.sort(arrays.quality[of_task])[-2:]
            taken = found.indices[of_task[found.indices]]
            assert np.sort(arrays.quality[taken]).tolist() == best.tolist()
    with pytest.raises(InputError, match=r"scores\['score'\]: a strategy needs it"):
        smartx.select(features=bar, **asked)
    with pytest.raises(InputError, match=r"features\['bar'\]: a strategy needs it"):
        smartx.select(scores=arrays.quality, **asked)


@pytest.mark.parametrize(
    ("arguments", "error", "fault"),
    [
        ({"budget": 0}, InputError, "budget: it must be at least 1"),
        ({"budget": "many"}, InputError, "budget: an amount such as"),
        ({"tasks": ["a"]}, InputError, "tasks: it has 1 entries, and X has 120"),
        ({"weights": "equall"}, ConfigError, "did you mean equal"),
        ({"preset": "best"}, ConfigError, "preset"),
        ({"weights": "as-ranked"}, ConfigError, "facility-location:per=corpus"),
        ({"token_kind": "all"}, InputError, "tokens: the budget is in tokens"),
        ({"exclude": [ROWS]}, InputError, "exclude: "),
        ({"exclude": [0.5]}, InputError, "exclude: "),
        ({"X": None, "tasks": None}, InputError, "there are no rows"),
        ({"X": None, "tasks": ["a"] * ROWS}, InputError, "X: a strategy needs it"),
    ],
)
def test_an_argument_at_fault_is_named(arrays, arguments, error, fault):
    asked = {"X": arrays.X, "tasks": arrays.tasks, "budget": 9, **arguments}
    with pytest.raises(error, match=fault):
        smartx.select(asked.pop("X"), **asked)


def test_a_budget_that_is_too_large_is_said_by_the_name_of_the_argument():
    with pytest.raises(BudgetError, match=r"fix: lower `budget`: at most 3"):
        smartx.select(tasks=["sums"] * 3, budget=5, preset="random")
    with pytest.raises(BudgetError, match=r"fix: raise `budget`"):
        smartx.select(
            tasks=["sums"] * 3, budget=5, preset="random", tokens=[9, 9, 9], token_kind="all"
        )
