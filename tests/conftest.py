"""What several test files need: the real corpora, and a small corpus of our own with vectors."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

# Machines are shared and noisy: how long an example took says nothing about the code.
EXAMPLES = int(os.environ.get("HYPOTHESIS_MAX_EXAMPLES", settings.default.max_examples))
settings.register_profile("smartx", deadline=None, max_examples=EXAMPLES)
settings.load_profile("smartx")

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real corpora (t0.parquet, bigbench.parquet, t0_minilm_q12.npy)."""
    folder = Path(os.environ.get("SMARTX_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "t0.parquet").exists():
        pytest.skip(f"the real corpora are not in {folder}; set SMARTX_DATA to their folder")
    return folder


@dataclass(frozen=True)
class SmallCorpus:
    """A JSONL file of FLAN-shaped rows and its vectors. Two rows have no response and are
    dropped."""

    file: Path
    vectors: Path
    rows: int = 400
    kept: int = 398


@pytest.fixture(scope="session")
def small_corpus(tmp_path_factory: pytest.TempPathFactory) -> SmallCorpus:
    """7 tasks of very different sizes, three of them with two templates, in mixed order."""
    folder = tmp_path_factory.mktemp("small")
    rng = np.random.default_rng(5)
    centres = rng.normal(size=(7, 16))
    tasks = rng.choice(7, size=400, p=[0.4, 0.25, 0.15, 0.1, 0.05, 0.03, 0.02])
    lines = [
        {
            "inputs": f"task {task}, question {row}",
            "targets": "" if row in (17, 250) else f"answer {row}",
            "task_source": "own",
            "task_name": f"task-{task}",
            "template_type": ("zs_opt", "zs_noopt")[row % 2] if task < 3 else "zs_opt",
        }
        for row, task in enumerate(tasks.tolist())
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    np.save(folder / "rows.npy", (centres[tasks] + rng.normal(size=(400, 16))).astype(np.float32))
    return SmallCorpus(folder / "rows.jsonl", folder / "rows.npy")


def tree_digest(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, by its name there."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
