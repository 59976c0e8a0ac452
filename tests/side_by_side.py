"""Runs of one small corpus, in folders side by side, whose bytes are compared."""

from __future__ import annotations

import smartx
from conftest import tree_digest
from smartx.config import config_from
from smartx.run_folder import RECORDS


class Runs:
    """fields: of every configuration."""

    def __init__(self, small, folder, **fields):
        self.small, self.folder, self.fields = small, folder, dict(fields)

    def config(self, name="work", **fields):
        values = {"sources": [str(self.small.file)], "vectors": self.small.vectors, "rows": 120}
        values |= {"out": self.folder / name / "mix", "run_dir": self.folder / name / "work"}
        return config_from({**values, **self.fields, **fields})

    def run(self, name, **fields):
        smartx.run(self.config(name, **fields))
        return self.tree(name)

    def tree(self, name):
        tree = tree_digest(self.folder / name)
        del tree[f"work/{RECORDS}"]
        return tree
