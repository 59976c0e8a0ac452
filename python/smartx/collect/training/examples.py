"""Rows as a trainer reads them: token ids, and as labels those of the response alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx.causal import Tokens

UNLABELLED = -100  # what a model's loss leaves out


@dataclass(frozen=True, eq=False)
class Examples:
    """What is trained on, one example after another; it is a data set of torch as it is.

    ids: int32, tokens of all rows behind each other.  ends: (r,) where each row's end.
    responses: (r,) where in its row each response begins.
    order: (e,) which row each example is; a row may come several times.
    """

    ids: NDArray[np.int32]
    ends: NDArray[np.int64]
    responses: NDArray[np.int64]
    order: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Iterable[Tokens], order: NDArray[np.int64]) -> Examples:
        """Of rows, in this order."""
        ids, lengths, responses = [np.empty(0, np.int32)], list[int](), list[int]()
        for row in rows:
            ids.append(np.array(row.ids, dtype=np.int32))
            lengths.append(len(row))
            responses.append(row.response_from)
        ends = np.cumsum(np.array(lengths, dtype=np.int64))
        return cls(np.concatenate(ids), ends, np.array(responses, dtype=np.int64), order)

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, place: int) -> dict[str, NDArray[np.int64]]:
        row = int(self.order[place])
        start = int(self.ends[row - 1]) if row else 0
        ids = self.ids[start : self.ends[row]].astype(np.int64)
        labels = ids.copy()
        labels[: self.responses[row]] = UNLABELLED
        return {"input_ids": ids, "labels": labels}


def collated(examples: Sequence[dict[str, NDArray[np.int64]]]) -> dict[str, Any]:
    """Examples as tensors of one length, padded on the right, where no token looks."""
    import torch

    def padded(name: str, value: int) -> Any:
        rows = [torch.from_numpy(example[name]) for example in examples]
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=value)

    read = [torch.ones(len(example["input_ids"]), dtype=torch.long) for example in examples]
    return {
        "input_ids": padded("input_ids", 0),
        "attention_mask": torch.nn.utils.rnn.pad_sequence(read, batch_first=True),
        "labels": padded("labels", UNLABELLED),
    }
