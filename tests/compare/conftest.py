"""A run with tasks of several templates, for comparisons."""

from __future__ import annotations

import json

import numpy as np
import pytest

from smartx import pipeline
from smartx.config import config_from
from smartx.progress import Silent

TASKS = 8
TEMPLATES = 5
EACH = 14


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory):
    """8 tasks of 5 templates of 14 rows; a template asks the same 14 questions in other words."""
    folder = tmp_path_factory.mktemp("compare")
    rng = np.random.default_rng(11)
    questions = rng.normal(size=(TASKS, EACH, 12)) + 2 * rng.normal(size=(TASKS, 1, 12))
    lines, vectors = [], []
    for task in range(TASKS):
        for template in range(TEMPLATES):
            for row in range(EACH):
                lines.append(
                    {
                        "inputs": f"{template} asks {task} about {row}",
                        "targets": f"answer {row % 3}" if task % 2 else f"a long answer to {row}",
                        "task_source": "own",
                        "task_name": f"{'abcdefgh'[task]}_task",
                        "template_type": f"t{template}",
                    }
                )
                vectors.append(questions[task, row] + 0.15 * rng.normal(size=12))
    (folder / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    np.save(folder / "rows.npy", np.array(vectors, dtype=np.float32))
    config = config_from(
        {
            "sources": [str(folder / "rows.jsonl")],
            "vectors": str(folder / "rows.npy"),
            "run_dir": str(folder / "run"),
        }
    )
    pipeline.ingest_step(config, Silent())
    pipeline.embed_step(config, Silent())
    return folder / "run"
