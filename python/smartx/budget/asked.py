"""The budget of a run as its configuration asks for it, and what a corpus has for it."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from smartx.amounts import ROW_FILES, Amount, Percent, demands, patterns
from smartx.budget.allotment import RoundingName, check_total
from smartx.budget.demands import Demands, bounds_of
from smartx.budget.supply import Supply, TokenKind, check_both, supply_of, supply_of_rows, tokens_of
from smartx.budget.tree import TEMPLATE, tree_of
from smartx.corpus.numbers import check_column, numbers_of
from smartx.corpus.supervised import supervised_tokens
from smartx.errors import InputError
from smartx.files import unchanged_digest
from smartx.progress import counted

if TYPE_CHECKING:
    from smartx.config import RunConfig
    from smartx.corpus import Corpus

_BLOCK = 1 << 20  # rows whose tokens are read at once


@dataclass(frozen=True)
class Budget:
    """How much, of what, and under which demands.

    amount: rows, or tokens of `kind` where that is given.  rounding: None: the weight law's own.
    epochs: how often a row may be taken.  include, exclude: a column or a file that names rows.
    """

    amount: Amount
    kind: TokenKind | None = None
    demands: Demands = field(default_factory=Demands)
    rounding: RoundingName | None = None
    epochs: int = 1
    include: str | None = None
    exclude: str | None = None
    _seen: dict[str, Supply] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, config: RunConfig) -> Budget | None:
        """The budget of a configuration; None where it has none."""
        amount = config.rows if config.tokens is None else config.tokens
        if amount is None:
            return None
        floors, caps, pins = (demands(of) for of in (config.floor, config.cap, config.pin))
        wanted = Demands(floors, caps, pins, patterns(config.exclude))
        kind = None if config.tokens is None else config.token_kind
        named = config.include_rows, config.exclude_rows
        return cls(amount, kind, wanted, config.rounding, config.epochs, *named)

    @property
    def by_row(self) -> bool:
        """Whether single rows are looked at: else the first rows of every ranking are taken."""
        return bool(self.kind or self.epochs > 1 or self.include or self.exclude)

    def facts(self) -> dict[str, Any]:
        """As a manifest has it: nothing that is not asked for."""
        amount = str(self.amount) if isinstance(self.amount, Percent) else self.amount
        named = {"include_rows": self.include, "exclude_rows": self.exclude}
        more = {
            "token_kind": self.kind,
            **self.demands.facts(),
            "rounding": self.rounding,
            "epochs": self.epochs if self.epochs > 1 else None,
            **{name: given and _named(given) for name, given in named.items()},
        }
        return {"tokens" if self.kind else "rows": amount} | {
            name: value for name, value in more.items() if value is not None
        }

    def limits(self, corpus: Corpus, takeable: NDArray[np.bool_] | None = None) -> dict[str, Any]:
        """tokens, included, takeable and epochs, as `supply_of` and `chosen_rows` have them.

        takeable: (n,) by row id, which rows may be taken apart from those that are excluded.
        """
        may = np.ones(corpus.num_rows, dtype=np.bool_) if takeable is None else takeable.copy()
        if self.exclude:
            may &= ~named_rows(corpus, self.exclude, "exclude_rows")
        must = named_rows(corpus, self.include, "include_rows") if self.include else None
        if must is not None:
            check_both(must, may, lambda row: int(corpus.source_positions(row, row + 1)[0]))
        return {
            "tokens": _tokens(corpus, self.kind) if self.kind else None,
            "included": must,
            "takeable": None if may.all() else may,
            "epochs": self.epochs,
        }

    def supply(self, corpus: Corpus) -> Supply:
        """What the corpus has for it, near duplicates and what is left out among it.

        Looked up once for each corpus: all tokens are read for it.
        """
        if not self.by_row:
            return supply_of_rows(corpus.groups)
        if corpus.digest not in self._seen:
            self._seen[corpus.digest] = supply_of(corpus.groups, **self.limits(corpus))
        return self._seen[corpus.digest]

    def check(self, corpus: Corpus) -> int:
        """About how many rows it takes. Raises what can be known before ranking: more than there
        is, patterns that fit nothing, demands that cannot be met whatever the weight law says.
        """
        groups, tree = corpus.groups, tree_of(corpus.groups)
        self.demands.levels(tree)
        supply = self.supply(corpus)
        supply = supply.without(self.demands.excluded(tree, supply.fixed))
        total = check_total(groups, supply.total(self.amount), supply=supply)
        every = np.ones(len(groups), dtype=np.bool_)
        bounds_of(
            tree,
            self.demands,
            fixed=supply.fixed,
            held=supply.held,
            total=total,
            chosen=(TEMPLATE, every),
            unit=supply.unit,
        )
        return supply.rows_for(total)


def named_rows(corpus: Corpus, given: str, place: str) -> NDArray[np.bool_]:
    """(n,) by row id, the rows that a true/false column of the sources, or a file, names.

    given: a column, or a file of row numbers (.txt, .csv: the first column, .npy, .parquet of one
    column), counted from 0 over all rows of the sources in their order; an .npy file of booleans
    has one for each of these.  place: the field, for messages.
    Raises InputError for a column or file that cannot be read as such, a number that no row has,
    and, where rows are to be included, for one that is not in the corpus.
    """
    if Path(given).suffix.lower() not in ROW_FILES:
        return _flags(corpus, given, place)
    numbers = _row_numbers(Path(given), corpus.num_source_rows, place)
    beyond = numbers[(numbers < 0) | (numbers >= corpus.num_source_rows)]
    if len(beyond):
        raise InputError(
            f"{given} names row {beyond[0]}, and the sources have "
            f"{counted(corpus.num_source_rows, 'row')}, numbered from 0",
            place=place,
        )
    wanted = np.zeros(corpus.num_source_rows, dtype=np.bool_)
    wanted[numbers] = True
    found = wanted[corpus.source_positions(0, corpus.num_rows)]
    lost = int(np.count_nonzero(wanted)) - int(np.count_nonzero(found))
    if lost and place == "include_rows":
        raise InputError(
            f"{counted(lost, 'row')} of {given} cannot be included: dropped when the sources "
            "were read (dropped.parquet says why)",
            place=place,
            fix="leave them out of the file",
        )
    return found


def _flags(corpus: Corpus, column: str, place: str) -> NDArray[np.bool_]:
    try:
        check_column(corpus, column)
    except InputError as problem:
        raise InputError(
            problem.fault, place=place, fix=f"name a column, or a file ({', '.join(ROW_FILES)})"
        ) from None
    values = numbers_of(corpus, column)
    bad = np.flatnonzero(~(np.isnan(values) | (values == 0) | (values == 1)))
    if len(bad):
        raise InputError(
            f'the column "{column}" holds {values[bad[0]]:g}, and true or false is needed',
            place=place,
        )
    return np.asarray(values == 1)


def _row_numbers(path: Path, rows: int, place: str) -> NDArray[np.int64]:
    """The numbers in a file. Raises InputError."""
    fix = "give whole numbers of rows, counted from 0"
    try:
        kind = path.suffix.lower()
        if kind == ".npy":
            values = np.load(path, allow_pickle=False)
        elif kind == ".parquet":
            values = pq.read_table(path).column(0).to_numpy()
        else:
            values = np.array(_numbers_of_text(path), dtype=np.int64)
    except (OSError, ValueError, OverflowError, UnicodeDecodeError, pa.ArrowException) as problem:
        raise InputError(f"{path} cannot be read ({problem})", place=place, fix=fix) from None
    if values.dtype == np.bool_ and values.shape == (rows,):
        return np.flatnonzero(values)
    if values.ndim != 1 or (values.size and values.dtype.kind not in "iu"):
        raise InputError(f"{path} holds {values.dtype}{values.shape}", place=place, fix=fix)
    return np.asarray(values, dtype=np.int64)


def _numbers_of_text(path: Path) -> list[int]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        cells = [row[0].strip() for row in csv.reader(file) if row and row[0].strip()]
    head = path.suffix.lower() == ".csv" and cells and not cells[0].lstrip("-").isdecimal()
    numbers = cells[1:] if head else cells
    for place, cell in enumerate(numbers, start=2 if head else 1):
        if not cell.lstrip("-").isdecimal():
            raise ValueError(f'its number {place:,} is "{cell[:40]}"')
    return [int(cell) for cell in numbers]


def _named(given: str) -> str:
    """A column by its name; a file by the digest of its content, wherever it is."""
    path = Path(given)
    return unchanged_digest(path) if path.suffix.lower() in ROW_FILES and path.is_file() else given


def _tokens(corpus: Corpus, kind: TokenKind) -> NDArray[np.int64]:
    """(n,) tokens of a kind by row id."""
    if kind == "supervised":
        return supervised_tokens(corpus)
    parts = [
        tokens_of(corpus.token_counts(start, min(start + _BLOCK, corpus.num_rows)), kind)
        for start in range(0, corpus.num_rows, _BLOCK)
    ]
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts])
