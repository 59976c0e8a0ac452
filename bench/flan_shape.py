"""Run smartx, stage by stage, over a made-up corpus of the shape of FLAN 2022 at any size.

    python bench/flan_shape.py --fraction 0.01 --folder DIR --out FILE.json [--dimensions 384]
    python bench/flan_shape.py --shape tiny-tasks|one-group --folder DIR --out FILE.json
    python bench/flan_shape.py --texts real [--encoder NAME] --fraction 0.01 --folder DIR --out FILE
    python bench/flan_shape.py --table FILE.json ...

Fraction 1 is 17.6 million rows in 1,840 tasks. With --texts real these are the rows of T0 and
BIG-bench (in SMARTX_DATA), repeated with edits, as JSON lines, and smartx embeds them. Each stage
is a process of its own: `smartx ingest`, `rank`, `mix` and `verify` as a person would call them,
and before them what makes the texts and the vectors. Time, memory and disk of a stage go into
FILE.json when it ends. A stopped run goes on with the same command; a stage that was stopped is
then marked, since its time is that of the rest.
Ends with status 1 if a stage failed or what came out is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from flan.make import Spec
from flan.stages import Stage, forget, run, stages, write_spec
from results import save

ROW_BYTES = {"made": 300, "real": 1_200}  # on disk besides its vector: texts, corpus, mixtures


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that its stage ends with it
    options = _options()
    if options.table:
        from flan.table import page

        print(page([json.loads(path.read_text()) for path in options.table]))
        return 0
    spec = Spec(
        options.shape, options.fraction, options.keep, options.rows, options.tasks,
        options.dimensions, options.seed, options.texts,
    )  # fmt: skip
    shape = _described(spec)
    print(", ".join(f"{name} {count:,}" for name, count in shape.items()), flush=True)
    write_spec(spec, options.folder)
    _check_disk(options.folder, shape["rows"] * (2 * spec.dimensions + ROW_BYTES[spec.texts]))
    encoder = _encoder(options)
    kept = _kept(options.out, spec, encoder)
    kept["shape"], kept["commands"] = shape, [*kept["commands"], shlex.join(sys.argv)]
    kept["machine"] = _machine()
    planned = stages(options.folder, shape["rows"], options.threads, options.memory, encoder)
    for stage in planned:
        if not _wanted(stage.name, planned, options.until):
            print(f"stopped after {options.until}")
            return 0
        if stage.name in options.again:
            kept["stages"].pop(stage.name, None)
            forget(stage, options.folder)
        if stage.name not in kept["stages"] and not _done(stage, options, kept):
            return 1
    kept["stages"] = {stage.name: kept["stages"][stage.name] for stage in planned}
    found = _faults(options.folder)
    kept["faults"] = found
    save(options.out, kept)
    from flan.table import page

    print("\n" + page([kept]))
    for fault in found:
        print(f"FAILED {fault}", file=sys.stderr)
    return int(bool(found))


def _encoder(options: argparse.Namespace) -> str | None:
    """What embeds real texts, with its flags."""
    if options.texts == "made":
        return None
    rows = f" --student-rows {options.student_rows}" if options.student_rows else ""
    return options.encoder + rows


def _wanted(name: str, planned: list[Stage], until: str | None) -> bool:
    names = [stage.name for stage in planned]
    return until is None or names.index(name) <= names.index(until)


def _done(stage: Stage, options: argparse.Namespace, kept: dict[str, Any]) -> bool:
    """Run a stage and keep what it took. Returns whether it ended well."""
    print(f"{stage.name}:", flush=True)
    row = run(stage, options.folder)
    if "failure" in row:
        print(f"FAILED {stage.name}: {row['failure']}", file=sys.stderr)
        return False
    kept["stages"][stage.name] = row | {"threads": options.threads}
    save(options.out, kept)
    print(
        f"    {row['wall']:.1f} s, CPU {row['cpu']:.1f} s, {row['memory'] / 2**20:,.0f} MiB, "
        f"load {row['load'][0]} to {row['load'][1]}",
        flush=True,
    )
    return True


def _check_disk(folder: Path, needed: int) -> None:
    there = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    free = shutil.disk_usage(folder).free
    if needed - there > free:
        raise SystemExit(
            f"{folder}: about {(needed - there) / 1e9:.0f} GB more are needed, and "
            f"{free / 1e9:.0f} GB are free"
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--shape", choices=("flan", "tiny-tasks", "one-group"), default="flan")
    add("--fraction", type=float, default=0.01, help="of FLAN's 17.6 million rows")
    add(
        "--keep",
        choices=("groups", "tasks"),
        default="groups",
        help="a fraction takes some tasks with whole groups, or all tasks with smaller groups",
    )
    add("--rows", type=int, default=1_000_000, help="of the shape one-group")
    add("--tasks", type=int, default=100_000, help="of the shape tiny-tasks, 1 to 50 rows each")
    add("--texts", choices=("made", "real"), default="made", help="of few words, or real ones")
    add(
        "--encoder",
        default="student:all-MiniLM-L6-v2",
        help="what embeds real texts; made ones have vectors made for them",
    )
    add("--student-rows", type=int, metavar="N", help="that a student learns from")
    add("--dimensions", type=int, default=384, help="of made vectors")
    add("--seed", type=int, default=0)
    add("--folder", type=Path, help="where the corpus and the mixtures go")
    add("--out", type=Path, help="the JSON file of the results")
    add("--threads", type=int, default=len(os.sched_getaffinity(0)))
    add("--memory", default="8GiB", help="what smartx may use")
    add("--again", nargs="+", default=[], metavar="STAGE", help="make anew what FILE.json holds")
    add("--until", metavar="STAGE", help="stop after it; the same command without it goes on")
    add("--table", nargs="+", type=Path, metavar="FILE", help="show results, run nothing")
    options = parser.parse_args()
    if not options.table and not (options.folder and options.out):
        parser.error("--folder and --out are needed")
    return options


def _described(spec: Spec) -> dict[str, int]:
    """In a process of its own: what this one holds would count as the stages' memory."""
    return _apart(_describe, spec)


def _describe(spec: Spec) -> dict[str, int]:
    shape = spec.made()
    return {
        "rows": shape.rows,
        "tasks": shape.tasks,
        "groups": len(shape.sizes),
        "largest_group": int(shape.sizes.max()),
        "pairs": shape.pairs,
    }


def _faults(folder: Path) -> list[str]:
    return _apart(_find_faults, folder)


def _find_faults(folder: Path) -> list[str]:
    from flan.check import faults
    from flan.vectors import Geometry

    spec = Spec(**json.loads((folder / "spec.json").read_text()))
    shape = spec.made()
    made = Geometry(shape, spec.dimensions, spec.seed) if spec.texts == "made" else None
    return faults(shape, made, folder)


def _machine() -> dict[str, Any]:
    from machine import described

    return described()


def _apart(function: Any, argument: Any) -> Any:
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, argument).result()


def _kept(path: Path, spec: Spec, encoder: str | None) -> dict[str, Any]:
    if not path.exists():
        return {"spec": asdict(spec), "encoder": encoder, "commands": [], "stages": {}}
    kept: dict[str, Any] = json.loads(path.read_text())
    if Spec(**kept["spec"]) != spec or kept.get("encoder") != encoder:
        raise SystemExit(f"{path} is of another corpus: name another --out")
    return kept


if __name__ == "__main__":
    sys.exit(main())
