"""The vectors of every comparison: clustered ones made from a seed, and those of a real corpus."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

CLUSTERS = 60
SHARED, NOISE = 0.3, 0.9  # lengths, beside centres of length 1
_ROWS = 4096

HERE = Path(__file__).parent


def clustered(n: int, d: int, *, seed: int = 0) -> np.ndarray:
    """(n, d) float32 unit rows in clusters of unequal sizes that share a direction, as sentence
    embeddings do: cosines of about 0.5 inside a cluster and 0.05 across, where some are negative.

    A longer array starts with the rows of a shorter one.
    """
    rng = np.random.default_rng([seed, d])
    shared = _unit(rng.standard_normal((1, d)))
    centres = _unit(rng.standard_normal((CLUSTERS, d))) + SHARED * shared
    weights = np.arange(1, CLUSTERS + 1) ** -0.7
    rows = np.empty((n, d), dtype=np.float32)
    for start in range(0, n, _ROWS):
        cluster = rng.choice(CLUSTERS, size=_ROWS, p=weights / weights.sum())
        noise = rng.standard_normal((_ROWS, d), dtype=np.float32)
        block = _unit(centres[cluster] + NOISE / np.sqrt(d) * noise)
        rows[start : start + _ROWS] = block[: n - start]
    return rows


def unequal_lengths(rows: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """The rows with lengths between 0.9 and 1.1: on unit rows every first gain of log-det is equal,
    and packages break that tie at opposite ends."""
    lengths = np.random.default_rng(seed).uniform(0.9, 1.1, size=(len(rows), 1))
    return (rows * lengths).astype(np.float32)


def real_folder() -> Path | None:
    """The folder of the real corpora, SMARTX_DATA or one beside the checkout; None if absent."""
    beside = HERE.parent.parent / "shared" / "data"
    folder = Path(os.environ.get("SMARTX_DATA", beside))
    return folder if (folder / "t0_minilm_q12.npy").exists() else None


def t0_rows(n: int | None = None) -> np.ndarray:
    """(n, 384) int16 Q12 rows of T0 training prompts: all of them, or n spread evenly."""
    folder = real_folder()
    if folder is None:
        raise SystemExit("the T0 vectors are not here: set SMARTX_DATA to their folder")
    rows = np.load(folder / "t0_minilm_q12.npy")
    return rows if n is None else rows[np.linspace(0, len(rows) - 1, n).astype(np.int64)]


def t0_groups() -> tuple[np.ndarray, np.ndarray]:
    """Rows of T0 sorted by (task, template), and the sizes of those groups."""
    import pyarrow.parquet as pq

    rows = t0_rows()
    names = ["task_source", "task_name", "template_type"]
    columns = pq.read_table(real_folder() / "t0.parquet", columns=names).to_pydict()
    keys = np.array(["\0".join(key) for key in zip(*columns.values(), strict=True)])
    _, group, sizes = np.unique(keys, return_inverse=True, return_counts=True)
    return rows[np.argsort(group, kind="stable")], sizes.astype(np.int64)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
