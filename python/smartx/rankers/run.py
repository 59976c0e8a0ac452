"""Rank every group of a corpus, in bundles of adjacent groups, so that memory stays bounded.

The ranking is written in parts of 65,536 rows, each with a sidecar until all are there, so that a
run that was killed goes on after its last whole part. Bundles do not decide what is in the files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from smartx.engine import checked_threshold, near_duplicate_seconds
from smartx.errors import InputError
from smartx.progress import Progress, Silent, step
from smartx.rankers.near import COLUMNS, Order, set_apart
from smartx.rankers.ranker import Ranker
from smartx.rankers.rankings import (
    BLOCK_ROWS,
    PART_ROWS,
    STAGE,
    TABLE,
    Rankings,
    open_rankings,
    part_name,
    reading,
)
from smartx.store import FileEntry, Sidecar, Stage, folder_of, key_of
from smartx.strategies import facts_of

if TYPE_CHECKING:
    from smartx.corpus import Corpus, Groups
    from smartx.embed import Embeddings

SCHEMA = 3  # raised when the same input gives another ranking
BUNDLE_ROWS = PART_ROWS  # a bundle ends before it holds more rows than this,
BUNDLE_SECONDS = 1.0  # or takes longer than this by the cost model, unless it is one group
CURVE_POINTS = 20  # the curve of gains is taken at 0, 1/20, ... of every group's length


def rank_corpus(
    corpus: Corpus,
    embeddings: Embeddings | None,
    ranker: Ranker,
    folder: Path,
    *,
    threads: int,
    near_duplicates: float | None = None,
    memory: int | None = None,
    progress: Progress | None = None,
) -> Rankings:
    """Rank all rows of all groups and write folder/ID, where ID names the parameters and the input.

    embeddings: may be None for a ranker that needs none.  folder: the run's `rankings`.
    near_duplicates: least cosine of rows that are near duplicates; of these only the best-ranked
    stays in place, the others stand behind all other rows of their group. None: not looked for.
    memory: bytes that bundles keep to; None: 65,536 rows each. It does not change the ranking.
    Finished rankings and finished parts of the same input are reused. Raises InputError where
    embeddings are missing or belong to another corpus, or where the ranker's answer is not an order
    of the rows.
    """
    progress = progress or Silent()
    near = None if near_duplicates is None else checked_threshold(near_duplicates)
    used = _checked_embeddings(corpus, embeddings, ranker, near)
    parameters, inputs = _depends_on(corpus, used, ranker, near)
    key = key_of(STAGE, SCHEMA, parameters, inputs)
    stage = Stage(STAGE, folder_of(folder, key))
    if stage.reuse(key):
        progress.note(f"rank: reused the {ranker.name} rankings of {corpus.num_rows:,} rows")
        return open_rankings(stage.folder)
    stage.keep_parts(key, lambda _: _part_key(key))
    stage.begin()
    parts = _Parts(stage.folder, _part_key(key), corpus.num_rows)
    if parts.kept:
        progress.note(f"{parts.kept} of {len(parts)} parts of the ranking were there already")
    most = bundle_rows(used.dimensions if used else 0, memory)
    _rank_missing(corpus.groups, used, ranker, near, parts, most, threads, progress)
    entries = parts.entries()
    facts = _facts(stage.folder, entries, corpus.groups.rows, near)
    stage.finish(
        key=key, schema=SCHEMA, parameters=parameters, inputs=inputs, files=entries, facts=facts
    )
    return open_rankings(stage.folder)


def is_ranked(
    corpus: Corpus,
    embeddings: Embeddings | None,
    ranker: Ranker,
    folder: Path,
    *,
    near_duplicates: float | None = None,
) -> bool:
    """Whether the run's `rankings` seem to hold this one; `rank_corpus` looks closer."""
    near = None if near_duplicates is None else checked_threshold(near_duplicates)
    needed = ranker.needs_embeddings or near is not None
    if needed and embeddings is None:
        return False
    key = key_of(STAGE, SCHEMA, *_depends_on(corpus, embeddings if needed else None, ranker, near))
    return Stage(STAGE, folder_of(folder, key)).is_done(key)


def _depends_on(
    corpus: Corpus, used: Embeddings | None, ranker: Ranker, near: float | None
) -> tuple[dict[str, Any], dict[str, str]]:
    """Parameters and inputs of a ranking."""
    inputs = {"corpus": corpus.digest, **({"embeddings": used.digest} if used else {})}
    facts = facts_of(ranker)
    parameters = {"ranker": facts.pop("name"), **facts}
    if near is not None:
        parameters["near_duplicates"] = near
    return parameters, inputs


def _rank_missing(
    groups: Groups,
    embeddings: Embeddings | None,
    ranker: Ranker,
    near: float | None,
    parts: _Parts,
    most: int,
    threads: int,
    progress: Progress,
) -> None:
    """Rank the groups that reach into a part which is not there.

    Progress moves with the time that groups take by the cost model, not with their rows; what was
    there already is told at once.
    """
    d = embeddings.dimensions if embeddings else 0
    seconds = ranker.seconds(groups.rows, d)
    if near is not None:
        seconds = seconds + near_duplicate_seconds(groups.rows, d)
    told = _told_rows(groups.rows, seconds)
    ends = np.concatenate([groups.start, [int(groups.rows.sum())]])
    cuts = [
        (first, last, parts.lack(int(ends[first]), int(ends[last])))
        for first, last in bundles(groups.rows, seconds, most)
    ]
    with step(progress, f"rank ({ranker.name})", int(told[-1]), "rows") as advance:
        advance(sum(int(told[last] - told[first]) for first, last, missing in cuts if not missing))
        for first, last, missing in cuts:
            if missing:
                start, stop, sizes = int(ends[first]), int(ends[last]), groups.rows[first:last]
                rows = embeddings.rows(start, stop) if embeddings else None
                ranked = _ranked(ranker, rows, sizes, start, threads)
                more: list[pa.Array] = []
                if near is not None and rows is not None:
                    ranked, more = set_apart(rows, sizes, ranked, near, start, threads)
                parts.add(start, _table(groups, first, last, *ranked, more))
                advance(int(told[last] - told[first]))


def bundle_rows(dimensions: int, memory: int | None) -> int:
    """Most rows of a bundle of several groups: what fits a quarter of `memory` bytes twice."""
    if memory is None or not dimensions:
        return BUNDLE_ROWS
    return max(1, min(BUNDLE_ROWS, memory // 4 // (4 * dimensions)))


def bundles(
    sizes: NDArray[np.int64], seconds: NDArray[np.float64], most: int
) -> Iterator[tuple[int, int]]:
    """Cut groups into runs (first, last) of at most `most` rows and a second, or of one group."""
    first, rows, cost = 0, 0, 0.0
    for group, (size, own) in enumerate(zip(sizes.tolist(), seconds.tolist(), strict=True)):
        if group > first and (rows + size > most or cost + own > BUNDLE_SECONDS):
            yield first, group
            first, rows, cost = group, 0, 0.0
        rows, cost = rows + size, cost + own
    if len(sizes):
        yield first, len(sizes)


def _checked_embeddings(
    corpus: Corpus, embeddings: Embeddings | None, ranker: Ranker, near: float | None
) -> Embeddings | None:
    if not ranker.needs_embeddings and near is None:
        return None
    if embeddings is None:
        asks = f"the ranker {ranker.name} needs" if near is None else "near duplicates need"
        raise InputError(
            f"{asks} embeddings",
            place="embeddings",
            fix="run `smartx embed` first",
        )
    if embeddings.manifest["inputs"].get("corpus") != corpus.digest:
        raise InputError(
            f"the {embeddings.num_rows:,} vectors are those of another corpus, and this one has "
            f"{corpus.num_rows:,} rows",
            place="embeddings",
            fix="run `smartx embed` for this one",
        )
    return embeddings


def _told_rows(sizes: NDArray[np.int64], seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    """(g + 1,) rows told as ranked before each group: all of them, in proportion to the time."""
    so_far = np.concatenate([[0.0], np.cumsum(seconds)])
    told: NDArray[np.int64] = (so_far / so_far[-1] * int(sizes.sum())).astype(np.int64)
    return told


def _ranked(
    ranker: Ranker,
    rows: NDArray[np.int16] | None,
    sizes: NDArray[np.int64],
    start: int,
    threads: int,
) -> Order:
    """The ranker's answer for the rows from `start` on, checked to be an order of each group."""
    needed = rows if ranker.needs_embeddings else None
    order, gains = ranker.rank(needed, sizes, start, threads=threads)
    begins = np.repeat(np.cumsum(sizes) - sizes, sizes)
    inside = len(order) == len(begins) == len(gains) and bool(
        ((order >= 0) & (order < np.repeat(sizes, sizes))).all()
    )
    if not inside or not (np.bincount(begins + order, minlength=len(begins)) == 1).all():
        raise InputError(
            f"the ranker {ranker.name} did not name every row of its groups exactly once",
            place=f"rows {start}..{start + len(begins) - 1}",
        )
    return order, gains


def _table(
    groups: Groups,
    first: int,
    last: int,
    order: NDArray[np.int32],
    gains: NDArray[np.float64],
    more: list[pa.Array],
) -> pa.Table:
    """more: the columns of near duplicates, or none."""
    sizes = groups.rows[first:last]
    begins = np.cumsum(sizes) - sizes
    columns: list[NDArray[Any]] = [
        np.repeat(groups.start[first:last], sizes) + order,
        np.repeat(np.arange(first, last, dtype=np.int32), sizes),
        (np.arange(len(order)) - np.repeat(begins, sizes)).astype(np.int32),
        gains,
    ]
    own = [pa.array(column, field.type) for column, field in zip(columns, TABLE, strict=True)]
    schema = pa.schema([*TABLE, *COLUMNS]) if more else TABLE
    return pa.Table.from_arrays([*own, *more], schema=schema)


def _part_key(key: str) -> str:
    return key_of("ranking part", SCHEMA, {"part_rows": PART_ROWS}, {"stage": key})


class _Parts:
    """The files of a ranking, PART_ROWS rows each: which are there, and how the others fill up."""

    def __init__(self, folder: Path, key: str, num_rows: int) -> None:
        count = -(-num_rows // PART_ROWS)
        self._num_rows = num_rows
        self._sidecars = [Sidecar(folder / part_name(part), key) for part in range(count)]
        self._entries = [sidecar.whole_part() for sidecar in self._sidecars]
        self._waiting: list[pa.Table] = []
        self.kept = sum(entry is not None for entry in self._entries)

    def __len__(self) -> int:
        return len(self._sidecars)

    def lack(self, start: int, stop: int) -> bool:
        """Whether one of rows start..stop-1 belongs to a part that is not there."""
        return None in self._entries[start // PART_ROWS : -(-stop // PART_ROWS)]

    def add(self, start: int, table: pa.Table) -> None:
        """Rows from `start` on; those of a part come in order, and all of them come."""
        done = 0
        while done < table.num_rows:
            part = (start + done) // PART_ROWS
            end = min((part + 1) * PART_ROWS, self._num_rows)
            piece = table.slice(done, end - start - done)
            done += piece.num_rows
            if self._entries[part] is None:
                self._waiting.append(piece)
                if start + done == end:
                    self._write(part)

    def entries(self) -> list[FileEntry]:
        """Of all parts, once all rows were added."""
        return [entry for entry in self._entries if entry is not None]

    def _write(self, part: int) -> None:
        table = pa.concat_tables(self._waiting)
        self._waiting = []
        self._entries[part] = self._sidecars[part].commit(
            table.num_rows, lambda path: _write_part(table, path)
        )


def _write_part(table: pa.Table, path: Path) -> None:
    pq.write_table(
        table.combine_chunks(),
        path,
        row_group_size=BLOCK_ROWS,
        compression="zstd",
        write_page_checksum=True,
        use_dictionary=["group_id"],
        store_schema=False,
    )


def _facts(
    folder: Path, entries: Sequence[FileEntry], sizes: NDArray[np.int64], near: float | None
) -> dict[str, Any]:
    """What the manifest says of a ranking whose parts are all there.

    digest: of its columns in order: the same however they were cut into files.
    """
    names = ["row_id", "gain", *(COLUMNS.names if near is not None else [])]
    shas = {name: hashlib.sha256() for name in names}
    read = names if near is None else ["group_id", *names]
    curve, left_out = _Curve(sizes), np.zeros(len(sizes), dtype=np.int64)
    for entry in entries:
        path = folder / entry.name
        with reading(path):
            table = pq.read_table(path, columns=read, page_checksum_verification=True)
        for name, sha in shas.items():
            sha.update(table[name].fill_null(-1).to_numpy().tobytes())
        curve.add(table["gain"].to_numpy())
        if near is not None:
            found = table["group_id"].filter(table["duplicate_of"].is_valid()).to_numpy()
            left_out += np.bincount(found, minlength=len(sizes))
    digest = hashlib.sha256(b"".join(sha.digest() for sha in shas.values())).hexdigest()
    facts = {"digest": digest, "rows": int(sizes.sum()), "curve": curve.points()}
    if near is not None:
        by_group = {"rows": int(left_out.sum()), "by_group": left_out.tolist()}
        facts["near_duplicates"] = {"threshold": near, **by_group}
    return facts


class _Curve:
    """How much of the groups' value their first rows hold: what a larger budget brings."""

    def __init__(self, sizes: NDArray[np.int64]) -> None:
        self._sizes = iter(sizes.tolist())
        self._size = next(self._sizes, 0)
        self._waiting = np.empty(0)
        self._held = np.zeros(CURVE_POINTS + 1)

    def add(self, gains: NDArray[np.float64]) -> None:
        """The next gains, group after group; a group may be cut."""
        gains = np.concatenate([self._waiting, gains])
        begin = 0
        while self._size and begin + self._size <= len(gains):
            self._add_group(gains[begin : begin + self._size])
            begin += self._size
            self._size = next(self._sizes, 0)
        self._waiting = gains[begin:]

    def points(self) -> list[float]:
        """Value held by the first 0, 1/20, ..., 1 of every group (rounded up), summed."""
        return [float(value) for value in self._held]

    def _add_group(self, gains: NDArray[np.float64]) -> None:
        if gains.any():
            parts = np.arange(CURVE_POINTS + 1)
            so_far = np.concatenate([[0.0], np.cumsum(gains)])
            self._held += so_far[-(-parts * len(gains) // CURVE_POINTS)]
