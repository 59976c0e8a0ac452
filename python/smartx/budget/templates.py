"""How a task's rows are split among its templates: by their sizes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from smartx.budget.arguments import IntVector, check_room, scatter, whole_number, whole_numbers
from smartx.budget.rounding import apportion, topped_up
from smartx.errors import InputError

FLAN_TEMPLATES = ("zs_opt", "zs_noopt", "fs_opt", "fs_noopt")


def template_budgets(
    counts: ArrayLike, total: int, names: Sequence[str] | None = None
) -> IntVector:
    """Split a task's `total` rows among its templates by their sizes.

    counts: (k,) int64, rows of each template.  names: the templates; None: FLAN's zs_opt, zs_noopt,
    fs_opt, fs_noopt where there are 4 counts. With FLAN's names the published rule holds: zero-shot
    against few-shot first, then with against without options. Any other names: in proportion, by
    largest remainder.
    Returns (k,) int64 that sums to exactly `total`, never above a count.
    Raises BudgetError if the counts sum to less than `total`.

    >>> import smartx
    >>> smartx.template_budgets([30, 20, 10], 12)
    array([6, 4, 2])
    """
    held, total = whole_numbers("counts", counts), whole_number("total", total)
    if names is None:
        names = FLAN_TEMPLATES if len(held) == 4 else [""] * len(held)
    if len(names) != len(held):
        raise InputError(f"{len(names)} names for {len(held)} counts", place="names")
    check_room(held, total, "templates", "lower the total")
    if not set(names) <= set(FLAN_TEMPLATES) or len(set(names)) < len(names):
        return scatter(
            np.flatnonzero(held), apportion(held[held > 0], held[held > 0], total), len(held)
        )
    slots = dict(zip(names, held.tolist(), strict=True))
    given = dict(
        zip(
            FLAN_TEMPLATES,
            _flan_split([slots.get(n, 0) for n in FLAN_TEMPLATES], total),
            strict=True,
        )
    )
    return np.array([given[name] for name in names], dtype=np.int64)


def _flan_split(counts: list[int], total: int) -> list[int]:
    """Budgets of zs_opt, zs_noopt, fs_opt, fs_noopt, by the rule of the published scripts.

    They fail on a task with few-shot rows and no zero-shot rows; here the few-shot rows get
    everything.
    """
    zero_shot, few_shot = counts[:2], counts[2:]
    first, second = _among_present([sum(zero_shot), sum(few_shot)], total)
    return _among_present(zero_shot, first) + _among_present(few_shot, second)


def _among_present(counts: list[int], total: int) -> list[int]:
    if 0 in counts:
        return [total if count else 0 for count in counts]
    return topped_up(total, [total * count // sum(counts) for count in counts])
