"""What a process does: shards of states, then runs, in a folder that holds all that they share."""

from __future__ import annotations

import ctypes
import signal
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from quality.model import Shape, model_weights
from quality.one_run import PRECISIONS, Laboratory, Setting
from quality.sample import Sample, open_sample
from quality.states import Maker, States, StatesFolder


@dataclass(frozen=True)
class Place:
    """Where runs are made. out: the folder of sample, model, states and results.

    device: as torch names it.  blocks: the last ones, which train.  precision: of products.
    """

    out: Path
    device: str
    blocks: int
    precision: str

    @property
    def first(self) -> int:
        """The first block that trains."""
        return Shape().blocks - self.blocks

    @cached_property
    def sample(self) -> Sample:
        return open_sample(self.out)

    @cached_property
    def weights(self) -> Path:
        return model_weights(self.out / "model")

    @cached_property
    def folder(self) -> StatesFolder:
        """The states behind the blocks that stay as they are."""
        name = f"states-{self.first}-{self.precision}-{self.sample.digest}"
        return StatesFolder(self.sample, self.out / name, Shape().width)

    @cached_property
    def maker(self) -> Maker:
        return Maker(self.weights, Shape(), self.first, PRECISIONS[self.precision])

    @cached_property
    def laboratory(self) -> Laboratory:
        states = self.folder.states() if self.first else States(self.sample)
        return Laboratory(self.sample, states, self.weights, Shape(), torch.device(self.device))


_OWN: list[Place] = []  # of this process


def prepare(place: Place) -> None:
    """To be called once in a process, before its first job."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started it ends it
    if place.device == "cpu":
        torch.set_num_threads(1)
    _OWN[:] = [place]


def make_shard(shard: int) -> int:
    """Computes and keeps a shard of states; returns its rows."""
    return _OWN[0].folder.make(_OWN[0].maker, shard)


def run(setting: Setting) -> dict[str, Any]:
    """A line of results, the machine apart."""
    line = _OWN[0].laboratory.run(setting)
    _give_back()
    return line


def _give_back() -> None:
    """Memory that a run has freed goes back to the system, where the C library knows how: it lies
    in pieces between what is kept, and a process would grow with every run.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
