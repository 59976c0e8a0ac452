"""Proves the work on a graphics card on any machine that has one: the bits of the core, within its
memory, and how much faster.

    python bench/gpu.py [--device cuda:0] [--quick] [--out FILE.json]

Without a CUDA card, or with --device cpu, torch's CPU device stands in for one: then only what does
not need a card is shown. Ends with status 1 where anything is not as it must be.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from machine import described
from numpy.typing import NDArray

from smartx import _core  # noqa: TID251
from smartx.engine import (
    NOMINAL,
    FacilityLocation,
    Speed,
    default_threads,
    knn_graph,
    made_up_rows,
    maximize,
    measured_products,
    rank_groups,
)
from smartx.engine.card import Card, CardError, card_named
from smartx.engine.card_kernel import card_kernel
from smartx.engine.card_rows import probe
from smartx.engine.cost import (
    card_kernel_seconds,
    card_neighbour_seconds,
    kernel_seconds,
    neighbour_seconds,
)
from smartx.engine.gpu import Tiles, card_neighbours
from smartx.engine.measure import measured_card
from smartx.engine.on_card import similarities_on

HERE = Path(__file__).parent
K = 64
GIB = 1 << 30
SHAPES = [(2, 1, 1), (33, 8, 5), (1_500, 8, 64), (3_000, 384, 64), (900, 1024, 899)]
LARGE_SHAPES = [(20_000, 384, 64), (9_000, 4096, 64), (40_000, 768, 20), (70_000, 33, 300)]
SPEEDS = [(20_000, 384), (50_000, 384), (100_000, 384), (200_000, 384), (50_000, 1024),
          (100_000, 1024)]  # fmt: skip
KERNELS = [(20_000, 384), (40_000, 384), (20_000, 1024), (40_000, 1024)]
Check = dict[str, Any]  # what, same (or ok), and figures


class Notes:
    """A progress that keeps what is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def start(self, step: str, total: int | None, unit: str) -> None: ...
    def advance(self, amount: int) -> None: ...
    def finish(self) -> None: ...

    def note(self, message: str) -> None:
        self.told.append(message)


# ---- the same bits ----


def same_neighbours(card: Card, rows: NDArray[np.int16], k: int, memory: int | None = None) -> bool:
    found = card_neighbours(card, rows, k, threads=default_threads(), memory=memory)
    wanted = _core.neighbours(rows, k, threads=default_threads())
    return all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))


def same_kernel(card: Card, rows: NDArray[np.int16], items: NDArray[np.int32] | None) -> bool:
    found = card_kernel(card, rows, items, threads=default_threads())[:, : len(rows)]
    wanted = _core.kernel16(rows, threads=default_threads())
    return bool(np.array_equal(found, wanted if items is None else wanted[items]))


def repeated(count: int, distinct: int, d: int) -> NDArray[np.int16]:
    return made_up_rows(distinct, d)[np.random.default_rng(1).integers(0, distinct, count)]


def extreme(count: int, d: int) -> NDArray[np.int16]:
    """One large entry a row, of either sign: the largest similarities there are."""
    rows = np.zeros((count, d), dtype=np.int16)
    rows[np.arange(count), np.arange(count) % d] = np.where(np.arange(count) % 3, 4087, -4087)
    return rows


def exactness(card: Card, quick: bool) -> Iterator[Check]:
    """Neighbours and kernels of many shapes, cut in many ways, beside those of the core."""
    shapes = SHAPES if quick or card.kind == "cpu" else SHAPES + LARGE_SHAPES
    for n, d, k in shapes:
        rows = made_up_rows(n, d)
        yield {"what": f"{k} nearest of {n} x {d}", "same": same_neighbours(card, rows, k)}
        small = 60 * Tiles(32, 32).bytes(d, k)
        if n <= 3_000:
            what = f"the same in {small >> 10:,} KiB"
            yield {"what": what, "same": same_neighbours(card, rows, k, small)}
    for rows, what in [
        (repeated(3_000, 40, 24), "3000 rows, 40 of them unlike"),
        (np.repeat(made_up_rows(1, 64), 300, axis=0), "300 equal rows"),
        (extreme(500, 30), "rows of one entry"),
    ]:
        yield {"what": f"64 nearest of {what}", "same": same_neighbours(card, rows, K)}
        yield {"what": f"kernel of {what}", "same": same_kernel(card, rows, None)}
    for n, d, _ in [shape for shape in shapes if shape[0] <= 20_000]:
        rows = made_up_rows(n, d)
        yield {"what": f"kernel of {n} x {d}", "same": same_kernel(card, rows, None)}
        some = np.arange(0, n, 7, dtype=np.int32)
        yield {"what": f"a seventh of its rows, {n} x {d}", "same": same_kernel(card, rows, some)}


def exact_whatever_is_set(card: Card) -> Iterator[Check]:
    """With TF32, or products of bfloat16, allowed by the caller; and that the probe sees these."""
    torch, rows = card.torch, made_up_rows(3_000, 384)
    before = torch.get_float32_matmul_precision()
    for asked in ("high", "medium"):
        torch.set_float32_matmul_precision(asked)
        try:
            with torch.autocast(card.kind, dtype=torch.bfloat16):
                same = same_neighbours(card, rows, K)
            kept = torch.get_float32_matmul_precision() == asked
            what = f"precision {asked} and autocast are set by the caller"
            yield {"what": what, "same": same and kept}
            try:
                probe(card, card.new((256, 256), "float32"), 384, 1)
                seen = "this device computes in full precision all the same"
            except CardError:
                seen = "the probe refuses what this device then computes"
            yield {"what": f"precision {asked} left on: {seen}", "same": True}
        finally:
            torch.set_float32_matmul_precision(before)


def same_orders(card: Card, quick: bool) -> Iterator[Check]:
    """Whole rankings with the card and without it, and the graph that it is asked for."""
    n = 12_000 if quick else 60_000
    rows, threads = made_up_rows(n, 384), default_threads()
    graphs = [knn_graph(rows, K, threads=threads, device=one) for one in ("cpu", card.name)]
    arrays = [(g.indptr, g.indices, g.weights) for g in graphs]
    same = all(np.array_equal(a, b) for a, b in zip(*arrays, strict=True))
    yield {"what": f"knn_graph of {n} rows", "same": same}
    for limit, count, what in [(n * n // 2, n, "graph"), (4 * GIB, min(n, 40_000), "dense")]:
        orders, told = [], Notes()
        for device in ("cpu", card.name):
            with similarities_on(device, told, always=True):
                orders.append(
                    rank_groups(rows[:count], np.array([count]), FacilityLocation(),
                                threads=threads, memory_bytes=limit)
                )  # fmt: skip
        same = all(a.tobytes() == b.tobytes() for a, b in zip(*orders, strict=True))
        used = "; ".join(told.told) or "no card was used"
        yield {"what": f"order of {count} rows, {what}: {used}", "same": same and bool(told.told)}


# ---- memory ----


def within_memory(card: Card) -> Iterator[Check]:
    """What the search takes at its peak where it may take so much; and when there is less."""
    torch, rows = card.torch, made_up_rows(60_000, 384)
    for limit in (GIB // 4, GIB, 4 * GIB):
        for work, what in [
            (lambda: card_neighbours(card, rows, K, memory=limit), "neighbours"),  # noqa: B023
            (lambda: card_kernel(card, rows, np.arange(4_000, dtype=np.int32), memory=limit),  # noqa: B023
             "kernel"),
        ]:  # fmt: skip
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(card.name)
            work()
            peak = torch.cuda.max_memory_allocated(card.name)
            figures = {"limit_MiB": limit >> 20, "peak_MiB": peak >> 20}
            yield {"what": f"{what} in {limit >> 20} MiB", "same": peak <= limit, **figures}
    free = card.free_bytes()
    ballast = torch.empty(max(0, free - GIB), dtype=torch.uint8, device=card.name)
    some = rows[:20_000]
    yield {"what": "all but 1 GiB is taken", "same": same_neighbours(card, some, K)}
    what = "out of memory: tiles are halved until they fit"
    yield {"what": what, "same": same_neighbours(card, some, K, memory=64 * GIB)}
    del ballast
    torch.cuda.empty_cache()


# ---- speed ----


def seconds(work: Callable[[], Any]) -> float:
    """The better of two, by the clock."""
    times = []
    for _ in "ab":
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def speeds(card: Card, most: float, quick: bool) -> Iterator[dict[str, Any]]:
    """Card and core side by side, and what the cost model says of both. most: seconds that the core
    may take; beyond, only its estimate is given."""
    threads = default_threads()
    for n, d in SPEEDS[:2] if quick else SPEEDS:
        core, own, rows = speed_of(d, threads), measured_card(card, d, K), made_up_rows(n, d)
        model = float(neighbour_seconds(np.asarray(float(n)), d, core))
        yield {
            "what": f"{K} nearest of {n} x {d}",
            "card": seconds(lambda: card_neighbours(card, rows, K, threads=threads)),  # noqa: B023
            "core": measured(lambda: _core.neighbours(rows, K, threads=threads), model, most),  # noqa: B023
            "model_card": float(card_neighbour_seconds(np.asarray(float(n)), d, K, own)),
            "model_core": model,
            "speed": asdict(own),
        }
    for n, d in KERNELS[:1] if quick else KERNELS:
        core, own, rows = speed_of(d, threads), measured_card(card, d, K), made_up_rows(n, d)
        model = kernel_seconds(n, n, d, core)
        yield {
            "what": f"kernel of {n} x {d}",
            "card": seconds(lambda: card_kernel(card, rows, threads=threads)),  # noqa: B023
            "core": model,
            "model_card": card_kernel_seconds(n, n, d, own),
            "model_core": model,
            "speed": asdict(own),
        }


def speed_of(d: int, threads: int) -> Speed:
    return Speed(measured_products(d, threads), NOMINAL.greedy * threads)


def measured(work: Callable[[], Any], model: float, most: float) -> float | None:
    return seconds(work) if model <= most else None


def rankings(card: Card, quick: bool) -> Iterator[dict[str, Any]]:
    """One large group ranked whole, as the cost model would have it."""
    rows = made_up_rows(50_000 if quick else 100_000, 384)
    took, told = {}, Notes()
    for device in ("cpu", card.name):
        with similarities_on(device, told):
            start = time.perf_counter()
            maximize(FacilityLocation(), rows, len(rows))
            took[device] = time.perf_counter() - start
    yield {
        "what": f"order of {len(rows)} x 384",
        "card": took[card.name],
        "core": took["cpu"],
        "told": told.told,
    }


# ---- all of it ----


def embedding(card: Card) -> dict[str, Any]:
    """What cases/gpu_embed.py shows, in a process of its own: a line a check, its answer last."""
    asked = json.dumps({"device": card.name, "threads": default_threads()})
    paths = [str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    case = [sys.executable, str(HERE / "cases" / "gpu_embed.py"), asked]
    last = ""
    with subprocess.Popen(case, env=environment, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            last = line
            if not line.startswith("{"):
                print(line, end="", flush=True)
    result = json.loads(last) if last.startswith("{") else {"failure": last}
    print(f"  {json.dumps(result.get('figures', result))}")
    return {"status": process.returncode, **result}


@contextmanager
def section(title: str) -> Iterator[None]:
    print(f"\n{title}")
    started = time.perf_counter()
    yield
    print(f"  ({time.perf_counter() - started:.0f} s)")


def checked(checks: Iterator[Check]) -> list[Check]:
    kept = []
    for check in checks:
        more = "".join(f", {k} {v}" for k, v in check.items() if k not in ("what", "same"))
        print(f"  {'ok   ' if check['same'] else 'WRONG'} {check['what']}{more}", flush=True)
        kept.append(check)
    return kept


def timed(rows: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    print(f"  {'':36}{'card':>9}{'core':>9}{'ratio':>8}{'model: card':>13}{'core':>9}")
    kept = []
    for row in rows:
        cells = [row.get(name) for name in ("card", "core", "model_card", "model_core")]
        card, core, *model = [f"{cell:.3g}" if cell is not None else "-" for cell in cells]
        ratio = f"{row['core'] / row['card']:.1f}" if row.get("core") else "-"
        line = f"  {row['what']:36}{card:>9}{core:>9}{ratio:>8}{model[0]:>13}{model[1]:>9}"
        print(line, flush=True)
        kept.append(row)
    return kept


def facts(card: Card) -> dict[str, Any]:
    torch = card.torch
    found = {"card": card.described, "torch": torch.__version__, "cuda": torch.version.cuda}
    if card.kind == "cuda":
        own = torch.cuda.get_device_properties(card.name)
        found |= {"memory_GiB": round(own.total_memory / GIB, 1),
                  "capability": f"{own.major}.{own.minor}"}  # fmt: skip
    return found | described() | {"threads": default_threads()}


def proven(card: Card, quick: bool, most: float) -> dict[str, Any]:
    """Everything that can be shown of this card."""
    report: dict[str, Any] = {"machine": facts(card)}
    for name, value in report["machine"].items():
        print(f"{name:18}{value}")
    with section("The same bits as the core"):
        report["exact"] = checked(exactness(card, quick))
        report["exact"] += checked(exact_whatever_is_set(card))
        if card.kind == "cuda":
            report["exact"] += checked(same_orders(card, quick))
    if card.kind == "cuda":
        with section("Memory of the card"):
            report["memory"] = checked(within_memory(card))
        with section("Seconds"):
            report["speed"] = timed(speeds(card, most, quick)) + timed(rankings(card, quick))
        with section("Embedding"):
            report["embedding"] = embedding(card)
    else:
        print("\nMemory and speed need a CUDA card. Embedding with a stand-in takes minutes:")
        print("""  python bench/cases/gpu_embed.py '{"device": "cpu"}'  (PYTHONPATH=bench)""")
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto", help="cuda:0, or cpu to stand in for a card")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    parser.add_argument("--most", type=float, default=60, help="seconds that the core may take")
    parser.add_argument("--out", type=Path, help="write everything here, as JSON")
    asked = parser.parse_args()
    card = card_named(asked.device)
    if card is None:
        if asked.device != "cpu":
            print("There is no CUDA card here: torch's CPU device stands in for one.")
        card = Card("cpu")
    report = proven(card, asked.quick, asked.most)
    if asked.out:
        asked.out.write_text(json.dumps(report, indent=1), encoding="utf-8")
    wrong = [c for c in report["exact"] + report.get("memory", []) if not c["same"]]
    failed = report.get("embedding", {}).get("status", 0)
    print(
        f"\n{len(wrong)} of {len(report['exact'])} checks failed"
        if wrong
        else "\nAll as it must be"
    )
    sys.exit(1 if wrong or failed else 0)


if __name__ == "__main__":
    main()
