"""What the lower blocks make of each row, computed once and used by every arm, seed and fold.

They stay as they are in training, so their output is a fact of the row. The opening of the chat,
the same for all rows, is apart and in float32: its first token carries activations of 24,800, which
float16 and rounded products would spoil for all rows behind it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from quality.batches import cut
from quality.model import Shape, blocks_of, embedding_of, turns_of
from quality.sample import Sample

SHARD = 256  # rows that are computed, or lost by a kill, together
BATCH = 2_048  # tokens that go through the blocks together


@dataclass(frozen=True, eq=False)
class States:
    """The stream of every row of a sample behind the first blocks.

    kept: (all tokens, d) float16, row after row; None: token ids are given instead, since no block
    stays as it is.  opening: (o, d) float32, the stream of the opening.
    """

    sample: Sample
    kept: NDArray[np.float16] | None = None
    opening: NDArray[np.float32] | None = None

    def padded(self, rows: NDArray[np.int64]) -> Tensor:
        """The rows' streams, the opening before each: (b, t, d) float32, or ids (b, t) int64."""
        if self.kept is None or self.opening is None:
            return self.padded_ids(rows)
        starts, lengths = self.sample.tokens.starts[rows], self.sample.tokens.lengths[rows]
        count, width = self.opening.shape
        found = np.zeros((len(rows), count + int(lengths.max()), width), dtype=np.float32)
        found[:, :count] = self.opening
        for place, (start, size) in enumerate(zip(starts, lengths, strict=True)):
            found[place, count : count + size] = self.kept[start : start + size]
        return torch.from_numpy(found)

    def padded_ids(self, rows: NDArray[np.int64]) -> Tensor:
        """The rows' token ids, the opening before each: (b, t) int64."""
        tokens, count = self.sample.tokens, len(self.sample.opening)
        starts, lengths = tokens.starts[rows], tokens.lengths[rows]
        ids = np.zeros((len(rows), count + int(lengths.max())), dtype=np.int64)
        ids[:, :count] = self.sample.opening
        for place, (start, size) in enumerate(zip(starts, lengths, strict=True)):
            ids[place, count : count + size] = tokens.ids[start : start + size]
        return torch.from_numpy(ids)


class Maker:
    """Computes states: of rows, behind the first blocks.

    precision: of products; the opening is computed in float32 whatever it is.
    """

    def __init__(self, weights: Path, shape: Shape, first: int, precision: torch.dtype) -> None:
        self.shape, self.precision = shape, precision
        self.embedding = embedding_of(weights)
        self.blocks = blocks_of(weights, shape, 0, first)

    def opening(self, ids: tuple[int, ...]) -> NDArray[np.float32]:
        """(o, d) of the chat's first tokens."""
        found: NDArray[np.float32] = self._stream(torch.tensor([ids]), torch.float32)[0].numpy()
        return found

    def fill(self, states: States, rows: NDArray[np.int64]) -> None:
        """Writes the states of the rows into `states.kept`."""
        assert states.kept is not None
        tokens, opening = states.sample.tokens, len(states.sample.opening)
        order = rows[np.argsort(tokens.lengths[rows], kind="stable")]
        for batch in cut(order, tokens.lengths, BATCH):
            found = self._stream(states.padded_ids(batch), self.precision)[:, opening:].half()
            for place, row in enumerate(batch.tolist()):
                start, size = tokens.starts[row], tokens.lengths[row]
                states.kept[start : start + size] = found[place, :size].numpy()

    def of_others(self, sample: Sample, opening: NDArray[np.float32] | None) -> States:
        """The states of all rows of a small sample, in memory."""
        shape = (int(sample.tokens.lengths.sum()), self.shape.width)
        states = States(sample, np.empty(shape, dtype=np.float16), opening)
        self.fill(states, np.arange(len(sample), dtype=np.int64))
        return states

    @torch.inference_mode()
    def _stream(self, ids: Tensor, precision: torch.dtype) -> Tensor:
        x = functional.embedding(ids, self.embedding)
        turns = turns_of(x.shape[1], self.shape)
        with torch.autocast("cpu", precision, enabled=precision != torch.float32):
            for block in self.blocks:
                x = block(x, turns)
        return x


class StatesFolder:
    """States in a folder: one array for all rows, and a mark for each shard that is whole."""

    def __init__(self, sample: Sample, folder: Path, width: int) -> None:
        self.sample, self.folder, self.width = sample, folder, width

    def missing(self) -> list[int]:
        """Shards that are not there yet."""
        shards = range(-(-len(self.sample) // SHARD))
        return [shard for shard in shards if not self._mark(shard).exists()]

    def create(self) -> None:
        """Makes the array, which must be done before several processes fill it."""
        self._array()

    def make(self, maker: Maker, shard: int) -> int:
        """Writes a shard, and the opening if it is not there; returns the shard's rows."""
        opening = self.folder / "opening.npy"
        kept = self._array()
        if not opening.exists():
            partial = opening.with_suffix(f".{os.getpid()}.npy")
            np.save(partial, maker.opening(self.sample.opening))
            partial.replace(opening)
        rows = np.arange(shard * SHARD, min((shard + 1) * SHARD, len(self.sample)))
        maker.fill(States(self.sample, kept), rows)
        kept.flush()
        self._mark(shard).touch()
        return len(rows)

    def states(self) -> States:
        """All of them, to be read."""
        return States(self.sample, self._array("r"), np.load(self.folder / "opening.npy"))

    def _mark(self, shard: int) -> Path:
        return self.folder / f"shard-{shard:04d}"

    def _array(self, mode: str = "r+") -> np.memmap:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "states.npy"
        if not path.exists():
            shape = (int(self.sample.tokens.lengths.sum()), self.width)
            partial = path.with_suffix(f".{os.getpid()}")
            with partial.open("wb") as made:
                header = {"descr": "<f2", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(made, header)
                made.truncate(made.tell() + shape[0] * shape[1] * 2)
            partial.replace(path)
        return np.lib.format.open_memmap(path, mode=mode)
