"""Laws that read features, in whole runs: columns of the sources, tables from files, near
duplicates left out.
"""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

import smartx
from smartx.budget import allot
from smartx.budget.supply import supply_of
from smartx.corpus import Groups
from smartx.weights import CaliBudget, Ground, MixMin

TASKS, ROWS = 3, 60


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Three tasks in mixed order; every other row of task 0 is the vector of the row before it, and
    has a loss of its own.
    """
    folder = tmp_path_factory.mktemp("losses")
    rng = np.random.default_rng(8)
    task = rng.integers(0, TASKS, size=ROWS)
    vectors = rng.normal(size=(ROWS, 8))
    own = np.flatnonzero(task == 0)
    vectors[own[1::2]] = vectors[own[: len(own) // 2 * 2 : 2]]
    loss = task + rng.gamma(2.0, size=ROWS)
    loss[own[1::2]] += 50
    lines = [
        {"prompt": f"p{i}", "response": "r", "task": f"t{t}", "loss": None if i == 3 else x}
        for i, (t, x) in enumerate(zip(task.tolist(), loss.tolist(), strict=True))
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    np.save(folder / "v.npy", vectors.astype(np.float32))
    probs = -rng.gamma(2.0, size=(20, TASKS))
    np.save(folder / "probs.npy", probs.astype(np.float32))
    loss[3] = np.nan
    return folder, task, loss, probs


def config(source, tmp_path, **fields):
    defaults = {
        "sources": [str(source[0] / "rows.jsonl")],
        "vectors": source[0] / "v.npy",
        "out": tmp_path / "mix",
        "rows": 20,
        "threads": 1,
        "overwrite": True,
    }
    return smartx.RunConfig(**{**defaults, **fields})


def weights_of(mixture):
    return {task["task"]: task["weight"] for task in mixture.manifest["tasks"]}


def by_hand(law, task, features, total=20):
    order = np.argsort(task, kind="stable")
    rows = np.bincount(task)
    aligned = {k: v if k == "probs" else v[order] for k, v in features.items()}
    names = [("", f"t{t}") for t in range(TASKS)]
    shares = law.shares(Ground(names, np.cumsum(rows) - rows, rows, None, 0, aligned), total)
    found = dict.fromkeys((name for _, name in names), 0.0)
    for place, weight in zip(shares.order.tolist(), shares.weights.tolist(), strict=True):
        found[f"t{place}"] = weight / shares.weights.sum()
    return found


def test_a_column_of_the_sources_is_the_need(source, tmp_path):
    mixture = smartx.run(config(source, tmp_path, weights="cali-budget:need=loss"))
    expected = by_hand(CaliBudget("loss"), source[1], {"loss": source[2]})
    assert weights_of(mixture) == pytest.approx(expected, abs=1e-6)


def test_rows_that_are_left_out_shift_no_need(source, tmp_path):
    """The need of a task is that of all its rows, on disk as in memory."""
    fields = {"weights": "cali-budget:need=loss", "near_duplicates": 0.999}
    mixture = smartx.run(config(source, tmp_path, rows=15, **fields))
    assert mixture.manifest["near_duplicates"]
    order = np.argsort(source[1], kind="stable")
    rows, left = np.bincount(source[1]), np.bincount(source[1])
    left[0] -= rows[0] // 2
    known = (np.cumsum(rows) - rows, rows)
    names = [("", f"t{t}") for t in range(TASKS)]
    features = {"loss": source[2][order]}
    ground = Ground(names, np.cumsum(left) - left, left, None, 0, features, known)
    shares = CaliBudget("loss").shares(ground, 15)
    expected = shares.weights / shares.weights.sum()
    found = weights_of(mixture)
    assert [found[f"t{t}"] for t in shares.order.tolist()] == pytest.approx(expected, abs=1e-6)
    vectors = np.load(source[0] / "v.npy")
    chosen = smartx.select(
        vectors,
        tasks=[f"t{t}" for t in source[1]],
        budget=15,
        scores={"loss": source[2]},
        **fields,
    )
    told = {
        row["smartx_row"]: row["prompt"]
        for row in pq.read_table(mixture.folder / "data").to_pylist()
    }
    assert sorted(told.values()) == sorted(f"p{i}" for i in chosen.indices.tolist())


def test_a_table_comes_from_a_file(source, tmp_path):
    fields = {"weights": "mixmin:log_probs=probs", "feature": [f"probs={source[0] / 'probs.npy'}"]}
    mixture = smartx.run(config(source, tmp_path, **fields))
    expected = by_hand(MixMin("probs"), source[1], {"probs": source[3].astype(np.float32)})
    assert weights_of(mixture) == pytest.approx(expected, abs=1e-6)


def test_rows_that_may_not_be_taken_do_not_shift_the_need_of_other_tasks(source):
    """A supply without task 0, and with half of task 1: needs are those of each task's own rows."""
    order = np.argsort(source[1], kind="stable")
    rows = np.bincount(source[1])
    names = [f"t{t}" for t in range(TASKS)]
    groups = Groups([""] * TASKS, names, [""] * TASKS, np.cumsum(rows) - rows, rows)
    takeable = source[1][order] != 0
    takeable[rows[0] : rows[0] + rows[1] // 2] = False
    loss = source[2][order]
    law = CaliBudget("loss", floor=0, exponent=0.0)
    given = allot(
        groups,
        law,
        means=None,
        total=10,
        seed=0,
        supply=supply_of(groups, takeable=takeable),
        features={"loss": loss},
    )
    means = [np.nanmean(loss[source[1][order] == t]) for t in range(TASKS)]
    spread = [np.nanstd(loss[source[1][order] == t]) for t in range(TASKS)]
    sure = [
        mean / (1 + deviation / np.sqrt(np.count_nonzero(~np.isnan(loss[source[1][order] == t]))))
        for t, (mean, deviation) in enumerate(zip(means, spread, strict=True))
    ]
    assert given.weights[0] == 0
    assert given.weights[1] / given.weights[2] == pytest.approx(sure[1] / sure[2])
