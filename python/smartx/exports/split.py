"""The rows that are set aside to validate on."""

from __future__ import annotations

import hashlib
from collections import Counter
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from smartx.amounts import Amount, Percent
from smartx.budget.rounding import apportion
from smartx.draws import VALIDATION, draws_at
from smartx.errors import InputError
from smartx.exports.rows import Rows


def validation_rows(rows: Rows, asked: Amount, seed: int) -> NDArray[np.bool_]:
    """(n,) which rows of a mixture are for validation.

    asked: in all, or a percentage of the rows. Every task gives in proportion to its rows, and
    keeps one at least. Rows with the same text before the last answer, copies of a row among them,
    are on one side, of whatever tasks they are: so it may be fewer than asked, never more.
    What is drawn depends on the seed and the texts alone, not on the order of the rows.
    Raises InputError where more is asked than the tasks can give, or less than a row.
    """
    names, task = rows.tasks
    sizes = np.bincount(task, minlength=len(names))
    most = int((sizes - 1).sum())
    total = int(asked.of(len(rows)) // Fraction(1)) if isinstance(asked, Percent) else asked
    if not 1 <= total <= most:
        raise InputError(
            f"{asked} of {len(rows):,} rows are {total:,}, and 1 to {most:,} can be set aside "
            f"(a row of each of {len(names):,} tasks at least is left to train on)",
            place="validation",
            fix="ask for another number of rows, or percentage",
        )
    quota = apportion(sizes.astype(np.float64), sizes - 1, total)
    return _drawn(_texts(rows), task, quota.tolist(), seed)


def _texts(rows: Rows) -> NDArray[np.uint64]:
    """(n,) 64 bits of the SHA-256 of what each row says before its last answer."""
    found = (
        hashlib.sha256((text or "").encode()).digest()[:8]
        for _, table in rows.pieces([rows.prompt])
        for text in table[rows.prompt].to_pylist()
    )
    return np.frombuffer(b"".join(found), dtype="<u8").astype(np.uint64)


def _drawn(
    texts: NDArray[np.uint64], task: NDArray[np.int64], quota: list[int], seed: int
) -> NDArray[np.bool_]:
    """Texts in the order of their draws, each with all its rows if its tasks still give so many."""
    known, unit = np.unique(texts, return_inverse=True)
    order = np.lexsort((known, draws_at(seed, VALIDATION, known)))
    members = np.argsort(unit, kind="stable")
    ends = np.cumsum(np.bincount(unit))
    taken = np.zeros(len(texts), dtype=np.bool_)
    for one in order.tolist():
        places = members[(ends[one - 1] if one else 0) : ends[one]]
        wanted = Counter(task[places].tolist())
        if all(quota[which] >= count for which, count in wanted.items()):
            taken[places] = True
            for which, count in wanted.items():
                quota[which] -= count
    return taken
