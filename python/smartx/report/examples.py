"""Rows of each task to look at: the first that were taken, and what was passed over, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smartx.mixture.names import shown
from smartx.report.material import Material
from smartx.report.walk import APART, PASSED, PICKED, Ranked, Walk

TEXT_BYTES = 2_500_000  # about, of all shown texts together
LONGEST, SHORTEST = 700, 120  # characters that are shown of one text
LARGE = 4_000_000  # rows of a corpus of which only the first tasks have any: all of it is read
NEAR_ROWS = 2_000  # taken rows of a task that a passed-over one is compared with


@dataclass(frozen=True)
class Example:
    """A row to look at. kind: PICKED, PASSED or APART.  cosine: with the nearest taken row."""

    kind: str
    row: int
    rank: int
    gain: float
    prompt: str
    response: str
    cosine: float | None = None


def examples(material: Material, found: Walk, first: Sequence[int] = ()) -> list[list[Example]]:
    """Of each task: up to 3 that were taken, 2 passed over, 1 not to be taken; fewer and shorter
    ones where there are many tasks.

    first: of a very large corpus, the tasks that have any.
    """
    count = len(material.tasks)
    shown_tasks = set(range(count) if material.corpus.num_rows <= LARGE else first)
    few = count > 400
    wanted = {PICKED: 2 if few else 3, PASSED: 1 if few else 2, APART: 1}
    picked = {
        kind: [
            line[:many] if task in shown_tasks else [] for task, line in enumerate(found.rows[kind])
        ]
        for kind, many in wanted.items()
    }
    total = sum(len(line) for lines in picked.values() for line in lines)
    length = int(np.clip(TEXT_BYTES // max(1, 2 * total), SHORTEST, LONGEST))
    ids = np.array(
        sorted({one.row for lines in picked.values() for line in lines for one in line}),
        dtype=np.int64,
    )
    texts = _texts(material, ids, length)
    return [
        [
            Example(kind, one.row, one.rank, one.gain, *texts[one.row], cosine=cosine)
            for kind, lines in picked.items()
            for one, cosine in zip(
                lines[task], _nearest(material, task, kind, lines[task]), strict=True
            )
        ]
        for task in range(count)
    ]


def text_shown(text: str, length: int) -> str:
    """Text of a row as it is, without control characters other than line ends, cut."""
    lines = (shown(line, length) for line in text[:length].split("\n"))
    return "\n".join(lines) + ("…" if len(text) > length else "")


def _texts(material: Material, ids: NDArray[np.int64], length: int) -> dict[int, tuple[str, str]]:
    """Prompt and response of rows of rising ids."""
    found: dict[int, tuple[str, str]] = {}
    for table in material.corpus.rising(ids, ["row_id", "prompt", "response"]):
        columns = (table[name].to_pylist() for name in ("row_id", "prompt", "response"))
        for row, prompt, response in zip(*columns, strict=True):
            found[row] = (text_shown(prompt or "", length), text_shown(response or "", length))
    return found


def _nearest(material: Material, task: int, kind: str, rows: list[Ranked]) -> list[float | None]:
    """The largest cosine of each row with the taken rows of its task; with a sample of very many.

    Products of Q12 rows are whole numbers that float64 sums exactly.
    """
    if kind == PICKED or material.mapped is None or not rows:
        return [None] * len(rows)
    start, count = int(material.tasks.start[task]), int(material.tasks.rows[task])
    taken = np.flatnonzero(material.picked[start : start + count]) + start
    if not len(taken):
        return [None] * len(rows)
    if len(taken) > NEAR_ROWS:
        taken = taken[np.arange(NEAR_ROWS) * len(taken) // NEAR_ROWS]
    others = material.mapped.take(taken).astype(np.float64)
    own = np.concatenate([material.mapped.rows(one.row, one.row + 1) for one in rows]).astype(
        np.float64
    )
    lengths = np.sqrt((others * others).sum(axis=1)), np.sqrt((own * own).sum(axis=1))
    scale = np.maximum(lengths[1][:, None] * lengths[0][None, :], 1.0)
    cosines = (own @ others.T) / scale
    return [round(float(value), 3) for value in cosines.max(axis=1)]
