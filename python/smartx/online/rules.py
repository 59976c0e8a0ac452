"""How Online Data Mixing turns losses into probabilities, as published twice: in the paper and in
the authors' repository, which differ.

Source: Albalak, Pan, Raffel, Wang (2023), Efficient Online Data Mixing for Language Model
Pre-Training, arXiv 2312.02406; alon-albalak/online-data-mixing, SmoothedMeanWeightUpdater.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Vector: TypeAlias = NDArray[np.float64]
PAPER, REPOSITORY = "paper", "repository"
RULES = (PAPER, REPOSITORY)


def exploration(turn: int, tasks: int) -> float:
    """eps_t = min(1/K, sqrt(ln K / (K t))), the share that every task keeps; 1/K where t is 0.

    It is 1/K, and so all tasks are equal, until turn K ln K.
    """
    if turn < 1:
        return 1.0 / tasks
    return min(1.0 / tasks, math.sqrt(math.log(tasks) / (tasks * turn)))


@dataclass(frozen=True)
class Rule:
    """One of RULES, with the smoothing of its rewards and the turns that it only watches.

    name: "paper": R_i <- alpha R_i + (1 - alpha) L_i / pi_i, with the pi that drew the turn, and
    pi_i = (1 - K eps_t) softmax(eps_(t-1) R)_i + eps_t for turn t = 1, 2, ...
    "repository": R_i <- alpha R_i + (1 - alpha) exp(L_i), and after update t
    pi_i = (1 - K eps_t) R_i / sum R + eps_t.
    alpha: of the moving average, 0.9 in both.  warmup: turns after which rewards begin.
    """

    name: str = PAPER
    alpha: float = 0.9
    warmup: int = 0

    def rewarded(self, reward: float, loss: float, chance: float, prior: float) -> float:
        """A task's reward after a turn in which its loss was `loss`.

        chance: its probability when the turn was drawn.  prior: its share of the prior times K.
        """
        gained = prior * loss / chance if self.name == PAPER else math.exp(min(loss, 700.0))
        return self.alpha * reward + (1.0 - self.alpha) * gained

    def probabilities(self, rewards: Vector, turns: int, prior: Vector) -> Vector:
        """(K,) those of the next turn, once `turns` are over.

        prior: (K,) shares that sum to 1; 1/K each is what was published. Ours: softmax and
        R / sum R are weighted by it, and exploration is by it instead of uniform.
        """
        tasks = len(rewards)
        if self.name == PAPER:
            now, before = exploration(turns + 1, tasks), exploration(turns, tasks)
            scaled = before * rewards
            weights = prior * np.exp(scaled - scaled.max())
        else:
            now = exploration(turns, tasks)
            weights = prior * rewards
        total = weights.sum()
        weights = weights / total if total > 0 else prior
        return (1.0 - tasks * now) * weights + tasks * now * prior
