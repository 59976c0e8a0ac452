"""Budgets of whole runs: what the configuration says holds in the mixture that is written."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import smartx
from smartx.amounts import demands
from smartx.budget import Demands
from smartx.errors import BudgetError, ConfigError, InputError

ROWS = 300


@pytest.fixture
def source(tmp_path):
    """Rows of 3 tasks, in no order, with responses of 1 to 40 tokens and columns of their own."""
    rng = np.random.default_rng(5)
    path = tmp_path / "rows.jsonl"
    with path.open("w") as file:
        for i in range(ROWS):
            row = {
                "inputs": f"question {i}",
                "targets": "word " * int(rng.integers(1, 33)),
                "task_source": "flan" if i % 3 else "p3",
                "task_name": ("math", "qa", "toxic")[i % 3],
                "template_type": "xy"[i % 2],
                "wanted": i % 50 == 7,
                "note": f"note {i}",
            }
            file.write(json.dumps(row) + "\n")
    return path


def mixed(source, **fields):
    """The rows of a mixture and its manifest."""
    out = source.parent / "mix"
    given = {"preset": "proportional", "run_dir": source.parent / "work", "overwrite": True}
    made = smartx.run({"sources": [str(source)], "out": out, **given, **fields})
    files = sorted((out / "data").glob("*.parquet"))
    return pa.concat_tables(map(pq.read_table, files)).to_pylist(), made.manifest


def number(row):
    """Its place in the source."""
    return int(row["prompt"].split()[1])


def test_a_part_of_the_rows(source):
    rows, manifest = mixed(source, rows="10%", exclude=["toxic"])
    assert len(rows) == ROWS * 2 // 3 // 10
    assert manifest["budget"] == {"rows": "10%", "excludes": ["toxic"]}
    assert {row["task"] for row in rows} == {"math", "qa"}


def test_tokens_are_met_within_one_row_and_told_of_by_task(source):
    rows, manifest = mixed(source, tokens="1k", token_kind="supervised")
    of_row = [-(-len(row["completion"]) // 4) for row in rows]
    assert manifest["tokens"] == sum(of_row)
    assert 1_000 - 42 < sum(of_row) <= 1_000
    assert sum(task["tokens"] for task in manifest["tasks"]) == sum(of_row)
    assert sum(task["budget"] for task in manifest["tasks"]) == 1_000
    assert manifest["budget"] == {"tokens": 1_000, "token_kind": "supervised"}
    card = (source.parent / "mix" / "README.md").read_text()
    assert "| budget | 1,000 supervised tokens" in card
    report = (source.parent / "mix" / "report.html").read_text()
    assert f"1,000 supervised tokens ({sum(of_row):,} taken)" in report
    assert sum(task["rows"] for task in manifest["tasks"]) == len(rows) == manifest["rows"]


def test_a_mixture_of_no_row_is_refused(source):
    with pytest.raises(BudgetError, match=r"no row fits into 1 tokens; the shortest .* has \d"):
        mixed(source, tokens=1)
    assert not (source.parent / "mix").exists()


def test_a_file_of_rows_that_holds_words_says_which(source):
    listed = source.parent / "rows.txt"
    listed.write_text("3\nx\n")
    with pytest.raises(InputError, match='its number 2 is "x"'):
        mixed(source, rows=9, include_rows=str(listed))


def test_demands_hold(source):
    rows, manifest = mixed(
        source, rows=60, floor={"math": "50%"}, cap=["toxic=3"], pin={"flan/qa": 20}
    )
    assert Counter(row["task"] for row in rows) == {"math": 37, "qa": 20, "toxic": 3}
    card = (source.parent / "mix" / "README.md").read_text()
    assert "| budget | 60 rows; floors math 50%; caps toxic 3; pins flan" in card
    assert manifest["budget"] == {
        "rows": 60, "floors": {"math": "50%"}, "caps": {"toxic": 3}, "pins": {"flan/qa": 20},
    }  # fmt: skip


@pytest.mark.parametrize("ending", [".txt", ".csv", ".npy", ".parquet", "mask"])
def test_rows_named_by_a_file_must_be_in_or_may_not_be(source, ending):
    numbers, path = [3, 250, 17], source.with_name(f"named{ending}")
    if ending == ".txt":
        path.write_text("3\n250\n\n17\n")
    elif ending == ".csv":
        path.write_text("row,why\n3,a\n250,b\n17,c\n")
    elif ending == ".npy":
        np.save(path, np.array(numbers))
    elif ending == ".parquet":
        pq.write_table(pa.table({"row": numbers}), path)
    else:
        path = source.with_name("named.npy")
        np.save(path, np.isin(np.arange(ROWS), numbers))
    rows, _ = mixed(source, rows=9, include_rows=str(path))
    assert set(numbers) <= {number(row) for row in rows}
    rows, _ = mixed(source, rows=ROWS - 3, exclude_rows=str(path))
    assert {number(row) for row in rows} == set(range(ROWS)) - set(numbers)


def test_a_column_names_rows_too(source):
    marked = {i for i in range(ROWS) if i % 50 == 7}
    rows, manifest = mixed(source, rows=12, include_rows="wanted")
    assert marked <= {number(row) for row in rows}
    assert len(rows) == 12
    assert manifest["budget"]["include_rows"] == "wanted"
    rows, _ = mixed(source, rows=ROWS - len(marked), exclude_rows="wanted")
    assert not marked & {number(row) for row in rows}


def test_a_row_that_must_and_may_not_is_named_as_the_file_numbers_it(source):
    listed = source.parent / "rows.txt"
    listed.write_text("8\n")  # another row of the corpus, which is sorted by task
    with pytest.raises(InputError, match="such as row 8 "):
        mixed(source, rows=9, include_rows=str(listed), exclude_rows=str(listed))


def test_rows_come_again_where_epochs_are_asked_for(source):
    rows, _ = mixed(source, rows=450, epochs=3, pin={"math": 250})
    taken = Counter(number(row) for row in rows)
    assert len(rows) == 450
    assert Counter(row["task"] for row in rows)["math"] == 250
    assert max(taken.values()) == 3
    pairs = [(number(row), row["smartx_copy"]) for row in rows]
    assert len(set(pairs)) == len(pairs)
    assert {copy for _, copy in pairs} == {0, 1, 2}
    assert all(row["note"] == f"note {number(row)}" for row in rows)
    assert "smartx_copy" not in mixed(source, rows=20)[0][0]


@pytest.mark.parametrize("kind", [None, "response"])
def test_the_same_rows_in_memory_as_on_disk(source, kind):
    table = [json.loads(line) for line in source.read_text().splitlines()]
    names = {
        name: [row[column] for row in table]
        for name, column in (
            ("sources", "task_source"), ("tasks", "task_name"), ("templates", "template_type"),
        )
    }  # fmt: skip
    tokens = [[-(-len(row[c]) // 4) for c in ("inputs", "targets")] for row in table]
    amount = "20%" if kind else 90
    found = smartx.select(
        preset="proportional", budget=amount, **names, tokens=tokens, token_kind=kind,
        demands=Demands(demands({"math": "10%"}), demands({"*/y": "15%"})), include=[3, 5],
        rounding="monotone",
    )  # fmt: skip
    file = source.with_name("must.txt")
    file.write_text("3\n5\n")
    how = {"tokens": amount, "token_kind": kind} if kind else {"rows": amount}
    rows, _ = mixed(
        source, **how, floor=["math=10%"], cap=["*/y=15%"], include_rows=str(file),
        rounding="monotone",
    )  # fmt: skip
    assert set(found.indices.tolist()) == {number(row) for row in rows}
    assert len(found) == len(rows)


def test_monotone_mixtures_are_nested(source):
    before: set[int] = set()
    for rows in (10, 11, 40, 41, 150):
        taken = {number(r) for r in mixed(source, rows=rows, rounding="monotone")[0]}
        assert before <= taken
        assert len(taken) == rows
        before = taken


def test_other_demands_are_another_mixture(source):
    mixed(source, rows=20)
    with pytest.raises(InputError, match="differs in: budget"):
        mixed(source, rows=20, floor=["math=9"], overwrite=False)
    mixed(source, rows=20, overwrite=False)


@pytest.mark.parametrize(
    ("fields", "kind", "words"),
    [
        ({"rows": 5, "tokens": 5}, ConfigError, "tokens: a budget in rows and one in tokens"),
        ({"rows": 5, "token_kind": "all"}, ConfigError, "the budget is not in tokens"),
        ({"rows": 301}, BudgetError, "300 rows, 1 fewer than the 301"),
        ({"tokens": "10m"}, BudgetError, "tokens, .* fewer than the 10,000,000"),
        ({"rows": 5, "floor": ["maths=3"]}, ConfigError, "did you mean math"),
        ({"rows": 5, "floor": ["math=6"]}, BudgetError, r"floor math=6 \(6\) ask for 6 rows"),
        ({"rows": 5, "include_rows": "want"}, InputError, 'no other column "want"'),
        ({"rows": 5, "include_rows": "no.txt"}, ConfigError, "include_rows: no.txt cannot be read"),
        ({"rows": 5, "include_rows": "note"}, InputError, "a number is needed"),
        ({"rows": 5, "include_rows": "wanted"}, BudgetError, "1 more than the budget of 5"),
        ({"rows": 50, "include_rows": "wanted", "exclude_rows": "wanted"}, InputError,
         "6 rows must be included and may not be taken"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_before_ranking(source, fields, kind, words):
    with pytest.raises(kind, match=words):
        mixed(source, **fields)
    assert not (source.parent / "work" / "rankings").exists()


def test_numbers_of_rows_that_are_not_there_are_an_error(source):
    path = source.with_name("rows.txt")
    path.write_text("3\n300\n")
    with pytest.raises(InputError, match=r"names row 300, and the sources have 300 rows"):
        mixed(source, rows=5, include_rows=str(path))
    path.write_text("three\n")
    with pytest.raises(InputError, match="cannot be read"):
        mixed(source, rows=5, include_rows=str(path))
