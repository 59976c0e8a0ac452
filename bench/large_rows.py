"""Vectors of one large group, made from a seed: clustered, repeated, or as MiniLM's."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from smartx.engine import quantize

CLUSTERS, CATEGORIES = 2_000, 40
COPIES = 10  # of an original on the mean, where rows repeat


def rows_of(folder: Path, kind: str, rows: int, dimensions: int) -> np.ndarray:
    """(rows, dimensions) int16 Q12, kept in the folder once they are made."""
    path = folder / f"{kind}-{rows}-{dimensions}.npy"
    if not path.exists():
        made = quantize(KINDS[kind](rows, dimensions), threads=1)
        with open(path.with_suffix(".tmp"), "wb") as file:
            np.save(file, made)
        path.with_suffix(".tmp").replace(path)
    return np.load(path)


def clustered(rows: int, d: int, clusters: int = CLUSTERS) -> np.ndarray:
    """Cluster j of size 1/j; the noise inside falls off over the dimensions, as of encoders."""
    rng = np.random.default_rng([1, rows, d])
    categories, own = _unit(rng, CATEGORIES, d), _unit(rng, clusters, d)
    centres = np.float32(0.45) * categories[rng.integers(0, CATEGORIES, clusters)]
    centres += np.float32(0.6) * own
    scale = _falling(d, 0.4)
    sizes = 1 / np.arange(1, clusters + 1)
    made = rng.standard_normal((rows, d), dtype=np.float32) * scale
    made += centres[rng.choice(clusters, rows, p=sizes / sizes.sum())]
    return made


def repeats(rows: int, d: int) -> np.ndarray:
    """Rows that are others again: popular ones more often, a third of the copies exact."""
    count = max(1, rows // COPIES)
    originals = clustered(count, d, max(10, count // 100))
    originals /= np.linalg.norm(originals, axis=1, keepdims=True)
    rng = np.random.default_rng([2, rows, d])
    popular = 1 / np.arange(1, count + 1) ** 0.6
    made = originals[rng.choice(count, rows, p=popular / popular.sum())]
    blurred = rng.random(rows) > 1 / 3
    noise = rng.standard_normal((int(blurred.sum()), d), dtype=np.float32)
    made[blurred] += noise * np.float32(0.15 / np.sqrt(d))
    return made


def minilm(rows: int, d: int) -> np.ndarray:
    """MiniLM's vectors of T0 on their first d principal axes, each mixed with that of a row near by
    in the corpus (mostly of its template) and blurred.
    """
    real = np.load(Path(os.environ["SMARTX_DATA"]) / "t0_minilm_q12.npy").astype(np.float32)
    real /= np.linalg.norm(real, axis=1, keepdims=True)
    if d < real.shape[1]:
        axes = np.linalg.eigh(real.T @ real)[1][:, ::-1][:, :d]
        real = real @ axes
    rng = np.random.default_rng([3, rows, d])
    one = rng.integers(0, len(real), rows)
    other = np.clip(one + rng.integers(-100, 101, rows), 0, len(real) - 1)
    part = rng.uniform(0.6, 1, rows).astype(np.float32)[:, None]
    made = part * real[one] + (1 - part) * real[other]
    made += rng.standard_normal(made.shape, dtype=np.float32) * np.float32(0.2 / np.sqrt(d))
    return made


KINDS = {"clustered": clustered, "repeats": repeats, "minilm": minilm}


def _unit(rng: np.random.Generator, count: int, d: int) -> np.ndarray:
    made = rng.standard_normal((count, d)).astype(np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made


def _falling(d: int, total: float) -> np.ndarray:
    variance = 1 / np.arange(1, d + 1)
    return np.sqrt(total * variance / variance.sum()).astype(np.float32)
