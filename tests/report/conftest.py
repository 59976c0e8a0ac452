"""One mixture of the small corpus, and what it was made from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import odd_mixtures
import smartx
from smartx.mixture import Mixture, open_mixture
from smartx.report import Material, material_of


@dataclass(frozen=True)
class Made:
    mixture: Mixture
    run: Path
    material: Material

    @property
    def page(self) -> str:
        return (self.mixture.folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def made(small_corpus, tmp_path_factory) -> Made:
    folder = tmp_path_factory.mktemp("made")
    fields = {
        "sources": [str(small_corpus.file)],
        "vectors": small_corpus.vectors,
        "run_dir": folder / "work",
        "out": folder / "mix",
        "rows": 60,
        "threads": 1,
        "near_duplicates": 0.97,
        "preset": "smart-acl2024",
    }
    smartx.run(fields)
    mixture = open_mixture(folder / "mix")
    return Made(mixture, folder / "work", material_of(mixture, folder / "work"))


@pytest.fixture(scope="session")
def odd(tmp_path_factory):
    """odd(NAME): the report of an unusual mixture, and its rows. Each is made once."""

    @cache
    def made(name):
        file = odd_mixtures.ALL[name](tmp_path_factory.mktemp(name))
        return file, json.loads((file.parent / "manifest.json").read_bytes())["rows"]

    return made


@pytest.fixture(scope="session")
def many_tasks(tmp_path_factory):
    """The report of 1,840 tasks: texts longer than what is shown, more rows than maps have room
    for.
    """
    folder, tasks, each = tmp_path_factory.mktemp("many"), 1_840, 8
    rng = np.random.default_rng(2)
    with (folder / "rows.jsonl").open("w") as file:
        for row in range(tasks * each):
            line = {"prompt": f"{row} " + "a prompt & <more> " * 60, "response": "words " * 80}
            name = f"a task of a long name, {row % tasks:04d}"
            file.write(json.dumps({**line, "task": name}) + "\n")
    vectors = np.tile(rng.normal(size=(tasks, 8)), (each, 1)) + rng.normal(size=(tasks * each, 8))
    np.save(folder / "vectors.npy", vectors.astype(np.float32))
    smartx.run(
        {
            "sources": [str(folder / "rows.jsonl")],
            "vectors": folder / "vectors.npy",
            "run_dir": folder / "work",
            "out": folder / "mix",
            "rows": 4_000,
        }
    )
    return folder / "mix" / "report.html"
