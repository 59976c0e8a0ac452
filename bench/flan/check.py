"""Is what came out right? Read back without smartx's own readers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from flan.shape import Shape
from flan.vectors import BLOCK, Geometry

CORPUS_FILE = 65_536  # rows
REPEATS = 0.005  # of real texts, at most: they are distinct inside a file


def faults(shape: Shape, geometry: Geometry | None, folder: Path) -> list[str]:
    """Everything that is wrong, in words. geometry: of made vectors, None where texts are real: of
    these a few are equal to one of another file."""
    repeats = 0 if geometry else int(REPEATS * shape.rows)
    return [
        *_corpus(shape, _only(folder / "run" / "corpus"), repeats),
        *_vectors(shape, geometry, folder / "run"),
        *(fault for each in _rankings_of(folder) for fault in _ranking(shape, each)),
        *(fault for out in sorted(folder.glob("mix-*")) for fault in _mixture(shape, out)),
    ]


def _corpus(shape: Shape, folder: Path, repeats: int) -> Iterator[str]:
    manifest = json.loads((folder / "manifest.json").read_text())
    counts = manifest["rows"]
    complete = (counts["read"], counts["kept"]) == (shape.rows, shape.rows)
    if not complete or counts["duplicates"] > repeats:
        yield f"the corpus counts {counts}, and {shape.rows:,} rows without repeats were written"
    groups = pq.read_table(folder / "groups.parquet").to_pydict()
    wanted = sorted(
        zip(shape.source, shape.task, shape.template, shape.sizes.tolist(), strict=True)
    )
    names = ("source", "task", "template", "rows")
    if list(zip(*(groups[name] for name in names), strict=True)) != wanted:
        yield "the groups of the corpus are not those that were written"


def _vectors(shape: Shape, geometry: Geometry | None, run: Path) -> Iterator[str]:
    """As many as rows; the first of a few groups are those of their rows, up to the rounding."""
    places = np.load(_only(run / "embeddings") / "places.npy", mmap_mode="r")[:, 0]
    least = shape.rows if geometry else int((1 - REPEATS) * shape.rows)
    if len(places) != shape.rows or len(np.unique(places)) < least:
        yield f"{len(np.unique(places)):,} vectors for {shape.rows:,} rows"
        return
    if geometry is None:
        return
    parts = _only(run / "vectors")
    files = -(-shape.rows // CORPUS_FILE)
    for file in range(0, files, max(1, files // 4)):
        stored = np.stack(
            [
                np.load(parts / f"part-{place >> 16:05d}.npy", mmap_mode="r")[place & 0xFFFF]
                for place in places[file * CORPUS_FILE :][:64].tolist()
            ]
        ).astype(np.float32)
        table = pq.ParquetFile(_only(run / "corpus") / f"rows-{file:05d}.parquet")
        prompts = next(table.iter_batches(64, columns=["prompt"]))["prompt"].to_pylist()
        numbers = np.array([int(text[text.rindex("#") + 1 :]) for text in prompts])
        made = geometry.rows(numbers)
        cosine = (stored * made).sum(1) / np.sqrt((stored**2).sum(1) * (made**2).sum(1))
        if (cosine < 0.99999).any():
            yield f"the vectors of corpus file {file} are not those of their rows"


def _only(folder: Path) -> Path:
    """The one stage that stands in a folder."""
    (stage,) = folder.iterdir()
    return stage


def _rankings_of(folder: Path) -> list[Path]:
    return sorted((folder / "run" / "rankings").iterdir())


def _ranking(shape: Shape, folder: Path) -> Iterator[str]:
    """Every row is ranked once, inside its group."""
    sizes = _sorted_sizes(shape)
    starts = np.cumsum(sizes) - sizes
    seen = np.zeros(shape.rows, dtype=np.bool_)
    at = 0
    for path in sorted(folder.glob("ranks-*.parquet")):
        table = pq.read_table(path)
        row, group, rank = (table[name].to_numpy() for name in ("row_id", "group_id", "rank"))
        seen[row] = True
        inside = (row >= starts[group]) & (row < starts[group] + sizes[group])
        if not (inside & (starts[group] + rank == np.arange(at, at + len(row)))).all():
            yield f"{path.name}: rows stand in the wrong group, or at the wrong rank"
        at += len(row)
    if at != shape.rows or not seen.all():
        yield f"{folder.name}: {int(seen.sum()):,} of {shape.rows:,} rows in {at:,} lines"


def _mixture(shape: Shape, out: Path) -> Iterator[str]:
    """Exactly the rows asked for, no repeats, each group's first by rank, counted rightly."""
    manifest = json.loads((out / "manifest.json").read_text())
    asked = max(1, shape.rows * int(out.name.removeprefix("mix-")) // 100)
    paths = sorted((out / "data").glob("*.parquet"))
    table = [pq.read_table(path, columns=["smartx_row", "smartx_rank"]) for path in paths]
    row, rank = (
        np.concatenate([part[name].to_numpy() for part in table])
        for name in ("smartx_row", "smartx_rank")
    )
    if len(row) != asked or len(np.unique(row)) != asked or manifest["rows"] != asked:
        yield f"{out.name}: {len(np.unique(row)):,} rows in {len(row):,} lines, {asked:,} asked"
    ends = np.cumsum(_sorted_sizes(shape))
    group = np.searchsorted(ends, row, side="right")
    given = np.bincount(group, minlength=len(ends))
    if given.tolist() != [entry["rows"] for entry in manifest["groups"]]:
        yield f"{out.name}: the manifest's counts of the groups are not those of its rows"
    if (rank >= given[group]).any() or len(np.unique(group * (int(ends[-1]) + 1) + rank)) != asked:
        yield f"{out.name}: the rows of a group are not the first of its ranking"
    if sum(entry["rows"] for entry in manifest["tasks"]) != asked:
        yield f"{out.name}: the manifest's counts of the tasks do not sum to {asked:,}"


def _sorted_sizes(shape: Shape) -> np.ndarray:
    names = sorted(
        zip(shape.source, shape.task, shape.template, range(len(shape.sizes)), strict=True)
    )
    return shape.sizes[[place for *_, place in names]]


def repeat_share(geometry: Geometry, blocks: int) -> float:
    """Which part of the rows of the first blocks nearly repeat another (cosine above .999)."""
    found = total = 0
    for number in range(min(blocks, -(-geometry.shape.rows // BLOCK))):
        made, original = geometry.block(number), geometry.originals(number)
        unit = made / np.linalg.norm(made, axis=1, keepdims=True)
        near = np.einsum("ij,ij->i", unit, unit[original]) > 0.999
        found += int((near & (original != np.arange(len(original)))).sum())
        total += len(original)
    return found / total
