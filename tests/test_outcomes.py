"""What a command tells once its work is done."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from smartx.outcomes import mixture_outcome


def told(rows: list[int], **budget: object) -> str:
    tasks = [
        {"task": f"t{place}", "source": "", "rows": count, "capacity": 20}
        for place, count in enumerate(rows)
    ]
    asked = {"rows": sum(rows), **budget}
    manifest = {"rows": sum(rows), "tasks": tasks, "budget": asked, "near_duplicates": None}
    mixture = SimpleNamespace(manifest=manifest, folder=Path("mix"))
    return "\n".join(str(part) for part in mixture_outcome(mixture))


@pytest.mark.parametrize(
    ("rows", "budget", "line"),
    [
        ([3, 0, 2, 0], {}, "no row of 2 of 4 tasks (t1, t3); --floor '*=1' gives each at least"),
        ([3, 0, 2, 0], {"excludes": ["t1"]}, "no row of 2 of 4 tasks (t1, t3)\n"),
        ([3, 0, 2, 0], {"tokens": 900}, "no row of 2 of 4 tasks (t1, t3)\n"),  # *=1 is a token
        ([1, 0, 0, 0, 0, 0, 0], {}, "no row of 6 of 7 tasks (t1, t2, t3, t4, t5, ...)\n"),
    ],
)
def test_tasks_that_get_nothing_are_named(rows, budget, line):
    """And what gives each a row, unless there are too few rows or the user has said otherwise."""
    assert line in told(rows, **budget)


def test_a_floor_is_not_advised_where_no_row_of_a_task_may_be_taken():
    def hint(**task: int) -> bool:
        tasks = [
            {"task": "a", "source": "", "rows": 2, "capacity": 9},
            {"task": "b", "source": "", "rows": 0, "capacity": 3, **task},
        ]
        manifest = {"rows": 2, "tasks": tasks, "budget": {"rows": 2}, "near_duplicates": None}
        mixture = SimpleNamespace(manifest=manifest, folder=Path("mix"))
        return "--floor" in "\n".join(str(part) for part in mixture_outcome(mixture))

    assert hint()
    assert hint(left_out=2)
    assert not hint(left_out=3)
    assert not hint(left_out=1, near_duplicates=2)


def test_nothing_is_said_where_every_task_has_a_row():
    assert "no row of" not in told([1, 2, 3])


def test_shares_of_a_budget_in_tokens_are_of_tokens():
    tasks = [
        {"task": "short", "source": "", "rows": 6, "capacity": 20, "tokens": 30},
        {"task": "long", "source": "", "rows": 2, "capacity": 20, "tokens": 70},
    ]
    manifest = {"rows": 8, "tokens": 100, "tasks": tasks, "budget": {}, "near_duplicates": None}
    shown, *_ = mixture_outcome(SimpleNamespace(manifest=manifest, folder=Path("mix")))
    assert {column.header: [*column.cells] for column in shown.columns} == {
        "task": ["long", "short"],
        "rows": ["2", "6"],
        "of": ["20", "20"],
        "tokens": ["70", "30"],
        "share": ["70.0%", "30.0%"],
    }
