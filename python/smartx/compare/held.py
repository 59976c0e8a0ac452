"""What choices show on rows that were held out, beside what chance shows there.

Of every fold a choice has its own rows. Numbers of held-out tasks are means over tasks, those of
held-out templates means over rows, all folds together. A z-score says how far a value lies from
those of random choices, in their deviations: it knows the luck of the draw, and not that of the
tasks. The interval knows that: it is of the difference to chance, over families of tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx.compare.board import Board, Seen
from smartx.compare.choose import Choice
from smartx.compare.controls import (
    Chance,
    chance,
    interval,
    means_by,
    orders_in_tasks,
    random_rows,
)
from smartx.compare.proxies import cosines

SHORT_WORDS = 3  # of a response that is copied, at most
PROBED_DRAWS = 8  # random choices that are probed: each takes a regression
IntVector = NDArray[np.int64]
Advance = Callable[[int], None]


@dataclass(frozen=True)
class Draws:
    """How many random choices: of rows of the pool, and of rows of each task as a strategy's."""

    rows: int = 200
    same_sizes: int = 50


@dataclass(eq=False)
class Column:
    """What one choice showed, fold after fold. scores: of the probe, where there are any."""

    seen: list[Seen] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    def products(self, of: str) -> NDArray[np.int32]:
        """Of all folds. of: "task" or "template"."""
        parts = [getattr(one, f"{of}_products") for one in self.seen]
        return np.concatenate(parts)

    def copied(self) -> IntVector:
        """The nearest chosen row of every held-out row of a template, of all folds."""
        return np.concatenate([one.template_rows for one in self.seen])


@dataclass(eq=False)
class Held:
    """The boards of all folds, with what chance shows on them.

    rows: of a choice.  families: (M,) of each task.
    """

    boards: Sequence[Board]
    rows: int
    families: IntVector
    draws: Draws
    seed: int
    random: list[Column] = field(default_factory=list)
    _same_sizes: dict[tuple[int, bytes], NDArray[np.float64]] = field(default_factory=dict)

    def draw(self, advance: Advance) -> None:
        """Make the random choices."""
        self.random = [Column() for _ in range(self.draws.rows)]
        for fold, board in enumerate(self.boards):
            for number, column in enumerate(self.random):
                row_ids = random_rows(board.pool, self.rows, number, seed=self.seed + fold)
                column.seen.append(board.see(row_ids))
                if number < PROBED_DRAWS:
                    places = np.searchsorted(board.pool, row_ids)
                    add_score(column, board, row_ids, board.tasks[places])
                advance(1)

    def column(self, choices: Sequence[Choice]) -> Column:
        """What a strategy's choices show. choices: of each fold."""
        made = Column()
        for board, choice in zip(self.boards, choices, strict=True):
            made.seen.append(board.see(choice.row_ids))
            places = np.searchsorted(board.pool, choice.row_ids)
            add_score(made, board, choice.row_ids, board.tasks[places])
        return made

    def draw_same_sizes(self, choices: Sequence[Sequence[Choice]], advance: Advance) -> None:
        """Make the random choices that take as many rows of each task as some strategies do.

        choices: of each strategy, of each fold.
        """
        of_rows, of_tasks, before = self.template_parts(), self.task_parts(), 0
        for fold, board in enumerate(self.boards):
            sizes = {one[fold].tasks.tobytes(): one[fold].tasks for one in choices}
            own = of_tasks[before : before + len(board.held_tasks)]
            before += len(board.held_tasks)
            means = {key: np.zeros((2, self.draws.same_sizes)) for key in sizes}
            for number in range(self.draws.same_sizes):
                places = orders_in_tasks(board.pool, board.tasks, number, seed=self.seed + fold)
                for key, taken in sizes.items():
                    seen = board.see(board.pool[places < taken[board.tasks]])
                    means[key][0, number] = cosines(seen.task_products) @ own
                    means[key][1, number] = cosines(seen.template_products).sum() * of_rows
            self._same_sizes |= {(fold, key): found for key, found in means.items()}
            advance(1)

    def same_sizes(self, choices: Sequence[Choice]) -> NDArray[np.float64]:
        """(2, r) the mean cosines of these random choices, of held-out tasks and of templates.

        choices: of a strategy, of each fold.
        """
        found = [self._same_sizes[fold, one.tasks.tobytes()] for fold, one in enumerate(choices)]
        whole: NDArray[np.float64] = np.add.reduce(found)
        return whole

    def held_tasks(self) -> IntVector:
        """The task of every row of a held-out task that is looked at, of all folds."""
        return np.concatenate([board.held_tasks for board in self.boards])

    def task_parts(self) -> NDArray[np.float64]:
        """What each of these rows counts in a mean over tasks."""
        _, own, often = np.unique(self.held_tasks(), return_inverse=True, return_counts=True)
        parts: NDArray[np.float64] = 1.0 / (often[own.reshape(-1)] * max(1, len(often)))
        return parts

    def template_parts(self) -> float:
        """What each row of a held-out template counts in a mean over rows."""
        return 1.0 / max(1, sum(len(board.held_template_tasks) for board in self.boards))


def add_score(column: Column, board: Board, row_ids: IntVector, tasks: IntVector) -> None:
    """The probe's, where the fold has held-out templates."""
    score = board.probe(row_ids, tasks)
    if score is not None:
        column.scores.append(score)


@dataclass(frozen=True, eq=False)
class Copying:
    """The responses of held-out rows, and of rows that may be copied, as numbers: equal ones are
    equal but for white space around them.

    queries: places, among the held-out rows of templates of all folds, of those whose response is
    short.  wanted: (k,) their responses.  row_ids, responses: rising, of rows that may be copied.
    """

    queries: IntVector
    wanted: IntVector
    row_ids: IntVector
    responses: IntVector

    def match(self, column: Column) -> float | None:
        """The part of short responses that the nearest chosen row has, too."""
        if not len(self.queries):
            return None
        copied = column.copied()[self.queries]
        found = self.responses[np.searchsorted(self.row_ids, copied)]
        return float((found == self.wanted).mean())


def copying(
    held: Held, columns: Sequence[Column], responses: Callable[[IntVector], list[str]]
) -> Copying:
    """responses: of rows of rising ids. Reads those of all rows that one of the columns copies."""
    queries = np.concatenate([board.fold.template_rows for board in held.boards])
    names, own = np.unique(queries, return_inverse=True)
    texts = [text.strip() for text in responses(names)]
    short = np.array([0 < len(text.split()) <= SHORT_WORDS for text in texts], dtype=np.bool_)
    places = np.flatnonzero(short[own.reshape(-1)]).astype(np.int64)
    nothing = np.empty(0, dtype=np.int64)
    row_ids = np.unique(np.concatenate([nothing, *(c.copied()[places] for c in columns)]))
    numbers: dict[str, int] = {}
    wanted = [numbers.setdefault(texts[at], len(numbers)) for at in own.reshape(-1)[places]]
    copied = [numbers.get(text.strip(), -1) for text in responses(row_ids)]
    return Copying(places, np.array(wanted, np.int64), row_ids, np.array(copied, np.int64))


@dataclass(frozen=True, eq=False)
class Compared:
    """What is said of strategies beside chance: the facts of the columns of `held`."""

    held: Held
    copying: Copying

    def facts(self, column: Column, same_sizes: NDArray[np.float64] | None) -> dict[str, Any]:
        """Of a strategy; None where nothing of the kind is held out."""
        return {
            "unseen_tasks": self._coverage(column, "task", same_sizes),
            "unseen_templates": self._coverage(column, "template", same_sizes),
            "copied": self._number(self.copying.match(column), self._matches),
            "probe": self._number(_mean(column.scores), self._scores),
        }

    def of_chance(self) -> dict[str, Any]:
        """Means and deviations of the random choices."""
        found: dict[str, Any] = {}
        for name, of in (("unseen_tasks", "task"), ("unseen_templates", "template")):
            if self._some(of):
                means, lows = self._random_means[of]
                found[name] = {
                    "mean": _rounded(means.mean()),
                    "p10": _rounded(lows.mean()),
                    "deviation": _rounded(chance(means).deviation),
                }
            else:
                found[name] = None
        for name, values in (("copied", self._matches), ("probe", self._scores)):
            known = chance(values) if len(values) > 1 else None
            found[name] = known and {
                "value": _rounded(known.mean),
                "deviation": _rounded(known.deviation),
            }
        return found

    def _some(self, of: str) -> bool:
        name = "held_tasks" if of == "task" else "held_template_tasks"
        return any(len(getattr(board, name)) for board in self.held.boards)

    def _weights(self, of: str) -> NDArray[np.float64]:
        if of == "task":
            return self.held.task_parts()
        count = sum(len(board.held_template_tasks) for board in self.held.boards)
        return np.full(count, self.held.template_parts())

    @cached_property
    def _random_means(self) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Means and 10th percentiles of the random choices, of "task" and "template"."""
        found = {}
        for of in filter(self._some, ("task", "template")):
            weights = self._weights(of)
            known = [cosines(column.products(of)) for column in self.held.random]
            means = np.array([float(one @ weights) for one in known])
            found[of] = (means, np.array([float(np.quantile(one, 0.1)) for one in known]))
        return found

    @cached_property
    def _usual(self) -> NDArray[np.float64]:
        """The mean cosine of each row of a held-out task with the nearest of a random choice."""
        products = [column.products("task").astype(np.int64) for column in self.held.random]
        return cosines(np.add.reduce(products) / len(products))

    def _coverage(
        self, column: Column, of: str, same_sizes: NDArray[np.float64] | None
    ) -> dict[str, Any] | None:
        if not self._some(of):
            return None
        found, (means, _) = cosines(column.products(of)), self._random_means[of]
        value, known = float(found @ self._weights(of)), chance(means)
        facts: dict[str, Any] = {
            "mean": _rounded(value),
            "p10": _rounded(float(np.quantile(found, 0.1))),
            "delta": _rounded(value - known.mean),
            "z": _z(known, value),
        }
        if same_sizes is not None:
            facts["z_same_sizes"] = _z(chance(same_sizes[0 if of == "task" else 1]), value)
        return {**facts, **self._by_task(found)} if of == "task" else facts

    def _by_task(self, found: NDArray[np.float64]) -> dict[str, Any]:
        """In how many held-out tasks the strategy is nearer than chance, and the interval."""
        tasks = self.held.held_tasks()
        by_task = list(means_by(found - self._usual, tasks))
        deltas = np.array([delta for _, delta in by_task])
        families = self.held.families[[task for task, _ in by_task]]
        ends = interval(deltas, families, seed=self.held.seed)
        return {
            "interval": ends and [_rounded(end) for end in ends],
            "better": int((deltas > 0).sum()),
            "of": len(deltas),
        }

    @cached_property
    def _matches(self) -> NDArray[np.float64]:
        found = [self.copying.match(column) for column in self.held.random]
        return np.array([value for value in found if value is not None])

    @cached_property
    def _scores(self) -> NDArray[np.float64]:
        found = [_mean(column.scores) for column in self.held.random]
        return np.array([value for value in found if value is not None])

    @staticmethod
    def _number(value: float | None, usual: NDArray[np.float64]) -> dict[str, Any] | None:
        if value is None or len(usual) < 2:
            return None
        known = chance(usual)
        return {
            "value": _rounded(value),
            "delta": _rounded(value - known.mean),
            "z": _z(known, value),
        }


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _z(known: Chance, value: float) -> float | None:
    found = known.z(value)
    return None if found is None else round(found, 2)


def _rounded(value: Any) -> float:
    return round(float(value), 6)
