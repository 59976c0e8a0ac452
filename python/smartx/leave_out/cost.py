"""What finding rows that are left out will take."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from smartx.corpus import Corpus
from smartx.costs import BASE_BYTES, StagePlan

_TOKEN_SECONDS = 0.17e-6  # of a token of the corpus, on one thread
_KNOWN_SECONDS = 0.8e-6  # and of an evaluation row, which is sorted too
_TOKEN_BYTES = 80  # of an evaluation row, while its n-grams are sorted
_BLOCK_BYTES = 190 << 20  # of a few blocks of 8,192 rows, their words and n-grams
_PRODUCTS = 60e9  # multiply-adds a second of one thread, between two sets of rows,
_PAIR_SECONDS = 4e-9  # and what looking at each product takes
_NEAR_BYTES = 320 << 20  # a block of rows, and their products


def leave_out_cost(
    corpus: Corpus,
    known: Sequence[Corpus],
    folder: Path,
    *,
    dimensions: int,
    threads: int,
    done: bool,
) -> StagePlan:
    """The stage. known: evaluation sets, and what was trained on, where it is known by text.

    dimensions: of vectors that are compared; 0: none are.  Embedding evaluation rows is not in it.
    """
    if done:
        return StagePlan("leave out", folder, 0.0, BASE_BYTES, 0, done=True)
    rows, own = sum(one.num_rows for one in known), sum(map(_tokens, known))
    seconds = (_TOKEN_SECONDS * _tokens(corpus) if known else 0.0) + _KNOWN_SECONDS * own
    memory = BASE_BYTES + _TOKEN_BYTES * own + _BLOCK_BYTES * threads
    if dimensions:
        pairs = float(corpus.num_rows) * rows
        seconds += pairs * (dimensions / _PRODUCTS + _PAIR_SECONDS)
        memory = max(memory, BASE_BYTES + _NEAR_BYTES + 2 * dimensions * rows)
    return StagePlan("leave out", folder, seconds / threads, memory, 0)


def _tokens(corpus: Corpus) -> int:
    found = corpus.manifest["tokens"]
    return int(found["prompt_tokens"]) + int(found["response_tokens"])
