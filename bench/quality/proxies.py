"""What can be said of an arm's choice without training on it, so that it can be held against what
training showed (`trust.py`).

Numbers of data sets are means over data sets, each of which counts as much as any other, as in the
primary outcome. "Unseen" data sets are those of the fold that is held out, "seen" ones are in the
pool, and their rows that are looked at stand in other templates where there are any.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quality.arms import Choice, Pool, shares_of
from quality.sample import HELD, Sample
from quality.texts import Tokens
from smartx.compare.nearest import NearLists, near_lists
from smartx.compare.objective import Objective
from smartx.compare.proxies import cosines, coverage, probe, twins
from smartx.corpus import Groups
from smartx.needs import InMemory
from smartx.weights import effective

IntVector = NDArray[np.int64]
Answer = tuple[int, ...]
NEIGHBOURS = 8  # nearest chosen rows whose answers are looked at
SHORT = 4  # tokens of an answer that is copied, at most
VOCABULARY = 49_152  # tokens that an answer may be of


@dataclass(frozen=True)
class Proxy:
    """What a number says. better: 1 where more is taken to be better, -1 where less is."""

    says: str
    better: int = 1


PROXIES = {
    "coverage, unseen": Proxy("mean cosine of rows of unseen data sets with the nearest chosen"),
    "coverage p10, unseen": Proxy("10th percentile of the same"),
    "coverage, seen": Proxy("mean cosine of rows of seen data sets with the nearest chosen"),
    "coverage, pool": Proxy("mean cosine of the pool's rows with the nearest chosen"),
    "copied, unseen": Proxy("short answers of unseen data sets that the nearest chosen row has"),
    "copied, seen": Proxy("the same of seen data sets"),
    "unigrams, unseen": Proxy("nats a token of answers after the chosen answers' unigrams", -1),
    "unigrams, seen": Proxy("the same of seen data sets", -1),
    "neighbours, unseen": Proxy("nats a token after the unigrams of the 8 nearest chosen rows", -1),
    "neighbours, seen": Proxy("the same of seen data sets", -1),
    "probe": Proxy("macro F1 of a linear map, fitted to chosen rows, that names seen data sets"),
    "of greedy": Proxy("facility location over tasks, as a part of what greedy gets"),
    "objective": Proxy("facility location over tasks: mean cosine with the nearest of the task"),
    "twins": Proxy("part of the rows with a chosen twin in another template of their task", -1),
    "twins, anywhere": Proxy("part of the rows with any chosen twin", -1),
    "effective tasks": Proxy("exp of the entropy of the tasks' shares of tokens"),
    "largest share": Proxy("of the tokens, of a task", -1),
    "target tokens": Proxy("how many the loss is taken of"),
    "rows": Proxy("how many were chosen"),
    "mean length": Proxy("tokens of a row"),
    "mean target": Proxy("target tokens of a row"),
}


@dataclass(frozen=True, eq=False)
class Held:
    """Rows that no arm may choose.

    vectors: (m, d) int16 Q12.  tasks: (m,) names.  unseen: (m,) bool, of tasks that are not in the
    pool.  answers: (m,) token ids of the targets; none: nothing is said of answers.
    """

    vectors: NDArray[np.int16]
    tasks: list[str]
    unseen: NDArray[np.bool_]
    answers: Sequence[Answer] = ()


def held_of(sample: Sample, fold: int) -> Held:
    """The held rows of all tasks of the pool, beside a pool that leaves out one fold."""
    rows = np.flatnonzero(sample.parts == HELD)
    return Held(
        np.ascontiguousarray(sample.vectors[rows]),
        [sample.tasks[row] for row in rows.tolist()],
        sample.row_folds[rows] == fold,
        answers_of(sample.tokens, rows),
    )


def with_answers(pool: Pool, sample: Sample) -> Pool:
    """The pool, whose rows are of a sample, with their answers."""
    return replace(pool, answers=answers_of(sample.tokens, pool.rows))


def answers_of(tokens: Tokens, rows: IntVector) -> list[Answer]:
    """The token ids of the targets of some rows, without the end of the turn."""
    stops = tokens.starts + tokens.lengths
    first, last = stops - tokens.targets, stops - tokens.ends
    return [tuple(tokens.ids[first[row] : last[row]].tolist()) for row in rows.tolist()]


def proxies_of(choice: Choice, pool: Pool, held: Held) -> dict[str, float]:
    """All numbers of PROXIES that can be had, of an arm's choice from a pool.

    Those of answers need `answers` of pool and held rows, those of unseen and of seen data sets
    some held rows of the kind. Time: about a second for 1,200 of 10,000 rows.
    """
    near = near_lists(
        held.vectors, InMemory(pool.vectors), np.sort(choice.places), length=NEIGHBOURS
    )
    return {
        **_of_coverage(near, held),
        **(_of_answers(near, choice, pool, held) if held.answers and pool.answers else {}),
        **_of_probe(choice, pool, held),
        **_of_pool(choice, pool),
        **_of_mixture(choice, pool),
    }


def _of_coverage(near: NearLists, held: Held) -> dict[str, float]:
    found = {}
    for name, rows in _kinds(held):
        of = [coverage(near.products[own, 0]) for own in _by_task(held.tasks, rows)]
        found[f"coverage, {name}"] = float(np.mean([one.mean for one in of]))
        if name == "unseen":
            found["coverage p10, unseen"] = float(np.mean([one.p10 for one in of]))
    return found


def _of_answers(near: NearLists, choice: Choice, pool: Pool, held: Held) -> dict[str, float]:
    found, usual = {}, Unigrams(_counted(pool.answers, choice.places))
    for name, rows in _kinds(held):
        tasks = _by_task(held.tasks, rows)
        copied = [_copied(near, pool.answers, held.answers, own) for own in tasks]
        short = [part for part in copied if part is not None]
        if short:
            found[f"copied, {name}"] = float(np.mean(short))
        found[f"unigrams, {name}"] = float(
            np.mean([_nats(held.answers, own, [usual] * len(own)) for own in tasks])
        )
        local = [
            [Unigrams(_counted(pool.answers, near.row_ids[row]), usual) for row in own.tolist()]
            for own in tasks
        ]
        found[f"neighbours, {name}"] = float(
            np.mean([_nats(held.answers, *both) for both in zip(tasks, local, strict=True)])
        )
    return found


def _copied(
    near: NearLists, answers: Sequence[Answer], held: Sequence[Answer], rows: IntVector
) -> float | None:
    """The part of the short answers of some held rows that the nearest chosen row has, too."""
    short = [row for row in rows.tolist() if len(held[row]) <= SHORT]
    same = [held[row] == answers[int(near.row_ids[row, 0])] for row in short]
    return float(np.mean(same)) if same else None


def _nats(held: Sequence[Answer], rows: IntVector, models: Sequence[Unigrams]) -> float:
    """A token, of the answers of some held rows, each after its model."""
    answers = [held[row] for row in rows.tolist()]
    whole = sum(model.nats(answer) for model, answer in zip(models, answers, strict=True))
    return whole / max(1, sum(map(len, answers)))


class Unigrams:
    """Tokens by how often they were seen, the others by a wider model: of n tokens of t kinds, a
    token that was seen c times has the probability (c + t p) / (n + t), where p is that of the
    wider model; of the widest one, all tokens are alike.

    Source: Witten and Bell 1991.
    """

    def __init__(self, counts: Counter[int], wider: Unigrams | None = None) -> None:
        self.counts, self.kinds, self.wider = counts, len(counts), wider
        self.whole = counts.total() + self.kinds

    def probability(self, token: int) -> float:
        """Of a token. Where nothing was seen, the wider model's."""
        below = 1 / VOCABULARY if self.wider is None else self.wider.probability(token)
        if not self.whole:
            return below
        return (self.counts[token] + self.kinds * below) / self.whole

    def nats(self, answer: Answer) -> float:
        """The negative log likelihood of an answer, whole."""
        return -float(np.log([self.probability(token) for token in answer]).sum())


def _counted(answers: Sequence[Answer], places: IntVector) -> Counter[int]:
    found = Counter[int]()
    for place in places.tolist():
        found.update(answers[place])
    return found


def _of_probe(choice: Choice, pool: Pool, held: Held) -> dict[str, float]:
    seen = np.flatnonzero(~held.unseen)
    names = {name: number for number, name in enumerate(sorted({*pool.tasks, *held.tasks}))}
    own, theirs = _numbers(choice.tasks, names), _numbers(held.tasks, names)
    score = probe(pool.vectors[choice.places], own, held.vectors[seen], theirs[seen])
    return {} if score is None else {"probe": score}


def _of_pool(choice: Choice, pool: Pool) -> dict[str, float]:
    """What the choice is worth as a picture of the pool, and what its tasks are like."""
    near = near_lists(pool.vectors, InMemory(pool.vectors), np.sort(choice.places), length=1)
    found = {"coverage, pool": float(cosines(near.products).mean())}
    ordered = _ordered(pool)
    worth = ordered.objective.worth(np.sort(ordered.place[choice.places]))
    if worth is not None:
        found["objective"] = worth.value
        if worth.greedy:
            found["of greedy"] = worth.value / worth.greedy
    return found


def _of_mixture(choice: Choice, pool: Pool) -> dict[str, float]:
    ordered, tokens = _ordered(pool), choice.tokens.sum(axis=1)
    of = twins(
        pool.vectors[choice.places], ordered.task[choice.places], ordered.template[choice.places]
    )
    shares, rows = shares_of(choice.tasks, tokens), max(1, len(choice))
    return {
        "twins": of.other_template,
        "twins, anywhere": of.anywhere,
        "effective tasks": effective(shares),
        "largest share": float(shares.max(initial=0.0)),
        "target tokens": float(choice.tokens[:, 1].sum()),
        "rows": float(len(choice)),
        "mean length": float(tokens.sum()) / rows,
        "mean target": float(choice.tokens[:, 1].sum()) / rows,
    }


@dataclass(frozen=True, eq=False)
class _Ordered:
    """A pool as a corpus has it, task after task.

    place: (n,) where each of its rows stands there.  task, template: (n,) numbers of each row's.
    """

    objective: Objective
    place: IntVector
    task: IntVector
    template: IntVector


@lru_cache(maxsize=1)
def _ordered(pool: Pool) -> _Ordered:
    """Kept while the arms of one pool are looked at: it knows what greedy does there."""
    keys = list(zip(pool.tasks, pool.templates, strict=True))
    groups = sorted(set(keys))
    template = _numbers(keys, {key: number for number, key in enumerate(groups)})
    names = sorted({task for task, _ in groups})
    order = np.argsort(template, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    sizes = np.bincount(template, minlength=len(groups)).astype(np.int64)
    known = Groups(
        [""] * len(groups),
        [task for task, _ in groups],
        [name for _, name in groups],
        np.cumsum(sizes) - sizes,
        sizes,
    )
    task = _numbers(pool.tasks, {name: number for number, name in enumerate(names)})
    return _Ordered(Objective(known, InMemory(pool.vectors[order])), place, task, template)


def _kinds(held: Held) -> list[tuple[str, IntVector]]:
    """Held rows of unseen and of seen data sets, where there are some."""
    kinds = (("unseen", held.unseen), ("seen", ~held.unseen))
    return [(name, np.flatnonzero(mask)) for name, mask in kinds if mask.any()]


def _by_task(tasks: list[str], rows: IntVector) -> list[IntVector]:
    """The rows of each task, by its name."""
    names = np.array(tasks, dtype=object)[rows]
    return [rows[names == name] for name in sorted(set(names.tolist()))]


def _numbers(names: Sequence[Any], known: dict[Any, int]) -> IntVector:
    return np.array([known[name] for name in names], dtype=np.int64)
