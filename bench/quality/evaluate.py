"""What a trained model makes of rows that it never saw: sums for each task, in nats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from quality.batches import asked_of, cut
from quality.model import Decoder
from quality.sample import HELD, OTHER, Sample
from quality.states import States

BATCH = 4_096  # tokens of a batch
SEEN, OTHERS = 8, 3  # rows of each task that is trained on, and of each of BIG-bench


@dataclass(frozen=True, eq=False)
class Losses:
    """Of n rows. content: (n,) summed negative log-likelihood of the answer's tokens, its end
    apart.  tokens: (n,) how many.  end: (n,) of the end, NaN where the answer was cut.
    """

    content: NDArray[np.float64]
    tokens: NDArray[np.int64]
    end: NDArray[np.float64]

    @property
    def means(self) -> NDArray[np.float64]:
        """(n,) per token of the answer; an answer of no token has none."""
        found: NDArray[np.float64] = self.content / np.maximum(self.tokens, 1)
        return found


def evaluated(
    model: Decoder,
    states: States,
    fold: int,
    *,
    device: torch.device,
    precision: torch.dtype,
) -> dict[str, dict[str, list[float]]]:
    """Sums of the fold's held-out tasks, of the tasks of other folds and of BIG-bench's.

    Each: TASK -> [summed loss, tokens, summed loss of ends, ends, rows ranked right, ranked].
    """
    sample = states.sample
    held = np.flatnonzero((sample.parts == HELD) & (sample.row_folds == fold))
    others = np.flatnonzero((sample.parts == HELD) & (sample.row_folds != fold))
    seen = _first_of_tasks(sample, others, SEEN)
    other = _first_of_tasks(sample, np.flatnonzero(sample.parts == OTHER), OTHERS)
    options = np.array(
        [o for row in held.tolist() for o in sample.options.get(row, [])], dtype=np.int64
    )
    rows = np.concatenate([held, options, seen, other])
    found = losses(model, states, rows, device=device, precision=precision)
    place = {int(row): at for at, row in enumerate(rows)}
    return {
        "held": _sums(sample, held, found, place),
        "seen": _sums(sample, seen, found, place),
        "bigbench": _sums(sample, other, found, place),
    }


@torch.inference_mode()
def losses(
    model: Decoder,
    states: States,
    rows: NDArray[np.int64],
    *,
    device: torch.device,
    precision: torch.dtype,
) -> Losses:
    """Of each row, in the order in which they are given."""
    tokens, opening = states.sample.tokens, len(states.sample.opening)
    content, end = np.zeros(len(rows)), np.full(len(rows), np.nan)
    model.eval()
    lengths = tokens.lengths[rows]
    for members in cut(np.argsort(lengths, kind="stable"), lengths, BATCH):
        batch = rows[members]
        asked = asked_of(tokens, batch, opening)
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            flat = model(states.padded(batch).to(device), *asked.to(device)).cpu().numpy()
        whole = np.zeros(asked.real.shape)
        whole[asked.real.numpy()] = flat
        last = whole[np.arange(len(batch)), tokens.targets[batch] - 1]
        ends = tokens.ends[batch]
        content[members] = whole.sum(1) - np.where(ends, last, 0.0)
        end[members] = np.where(ends, last, np.nan)
    return Losses(content, tokens.targets[rows] - tokens.ends[rows], end)


def _first_of_tasks(sample: Sample, rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The first rows of each task, so many of each."""
    left: dict[str, int] = {}
    taken = []
    for row in rows.tolist():
        left[sample.tasks[row]] = left.get(sample.tasks[row], 0) + 1
        if left[sample.tasks[row]] <= count:
            taken.append(row)
    return np.array(taken, dtype=np.int64)


def _sums(
    sample: Sample, rows: NDArray[np.int64], found: Losses, place: dict[int, int]
) -> dict[str, list[float]]:
    sums: dict[str, list[Any]] = {}
    for row in rows.tolist():
        at, total = place[row], sums.setdefault(sample.tasks[row], [0.0, 0, 0.0, 0, 0, 0])
        total[0] += found.content[at]
        total[1] += int(found.tokens[at])
        if not np.isnan(found.end[at]):
            total[2] += found.end[at]
            total[3] += 1
        options = [place[option] for option in sample.options.get(row, []) if option in place]
        if options:
            total[4] += int(_ranked_right(found.means, at, options))
            total[5] += 1
    return {
        task: [round(total[0], 4), total[1], round(total[2], 4), *total[3:]]
        for task, total in sorted(sums.items())
    }


def _ranked_right(means: NDArray[np.float64], own: int, options: Sequence[int]) -> bool:
    """Whether the own answer is likelier, token by token, than each wrong one."""
    return bool((means[own] < means[list(options)]).all())
