"""Which task the next rows are drawn from, learned from the losses of training while it runs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx.draws import ONLINE_TASKS, draws
from smartx.errors import InputError, StoreError
from smartx.files import canonical_json, commit_bytes
from smartx.online.rules import PAPER, RULES, Rule, Vector
from smartx.store import is_sealed, sealed

_SCHEMA = 1
_WHAT = "online mixing"


class OnlineMixing:
    """Online Data Mixing: a bandit whose arms are tasks and whose reward is their training loss.

    In each turn (a step of the optimizer) rows are drawn by `probs()`; then `update` gets the
    losses of the tasks that were drawn. What it will draw depends on the seed, its state and the
    number of the draw alone.

    >>> from smartx.online import OnlineMixing
    >>> mixing = OnlineMixing(["sums", "words"], seed=0)
    >>> for _ in range(50):
    ...     task = mixing.draw()
    ...     mixing.update(task, 3.0 if task == "words" else 0.5)
    >>> mixing.probs().round(2)
    array([0.36, 0.64])
    """

    def __init__(
        self,
        tasks: Sequence[str],
        *,
        seed: int,
        rule: str = PAPER,
        alpha: float = 0.9,
        warmup: int = 0,
        prior: Sequence[float] | Vector | None = None,
        lag: int = 0,
    ) -> None:
        """tasks: K names, all different.  seed: of all draws.

        rule, alpha, warmup: as `Rule` has them.
        prior: K weights > 0 that draws begin with and are pulled toward, such as the shares of a
        mixture. This is ours; None, the published rule, is all equal.
        lag: rows of turn t are drawn by the probabilities before turn t - lag, for loaders that
        fetch ahead; 0 is the published rule. Losses count by the probabilities that drew them.
        """
        if len(set(tasks)) != len(tasks) or not tasks:
            raise InputError("task names must differ, and there must be one", place="tasks")
        if rule not in RULES:
            raise InputError(f"there is no rule {rule!r}", place="rule", fix=f"one of: {RULES}")
        if not 0 <= alpha < 1 or warmup < 0 or lag < 0:
            given = f"alpha={alpha}, warmup={warmup}, lag={lag}"
            raise InputError(f"alpha is in [0, 1), warmup and lag at least 0 (given: {given})")
        self.tasks, self.seed = tuple(tasks), int(seed)
        self.rule, self.lag = Rule(rule, float(alpha), int(warmup)), int(lag)
        self.prior = _shares(prior, len(tasks))
        self._relative = self.prior * len(tasks) if prior is not None else np.ones(len(tasks))
        self._places = {name: place for place, name in enumerate(self.tasks)}
        self.turn, self.draws = 0, 0
        self.rewards: Vector = np.zeros(len(tasks))
        self._probs = [self.prior]  # of turns self.turn - len + 1 .. self.turn

    def __len__(self) -> int:
        return len(self.tasks)

    def probs(self) -> Vector:
        """(K,) the newest probabilities, in the order of `tasks`."""
        return self._probs[-1]

    def probs_of(self, turn: int) -> Vector:
        """(K,) what rows of a turn are drawn by: those before turn - lag.

        turn: counted from 0. Raises InputError for a turn that is further ahead than `lag`.
        """
        ahead = turn - self.lag - self.turn
        if ahead > 0:
            raise InputError(
                f"rows of turn {turn} are drawn when {self.turn} turns are over, with lag "
                f"{self.lag}",
                place="lag",
                fix=f"pass lag={self.lag + ahead}, or call update once a turn",
            )
        return self._probs[max(0, len(self._probs) - 1 + ahead)]

    def draw(self) -> str:
        """The task of the next row."""
        place = int(self.drawn(self.turn, self.draws, self.draws + 1)[0])
        self.draws += 1
        return self.tasks[place]

    def drawn(self, turn: int, start: int, stop: int) -> NDArray[np.int64]:
        """(stop - start,) tasks of draws start..stop-1, which belong to a turn."""
        chances = np.cumsum(self.probs_of(turn))
        uniform = (draws(self.seed, ONLINE_TASKS, start, stop) >> np.uint64(11)) * 2.0**-53
        found = np.searchsorted(chances, uniform * chances[-1], side="right")
        places: NDArray[np.int64] = np.minimum(found, len(self.tasks) - 1).astype(np.int64)
        return places

    def update(self, task: str | int, loss: float) -> None:
        """End a turn in which rows of one task were drawn. loss: their mean, in nats a token."""
        self.update_all({task: loss})

    def update_all(self, losses: Mapping[Any, float]) -> None:
        """End a turn. losses: of the tasks that were drawn, by name or place; each a mean.

        Raises InputError for an unknown task or a loss that is no number; nothing changes then.
        """
        found = {self._place(task): float(loss) for task, loss in losses.items()}
        wrong = [place for place, loss in found.items() if not math.isfinite(loss)]
        if wrong:
            name = self.tasks[wrong[0]]
            raise InputError(f"the loss of task {name!r} is {found[wrong[0]]}", place="losses")
        drew, turns = self.probs_of(self.turn), self.turn + 1
        learns = turns > self.rule.warmup
        if learns:
            rewards = self.rewards.copy()
            for place, loss in found.items():
                chance, prior = float(drew[place]), float(self._relative[place])
                rewards[place] = self.rule.rewarded(float(rewards[place]), loss, chance, prior)
            self.rewards = rewards
        probs = self.rule.probabilities(self.rewards, turns, self.prior) if learns else self.prior
        probs.flags.writeable = False
        self.turn = turns
        self._probs = [*self._probs, probs][-self.lag - 1 :]

    def state(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        uniform = bool(np.all(self._relative == 1.0))
        return {
            "what": _WHAT,
            "schema": _SCHEMA,
            "tasks": list(self.tasks),
            "seed": self.seed,
            "rule": dict(vars(self.rule)),
            "prior": None if uniform else self.prior.tolist(),
            "lag": self.lag,
            "turn": self.turn,
            "draws": self.draws,
            "rewards": self.rewards.tolist(),
            "probs": [probs.tolist() for probs in self._probs],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of the same tasks, seed, rule and prior; `lag` stays as it is.

        Raises InputError where the state is of something else.
        """
        now = self.state()
        for name in ("what", "schema", "tasks", "seed", "rule", "prior"):
            if state.get(name) != now[name]:
                raise InputError(
                    f"the state that was kept differs in {name}",
                    place=_WHAT,
                    fix="go on with what it was begun with, or begin anew",
                )
        rewards = np.array(state["rewards"], dtype=np.float64)
        probs = [np.array(row, dtype=np.float64) for row in state["probs"]]
        shaped = {len(rewards), *map(len, probs)} == {len(self.tasks)}
        if not shaped or not all(map(_is_shares, probs)):
            raise InputError("the probabilities that were kept are none", place=_WHAT)
        for row in probs:
            row.flags.writeable = False
        self.turn, self.draws, self.rewards = int(state["turn"]), int(state["draws"]), rewards
        self._probs = probs

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> OnlineMixing:
        """As it was when `state` was called."""
        rule = {"rule" if name == "name" else name: v for name, v in state["rule"].items()}
        asked = {name: state[name] for name in ("seed", "prior", "lag")}
        made = cls(state["tasks"], **asked, **rule)
        made.restore(state)
        return made

    def save(self, path: Path | str) -> None:
        """Write the state as JSON, whole or not at all."""
        write_state(Path(path), self.state())

    @classmethod
    def load(cls, path: Path | str) -> OnlineMixing:
        """What `save` wrote. Raises StoreError where the file is missing or damaged."""
        return cls.from_state(read_state(Path(path)))

    def _place(self, task: str | int) -> int:
        place = self._places.get(task, -1) if isinstance(task, str) else int(task)
        if not 0 <= place < len(self.tasks):
            some = ", ".join(map(repr, self.tasks[:5]))
            raise InputError(f"there is no task {task!r}", place="task", fix=f"there are: {some}")
        return place


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """A state as sealed JSON, whole or not at all."""
    commit_bytes(path, canonical_json(sealed(state)))


def read_state(path: Path) -> dict[str, Any]:
    """What `write_state` wrote. Raises StoreError where it is missing or damaged."""
    try:
        state = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as problem:
        raise StoreError(f"it cannot be read ({str(problem)[:200]})", place=str(path)) from None
    if not isinstance(state, dict) or not is_sealed(state):
        raise StoreError("its content is not what was written", place=str(path))
    return {name: value for name, value in state.items() if name != "seal"}


def _shares(prior: Sequence[float] | Vector | None, tasks: int) -> Vector:
    found = np.full(tasks, 1.0 / tasks) if prior is None else np.array(prior, dtype=np.float64)
    if found.shape != (tasks,) or not np.all(np.isfinite(found)) or not np.all(found > 0):
        raise InputError(f"it must be {tasks} numbers above 0", place="prior")
    if not _is_shares(found):
        found = found / found.sum()
    found.flags.writeable = False
    return found


def _is_shares(found: Vector) -> bool:
    """Whether numbers are probabilities, each above 0 as every share that a loss is divided by."""
    return bool(np.all(found > 0)) and math.isclose(float(found.sum()), 1.0, abs_tol=1e-9)
