"""All rules together: which row goes, for which reason first, and which rules it fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from smartx.clean.copies import Found, copies_in_words, exact_copies, near_copies
from smartx.clean.measuring import Measures
from smartx.clean.rules import Rules
from smartx.clean.signatures import signatures_of
from smartx.clean.verdicts import COPIES, EXACT, NEAR, WORDS, Mask, Verdict, in_band, verdicts
from smartx.corpus import Corpus
from smartx.needs import Feature
from smartx.progress import Progress

Ints = NDArray[np.int64]
_ORIGIN = [("row_id", pa.int64()), ("source_position", pa.int64()), ("file", pa.string())]
_REASON = [("line", pa.int64()), ("reason", pa.string()), ("detail", pa.string())]
DROPPED = pa.schema([*_ORIGIN, *_REASON, ("rules", pa.list_(pa.string()))])


@dataclass(frozen=True, eq=False)
class Sifted:
    """dropped: the table of rows that go (schema DROPPED), by row. told: what each rule says.

    of: for copies, the row that each is a copy of.
    """

    dropped: pa.Table
    told: Sequence[Verdict]
    of: dict[int, int]

    def counts(self) -> list[tuple[str, int]]:
        """How many rows go for each reason, most first."""
        names, rows = np.unique(self.dropped["reason"].to_numpy().astype(str), return_counts=True)
        both = zip(names.tolist(), rows.tolist(), strict=True)
        return sorted(both, key=lambda one: (-one[1], one[0]))


@dataclass
class _Sieve:
    """Where sifting stands. reason: (n,) the number of the first rule that drops a row, or -1."""

    reason: NDArray[np.int16]
    order: Ints  # all rows as the sources have them
    told: list[Verdict] = field(default_factory=list)

    def add(self, verdict: Verdict) -> None:
        if verdict.drops:
            self.reason[verdict.mask & (self.reason < 0)] = len(self.told)
        self.told.append(verdict)

    def left(self) -> Ints:
        return self.order[self.reason[self.order] < 0]


def sift(
    corpus: Corpus,
    measures: Measures,
    rules: Rules,
    folder: Path,
    *,
    band: Feature | None,
    progress: Progress,
) -> Sifted:
    """Ask all rules; copies are looked for among the rows that no other rule drops."""
    order = np.argsort(corpus.source_positions(0, corpus.num_rows), kind="stable")
    sieve = _Sieve(np.full(corpus.num_rows, -1, np.int16), order.astype(np.int64))
    for verdict in verdicts(corpus, measures, rules, progress):
        sieve.add(verdict)
    if band is not None:
        values = np.asarray(band.rows(0, corpus.num_rows), np.float64)
        if (found := in_band(values, rules)) is not None:
            sieve.add(found)
    of: dict[int, int] = {}
    places = _Places(corpus, of)
    for name, look in _copies(corpus, measures, rules, folder, progress):
        copies = look(sieve.left())
        of.update(zip(copies.rows.tolist(), copies.of.tolist(), strict=True))
        mask = np.zeros(corpus.num_rows, np.bool_)
        mask[copies.rows] = True
        sieve.add(Verdict(name, mask, True, places.told))
    return Sifted(_table(corpus, sieve), sieve.told, of)


def _copies(
    corpus: Corpus, measures: Measures, rules: Rules, folder: Path, progress: Progress
) -> Iterator[tuple[str, Callable[[Ints], Found]]]:
    asked = rules.copies
    if asked.exact:
        yield EXACT, lambda rows: exact_copies(measures, rows)
    if asked.words:
        yield WORDS, lambda rows: copies_in_words(measures, rows)
    if asked.near is not None:
        signatures = signatures_of(corpus, measures, folder, asked, progress=progress)
        yield NEAR, lambda rows: near_copies(corpus, signatures, rows, asked, progress)


def _table(corpus: Corpus, sieve: _Sieve) -> pa.Table:
    rows = np.flatnonzero(sieve.reason >= 0).astype(np.int64)
    reasons = sieve.reason[rows].tolist()
    names = [source["name"] for source in corpus.manifest["sources"]]
    columns = ("source_position", "origin_file", "origin_row")
    origin = pa.concat_tables(list(corpus.rising(rows, columns)))
    failed: list[list[str]] = [[] for _ in reasons]
    for verdict in sieve.told:
        if verdict.drops:
            for place in np.flatnonzero(verdict.mask[rows]).tolist():
                failed[place].append(verdict.name)
    told = [sieve.told[number] for number in reasons]
    return pa.table(
        [
            rows,
            origin["source_position"].to_numpy(),
            [names[number] for number in origin["origin_file"].to_pylist()],
            origin["origin_row"].to_pylist(),
            [one.name for one in told],
            [one.detail(row) for one, row in zip(told, rows.tolist(), strict=True)],
            failed,
        ],
        schema=DROPPED,
    )


@dataclass
class _Places:
    """Where the rows lie that others are copies of: file and line, read once."""

    corpus: Corpus
    of: dict[int, int]
    known: dict[int, str] = field(default_factory=dict)

    def told(self, row: int) -> str:
        """What is said of a copy."""
        if not self.known:
            rows = np.unique(np.array(list(self.of.values()), np.int64))
            names = [source["name"] for source in self.corpus.manifest["sources"]]
            for table in self.corpus.rising(rows, ("row_id", "origin_file", "origin_row")):
                for one in table.to_pylist():
                    place = f"{names[one['origin_file']]}:{one['origin_row']}"
                    self.known[one["row_id"]] = place
        return f"of {self.known[self.of[row]]}"


__all__ = ["COPIES", "Mask", "Sifted", "sift"]
