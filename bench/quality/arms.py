"""The arms of the experiment: which rows each one takes of a pool, for a budget of tokens.

Every arm is one call of `smartx.select`, with the strategy that `smartx compare` knows by the same
name. What an arm draws at random comes from a seed of its own, made from its name, the seed of the
run and the rows of the pool, so that no two arms share a permutation.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

import smartx
from smartx.config import PRESETS
from smartx.errors import ConfigError, InputError
from smartx.needs import digest_of
from smartx.weights import effective

IntVector = NDArray[np.int64]
Matched = Literal["all", "response"]
SEARCHES = 12  # choices that are made, at most, to find one with so many target tokens
TWIN = 0.95  # least cosine of rows of a task of which "no twins" keeps one


@dataclass(frozen=True, eq=False)
class Pool:
    """The rows that an arm may choose from.

    rows: (n,) int64, numbers of the rows in the sample, rising.  vectors: (n, d) int16 Q12.
    tasks, templates: (n,) names.
    tokens: (n, 2) int64, of prompt and response, as the model is trained on them.
    lengths: (n, 2) int64, the same of the whole texts, which the model may see a part of; none:
    `tokens`.
    answers: (n,) token ids of the targets, for proxies; arms do not look at them.
    """

    rows: IntVector
    vectors: NDArray[np.int16]
    tasks: list[str]
    templates: list[str]
    tokens: IntVector
    lengths: IntVector | None = None
    answers: Sequence[tuple[int, ...]] = ()

    def __post_init__(self) -> None:
        if (np.diff(self.rows) <= 0).any():
            raise InputError("the numbers of the rows must rise", place="rows")
        if self.tokens.shape != (len(self.rows), 2):
            raise InputError(
                f"({len(self.rows):,}, 2) of prompt and response are needed, not "
                f"{self.tokens.shape}",
                place="tokens",
            )

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Arm:
    """What an arm asks `smartx.select` for.

    weights, ranker: as a configuration has them.  near: least cosine of near duplicates.
    grouped: whether it is told tasks and templates; if not, the pool is one group.
    part: of the tokens of the run that it takes.
    """

    weights: str
    ranker: str
    near: float | None = None
    grouped: bool = True
    part: float = 1.0


_RANDOM = Arm(*PRESETS["random"], grouped=False)  # the first rows of a permutation of the pool
_BALANCED = "facility-location:per=task"
_ARMS: dict[str, Arm] = {
    "random a": _RANDOM,
    "random b": _RANDOM,
    "proportional": Arm(*PRESETS["proportional"]),
    "equal": Arm(*PRESETS["equal"]),
    "smart-acl2024": Arm(*PRESETS["smart-acl2024"]),
    "SMART shares, random rows": Arm("taylor-softmax", "random"),
    "equal, per template": Arm("equal", "facility-location"),
    "equal, balanced": Arm("equal", _BALANCED),
    "square root, balanced": Arm("power:exponent=0.5", _BALANCED),
    "equal, k-center": Arm("equal", "k-center:per=task"),
    "equal, D4": Arm("equal", "d4"),
    "equal, longest": Arm("equal", "score:column=length"),
    "no twins": Arm(*PRESETS["random"], near=TWIN),
    # The law as-ranked counts rows; in one group the first tokens of the ranking are the same.
    "no tasks": Arm("proportional", "facility-location", grouped=False),
    "half": Arm(*PRESETS["random"], grouped=False, part=0.5),
    "shuffled targets": _RANDOM,  # training permutes the targets
}
FURTHER = ("equal, k-center", "equal, D4", "equal, longest", "no twins", "no tasks")
CONTROLS = ("half", "shuffled targets")
MAIN = tuple(name for name in _ARMS if name not in (*FURTHER, *CONTROLS))
TRAINED = tuple(_ARMS)
UNTUNED = "untuned"  # the model as it is
RANDOM = ("random a", "random b")
SELECTIONS = tuple(name for name in MAIN if name not in RANDOM)  # the main contrasts


@dataclass(frozen=True, eq=False)
class Choice:
    """The rows that an arm took, in the order in which a mixture has them.

    rows: (k,) int64, numbers of the rows in the sample.  places: (k,) int64, in the pool.
    tasks: (k,) names.  tokens: (k, 2) int64 of prompt and response.
    seconds, cpu_seconds: of choosing, on the clock and of all threads.
    """

    arm: str
    rows: IntVector
    places: IntVector
    tasks: list[str]
    tokens: IntVector
    seconds: float
    cpu_seconds: float

    def __len__(self) -> int:
        return len(self.rows)

    def facts(self) -> dict[str, Any]:
        """What a line of results says of the choice. tasks: those with a row in it;
        effective_tasks: exp of the entropy of the tasks' shares of its tokens.
        """
        tokens = shares_of(self.tasks, self.tokens.sum(axis=1))
        return {
            "rows": len(self),
            "tokens": int(self.tokens.sum()),
            "target_tokens": int(self.tokens[:, 1].sum()),
            "tasks": len(tokens),
            "effective_tasks": round(effective(tokens), 4),
            "seconds": round(self.seconds, 4),
            "cpu_seconds": round(self.cpu_seconds, 4),
            "digest": digest_of(np.sort(self.rows))[:16],
        }


def choose(
    arm: str, pool: Pool, *, tokens: int, matched: Matched = "all", seed: int, threads: int = 1
) -> Choice:
    """The rows that an arm takes of a pool, for a budget of tokens.

    arm: one of TRAINED.  tokens: of prompts and responses together, and less than one row of it is
    left over; where `matched` is "response", of responses alone (see `targets_of`), and the choice
    is within a row of it.  Shares are of all tokens in both cases.
    seed: of the run; the same arm, pool and seed give the same rows.
    `threads` change nothing but the time.
    Raises ConfigError for an unknown arm, BudgetError where the pool holds too few tokens.
    """
    asked = arm_of(arm)
    wanted = int(tokens * asked.part)
    if matched == "all":
        return _taken(arm, asked, pool, wanted, seed, threads)
    return _with_targets(
        lambda budget: _taken(arm, asked, pool, budget, seed, threads), pool, wanted
    )


def _taken(arm: str, asked: Arm, pool: Pool, tokens: int, seed: int, threads: int) -> Choice:
    near: dict[str, Any] = {}
    if asked.near is not None:
        near = {"near_duplicates": asked.near, "near_duplicates_within": "task"}
    lengths = pool.tokens if pool.lengths is None else pool.lengths
    wall, cpu = time.perf_counter(), time.process_time()
    found = smartx.select(
        pool.vectors,
        budget=tokens,
        tokens=pool.tokens,
        token_kind="all",
        tasks=pool.tasks if asked.grouped else None,
        templates=pool.templates if asked.grouped else None,
        weights=asked.weights,
        ranker=asked.ranker,
        scores={"length": lengths.sum(axis=1).astype(np.float64)},
        seed=seed_of(arm, pool, seed),
        threads=threads,
        **near,
    )
    return Choice(
        arm,
        pool.rows[found.indices],
        found.indices,
        [pool.tasks[place] for place in found.indices.tolist()],
        pool.tokens[found.indices],
        time.perf_counter() - wall,
        time.process_time() - cpu,
    )


def _with_targets(take: Callable[[int], Choice], pool: Pool, wanted: int) -> Choice:
    """The choice with so many target tokens, or nearest to it of SEARCHES.

    A budget of responses would not do: shares of responses are others than shares of all tokens
    (equal ones take twice as many rows of T0), and so it would be another arm. What is searched for
    is the budget of all tokens at which the arm has the wanted targets; all its seconds are those
    of the last call.
    """
    whole, targets = int(pool.tokens.sum()), int(pool.tokens[:, 1].sum())
    budget, longest = wanted * whole / max(1, targets), int(pool.tokens[:, 1].max(initial=0))
    best: tuple[int, Choice] | None = None
    for _ in range(SEARCHES):
        choice = take(max(1, round(budget)))
        found = int(choice.tokens[:, 1].sum())
        if best is None or abs(found - wanted) < best[0]:
            best = abs(found - wanted), choice
        if best[0] < longest:
            break
        budget = min(float(whole), budget * wanted / max(1, found))
    assert best is not None  # SEARCHES > 0
    return best[1]


def seed_of(arm: str, pool: Pool, seed: int) -> int:
    """The seed of all that an arm draws: a digest of its name, the run's seed and the pool."""
    text = f"{arm}\n{seed}\n{digest_of(pool.rows)}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")


def targets_of(pool: Pool, tokens: int) -> int:
    """The target tokens that random rows with so many tokens have, on average: the budget with
    which arms are matched in targets.
    """
    whole, targets = int(pool.tokens.sum()), int(pool.tokens[:, 1].sum())
    return round(tokens * targets / whole)


def shares_of(tasks: list[str], amounts: IntVector) -> NDArray[np.float64]:
    """(m,) the share of each task that occurs, in codepoint order. amounts: (k,) of each row."""
    names, own = np.unique(np.array(tasks, dtype=object), return_inverse=True)
    sums = np.bincount(own.reshape(-1), weights=amounts.astype(np.float64), minlength=len(names))
    return np.asarray(sums / max(1.0, math.fsum(sums.tolist())))


def arm_of(name: str) -> Arm:
    """What an arm asks for. Raises ConfigError for a name that is none."""
    if name not in _ARMS:
        raise ConfigError(
            f'there is no arm "{name}"', place="arm", fix=f"take one of {', '.join(_ARMS)}"
        )
    return _ARMS[name]
