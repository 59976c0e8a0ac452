"""The data card (README.md) of a mixture: what the Hub shows and `load_dataset` reads."""

from __future__ import annotations

from typing import Any

import yaml

from smartx.mixture.names import markdown
from smartx.rankers import near_duplicates_line

TABLE_TASKS = 100  # tasks in the table; all are in the manifest
_SIZES = [(10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M")]


def card(facts: dict[str, Any]) -> bytes:
    """README.md of a mixture. facts: of its manifest."""
    front = yaml.safe_dump(_front_matter(facts["rows"]), sort_keys=False)
    return f"---\n{front}---\n{_text(facts)}".encode()


def _front_matter(rows: int) -> dict[str, Any]:
    size = next(
        (name for below, name in _SIZES if rows < below), "1M<n<10M" if rows < 10**7 else "n>10M"
    )
    return {
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": "train", "path": "data/train-*.parquet"}],
            }
        ],
        "size_categories": [size],
        "task_categories": ["text-generation"],
        "tags": ["smartx", "data-mixture", "instruction-tuning"],
    }


def _text(facts: dict[str, Any]) -> str:
    given = sorted(
        (task for task in facts["tasks"] if task["rows"]), key=lambda task: -int(task["rows"])
    )
    held = sum(task["capacity"] for task in facts["tasks"])
    return _TEXT.format(
        rows=f"{facts['rows']:,}",
        given=f"{len(given):,}",
        tasks=f"{len(facts['tasks']):,}",
        held=f"{held:,}",
        version=markdown(facts["smartx"]),
        recipe=_recipe(facts),
        table=_table(given, facts["rows"], held),
    )


def _recipe(facts: dict[str, Any]) -> str:
    lines = [f"preset | {markdown(facts['preset'])}"] if facts["preset"] else []
    for part in ("weights", "ranker"):
        options = {name: value for name, value in facts[part].items() if name != "name"}
        inside = ", ".join(f"{name} {_option(value)}" for name, value in options.items())
        lines.append(
            f"{part} | {markdown(facts[part]['name'])}"
            + (f" ({markdown(inside)})" if inside else "")
        )
    if near := facts["near_duplicates"]:
        held = sum(task["capacity"] for task in facts["tasks"])
        lines.append(f"near duplicates | {markdown(near_duplicates_line(held, near), 200)}")
    lines.append(f"seed | {facts['seed']}")
    lines += [f"{name} | `{digest[:16]}`" for name, digest in facts["inputs"].items()]
    return "\n".join(f"| {line} |" for line in lines)


def _option(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(
            f"{inner}" if name == "name" else f"{name}={inner}" for name, inner in value.items()
        )
    return "all" if value is None else str(value)


def _table(given: list[dict[str, Any]], total: int, held: int) -> str:
    lines = [
        f"| {markdown(task['task'])} | {markdown(task['source'])} | {task['rows']:,} | "
        f"{task['rows'] / total:.2%} | {task['capacity'] / held:.2%} | {task['capacity']:,} |"
        for task in given[:TABLE_TASKS]
    ]
    if len(given) > TABLE_TASKS:
        lines.append(f"\n... and {len(given) - TABLE_TASKS:,} tasks more: see manifest.json.")
    return "\n".join(lines)


_TEXT = """\

# A fine-tuning mixture of {rows} rows

{rows} rows of {given} tasks, chosen from {held} rows of {tasks} tasks by smartx {version}.

```python
from datasets import load_dataset

rows = load_dataset("path/to/this/folder", split="train")
```

Columns: `prompt`, `completion`, `messages` (where the corpus holds conversations), `source`,
`task`, `template`; `smartx_row` is the row's number in the corpus, `smartx_rank` its place in the
ranking of its task and template (0 is the most valuable row), `smartx_gain` what it added there.
The other columns are those of the sources.

The rows keep the licences of the sources they come from.

## How it was made

| what | choice |
|---|---|
{recipe}

The same corpus, vectors, choices and seed give the same bytes again. `manifest.json` has every
number, `report.html` shows them.

## Rows of each task

| task | source | rows | share | share of the corpus | rows in the corpus |
|---|---|---:|---:|---:|---:|
{table}
"""
