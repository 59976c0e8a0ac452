"""The data card (README.md) of a mixture: what the Hub shows and `load_dataset` reads."""

from __future__ import annotations

from typing import Any

import yaml

from smartx.embed.encoders import source_name
from smartx.leave_out import left_out_line
from smartx.mixture.facts import SEEN, blind_tasks, budget_line, shares_line
from smartx.mixture.names import markdown
from smartx.progress import counted
from smartx.rankers import near_duplicates_line

TABLE_TASKS = 100  # tasks in the table; all are in the manifest
ALERT_TASKS = 10  # tasks that are named in a warning
_SIZES = [(10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M")]


def card(facts: dict[str, Any]) -> bytes:
    """README.md of a mixture. facts: of its manifest."""
    front = yaml.safe_dump(_front_matter(facts["rows"]), sort_keys=False)
    return f"---\n{front}---\n{_text(facts)}".encode()


def _front_matter(rows: int) -> dict[str, Any]:
    """Without `configs`: where these are, `datasets` (4.0 to 5.2) keeps what it once loaded under
    the folder's name, and gives it again for every other mixture of that name. It finds
    data/train-* all the same.
    """
    size = next(
        (name for below, name in _SIZES if rows < below), "1M<n<10M" if rows < 10**7 else "n>10M"
    )
    return {
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
        rows=counted(facts["rows"], "row"),
        given=counted(len(given), "task"),
        tasks=counted(len(facts["tasks"]), "task"),
        held=counted(held, "row"),
        version=markdown(facts["smartx"]),
        alerts=_alerts(facts),
        training=_training(facts["trainers"]),
        columns=_CHAT_COLUMNS if facts["trainers"]["conversations"] else _PAIR_COLUMNS,
        recipe=_recipe(facts),
        table=_table(given, facts["rows"], held),
    )


def _recipe(facts: dict[str, Any]) -> str:
    lines = [f"preset | {markdown(facts['preset'])}"] if facts["preset"] else []
    for part in ("weights", "ranker"):
        options = {name: value for name, value in facts[part].items() if name != "name"}
        if options.get("num_tasks", "") is None:
            options["num_tasks"] = "all"
        inside = ", ".join(f"{name} {_option(value)}" for name, value in options.items())
        lines.append(
            f"{part} | {markdown(facts[part]['name'])}"
            + (f" ({markdown(inside)})" if inside else "")
        )
    if budget := budget_line(facts):
        lines.append(f"budget | {markdown(budget, 300)}")
    if shares := shares_line(facts):
        lines.append(f"shares | {markdown(shares, 300)}")
    if found := facts.get("left_out"):
        held = sum(task["capacity"] for task in facts["tasks"])
        lines.append(f"left out | {markdown(left_out_line(held, found), 300)}")
    if near := facts["near_duplicates"]:
        held = sum(task["capacity"] for task in facts["tasks"])
        lines.append(f"near duplicates | {markdown(near_duplicates_line(held, near), 200)}")
    if made := facts["embedding"]:
        lines.append(f"vectors by | {markdown(_encoder(made), 300)}")
    lines += [
        f"{label} | {facts['embedding'][name]:,}"
        for name, label in SEEN.items()
        if name in (facts["embedding"] or {})
    ]
    lines.append(f"seed | {facts['seed']}")
    lines += [f"{name} | `{digest[:16]}`" for name, digest in facts["inputs"].items()]
    return "\n".join(f"| {line} |" for line in lines)


def _encoder(made: dict[str, Any]) -> str:
    """What embedded the rows, and what a student lost by the measure of its teacher."""
    name = source_name(made) or "ready vectors"
    if lost := made.get("student"):
        name += f"; cosine {lost['cosine']:.3f} to its teacher on {lost['rows']:,} held-out rows"
        if lost["in_groups"] is not None:
            name += f", {lost['in_groups']:.1%} of greedy's gain inside groups kept"
    if by := made.get("made"):
        name += "; " + ", ".join(f"{rows:,} rows by {one}" for one, rows in by.items())
    return name


def _alerts(facts: dict[str, Any]) -> str:
    """What nobody should overlook, above everything else."""
    blind = blind_tasks(facts)
    if not blind:
        return ""
    lines = [
        f"> - {markdown(task['task'])}: {task['one_vector']:,} of {task['capacity']:,} rows"
        for task in blind[:ALERT_TASKS]
    ]
    if len(blind) > ALERT_TASKS:
        lines.append(f"> - ... and {counted(len(blind) - ALERT_TASKS, 'task')} more")
    return _BLIND.format(tasks=counted(len(blind), "task"), lines="\n".join(lines))


def _training(met: dict[str, Any]) -> str:
    """How to train on it, and what trainers will not take. met: `trainers` of the manifest."""
    if not met["conversations"]:
        return _TRAIN_PAIRS
    text = _TRAIN_CHATS
    if met["tools"] or met["calls"]:
        text += _TRAIN_TOOLS
    if met["shortened"]:
        text += _SHORTENED.format(rows=counted(met["shortened"], "row"))
    if met["refused"]:
        lines = [
            f"| {refused['reason']} | {refused['rows']:,} | "
            + "; ".join(f"{who}: {what}" for who, what in refused["by"].items())
            + " |"
            for refused in met["refused"]
        ]
        text += _REFUSED.format(table="\n".join(lines))
    return text


def _option(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(
            f"{inner}" if name == "name" else f"{name}={inner}" for name, inner in value.items()
        )
    return "not set" if value is None else str(value)


def _table(given: list[dict[str, Any]], total: int, held: int) -> str:
    lines = [
        f"| {markdown(task['task'])} | {markdown(task['source'])} | {task['rows']:,} | "
        f"{task['rows'] / total:.2%} | {task['capacity'] / held:.2%} | {task['capacity']:,} |"
        for task in given[:TABLE_TASKS]
    ]
    if len(given) > TABLE_TASKS:
        lines.append(
            f"\n... and {counted(len(given) - TABLE_TASKS, 'task')} more: see manifest.json."
        )
    return "\n".join(lines)


_TEXT = """\

# A fine-tuning mixture of {rows}

{rows} of {given}, chosen from {held} of {tasks} by smartx {version}.
{alerts}
## Train on it

```python
from datasets import load_dataset

rows = load_dataset("path/to/this/folder", split="train")
```

{training}
Trainers that are configured by files: `trl.yaml` and `axolotl.yaml` hold the lines to copy. For
LLaMA-Factory, set `dataset_dir: path/to/this/folder` and `dataset: smartx_mixture`.

## Columns

{columns}
- `source`, `task`, `template`
- `smartx_row`: the row's number in the corpus; `smartx_rank`: its place in the ranking of its task
  and template (0 is the most valuable row); `smartx_gain`: what it added there; `smartx_index`: its
  place among all rows of the sources, in their order, from 0
- the other columns of the sources; one with a name that trainers look for is called original_NAME

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
_PAIR_COLUMNS = "- `prompt` and `completion`"
_CHAT_COLUMNS = """\
- `messages`: the turns, in every row
- `prompt_text` and `completion_text`: what comes before the last answer, and that answer, as plain
  text for people"""
_BLIND = """
> [!WARNING]
> In {tasks} most rows have one and the same vector, so the order of rows there says nothing:
> what tells them apart is not in what the encoder read.
>
{lines}
"""
_TRAIN_PAIRS = """\
TRL and Axolotl put `prompt` and `completion` together as they are, with nothing between them and no
chat template, and learn the completion alone. LLaMA-Factory puts both into the template of the
model. For the chat template in TRL too:

```python
rows = rows.map(
    lambda row: {
        "prompt": [{"role": "user", "content": row["prompt"]}],
        "completion": [{"role": "assistant", "content": row["completion"]}],
    }
)
```
"""
_TRAIN_CHATS = """\
Every row has `messages`, which all three trainers put into the chat template of the model. Axolotl
and LLaMA-Factory learn the turns of the assistant, TRL every turn. With
`SFTConfig(assistant_only_loss=True)` TRL learns the assistant's turns alone, if it knows the
template; the last answer alone with any template:

```python
rows = rows.map(
    lambda row: {"prompt": row["messages"][:-1], "completion": row["messages"][-1:]},
    remove_columns="messages",
)
```
"""
_TRAIN_TOOLS = """
Calls of tools, and `tools`, are JSON in the files and objects once loaded (by `datasets` 4.7 or
newer). LLaMA-Factory reads a copy of the turns in `llama_factory`, where a call is a turn of its
own kind.
"""
_SHORTENED = """
{rows} went on after the last answer: those turns are left out here, nothing is learned from them
(they are in the corpus).
"""
_REFUSED = """
Rows that some trainers do not take, or not as they are:

| why | rows | what happens |
|---|---:|---|
{table}
"""
