"""Small mixtures that are unusual in one way each, as a user would make them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import smartx

LONG, ARABIC, EMOJI = "a long name " * 25, "مهمة العربية", "👩‍👩‍👧 café 🇪🇺"  # fmt: skip
TASKS = ("sums", "letters", "maps", "proofs")


def one_task(folder: Path) -> Path:
    return _made(folder, tasks=["only"] * 40, rows=10)


def three_rows(folder: Path) -> Path:
    return _made(folder, tasks=["a", "b", "c"], rows=3)


def no_task_column(folder: Path) -> Path:
    """Found tasks."""
    return _made(folder, tasks=None, count=120, rows=30, more={"tasks": "auto"})


def odd_names(folder: Path) -> Path:
    return _made(folder, tasks=[*(LONG, ARABIC, EMOJI, "plain")] * 12, rows=20)


def with_templates(folder: Path) -> Path:
    templates = ["{{question}}", ARABIC, EMOJI, LONG] * 15
    return _made(folder, tasks=TASKS[:2] * 30, rows=25, more={"templates": templates})


def of_two_sources(folder: Path) -> Path:
    return _made(folder, tasks=TASKS * 15, rows=25, more={"sources": ["flan", "tulu"] * 30})


def of_tokens(folder: Path) -> Path:
    return _made(folder, tasks=TASKS * 20, rows=None, more={"tokens": 400})


def with_near_duplicates(folder: Path) -> Path:
    return _made(folder, tasks=TASKS * 20, rows=30, near=True, more={"near_duplicates": 0.95})


def with_rows_left_out(folder: Path) -> Path:
    """Some of the rows stand in an evaluation set."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"prompt": _prompt(row), "response": "yes"}) for row in range(0, 30, 3)]
    (folder / "bench.jsonl").write_text("\n".join(lines))
    bench = f"bench={folder / 'bench.jsonl'}"
    more = {"leave_out": [bench], "leave_out_by": ["exact"]}
    return _made(folder, tasks=TASKS * 20, rows=30, more=more)


def random_rows(folder: Path) -> Path:
    """No vectors are looked at, and neither weights nor ranking have gains."""
    return _made(folder, tasks=TASKS * 20, rows=30, more={"preset": "random"})


def weights_by_hand(folder: Path) -> Path:
    """As `smartx fit` proposes them; a task is to get nothing."""
    given = {"name": "given", "parts": {"sums": 3, "letters": 1, "maps": 1, "proofs": 1}}
    more = {"weights": given, "exclude": ["proofs"]}
    return _made(folder, tasks=TASKS * 20, rows=30, more=more)


def all_rows(folder: Path) -> Path:
    return _made(folder, tasks=TASKS * 10, rows=40)


ALL: dict[str, Callable[[Path], Path]] = {
    made.__name__: made
    for made in (
        one_task, three_rows, no_task_column, odd_names, with_templates, of_two_sources, of_tokens,
        with_near_duplicates, with_rows_left_out, random_rows, weights_by_hand, all_rows,
    )
}  # fmt: skip


def _prompt(row: int) -> str:
    return f"question {row} of what is asked here, with a number {row * row}"


def _made(
    folder: Path,
    *,
    tasks: Sequence[str] | None,
    rows: int | None,
    count: int = 0,
    near: bool = False,
    more: dict[str, Any] | None = None,
) -> Path:
    """Makes `folder`/mix of rows with vectors around their task's. Returns its report."""
    folder.mkdir(parents=True, exist_ok=True)
    fields = dict(more or {})
    columns = {"task": tasks, "template": fields.pop("templates", None)}
    columns["source"] = fields.pop("sources", None)
    count = len(tasks) if tasks is not None else count
    lines = [
        {"prompt": _prompt(row), "response": "word " * (row % 9 + 1)}
        | {name: values[row] for name, values in columns.items() if values is not None}
        for row in range(count)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    rng = np.random.default_rng(3)
    centres = rng.normal(size=(8, 12))
    place = [_place(tasks[row]) if tasks is not None else row % 8 for row in range(count)]
    vectors = centres[place] + 0.6 * rng.normal(size=(count, 12))
    if near:
        vectors[: count // 4] = vectors[-(count // 4) :] + 0.001  # of the same tasks
    np.save(folder / "vectors.npy", vectors.astype(np.float32))
    smartx.run(
        {
            "sources": [str(folder / "rows.jsonl")],
            "vectors": folder / "vectors.npy",
            "run_dir": folder / "work",
            "out": folder / "mix",
            "threads": 1,
            **({} if rows is None else {"rows": rows}),
            **fields,
        }
    )
    return folder / "mix" / "report.html"


def _place(name: str) -> int:
    """One of 8 places, the same in every process."""
    return sum(name.encode()) % 8
