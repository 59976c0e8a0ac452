"""One run: an arm chooses from a pool, the model trains on the choice, and is asked."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from quality.arms import UNTUNED, Choice, Matched, Pool, choose, targets_of
from quality.evaluate import evaluated
from quality.model import Decoder, Shape
from quality.sample import POOL, Sample
from quality.shuffled import shuffled
from quality.states import Maker, States
from quality.train import Recipe, train

SHUFFLED = "shuffled targets"
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Setting:
    """What a run is: its key in the results.

    tokens: of the chosen rows; where `matched` is "response", the arm takes as many answer tokens
    as random rows of so many tokens have.  share: of the rows of other folds that are the pool.
    blocks: the last ones, which train; all of them train the embedding, too.
    precision: of products; weights and sums are float32.
    """

    corpus: str
    arm: str
    fold: int
    seed: int
    tokens: int = 60_000
    matched: str = "all"
    share: float = 0.8
    blocks: int = 4
    rate: float = 3e-4
    precision: str = "bfloat16"


@dataclass(frozen=True, eq=False)
class Laboratory:
    """All that runs share: the sample, the states of its rows, the model and where it computes."""

    sample: Sample
    states: States
    weights: Path
    shape: Shape
    device: torch.device

    def run(self, setting: Setting) -> dict[str, Any]:
        """What a line of results says, the machine apart."""
        precision = PRECISIONS[setting.precision]
        model = Decoder(self.weights, self.shape, self.shape.blocks - setting.blocks).to(
            self.device
        )
        chosen = trained = None
        if setting.arm != UNTUNED:
            pool = pool_of(self.sample, setting)
            choice = choice_of(setting, pool)
            chosen = choice.facts()
            states, rows = self.training_rows(setting, choice)
            trained = train(
                model,
                states,
                rows,
                Recipe(rate=setting.rate),
                seed=seed_of(setting.fold, setting.seed, 1),
                device=self.device,
                precision=precision,
            )
        found = evaluated(model, self.states, setting.fold, device=self.device, precision=precision)
        return {
            "setting": asdict(setting),
            "sample": self.sample.digest,
            "chosen": chosen,
            "trained": trained,
            "evaluated": found,
        }

    def training_rows(self, setting: Setting, choice: Choice) -> tuple[States, NDArray[np.int64]]:
        """The rows to train on, and the states that they are of."""
        if setting.arm != SHUFFLED:
            return self.states, choice.rows
        seed = seed_of(setting.fold, setting.seed, 2)
        sample = shuffled(self.sample, choice.rows, np.random.default_rng(seed))
        rows = np.arange(len(choice), dtype=np.int64)
        first = self.shape.blocks - setting.blocks
        if first == 0:
            return States(sample), rows
        maker = Maker(self.weights, self.shape, first, PRECISIONS[setting.precision])
        return maker.of_others(sample, self.states.opening), rows


def pool_of(sample: Sample, setting: Setting) -> Pool:
    """A fresh draw of the rows of all folds but one."""
    rows = np.flatnonzero((sample.parts == POOL) & (sample.row_folds != setting.fold))
    rng = np.random.default_rng(seed_of(setting.fold, setting.seed, 0))
    rows = np.sort(rng.permutation(rows)[: round(setting.share * len(rows))])
    costs = sample.tokens.costs(len(sample.opening))
    return Pool(
        rows,
        np.ascontiguousarray(sample.vectors[rows]),
        [sample.tasks[row] for row in rows.tolist()],
        [sample.templates[row] for row in rows.tolist()],
        costs[rows],
        sample.whole[rows],
    )


def choice_of(setting: Setting, pool: Pool) -> Choice:
    """The rows that the arm takes."""
    matched = cast(Matched, setting.matched)
    tokens = setting.tokens if matched == "all" else targets_of(pool, setting.tokens)
    return choose(setting.arm, pool, tokens=tokens, matched=matched, seed=setting.seed)


def seed_of(*numbers: int) -> int:
    """A seed that depends on all the numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
