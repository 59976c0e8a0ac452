"""One mixture of the small corpus, and what it was made from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

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
