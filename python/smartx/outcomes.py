"""What a command tells a person once its work is done: tables and lines; `cli.py` prints them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from smartx.display import in_flags, line, plan_tables, table, tasks_table
from smartx.errors import StoreError
from smartx.progress import counted, size
from smartx.urls import is_url

if TYPE_CHECKING:
    from smartx.mixture import Mixture
    from smartx.planning import Plan
    from smartx.tasks import FoundTasks
    from smartx.verify import Verified

SHOWN_TASKS = 15
SHOWN_WITHOUT = 5  # tasks without a row that are named
CELLS_WIDTH = 60  # of a line of a comparison, without the strategy's name
Outcome = Iterable[Table | Text]


def plan_outcome(plan: Plan) -> Outcome:
    """The plan, then the error if it cannot be kept."""
    yield from plan_tables(plan)
    plan.check()


def _within(name: str, width: int) -> str:
    """A name cut to a width, of 20 at least."""
    width = max(20, width)
    return name if len(name) <= width else f"{name[: width - 1]}…"


def comparison_outcome(facts: dict[str, Any], written: Sequence[Path], *, width: int) -> Outcome:
    """What was compared, in tables of a width, and where it is written."""
    from smartx.compare import MIXTURE, UNSEEN, chance_line, lines

    found = lines(facts)
    for title, columns, cells in (
        ("on held-out rows, beside random choices", UNSEEN, [one.unseen for one in found]),
        ("\nof the mixture", MIXTURE, [one.mixture for one in found]),
    ):
        yield line(title, "bold")
        heads = ("strategy", *(head for head, _ in columns))
        names = (_within(one.name, width - CELLS_WIDTH) for one in found)
        yield table(heads, ((name, *own) for name, own in zip(names, cells, strict=True)))
        for head, words in columns:
            yield line(f"  {head}: {words}", "dim")
    yield line(f"\n{chance_line(facts)}")
    for one in facts["failed"]:
        yield line(f"{one['name']} cannot be: {one['fault']}", "yellow")
    for note in facts["notes"]:
        yield line(f"  {note}", "dim")
    for path in written:
        yield line(f"  look:  {path}")


def verified_outcome(found: Verified) -> Outcome:
    """What is not as it was written, then an error if anything is not."""
    for note in found.notes:
        yield line(f"{note.path}: {note.fault}")
    for fault in found.faults:
        yield line(f"{fault.path}: {fault.fault}", "red")
    files, folders = counted(found.files, "file"), counted(len(found.folders), "folder")
    looked = f"{files}, {size(found.bytes)}, in {folders}"
    if found.faults:
        raise StoreError(
            f"{len(found.faults)} of {looked} are not as they were written",
            fix="run the command that made them again; what is whole is kept",
        )
    yield line(f"{looked}: all as they were written")


def strategies_outcome() -> Outcome:
    """Every weight law, ranker, way to find tasks and function over tasks, with its parameters."""
    from smartx.options import first_sentence, spellings
    from smartx.strategies import LAWS, RANKERS, TASK_FUNCTIONS, TASKS

    for title, known in (
        ("weight laws: `weights` NAME or NAME:PARAMETER=VALUE,PARAMETER=VALUE", LAWS),
        ("rankers: `ranker`, written so too", RANKERS),
        ("ways to find tasks: `tasks`, written so too", TASKS),
        ("functions over tasks: function=NAME,function.PARAMETER=VALUE of a law", TASK_FUNCTIONS),
    ):
        yield line(f"\n{in_flags(title)}", "bold")
        for name in known.names():
            kind = known.find(name)
            yield line(f"{name:<34}{first_sentence(kind)}")
            for parameter, takes in spellings(kind).items():
                yield line(f"    {parameter:<30}{takes}", "dim")


def tasks_outcome(found: FoundTasks) -> Outcome:
    """Every task: its name, its rows, what else is typical of it, and its most typical prompt."""
    rows = found.table.select(["name", "rows", "words", "typical_prompt"]).to_pylist()
    yield tasks_table(rows)
    yield line(f"\n{counted(len(rows), 'task')} in {found.folder}", "bold")


def mixture_outcome(mixture: Mixture) -> Outcome:
    """The outcome, for a person: how much of what, where it is, what to do next."""
    from smartx.leave_out import left_out_line
    from smartx.mixture import shares_line
    from smartx.rankers import near_duplicates_line

    total, given = mixture.manifest["rows"], [t for t in mixture.manifest["tasks"] if t["rows"]]
    yield _shares_table(given, mixture.manifest.get("tokens"))
    if len(given) > SHOWN_TASKS:
        yield line(f"... and {counted(len(given) - SHOWN_TASKS, 'more task')}")
    if without := [t for t in mixture.manifest["tasks"] if not t["rows"]]:
        yield line(_without_rows(without, mixture.manifest))
    if shares := shares_line(mixture.manifest):
        yield line(shares)
    if found := mixture.manifest.get("left_out"):
        yield line(left_out_line(sum(t["capacity"] for t in mixture.manifest["tasks"]), found))
    if near := mixture.manifest["near_duplicates"]:
        held = sum(task["capacity"] for task in mixture.manifest["tasks"])
        yield line(near_duplicates_line(held, near))
    yield line(f"\n{counted(total, 'row')} in {mixture.folder}", "bold")
    yield line(f"  look:  {mixture.folder / 'report.html'}")
    what = f'"{mixture.folder}"'
    if is_url(str(mixture.folder)):  # `datasets` reads files of a store, and no folders
        what = f'"parquet", data_files="{mixture.folder}/data/*.parquet"'
    yield line(f'  load:  datasets.load_dataset({what}, split="train")')


def _shares_table(given: list[dict[str, Any]], tokens: int | None) -> Table:
    """The largest tasks. tokens: of the mixture, where these were asked for; shares are of them."""
    unit, whole = ("rows", sum(t["rows"] for t in given)) if tokens is None else ("tokens", tokens)
    given.sort(key=lambda task: -int(task[unit]))
    counts = ("rows", "capacity") if tokens is None else ("rows", "capacity", "tokens")
    return table(
        ("task", "rows", "of", *(() if tokens is None else ("tokens",)), "share"),
        (
            (name, *(f"{t[count]:,}" for count in counts), f"{t[unit] / max(1, whole):.1%}")
            for name, t in zip(_told_apart(given), given[:SHOWN_TASKS], strict=False)
        ),
    )


def _without_rows(without: Sequence[dict[str, Any]], manifest: dict[str, Any]) -> str:
    """Which tasks get nothing, and what gives each a row, where that can be and nobody asked."""
    names = [*_told_apart([*without[:SHOWN_WITHOUT]])]
    names += ["..."] if len(without) > SHOWN_WITHOUT else []
    tasks = f"{len(without):,} of {counted(len(manifest['tasks']), 'task')}"
    asked = manifest["budget"].keys() & {"excludes", "pins", "caps", "floors", "tokens"}
    fits = manifest["rows"] >= len(manifest["tasks"]) and all(_has_rows(task) for task in without)
    hint = "; --floor '*=1' gives each at least one" if fits and not asked else ""
    return f"no row of {tasks} ({', '.join(names)}){hint}"


def _has_rows(task: dict[str, Any]) -> bool:
    """Whether a task has a row that may be taken."""
    gone = task.get("left_out", 0) + task.get("near_duplicates", 0)
    return int(task["capacity"]) > int(gone)


def _told_apart(tasks: list[dict[str, Any]]) -> Iterator[str]:
    """The names of tasks; with their source where another source has a task of that name."""
    often = Counter(task["task"] for task in tasks)
    for task in tasks:
        known = often[task["task"]] == 1 or not task["source"]
        yield task["task"] if known else f"{task['source']} / {task['task']}"
