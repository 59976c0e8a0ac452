"""Where a row of the corpus came from, for messages."""

from __future__ import annotations

import numpy as np

from smartx.corpus import Corpus


def place_of(corpus: Corpus, row: int) -> str:
    """`file:line` of a row, as the sources were named."""
    table = corpus.rows(np.array([row], dtype=np.int64))
    source = corpus.manifest["sources"][table.column("origin_file")[0].as_py()]
    return f"{source['name']}:{table.column('origin_row')[0].as_py()}"
