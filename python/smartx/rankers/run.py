"""Rank every unit of a corpus and keep the ranking on disk.

It is written in parts of 65,536 rows, each with a sidecar until all are there, so that a
run that was killed goes on after its last whole part. Bundles do not decide what is in the files,
nor do the pieces (pieces.py) that others may have made of it before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from smartx.embed.embeddings import Embeddings
from smartx.engine import checked_threshold
from smartx.errors import InputError
from smartx.needs import TOKENS, VECTORS, Feature, digest_of, dimensions_of
from smartx.progress import Progress, Silent, step, warn
from smartx.rankers.large import LargeUnit, MadeParts, by_itself
from smartx.rankers.near import COLUMNS
from smartx.rankers.parts import Ordered
from smartx.rankers.pieces import Pieces
from smartx.rankers.rank import BUNDLE_ROWS, NO_ROWS, Ranking
from smartx.rankers.ranked_facts import ranked_facts
from smartx.rankers.ranker import Ranker
from smartx.rankers.rankings import (
    BLOCK_ROWS,
    PART_ROWS,
    STAGE,
    TABLE,
    Rankings,
    open_rankings,
    part_name,
    write_rows,
)
from smartx.store import FileEntry, Sidecar, Stage, folder_of, key_of
from smartx.strategies import facts_of
from smartx.units import Divide

if TYPE_CHECKING:
    from smartx.corpus import Corpus

SCHEMA = 4  # raised when the same input gives another ranking
_TWO_ENCODERS = (
    "near duplicates are looked for in the whole corpus, and two encoders embedded it: copies of a "
    "row in tasks of different encoders are not found"
)


def rank_corpus(
    corpus: Corpus,
    embeddings: Feature | None,
    ranker: Ranker,
    folder: Path,
    *,
    threads: int,
    features: Mapping[str, Feature] | None = None,
    left_out: NDArray[np.int64] = NO_ROWS,
    trained: NDArray[np.int64] = NO_ROWS,
    near_duplicates: float | None = None,
    near_within: str | None = None,
    memory: int | None = None,
    divide: Divide | None = None,
    progress: Progress | None = None,
) -> Rankings:
    """Rank all rows of all units and write folder/ID, where ID names the parameters and the input.

    embeddings: may be None for a ranker that needs none.  folder: the run's `rankings`.
    features: what else the ranker needs, by `Need.key`.
    left_out, trained: rising row ids, as `Ranking` says; both stand last in their unit.
    near_duplicates: least cosine of rows that are near duplicates; of these only the best-ranked
    stays in place, the others stand behind all other rows of their unit. None: not looked for.
    near_within: which rows are compared with each other, as `Ranking` says; wider parts than units
    are ranked as one bundle.
    memory: bytes that bundles keep to; None: 65,536 rows each. It does not change the ranking.
    divide: may have pieces of it made elsewhere first; what is missing then is ranked here.
    Finished rankings and finished parts of the same input are reused.
    Raises InputError where a feature is missing or embeddings belong to another corpus, or where
    the ranker's answer is not an order of the rows.
    """
    progress = progress or Silent()
    near = near_duplicates, near_within
    ranking = _ranking(corpus, embeddings, ranker, features or {}, left_out, trained, near, threads)
    if isinstance(embeddings, Embeddings) and embeddings.hybrid and ranking.meets_all_rows:
        warn(progress, _TWO_ENCODERS)
    parameters, inputs = _depends_on(corpus, ranking)
    key = key_of(STAGE, SCHEMA, parameters, inputs)
    stage = Stage(STAGE, folder_of(folder, key))
    parts = _Parts(stage.folder, _part_key(key), corpus.num_rows)
    most = bundle_rows(dimensions_of(ranking.needs, ranking.features), memory)
    pieces = Pieces(ranking, stage.folder, key, parts.lack, partial(_bundles, ranking, most))
    if stage.reuse(key):
        pieces.clear()
        progress.note(f"rank: reused the {ranker.name} rankings of {corpus.num_rows:,} rows")
        return open_rankings(stage.folder)
    stage.keep_parts(key, lambda _: _part_key(key))
    parts.look()
    if divide is not None:
        divide(pieces)
    stage.begin()
    if parts.kept:
        progress.note(f"{parts.kept} of {len(parts)} parts of the ranking were there already")
    _rank_missing(ranking, parts, pieces, most, progress)
    entries = parts.entries()
    facts = ranked_facts(stage.folder, entries, ranking)
    stage.finish(
        key=key, schema=SCHEMA, parameters=parameters, inputs=inputs, files=entries, facts=facts
    )
    pieces.clear()
    return open_rankings(stage.folder)


def is_ranked(
    corpus: Corpus,
    embeddings: Feature | None,
    ranker: Ranker,
    folder: Path,
    *,
    features: Mapping[str, Feature] | None = None,
    left_out: NDArray[np.int64] = NO_ROWS,
    trained: NDArray[np.int64] = NO_ROWS,
    near_duplicates: float | None = None,
    near_within: str | None = None,
) -> bool:
    """Whether the run's `rankings` seem to hold this one; `rank_corpus` looks closer."""
    try:
        near = near_duplicates, near_within
        ranking = _ranking(corpus, embeddings, ranker, features or {}, left_out, trained, near, 1)
    except InputError:
        return False
    key = key_of(STAGE, SCHEMA, *_depends_on(corpus, ranking))
    return Stage(STAGE, folder_of(folder, key)).is_done(key)


def _ranking(
    corpus: Corpus,
    embeddings: Feature | None,
    ranker: Ranker,
    features: Mapping[str, Feature],
    left_out: NDArray[np.int64],
    trained: NDArray[np.int64],
    near: tuple[float | None, str | None],
    threads: int,
) -> Ranking:
    """What is to be ranked. near: from which cosine, and within what.

    Raises InputError where it cannot be.
    """
    cosine = None if near[0] is None else checked_threshold(near[0])
    within = None if cosine is None or near[1] == ranker.per else near[1]
    known = {**features, TOKENS.key: _Tokens(corpus)}
    if embeddings is not None:
        known[VECTORS.key] = embeddings
    ranking = Ranking(corpus.groups, ranker, known, left_out, trained, cosine, within, threads)
    if VECTORS in ranking.needs:
        _check_embeddings(corpus, embeddings)
    return ranking


def _depends_on(corpus: Corpus, ranking: Ranking) -> tuple[dict[str, Any], dict[str, str]]:
    """Parameters and inputs of a ranking: of features, just those that are read."""
    inputs = {"corpus": corpus.digest}
    for need in ranking.needs:
        if need.kind != "tokens":  # they are of the corpus
            name = "embeddings" if need == VECTORS else f"feature {need.name}"
            inputs[name] = ranking.features[need.key].digest
    facts = facts_of(ranking.ranker)
    parameters = {"ranker": facts.pop("name"), **facts}
    if ranking.near is not None:
        parameters["near_duplicates"] = ranking.near
    if ranking.near_within is not None:
        parameters["near_duplicates_within"] = ranking.near_within
    apart = {"left_out": ranking.left_out, "trained": ranking.trained}
    inputs |= {name: digest_of(row_ids) for name, row_ids in apart.items() if len(row_ids)}
    return parameters, inputs


@dataclass(frozen=True)
class _Tokens:
    """The token counts of a corpus, as a feature."""

    corpus: Corpus
    dimensions: ClassVar[int] = 2

    @property
    def digest(self) -> str:
        return self.corpus.digest

    def rows(self, start: int, stop: int) -> NDArray[np.int32]:
        return self.corpus.token_counts(start, stop)


def _rank_missing(
    ranking: Ranking, parts: _Parts, pieces: Pieces, most: int, progress: Progress
) -> None:
    """Rank the units that reach into a part which is not there, or take their pieces.

    Progress moves with the time that units take by the cost model, not with their rows; what was
    there already is told at once.
    """
    units = ranking.units
    told = _told_rows(units.rows, ranking.seconds)
    ends = np.concatenate([units.start, [int(units.rows.sum())]])
    cuts = [(*cut, parts.lack(int(ends[cut[0]]), int(ends[cut[1]]))) for cut in pieces.cuts(most)]
    with step(progress, f"rank ({ranking.ranker.name})", int(told[-1]), "rows") as advance:
        advance(sum(int(told[last] - told[first]) for first, last, missing in cuts if not missing))
        for first, last, missing in cuts:
            if missing:
                rest = int(told[last] - told[first])
                table = pieces.read(first, last)
                if table is None:
                    each = rest // int(ranking.parts[first] + 1) if last == first + 1 else 0
                    made = partial(_made, pieces, partial(advance, each))
                    table = _table(ranking, first, last, made)
                    rest -= each * int(ranking.parts[first]) if ranking.parts[first] > 1 else 0
                parts.add(int(ends[first]), table)
                advance(rest)


def _made(pieces: Pieces, told: Callable[[], None], large: LargeUnit, part: int) -> Ordered:
    """A part of a unit, told when it is there."""
    found = pieces.made(large, part)
    told()
    return found


def bundle_rows(dimensions: int, memory: int | None) -> int:
    """Most rows of a bundle of several units: what fits a quarter of `memory` bytes twice."""
    if memory is None or not dimensions:
        return BUNDLE_ROWS
    return max(1, min(BUNDLE_ROWS, memory // 4 // (4 * dimensions)))


def _check_embeddings(corpus: Corpus, embeddings: Any) -> None:
    if embeddings.manifest["inputs"].get("corpus") != corpus.digest:
        raise InputError(
            f"the {embeddings.num_rows:,} vectors are those of another corpus, and this one has "
            f"{corpus.num_rows:,} rows",
            place="embeddings",
            fix="run `smartx embed` for this one",
        )


def _told_rows(sizes: NDArray[np.int64], seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    """(u + 1,) rows told as ranked before each unit: all of them, in proportion to the time."""
    so_far = np.concatenate([[0.0], np.cumsum(seconds)])
    told: NDArray[np.int64] = (so_far / so_far[-1] * int(sizes.sum())).astype(np.int64)
    return told


def _bundles(ranking: Ranking, most: int, first: int, last: int) -> Iterator[pa.Table]:
    """Units first..last-1 in order, ranked in bundles of at most `most` rows."""
    for begin, end in ranking.bundles(most, first, last):
        yield _table(ranking, begin, end)


def _table(ranking: Ranking, first: int, last: int, made: MadeParts = by_itself) -> pa.Table:
    """Units first..last-1 in order, as the files have them."""
    ranked, units, groups = ranking.ranked(first, last, made), ranking.units, ranking.groups
    own = slice(int(units.first_group[first]), int(units.first_group[last]))
    group = np.repeat(np.arange(own.start, own.stop, dtype=np.int32), groups.rows[own])
    sizes = units.rows[first:last]
    begins = np.repeat(np.cumsum(sizes) - sizes, sizes)
    columns: list[NDArray[Any]] = [
        ranked.row_ids,
        group[ranked.row_ids - units.start[first]],
        (np.arange(len(begins)) - begins).astype(np.int32),
        ranked.gains,
    ]
    own_columns = [pa.array(c, field.type) for c, field in zip(columns, TABLE, strict=True)]
    schema = pa.schema([*TABLE, *COLUMNS]) if ranked.near else TABLE
    return pa.Table.from_arrays([*own_columns, *ranked.near], schema=schema)


def _part_key(key: str) -> str:
    return key_of("ranking part", SCHEMA, {"part_rows": PART_ROWS}, {"stage": key})


class _Parts:
    """The files of a ranking, PART_ROWS rows each: which are there, and how the others fill up."""

    def __init__(self, folder: Path, key: str, num_rows: int) -> None:
        count = -(-num_rows // PART_ROWS)
        self._num_rows = num_rows
        self._sidecars = [Sidecar(folder / part_name(part), key) for part in range(count)]
        self._entries: list[FileEntry | None] = [None] * count
        self._waiting: list[pa.Table] = []

    def look(self) -> None:
        """See which are there."""
        self._entries = [sidecar.whole_part() for sidecar in self._sidecars]

    @property
    def kept(self) -> int:
        """How many are there."""
        return sum(entry is not None for entry in self._entries)

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
            table.num_rows, partial(write_rows, table, BLOCK_ROWS)
        )
