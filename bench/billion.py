"""What a corpus of a billion rows takes on 1 to 1,000 nodes, and where more of them stop helping.

    python bench/billion.py                   # the table, by the rates that were measured here
    python bench/billion.py --keep tasks      # FLAN's tasks with 57 times the rows each
    python bench/billion.py rates SOURCE.parquet ... --folder DIR     # measure this machine
    python bench/billion.py check --folder DIR                        # predicted beside measured

Units are cut and shared out by the code of smartx itself (`Pieces`, `part_sizes`, `shares`); how
long one takes is its cost model times what was measured (billion_rows/rates.json: processor seconds
of one thread). Nothing of this ran on several machines.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from billion_rows.rates import Rates, measured
from billion_rows.schedule import Nodes, Took, took
from billion_rows.stages import Asked, Stage, default_ranker, shape_of, stages

HERE = Path(__file__).parent / "billion_rows" / "rates.json"
WAYS = ("student", "teacher", "gpu")


def main() -> int:
    asked = _options()
    if asked.what == "rates":
        sys.path.append(str(Path(__file__).parents[1] / "tests"))
        from embed_tokenizers import model2vec_folder

        teacher = model2vec_folder(asked.folder / "teacher", width=asked.dimensions)
        measured(asked.sources, teacher, asked.folder).save(asked.rates)
        sys.stdout.write(asked.rates.read_text())
        return 0
    if asked.what == "check":
        from billion_rows.check import checked

        sys.stdout.write(checked(asked.folder, asked.run_dir))
        return 0
    _table(asked, Rates.kept(asked.rates))
    return 0


def _table(asked: argparse.Namespace, rates: Rates) -> None:
    rows, say = int(asked.rows), sys.stdout.write
    plan = Asked(
        rows, asked.keep, asked.dimensions, "student", asked.gpu_rate, rows // 100, default_ranker()
    )
    groups = shape_of(plan)
    largest = int(groups.rows.max())
    say(
        f"{int(groups.rows.sum()):,} rows, {len(groups):,} groups (the largest {largest:,} rows), "
        f"d = {asked.dimensions}; a node: {asked.cores} cores, {asked.memory} GB, "
        f"${asked.price:.2f} an hour, {asked.gpus} GPUs of {asked.gpu_rate:,.0f} rows/s and "
        f"${asked.gpu_price:.2f}; a worker: {asked.threads} threads; shared disk "
        f"{asked.disk:g} GB/s\n\n"
    )
    found = stages(plan, groups, rates)
    for way in WAYS[1:]:
        found.insert(-2, stages(replace(plan, by=way), groups, rates)[1])
    say("| stage | nodes | hours | of them one process | $ | bounded by |\n")
    say("|---|--:|--:|--:|--:|---|\n")
    for stage in found:
        for count in asked.nodes:
            line = took(stage, _nodes(asked, count), rates)
            say(_line(stage, count, line))
    say("\n| stage | units | longest | read | written | memory of a worker | manifest |\n")
    say("|---|--:|--:|--:|--:|--:|--:|\n")
    for stage in found:
        say(_sizes(stage))
    say("\n")
    for stage in found:
        say(_stops(stage, asked, rates) + _short(stage, asked, rows, rates))


def _nodes(asked: argparse.Namespace, count: int) -> Nodes:
    return Nodes(
        count, asked.cores, asked.threads, asked.efficiency, asked.memory * 1e9, asked.disk * 1e9,
        asked.price, asked.gpus, asked.gpu_price,
    )  # fmt: skip


def _line(stage: Stage, count: int, one: Took) -> str:
    return (
        f"| {stage.name} | {count:,} | {one.seconds / 3600:,.2f} | {one.alone / 3600:,.2f} | "
        f"{one.money:,.0f} | {one.why} |\n"
    )


def _sizes(stage: Stage) -> str:
    longest = max((unit.seconds for unit in stage.units), default=0.0)
    return (
        f"| {stage.name} | {len(stage.units):,} | {longest:,.0f} s | {stage.read / 1e9:,.0f} GB | "
        f"{stage.written / 1e9:,.0f} GB | {stage.memory / 1e9:,.1f} GB | "
        f"{stage.kept / 1e6:,.1f} MB |\n"
    )


def _stops(stage: Stage, asked: argparse.Namespace, rates: Rates) -> str:
    """The number of nodes from which twice as many save less than a quarter."""
    if not stage.units:
        return f"- {stage.name}: one node, whatever there is: {stage.alone}.\n"
    count, now = 1, took(stage, _nodes(asked, 1), rates)
    while count < 1 << 14:
        twice = took(stage, _nodes(asked, 2 * count), rates)
        if twice.seconds > 0.75 * now.seconds:
            return (
                f"- {stage.name}: stops at {count:,} nodes ({now.seconds / 3600:.2f} h): "
                f"{twice.why}.\n"
            )
        count, now = 2 * count, twice
    return f"- {stage.name}: no end within {count:,} nodes.\n"


def _short(stage: Stage, asked: argparse.Namespace, rows: int, rates: Rates) -> str:
    """What a node would need, where it has not the memory."""
    if not took(stage, _nodes(asked, 1), rates).short_of_memory:
        return ""
    fits = int(rows * asked.memory * 1e9 / stage.memory / 1e6)
    return (
        f"  {stage.memory / 1e9:,.0f} GB of memory are needed for each worker, and for whoever "
        f"drives: {asked.memory:g} GB are enough for about {fits:,} million rows.\n"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("what", nargs="?", choices=("table", "rates", "check"), default="table")
    add("sources", nargs="*", type=Path)
    add("--rates", type=Path, default=HERE)
    add("--folder", type=Path, help="for what is measured")
    add("--run-dir", type=Path, help="check: one with vectors; its rankings are deleted")
    add("--rows", type=float, default=1e9)
    add("--keep", choices=("groups", "tasks"), default="groups", help="sizes of groups, or tasks")
    add("--dimensions", type=int, default=384)
    add("--nodes", type=int, nargs="+", default=[1, 10, 100, 1000])
    add("--cores", type=int, default=16)
    add("--threads", type=int, default=16, help="of a worker")
    add("--efficiency", type=float, default=0.9, help="of each thread of a worker (2 here: 0.92)")
    add("--memory", type=float, default=64.0, help="GB of a node")
    add("--disk", type=float, default=5.0, help="GB a second of the shared disk, of all nodes")
    add("--price", type=float, default=0.80, help="dollars an hour of a node")
    add("--gpus", type=int, default=1, help="of a node that embeds with them")
    add("--gpu-rate", type=float, default=2_000.0, help="rows a second of a GPU; not measured here")
    add("--gpu-price", type=float, default=2.50, help="dollars an hour of a GPU, beside its node")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
