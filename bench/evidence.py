"""Does a mixture help? Trains a small language model on what each strategy chooses, and asks it.

    python bench/evidence.py run --out build/evidence             # 8 arms, 4 folds, 5 seeds: hours
    python bench/evidence.py run --out build/quick --quick        # two arms, one fold: minutes
    python bench/evidence.py run --out build/gpu --device cuda --blocks 30 --tokens 2000000
    python bench/evidence.py proxies --out build/evidence         # of what the runs chose: seconds
    python bench/evidence.py render --out build/evidence --docs build/evidence/docs

A stopped run goes on with the same command: one line of OUT/runs.jsonl is one run. Of a model of 30
blocks the last 4 train, since what the others make of each row is computed once; `--blocks 30`
trains the whole model. What was asked, and what came out: docs/evidence.md. SMARTX_DATA is the
folder of T0 and BIG-bench; without them the rows are those of `smartx demo`.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from machine import described
from quality import workers
from quality.arms import MAIN, TRAINED, UNTUNED
from quality.corpora import Rows, bigbench, demo, t0
from quality.model import Shape, tokenizer_of
from quality.one_run import PRECISIONS, Setting
from quality.runs import Clock, Plan, append, in_processes, left
from quality.sample import Sample, Sizes, draw, open_sample
from quality.workers import Place
from vectors import real_folder

from smartx.embed.devices import computes_in_bfloat16

RESULTS = Path(__file__).parent / "quality" / "results"
RATE, WHOLE_RATE = 3e-4, 1e-4  # of the last blocks; of the whole model
# A corpus is all of T0's sampled templates; of those with many small tasks, a part of each.
BIGBENCH = Sizes(templates=0.3, least_templates=1, of_template=50, held=8, ranked=2, other=24)
DEMO = Sizes(templates=1.0, least_templates=1, held=4, ranked=2, other=0)
QUICK = Sizes(of_template=25, held=12, ranked=4, other=1)
QUICK_DEMO = replace(DEMO, templates=0.5, of_template=4, held=1, ranked=1, options=1)


def main() -> int:
    options = _options()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    # Batches are of ever new shapes: kernels made for them are kept in vain, and pin memory.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "16")
    if options.command == "render":
        from quality.render import render

        print(*render(options.out, options.docs), sep="\n")
        return 0
    if options.command == "proxies":
        from quality.measured import measure

        for count, whole in measure(options.out, open_sample(options.out)):
            print(f"proxies of run {count} of {whole}", file=sys.stderr)
        return 0
    place = Place(options.out, options.device, options.blocks, options.precision)
    sample = _sample(options)
    todo = left(_plan(options), options.out, sample.digest)
    if todo and place.first:
        _make_states(place, options.processes)
    clock, machine = Clock(len(todo), "run"), described()
    for setting, line in in_processes(
        todo, workers.run, workers.prepare, (place,), options.processes
    ):
        append(options.out, {**line, "machine": machine})
        clock.tell(_told(setting, line))
    print(f"{len(todo)} runs made; all that were asked for are in {options.out}", file=sys.stderr)
    return 0


def _sample(options: argparse.Namespace) -> Sample:
    """The sample of the folder, drawn at the first call."""
    if not (options.out / "sample.json").exists():
        rows, others, sizes = _corpora(options)
        draw(options.corpus, rows, others, sizes, *tokenizer_of()).save(options.out)
    return open_sample(options.out)


def _corpora(options: argparse.Namespace) -> tuple[Rows, Rows | None, Sizes]:
    """The pool's corpus, the one that is only asked of, and how much of each takes part."""
    folder = real_folder()
    if options.corpus == "demo":
        return demo(options.out / "corpus"), None, QUICK_DEMO if options.quick else DEMO
    if folder is None:
        raise SystemExit("the rows are not here: set SMARTX_DATA to their folder")
    if options.corpus == "bigbench":
        return bigbench(folder), t0(folder), QUICK if options.quick else BIGBENCH
    sizes = QUICK if options.quick else Sizes(templates=options.templates)
    return t0(folder), bigbench(folder), sizes


def _make_states(place: Place, processes: int) -> None:
    """What the lower blocks make of all rows, shard by shard."""
    todo = place.folder.missing()
    clock = Clock(len(todo), "shard of states")
    place.folder.create()
    assert place.weights.exists()  # before two processes make it at once
    for _, rows in in_processes(todo, workers.make_shard, workers.prepare, (place,), processes):
        clock.tell(f"{rows} rows")


def _plan(options: argparse.Namespace) -> Plan:
    rate = options.rate or (WHOLE_RATE if options.blocks == Shape().blocks else RATE)
    common = Setting(options.corpus, UNTUNED, 0, 0, options.tokens, options.matched)
    like = {"blocks": options.blocks, "rate": rate, "precision": options.precision}
    arms, folds = tuple(options.arms), tuple(options.folds)
    return Plan(arms, folds, tuple(options.seeds), Setting(**{**vars(common), **like}))


def _told(setting: Setting, line: dict[str, Any]) -> str:
    held = line["evaluated"]["held"].values()
    loss = sum(total / max(tokens, 1) for total, tokens, *_ in held) / len(held)
    return f"{setting.arm}, fold {setting.fold}, seed {setting.seed}: held-out loss {loss:.4f}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="make the runs that are not there yet")
    add = run.add_argument
    add("--out", type=Path, required=True, help="folder of sample, states and results")
    add("--quick", action="store_true", help="a small sample, one fold, two arms, few tokens")
    add("--corpus", choices=("t0", "bigbench", "demo"),
        help="rows to train on (default t0; demo, a package, where T0 is not here)")  # fmt: skip
    add("--templates", type=float, default=Sizes.templates,
        help="part of T0's templates whose rows are the pool (default %(default)s; 1: all of T0, "
        "where rows come back in many templates; three times the states)")  # fmt: skip
    add("--arms", nargs="+", choices=(UNTUNED, *TRAINED), metavar="ARM",
        help=f"default: {', '.join((UNTUNED, *MAIN))}; further: "
        f"{', '.join(arm for arm in TRAINED if arm not in MAIN)}")  # fmt: skip
    add("--folds", type=int, nargs="+", help="default 0 1 2 3")
    add("--seeds", type=int, nargs="+", help="default 0 1 2 3 4")
    add("--tokens", type=int, help="tokens that each arm trains on (default 60,000)")
    add("--matched", choices=("all", "response"), default="all",
        help="what arms have as much of: all tokens, or those of the answers")  # fmt: skip
    add("--blocks", type=int, default=4, help="of 30, the last ones, which train (default 4)")
    add("--rate", type=float, help=f"learning rate (default {RATE}, of the whole {WHOLE_RATE})")
    add("--precision", choices=tuple(PRECISIONS), help="of products (default: what is faster here)")
    add("--device", default="cpu", help="cpu or cuda")
    add("--processes", type=int, help="runs side by side (default: cores; 1 on a GPU)")
    proxies = commands.add_parser("proxies", help="measure what the runs chose, without training")
    proxies.add_argument("--out", type=Path, required=True, help="folder of the results")
    render = commands.add_parser("render", help="tables and pictures of the runs")
    render.add_argument("--out", type=Path, default=RESULTS,
        help="folder of results, or of such folders (default: the published ones)")  # fmt: skip
    render.add_argument("--docs", type=Path, default=Path("docs"), help="default docs")
    return _with_defaults(parser.parse_args())


def _with_defaults(options: argparse.Namespace) -> argparse.Namespace:
    if options.command == "run":
        quick = options.quick
        few: dict[str, Any] = {"arms": (UNTUNED, "random a", "equal, balanced"), "folds": (0,)}
        few |= {"seeds": (0,), "tokens": 20_000}
        usual = {"arms": (UNTUNED, *MAIN), "folds": range(4), "seeds": range(5), "tokens": 60_000}
        on_card = options.device != "cpu"
        usual["corpus"] = "t0" if real_folder() else "demo"
        usual["processes"] = 1 if on_card else len(os.sched_getaffinity(0))
        fast = computes_in_bfloat16(options.device)
        usual["precision"] = "bfloat16" if fast else "float32"
        for name, value in {**usual, **(few if quick else {})}.items():
            if getattr(options, name) is None:
                setattr(options, name, value)
    return options


if __name__ == "__main__":
    sys.exit(main())
