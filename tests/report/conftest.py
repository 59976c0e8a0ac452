"""One mixture of the small corpus, and what it was made from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

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
