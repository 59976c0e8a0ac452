"""Runs of the quality bench that nobody made: known effects, known noise, no model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

FOLDS = 4
TASKS = {f"task {i:02d}": f"family {min(i // 2, 9)}" for i in range(24)}
PLACES = {task: int(family.split()[1]) % FOLDS for task, family in TASKS.items()}
PARENTS = tuple(f"parent_{i}" for i in range(10))
SETTING = {
    "corpus": "t0", "tokens": 100_000, "matched": "all", "blocks": 4, "rate": 0.0003,
    "precision": "bfloat16",
}  # fmt: skip


@dataclass(frozen=True)
class Made:
    """effects: nats of each arm on every data set, besides random rows. noise: sd over seeds of
    a data set; luck: sd over seeds of a whole run.
    """

    effects: Mapping[str, float]
    seeds: Sequence[int] = (0, 1, 2)
    folds: Sequence[int] = tuple(range(FOLDS))
    noise: float = 0.02
    luck: float = 0.005
    setting: Mapping[str, Any] = field(default_factory=dict)
    sample: str = "0123456789abcdef"

    def lines(self) -> list[dict[str, Any]]:
        return [
            self.line(arm, fold, seed)
            for fold in self.folds
            for arm in self.effects
            for seed in ((0,) if arm == "untuned" else self.seeds)
        ]

    def line(self, arm: str, fold: int, seed: int) -> dict[str, Any]:
        rng = _rng(arm, fold, seed)
        shift = self.effects[arm] + rng.normal(0, self.luck)
        held = [task for task in TASKS if PLACES[task] == fold]
        seen = [task for task in TASKS if PLACES[task] != fold]
        tuned = arm != "untuned"
        chosen = {
            "rows": 1_443, "tokens": 99_990, "target_tokens": 13_000 + len(arm), "tasks": 18,
            "effective_tasks": 16.5, "seconds": 0.5 + len(arm) / 10, "digest": f"{arm}{seed}",
        }  # fmt: skip
        trained = {
            "steps": 88, "first": 4.1, "last": 3.1, "cpu_seconds": 60.0, "seconds": 65.0,
        }  # fmt: skip
        return {
            "sample": self.sample,
            "setting": {"arm": arm, "fold": fold, "seed": seed, **SETTING, **self.setting},
            "chosen": chosen if tuned else None,
            "trained": trained if tuned else None,
            "evaluated": {
                "held": {t: self._kept(t, shift, rng) for t in held},
                "seen": {t: self._kept(t, 2 * shift, rng) for t in seen},
                "bigbench": {p: self._kept(p, shift / 2, rng) for p in PARENTS},
            },
            "machine": {"processor": "none"},
        }

    def _kept(self, task: str, shift: float, rng: np.random.Generator) -> list[float]:
        level, tokens = _level(task)
        content = level + shift + rng.normal(0, self.noise)
        right = int(rng.binomial(40, np.clip(0.5 - shift, 0.05, 0.95)))
        return [round(content * tokens, 6), tokens, round(60 * (0.5 + shift), 6), 60, right, 40]


def write(folder: Path, lines: Sequence[Mapping[str, Any]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    sample = {"families": TASKS, "folds": PLACES}
    (folder / "sample.json").write_text(json.dumps(sample))
    (folder / "runs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@cache
def _level(task: str) -> tuple[float, int]:
    """A data set's own loss and its target tokens, the same in every run."""
    own = _rng(task)
    return own.uniform(1, 4), int(own.integers(200, 900))


def _rng(*names: object) -> np.random.Generator:
    digest = hashlib.sha256("/".join(map(str, names)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))
