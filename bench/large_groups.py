"""One group of a million rows ranked whole and in parts: what it costs, and what the parts lose.

    python bench/large_groups.py --folder DIR --out FILE.json [--rows 1000000] [--dimensions 64]
        [--kinds clustered repeats minilm] [--parts 1 2 4 8] [--functions facility-location ...]
    python bench/large_groups.py --table FILE.json

Each ranking is a process of its own. Its worth is the function's value of the first 0.1, 1, 5 and
20 % of the rows, by the formula: for facility location over a sample of 16,384 rows that no ranking
knows of, for the others exactly; a column is that value divided by that of the whole group's
ranking. Vectors (bench/large_rows.py): "clustered" has 2,000 clusters of very unequal size,
"repeats" 100,000 rows that stand there ten times on the mean, a third of the copies exact,
"minilm" the MiniLM vectors of T0 (SMARTX_DATA), mixed with near ones and blurred. What FILE.json
has is not measured again.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

SHARES = (0.001, 0.01, 0.05, 0.2)
CLIENTS = 16_384
FUNCTIONS = ("facility-location", "graph-cut", "log-det")
# Facility location cut at random, for comparison: rows of the parts in turn, or greedy once more
# among the first rows of all parts, as many as one part has (randomised GreeDi).
RANDOM = {"facility-location-drawn": "drawn", "facility-location-again": "chosen again"}


def main() -> int:
    options = _options()
    if options.table:
        print(_table(json.loads(options.table.read_text())))
        return 0
    if options.case:
        _case(options)
        return 0
    kept = json.loads(options.out.read_text()) if options.out.exists() else {}
    for kind in options.kinds:
        for function in options.functions:
            for parts in options.parts:
                name = f"{kind} {options.rows} {options.dimensions} {function} {parts}"
                if name not in kept:
                    kept[name] = _measured(options, kind, function, parts)
                    options.out.write_text(json.dumps(kept, indent=1) + "\n")
                    print(name, kept[name], flush=True)
    print(_table(kept))
    return 0


def _measured(options: argparse.Namespace, kind: str, function: str, parts: int) -> dict[str, Any]:
    answer = options.folder / "answer.json"
    answer.unlink(missing_ok=True)
    command = [
        *(sys.executable, __file__, "--case", "--folder", str(options.folder)),
        *("--rows", str(options.rows), "--dimensions", str(options.dimensions)),
        *("--kinds", kind, "--functions", function, "--parts", str(parts)),
        *("--threads", str(options.threads), "--out", str(answer)),
    ]
    options.folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(command, check=True)
    row: dict[str, Any] = json.loads(answer.read_text())
    return row | {"load": round(os.getloadavg()[0], 1)}


def _case(options: argparse.Namespace) -> None:
    """Rank once, and say what it took and what it is worth."""
    from large_rows import rows_of

    kind, function, parts = options.kinds[0], options.functions[0], options.parts[0]
    rows = rows_of(options.folder, kind, options.rows, options.dimensions)
    before, began = time.process_time(), time.monotonic()
    order = _ranked(rows, function, parts, options.threads)
    took, wall = time.process_time() - before, time.monotonic() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if not (np.bincount(order, minlength=len(rows)) == 1).all():
        raise SystemExit("a row is missing, or twice there")
    row = {
        "cpu": round(took, 1),
        "wall": round(wall, 1),
        "memory": round(peak),
        "values": _values(rows, order, function),
    }
    options.out.write_text(json.dumps(row))


def _ranked(rows: np.ndarray, function: str, parts: int, threads: int) -> np.ndarray:
    from smartx.rankers.pool import pool_of
    from smartx.strategies import RANKERS

    function, way = (
        ("facility-location", RANDOM[function]) if function in RANDOM else (function, "")
    )
    asked = (
        {"name": function}
        if parts == 1
        else {"name": function, "part_rows": -(-len(rows) // parts)}
    )
    ranker = RANKERS.made(asked)
    if way:
        ranker = type("Drawn", (type(ranker),), {"way": way})(part_rows=ranker.part_rows)
    pool = pool_of(np.array([len(rows)]), {"vectors": rows})
    order: np.ndarray = ranker.rank(pool, threads=threads)[0]
    return order


def _values(rows: np.ndarray, order: np.ndarray, function: str) -> list[float]:
    """The function's value of the first rows, up to a factor that all orders share."""
    lengths = [max(1, int(share * len(rows))) for share in SHARES]
    if function.startswith("facility-location"):
        return _covered(rows, order, lengths)
    from objective import prefix_values

    short = {"graph-cut": "gc", "log-det": "ld"}[function]
    found: list[float] = prefix_values(short, rows / np.float32(0.998 * 4096), order, lengths)
    return found


def _covered(rows: np.ndarray, order: np.ndarray, lengths: list[int]) -> list[float]:
    sample = np.random.default_rng(99).choice(len(rows), min(len(rows), CLIENTS), replace=False)
    clients = rows[np.sort(sample)].astype(np.float32)  # products are whole numbers up to 2^24
    best, done, values = np.zeros(len(clients), np.float32), 0, []
    for length in lengths:
        for start in range(done, length, 2048):
            chosen = rows[order[start : min(length, start + 2048)]].astype(np.float32)
            np.maximum(best, (clients @ chosen.T).max(axis=1), out=best)
        done = length
        values.append(float(best.astype(np.float64).mean()) / (0.998 * 4096) ** 2)
    return values


def _table(kept: dict[str, Any]) -> str:
    shares = " | ".join(f"{share:.1%}" for share in SHARES)
    lines = [
        f"| vectors | function | parts | CPU | wall | load | peak memory | {shares} |",
        "|---|---|--:|--:|--:|--:|--:|" + "--:|" * len(SHARES),
    ]
    for name, row in sorted(kept.items(), key=lambda each: each[0]):
        kind, rows, dimensions, function, parts = name.split()
        plain = "facility-location" if function in RANDOM else function
        whole = kept.get(f"{kind} {rows} {dimensions} {plain} 1")
        values = row["values"]
        worth = [v / w for v, w in zip(values, whole["values"], strict=True)] if whole else values
        lines.append(
            f"| {kind}, {int(rows):,} x {dimensions} | {function} | {parts} | {row['cpu']:,.0f} s "
            f"| {row['wall']:,.0f} s | {row['load']} | {row['memory']:,} MB | "
            + " | ".join(f"{value:.4f}" for value in worth)
            + " |"
        )
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--folder", type=Path, help="where vectors are kept")
    add("--out", type=Path, help="the JSON file of the results")
    add("--rows", type=int, default=1_000_000)
    add("--dimensions", type=int, default=64)
    add("--kinds", nargs="+", default=["clustered", "repeats", "minilm"])
    choices = (*FUNCTIONS, *RANDOM)
    add("--functions", nargs="+", choices=choices, default=["facility-location"])
    add("--parts", nargs="+", type=int, default=[1, 2, 4, 8])
    add("--threads", type=int, default=len(os.sched_getaffinity(0)))
    add("--table", type=Path, metavar="FILE", help="show results, run nothing")
    add("--case", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.table and not (options.folder and options.out):
        parser.error("--folder and --out are needed")
    return options


if __name__ == "__main__":
    sys.exit(main())
