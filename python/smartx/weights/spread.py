"""How a law spreads the rows: whether it does anything that equal or proportional mixing does not.

effective tasks = exp(- sum of w log w), from 1 (one task has all) to the number of tasks
KL to proportional = sum of w log(w / p), p a task's share of the corpus, in nats
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

NEAR = 0.02  # a law is called equal or proportional where so small a part of the rows would move


def effective(weights: NDArray[np.float64]) -> float:
    """The effective number of tasks. weights: > 0, they need not sum to 1."""
    whole = math.fsum(weights.tolist())
    parts = [weight / whole for weight in weights.tolist()]
    return math.exp(-math.fsum(part * math.log(part) for part in parts if part))


def spread_of(weights: NDArray[np.float64], rows: NDArray[np.int64]) -> dict[str, Any] | None:
    """What a manifest says of the shares of all tasks; None where there are none.

    weights: (M,) float64 >= 0, 0 for a task that was not chosen.  rows: (M,) rows of each.
    Rounded, so that the last bits of a machine's logarithm are not in it.
    """
    chosen = np.flatnonzero(weights > 0)
    if not len(chosen):
        return None
    shares, held = weights[chosen] / weights.sum(), rows[chosen].astype(np.float64)
    ratios = (shares / (held / rows.sum())).tolist()
    divergence = math.fsum(w * math.log(r) for w, r in zip(shares.tolist(), ratios, strict=True))
    moved = {
        "equal": float(np.abs(shares - 1 / len(chosen)).sum()) / 2,
        "proportional": float(np.abs(shares - held / held.sum()).sum()) / 2,
    }
    like = min(moved, key=lambda law: moved[law])
    return {
        "tasks": len(chosen),
        "effective_tasks": round(effective(shares), 4),
        "kl_to_proportional": round(max(0.0, divergence), 6),
        "largest": {"task": int(chosen[shares.argmax()]), "share": round(float(shares.max()), 6)},
        "like": like if moved[like] <= NEAR else None,
        "moved": {law: round(part, 6) for law, part in moved.items()},
    }


def spread_line(found: dict[str, Any], largest: str) -> str:
    """The same for a person. largest: the name of the task with the largest share."""
    if found["tasks"] == 1:
        return f"all rows are of one task ({largest})"
    text = (
        f"{found['effective_tasks']:,.1f} effective of {found['tasks']:,} tasks (as even as so "
        f"many of one size), the largest share {found['largest']['share']:.1%} ({largest}); "
    )
    moved, like = found["moved"], found["like"]
    if moved["proportional"] > NEAR:
        text += f"proportional mixing would take {moved['proportional']:.1%} of the rows elsewhere "
        text += f"(KL to proportional {found['kl_to_proportional']:.3f}); "
    if like:
        text += f"{like} mixing but for {moved[like]:.1%} of the rows"
    return text.removesuffix("; ")
