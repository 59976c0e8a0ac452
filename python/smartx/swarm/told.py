"""What the commands `swarm` and `fit` tell a person: tables of texts, and lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from smartx.progress import counted
from smartx.swarm.make import MANIFEST, RATIOS, Swarm

SHOWN = 12  # units of a table
Rows = list[tuple[str, ...]]


def swarm_lines(swarm: Swarm) -> Iterator[str]:
    """How many mixtures of what, how far from the prior, and what to do next."""
    manifest = swarm.manifest
    distances = [one["kl"] for one in manifest["mixtures"]]
    unit, epochs = manifest["unit"], manifest["epochs"]
    often = "no row twice" if epochs == 1 else f"no row more than {epochs} times"
    units = counted(len(manifest["units"]), manifest["level"])
    yield (
        f"{counted(len(distances), 'mixture')} of {counted(manifest['total'], unit)} over {units} "
        f"in {swarm.folder}"
    )
    yield (
        f"KL to the prior (mix-000): median {np.median(distances):.3f} nats, at most "
        f"{max(distances):.3f}; {often} in a mixture"
    )
    yield f"  shares:  {swarm.folder / RATIOS}   all about it: {swarm.folder / MANIFEST}"
    yield (
        "  next:    train on each, write metrics.csv (run,METRIC; a line a run, a mixture may have "
        "several), then"
    )
    yield f"           smartx fit {swarm.folder} --metrics metrics.csv"


def model_rows(facts: Mapping[str, Any]) -> tuple[tuple[str, ...], Rows]:
    """The kinds of surface, and how well each foretold runs that it was not shown."""
    heads = ("response surface", "error, cross-validated", "explains", "runs in their interval")
    rows: Rows = [
        (
            f"{name} (chosen)" if name == facts["model"] else name,
            f"{one['error']:.4g}",
            f"{one['explained']:.0%}",
            "by construction" if one["covered"] is None else f"{one['covered']:.0%}",
        )
        for name, one in facts["models"].items()
    ]
    return heads, rows


def mixture_rows(facts: Mapping[str, Any]) -> tuple[tuple[str, ...], Rows]:
    """The mixtures that the fit names: measured, foretold, with interval."""
    level = f"{facts['interval']['level']:.0%}"
    heads = ("mixture", "measured", "foretold", f"{level} response", f"{level} run")
    best, poorest = facts["best_measured"], facts["poorest_measured"]
    named = [
        ("proposal", None, facts["proposal"]["foretold"]),
        ("prior", None, facts["prior"]["foretold"]),
        (f"best measured, {best['run']}", best["measured"], best["foretold"]),
        (f"poorest measured, {poorest['run']}", poorest["measured"], poorest["foretold"]),
        ("worst, as a control", None, facts["worst"]["foretold"]),
    ]
    rows: Rows = [
        (
            name,
            "" if measured is None else f"{measured:.4g}",
            f"{said['value']:.4g}",
            f"{said['low']:.4g} .. {said['high']:.4g}",
            f"{said['run_low']:.4g} .. {said['run_high']:.4g}",
        )
        for name, measured, said in named
    ]
    return heads, rows


def share_rows(facts: Mapping[str, Any]) -> tuple[tuple[str, ...], Rows]:
    """The units whose shares the proposal changes most, and what a point more of each does."""
    heads = ("unit", "prior", "proposal", "worst", "gain of 1 point more")
    mixtures = [facts[name]["shares"] for name in ("prior", "proposal", "worst")]
    changes = {
        unit: abs(mixtures[1].get(unit, 0.0) - mixtures[0].get(unit, 0.0))
        for unit in facts["effects"]
    }
    order = sorted(changes, key=lambda unit: -changes[unit])[:SHOWN]
    rows = [
        (
            unit,
            *(f"{shares.get(unit, 0.0):.1%}" for shares in mixtures),
            "{value:+.3g} ({low:+.3g} .. {high:+.3g})".format(**facts["effects"][unit]),
        )
        for unit in order
    ]
    return heads, rows


def fit_tables(facts: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Rows]]:
    """Heads and rows of each table."""
    for rows_of in (model_rows, mixture_rows, share_rows):
        yield rows_of(facts)


def fit_lines(facts: Mapping[str, Any], written: Sequence[object]) -> Iterator[str]:
    """What is to be known beside the tables."""
    gain, best = facts["proposal"]["gain_over_prior"], facts["proposal"]["gain_over_best"]
    level = f"{facts['interval']['level']:.0%}"
    yield (
        f"the proposal is better than the prior by {gain['value']:.4g} ({level}: {gain['low']:.4g} "
        f".. {gain['high']:.4g}), than the best measured mixture by {best['value']:.4g} "
        f"({best['low']:.4g} .. {best['high']:.4g}); chance {best['chance']:.0%}"
    )
    yield (
        f"KL to the prior {facts['proposal']['kl']:.3f} of at most {facts['kl_bound']:.3f} nats; "
        f"intervals: {facts['interval']['how']}"
    )
    floor = facts["noise_floor"]
    if floor:
        yield (
            f"noise floor: runs of one mixture differ by {floor['deviation']:.4g} (standard "
            f"deviation, {floor['freedom']} degrees of freedom); less than {floor['least']:.4g} "
            "between two runs is noise"
        )
    else:
        yield (
            f"noise of a run by the fit: {facts['noise']:.4g}; to measure it, train a mixture "
            "several times and give each run a line"
        )
    for note in facts["notes"]:
        yield f"NOTE: {note}"
    for path in written:
        yield f"  written: {path}"
