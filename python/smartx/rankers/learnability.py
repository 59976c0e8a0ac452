"""Rows by how much of their loss training takes away, as LoBaSS has it.

    learnability of a row = (loss before - loss after) / loss before
before: of the pretrained model; after: of the same model once it was tuned on all rows.
Source: Zhou et al. 2023 (LoBaSS, arXiv 2310.13008). No code of it was found, and of the paper only
the abstract could be read: formula and bounds are from memory, held to nothing of theirs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from smartx.errors import ConfigError
from smartx.needs import Need
from smartx.options import number, one_of, optional
from smartx.rankers.by_score import by_score
from smartx.rankers.pool import Pool
from smartx.rankers.ranker import Order, Ranker


@dataclass(frozen=True)
class LobassRanker(Ranker):
    """By the loss that training takes away, in parts of the loss before it.

    before, after: columns of numbers, the losses of each row.
    normalised: yes: in parts of the loss before; no: the difference.
    least, most: rows whose loss before is below or above come after all others: what the model
    knows, and what looks broken. None: no bound.
    A row without a loss, or with none to lose (0 or less), comes last.
    """

    before: str = "loss_before"
    after: str = "loss_after"
    normalised: bool = True
    least: Annotated[float | None, optional(number())] = None
    most: Annotated[float | None, optional(number())] = None
    per: Annotated[str, one_of("template", "task", "corpus")] = field(default="task", kw_only=True)

    name: ClassVar[str] = "lobass"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.least is not None and self.most is not None and self.least > self.most:
            raise ConfigError(f"it is above `most` ({self.most:g})", place="least")

    @property
    def needs(self) -> tuple[Need, ...]:
        """Two columns of losses."""
        return Need(self.before, "column"), Need(self.after, "column")

    def rank(self, pool: Pool, *, threads: int) -> Order:
        """By learnability; ties go to the lower row."""
        before, after = pool.feature(self.before), pool.feature(self.after)
        known = np.isfinite(before) & np.isfinite(after) & (before > 0)
        loss = np.where(known, before, 1.0)
        gain: NDArray[np.float64] = loss - np.where(known, after, 1.0)
        if self.normalised:
            gain = gain / loss
        inside = known & _within(loss, self.least, self.most)
        unit = np.repeat(np.arange(len(pool.sizes)), pool.sizes)
        order, gains = by_score(pool, np.where(known, gain, np.nan))
        rows = order + pool.begins()
        last = np.lexsort((~inside[rows], unit))  # stable
        return order[last], gains[last]


def _within(
    values: NDArray[np.float64], least: float | None, most: float | None
) -> NDArray[np.bool_]:
    low = -np.inf if least is None else least
    high = np.inf if most is None else most
    inside: NDArray[np.bool_] = (values >= low) & (values <= high)
    return inside
