"""What the command says of exports: which there are, and what was written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from smartx.errors import InputError
from smartx.exports.map import MAP, OF_A_MAP, map_explained, map_lines
from smartx.exports.run import Exported, export
from smartx.exports.table import FORMATS
from smartx.progress import Progress, counted


def exported_outcome(
    mixture: Path | None,
    *,
    format: str | None,
    out: Path | None,
    validation: str | None,
    seed: int,
    leave_out_misfits: bool,
    overwrite: bool,
    push: str | None,
    public: bool,
    run_dir: Path | None,
    points: int | None,
    threads: int | None,
    progress: Progress,
) -> list[str]:
    """Lines for a person, once an export is written; what formats there are if none is named."""
    if format is None and mixture is None:
        return list(format_lines())
    if format is None:
        raise InputError(
            "it is not given",
            place="format",
            fix=f"smartx export {mixture} --format trl --out {out or 'OUT'}, or another of "
            f"{', '.join([*FORMATS, MAP])}",
        )
    if mixture is None or out is None:
        raise InputError(
            "the mixture to export is not given" if mixture is None else "it is not given",
            place="" if mixture is None else "out",
            fix=f"smartx export {mixture or 'mix'} --format {format} --out {out or 'OUT'}",
        )
    if format == MAP:
        other = {"validation": validation, "push": push, "leave_out_misfits": leave_out_misfits}
        made = map_lines(mixture, out, run=run_dir, points=points, threads=threads, other=other)
        return list(made)
    for name, value in zip(OF_A_MAP, (run_dir, points), strict=True):
        if value is not None:
            raise InputError("it is of the format map alone", place=name, fix="leave it out")
    found = export(
        mixture,
        format,
        out,
        validation=validation,
        seed=seed,
        leave_out_misfits=leave_out_misfits,
        overwrite=overwrite,
        push_to=push or "",
        public=public,
        progress=progress,
    )
    return list(lines(found, push or ""))


def format_lines() -> Iterator[str]:
    """Of every format: what it holds, weights, use, and who has loaded it."""
    for kind in FORMATS.values():
        yield f"{kind.name}: {kind.holds}"
        yield f"    use:     {kind.use.format(home='OUT')}"
        yield f"    weights: {kind.weight}"
        yield f"    {kind.proven}"
    yield from map_explained()


def lines(found: Exported, pushed_to: str = "") -> Iterator[str]:
    """What was written, what is not in it, and what to do next."""
    parts = ", ".join(f"{split} {rows:,}" for split, rows in found.rows.items())
    total = counted(sum(found.rows.values()), "row")
    yield f"{total} in {found.folder} ({parts})"
    for why, rows in found.manifest["misfits"].items():
        yield f"  left out: {counted(rows, 'row')} with {why}"
    for why, rows in found.manifest["lost"].items():
        yield f"  the trainer leaves out or changes: {counted(rows, 'row')} with {why}"
    yield f"  use:      {found.format.use.format(home=found.folder)}"
    yield f"  weights:  {found.format.weight}"
    if found.format.proven.startswith("unproven"):
        yield f"  {found.format.proven}"
    if pushed_to:
        yield f"  pushed:   {pushed_to}" + (f" ({found.commit})" if found.commit else "")
