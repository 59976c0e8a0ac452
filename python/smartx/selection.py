"""select(): which rows of arrays to train on, in memory, with no files.

The stages of a run do the same work with the same functions: from the same rows in the same order,
tasks and templates by name, `smartx.run` takes the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from smartx.amounts import Amount, amount
from smartx.budget import (
    Allotment,
    Demands,
    RoundingName,
    Taken,
    TokenKind,
    allot,
    check_both,
    chosen_rows,
    supply_of,
    tokens_of,
    total_of,
)
from smartx.config import DEFAULT_PRESET, RunConfig, config_from
from smartx.corpus import Groups
from smartx.engine import resolve_threads
from smartx.errors import BudgetError, InputError
from smartx.features import in_memory
from smartx.means import task_means
from smartx.mixture.assemble import mixture_order
from smartx.mixture.selection import Selection as Selection
from smartx.needs import TOKENS, VECTORS, InMemory, Need
from smartx.rankers.rank import BUNDLE_ROWS, Ranking
from smartx.strategies import check_together

Names = Sequence[Any] | NDArray[Any]


def select(
    X: ArrayLike | None = None,
    *,
    budget: int | str,
    tasks: Names | None = None,
    templates: Names | None = None,
    sources: Names | None = None,
    preset: str = DEFAULT_PRESET,
    weights: Any = None,
    ranker: Any = None,
    scores: Mapping[str, ArrayLike] | ArrayLike | None = None,
    tokens: ArrayLike | None = None,
    token_kind: TokenKind | None = None,
    features: Mapping[str, ArrayLike] | None = None,
    demands: Demands | None = None,
    include: ArrayLike | None = None,
    exclude: ArrayLike | None = None,
    epochs: int = 1,
    rounding: RoundingName | None = None,
    near_duplicates: float | None = None,
    near_duplicates_within: str | None = None,
    trained: ArrayLike | None = None,
    seed: int = 0,
    threads: int | None = None,
) -> Selection:
    """Choose `budget` of n rows: weights say how much of each task, the ranker which rows of it.

    X: (n, d) vectors of the rows, floats or int16 Q12; None where no strategy looks at any.
    budget: how many rows, or tokens where `token_kind` is given: 5000, "5k" or "10%".
    tasks, templates, sources: (n,) names of each row's; none: all rows are of one.
    preset, weights, ranker: strategies as a configuration has them: by name, with parameters as a
    text or mapping, or an object.
    scores: (n,) numbers, by name, or of the one name "score"; NaN where a row has none.
    tokens: (n, 2) of prompt and response, or (n,) of each row.
    token_kind: the budget is in tokens of this kind; of (n,) tokens it is "all".
    features: what else the strategies need, by name: (n, d) matrices, tables.
    demands: floors, caps, pins and excluded tasks: smartx.Demands(floors={"math": 500}).
    include, exclude: rows that must and may not be taken, as (n,) booleans or as places.
    epochs: how often a row may be taken.  rounding: of shares to rows.
    near_duplicates: least cosine of rows of which one is left out;
    within "template", "task" or "corpus" (None: the rows that are ranked together).
    trained: rows that a model was trained on, as booleans or places: they are not taken, and a
    ranker that can do so ranks what the others add to them.
    seed: of every random choice.  threads: None: all. They change nothing but the time.
    Raises ConfigError, InputError, BudgetError that name the argument.

    >>> import numpy as np, smartx
    >>> rows = np.repeat(np.eye(4), [5, 3, 1, 1], axis=0)  # four directions, two tasks
    >>> tasks = ["a"] * 8 + ["b"] * 2
    >>> chosen = smartx.select(rows, tasks=tasks, budget=3, preset="smart-balanced")
    >>> sorted(chosen.indices.tolist()), chosen.budgets
    ([0, 5, 8], array([2, 1]))
    """
    asked = {"preset": preset, "weights": weights, "ranker": ranker, "seed": seed}
    asked |= {"near_duplicates": near_duplicates, "near_duplicates_within": near_duplicates_within}
    asked |= {"epochs": epochs, "rounding": rounding, "token_kind": token_kind}
    config = _checked(asked, demands)
    rows = _rows_of(X, tasks, templates, sources, scores, tokens)
    excluded, before = rows.mask("exclude", exclude), rows.mask("trained", trained)
    included = rows.mask("include", include)
    known = _known(rows, config, features or {})
    ranking = Ranking(
        rows.groups,
        config.row_ranker,
        known,
        left_out=np.flatnonzero(excluded),
        trained=np.flatnonzero(before),
        near=config.near_duplicates,
        near_within=config.near_duplicates_within,
        threads=resolve_threads(threads),
    )
    ranked = _ranked(ranking)
    takeable = ~(excluded | before)
    takeable[ranked.near_duplicates] = False
    check_both(included, takeable, lambda row: int(rows.order[row]), "include")
    limits: dict[str, Any] = {
        "tokens": None if token_kind is None else rows.tokens_of(token_kind),
        "included": included if included.any() else None,
        "takeable": None if takeable.all() else takeable,
        "epochs": epochs,
    }
    per: Any = config.row_ranker.per
    try:
        allotment = _allotted(rows, ranked, config, known, limits, _amount(budget), demands)
        taken = chosen_rows(ranked.row_ids, rows.groups, allotment, ranked=per, **limits)
    except BudgetError as problem:
        problem.renamed({"`rows`": "`budget`", "`tokens`": "`budget`"})
        raise
    return _selection(rows, ranked, allotment, taken, seed)


def _checked(asked: dict[str, Any], demands: Any) -> RunConfig:
    """What is asked for, as a configuration. Raises ConfigError or InputError that names it."""
    config = config_from({name: value for name, value in asked.items() if value is not None})
    check_together(config.law, config.row_ranker)
    if not isinstance(demands, Demands | None):
        raise InputError(
            f"{type(demands).__name__} is no smartx.Demands",
            place="demands",
            fix='write smartx.Demands(floors={"math": 500})',
        )
    return config


def _known(
    rows: _Rows, config: RunConfig, features: Mapping[str, ArrayLike]
) -> dict[str, InMemory]:
    """All that law and ranker read of the rows, by `Need.key`."""
    needs = dict.fromkeys((*config.law.needs, *config.row_ranker.reads))
    if config.law.needs_means or config.near_duplicates is not None:
        needs[VECTORS] = None
    return {need.key: rows.feature(need, features) for need in needs}


def _allotted(
    rows: _Rows,
    ranked: _RankedRows,
    config: RunConfig,
    known: Mapping[str, InMemory],
    limits: Mapping[str, Any],
    budget: Amount,
    demands: Demands | None,
) -> Allotment:
    """Who gets how much."""
    groups, law, may = rows.groups, config.law, limits["takeable"]
    supply = supply_of(groups, **limits)
    best = ranked.row_ids if may is None else ranked.row_ids[may[ranked.row_ids]]
    return allot(
        groups,
        law,
        means=task_means(known[VECTORS.key], groups.tasks()) if law.needs_means else None,
        total=total_of(budget, groups, supply, demands),
        seed=config.seed,
        left_out=len(ranked.near_duplicates),
        demands=demands,
        rounding=config.rounding,
        supply=supply,
        features={need.key: known[need.key].rows(0, len(rows)) for need in law.needs},
        ranked=groups.of_rows(best) if law.follows_ranking else None,
    )


@dataclass(frozen=True, eq=False)
class _Rows:
    """The rows of arrays as a corpus has them: in the order of their groups.

    order: (n,) int64, the place in the arrays of each row id.  groups: of the row ids.
    """

    order: NDArray[np.int64]
    groups: Groups
    X: Any
    scores: Mapping[str, Any]
    tokens: Any

    def __len__(self) -> int:
        return len(self.order)

    @cached_property
    def in_order(self) -> bool:
        """Whether the rows come as a corpus has them, so that nothing is to be moved."""
        return bool((self.order == np.arange(len(self.order))).all())

    def feature(self, need: Need, given: Mapping[str, Any]) -> InMemory:
        """What is known of the rows, by row id. Raises InputError where it was not given."""
        values = self._given(need, given)
        feature = in_memory(need, values, len(self))
        if feature.table or self.in_order:
            return feature
        return InMemory(feature.values[self.order])

    def _given(self, need: Need, given: Mapping[str, Any]) -> Any:
        place, values = f"features[{need.name!r}]", given.get(need.name)
        if need == VECTORS:
            place, values = "X", self.X
        elif need == TOKENS:
            place, values = "tokens", self.tokens
        elif need.kind == "column" and values is None:
            place, values = f"scores[{need.name!r}]", self.scores.get(need.name)
        if values is None:
            raise InputError(f"a strategy needs it ({need.kind}), and it is not given", place=place)
        return values

    def tokens_of(self, kind: TokenKind) -> NDArray[np.int64]:
        """(n,) tokens of a kind, by row id."""
        if self.tokens is None:
            raise InputError("the budget is in tokens, and they are not given", place="tokens")
        counts = np.asarray(self.tokens)
        whole = counts.ndim == 1 and kind == "all"
        if counts.dtype.kind not in "iu" or len(counts) != len(self) or (counts < 0).any():
            raise InputError("one whole number >= 0 a row is needed", place="tokens")
        if not whole and counts.shape != (len(self), 2):
            raise InputError(
                f"({len(self):,}, 2) of prompt and response are needed for {kind}, not "
                f"{counts.shape}",
                place="tokens",
            )
        return (counts.astype(np.int64) if whole else tokens_of(counts, kind))[self.order]

    def mask(self, name: str, rows: ArrayLike | None) -> NDArray[np.bool_]:
        """(n,) by row id, which rows are named by booleans or by places in the arrays."""
        mask = np.zeros(len(self), dtype=np.bool_)
        named = np.asarray([] if rows is None else rows)
        if named.dtype == np.bool_ and named.shape == mask.shape:
            mask = named
        elif named.size:
            inside = named.dtype.kind in "iu" and bool(((named >= 0) & (named < len(mask))).all())
            if not inside or named.ndim != 1:
                raise InputError(
                    f"({len(mask):,},) booleans, or places of rows, are needed", place=name
                )
            mask[named] = True
        return mask[self.order]


def _rows_of(X: Any, tasks: Any, templates: Any, sources: Any, scores: Any, tokens: Any) -> _Rows:
    named = {"sources": sources, "tasks": tasks, "templates": templates}
    if scores is not None and not isinstance(scores, Mapping):
        scores = {"score": scores}
    known = {"X": X, "tokens": tokens, **named, **(scores or {})}
    lengths = {name: len(values) for name, values in known.items() if values is not None}
    if not lengths:
        raise InputError("there are no rows: give vectors, tasks, scores or tokens", place="X")
    first, count = next(iter(lengths.items()))
    for name, length in lengths.items():
        if length != count:
            raise InputError(f"it has {length:,} entries, and {first} has {count:,}", place=name)
    if not count:
        raise InputError("there are no rows", place=first)
    codes, words = zip(*(_coded(names, count) for names in named.values()), strict=True)
    code = (codes[0] * len(words[1]) + codes[1]) * len(words[2]) + codes[2]
    code = code.astype(np.min_scalar_type(int(code.max())))  # small numbers are sorted faster
    order = np.argsort(code, kind="stable")
    in_order = code[order]
    start = np.flatnonzero(np.concatenate([[True], in_order[1:] != in_order[:-1]]))
    upper, template = np.divmod(in_order[start].astype(np.int64), len(words[2]))
    source, task = np.divmod(upper, len(words[1]))
    groups = Groups(
        [words[0][i] for i in source.tolist()],
        [words[1][i] for i in task.tolist()],
        [words[2][i] for i in template.tolist()],
        start,
        np.diff(start, append=count),
    )
    return _Rows(order, groups, X, scores or {}, tokens)


def _coded(names: Names | None, count: int) -> tuple[NDArray[np.int64], list[str]]:
    """The number of each row's name among all names in codepoint order, and these."""
    if names is None:
        return np.zeros(count, dtype=np.int64), [""]
    numbers = isinstance(names, np.ndarray) and names.dtype.kind in "iu"
    coded = pa.array(names if numbers else [str(name) for name in names]).dictionary_encode()
    words = [str(kind) for kind in coded.dictionary.to_pylist()]
    order = sorted(range(len(words)), key=words.__getitem__)
    place = np.empty(len(words), dtype=np.int64)
    place[order] = np.arange(len(words))
    return place[coded.indices.to_numpy()], [words[i] for i in order]


@dataclass(frozen=True, eq=False)
class _RankedRows:
    """All rows, best first in each unit. near_duplicates: (m,) row ids of those left out."""

    row_ids: NDArray[np.int64]
    ranks: NDArray[np.int32]
    gains: NDArray[np.float64]
    near_duplicates: NDArray[np.int64]


def _ranked(ranking: Ranking) -> _RankedRows:
    units = ranking.units
    parts = [ranking.ranked(first, last) for first, last in ranking.bundles(BUNDLE_ROWS)]
    row_ids = np.concatenate([part.row_ids for part in parts])
    near = [
        part.row_ids[part.near[0].is_valid().to_numpy(zero_copy_only=False)]
        for part in parts
        if part.near
    ]
    return _RankedRows(
        row_ids,
        (np.arange(len(row_ids)) - np.repeat(units.start, units.rows)).astype(np.int32),
        np.concatenate([part.gains for part in parts]),
        np.concatenate(near) if near else np.zeros(0, dtype=np.int64),
    )


def _selection(
    rows: _Rows, ranked: _RankedRows, allotment: Allotment, taken: Taken, seed: int
) -> Selection:
    chosen = ranked.row_ids[taken.places]
    order = mixture_order(chosen, seed, taken.copies)
    tasks = rows.groups.tasks()
    chosen, places = chosen[order], taken.places[order]
    task = np.searchsorted(tasks.start, chosen, side="right") - 1
    return Selection(
        rows.order[chosen],
        ranked.ranks[places],
        ranked.gains[places],
        taken.copies[order],
        task,
        list(zip(tasks.source, tasks.task, strict=True)),
        np.bincount(task, minlength=len(tasks)),
        allotment.weights,
        tasks.rows,
    )


def _amount(budget: Any) -> Amount:
    try:
        return amount(budget)
    except ValueError as problem:
        raise InputError(str(problem), place="budget") from None
