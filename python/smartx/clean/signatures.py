"""MinHash of rows with long answers, as a stage: rows that share a band are looked at together.

    RUN/clean/ID/  manifest.json common.npy bands-*.npy

What counts are runs of words (n-grams) of a row that few rows have: what many have is a template's.
How many rows have one is counted in a table of fixed size, at a place that its hash says; two that
share a place count as one, so some n-grams are taken for more common than they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx.clean.blocks import blocks_of
from smartx.clean.measuring import Measures
from smartx.clean.rules import Copies
from smartx.clean.signs import versions
from smartx.corpus import Corpus
from smartx.corpus.tables import as_written
from smartx.embed.npy import write_npy
from smartx.leave_out.words import STRICT, Hashes, Words, words_of
from smartx.progress import Progress, step
from smartx.store import FileEntry, Sidecar, Stage, folder_of, key_of

SCHEMA = 1  # raised when the same rows get other signatures
STAGE = "signatures"
PART_ROWS = 65_536
LEAST_GRAMS = 3  # of its own, of a row that has a signature
_SEED = 42
_SLOTS = 8  # places of the table for each n-gram
_BITS = (20, 30)  # of places, at least and at most
_FOLD = np.uint64(0x9E3779B97F4A7C15)
Ints = NDArray[np.int64]
COMMON_FILE = "common.npy"


@dataclass(frozen=True, eq=False)
class Signatures:
    """Finished signatures of a corpus."""

    folder: Path
    manifest: dict[str, Any]

    @property
    def digest(self) -> str:
        """Names the content."""
        return str(self.manifest["digest"])

    def common(self) -> Common:
        """Which n-grams are common."""
        return Common(np.unpackbits(self._read(COMMON_FILE)).astype(np.bool_))

    def bands(self) -> Iterator[NDArray[np.uint64]]:
        """(n,) of all rows for each band; 0 where a row has no signature."""
        names = [e["name"] for e in self.manifest["files"] if e["name"] != COMMON_FILE]
        parts = [self._read(name, mapped=True) for name in names]
        for band in range(int(self.manifest["parameters"]["bands"])):
            yield np.concatenate([part[:, band] for part in parts])

    def _read(self, name: str, *, mapped: bool = False) -> NDArray[Any]:
        with as_written(self.folder, self.manifest, name, fix="clean once more") as path:
            return np.asarray(np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False))


@dataclass(frozen=True, eq=False)
class Common:
    """places: (2^b,) whether more rows than asked have an n-gram of this place."""

    places: NDArray[np.bool_]

    def __call__(self, hashes: Hashes) -> NDArray[np.bool_]:
        """Whether each n-gram is common."""
        found: NDArray[np.bool_] = self.places[_place(hashes, len(self.places))]
        return found


def signatures_of(
    corpus: Corpus, measures: Measures, folder: Path, asked: Copies, *, progress: Progress
) -> Signatures:
    """The signatures of the rows whose answers have enough words, from folder/ID."""
    key, parameters, inputs = signatures_stage(corpus, asked)
    stage = Stage(STAGE, folder_of(folder, key))
    if not stage.reuse(key):
        stage.keep_parts(key, lambda _: key)
        stage.begin()
        long = long_answers(measures, asked)
        entries = _made(corpus, long, stage.folder, key, asked, progress)
        digest = key_of("content", SCHEMA, {}, {e.name: e.sha256 for e in entries})
        stage.finish(
            key=key,
            schema=SCHEMA,
            parameters=parameters,
            inputs=inputs,
            files=entries,
            facts={"digest": digest, "rows": int(long.sum())},
        )
    return Signatures(stage.folder, stage.manifest(SCHEMA))


def signatures_stage(corpus: Corpus, asked: Copies) -> tuple[str, dict[str, Any], dict[str, str]]:
    """Key, parameters and inputs of the stage."""
    parameters = {
        **{name: getattr(asked, name) for name in _DEPENDS},
        "least_grams": LEAST_GRAMS,
        "rensa": versions()["rensa"],
    }
    inputs = {"corpus": corpus.digest}
    return key_of(STAGE, SCHEMA, parameters, inputs), parameters, inputs


_DEPENDS = ("from_words", "answer_share", "gram", "bands", "band_rows", "common")


def long_answers(measures: Measures, asked: Copies) -> NDArray[np.bool_]:
    """(n,) rows whose answers are long enough to be told apart by their n-grams."""
    words = measures.column("response_words")
    whole = words + measures.column("prompt_words")
    found: NDArray[np.bool_] = (words >= asked.from_words) & (words >= asked.answer_share * whole)
    return found


def _made(
    corpus: Corpus,
    long: NDArray[np.bool_],
    folder: Path,
    key: str,
    asked: Copies,
    progress: Progress,
) -> list[FileEntry]:
    """The files of the stage; those that are there are kept."""
    table = Sidecar(folder / COMMON_FILE, key)
    entry = table.whole_part()
    if entry is None:
        common = _common(corpus, long, asked, progress)
        entry = table.commit(len(common.places), partial(write_npy, np.packbits(common.places)))
    else:
        common = Common(np.unpackbits(np.load(table.part)).astype(np.bool_))
    entries = [entry]
    with step(progress, "signatures", corpus.num_rows, "rows") as advance:
        for number, start in enumerate(range(0, corpus.num_rows, PART_ROWS)):
            stop = min(start + PART_ROWS, corpus.num_rows)
            part = Sidecar(folder / f"bands-{number:05d}.npy", key)
            entry = part.whole_part()
            if entry is None:
                bands = np.zeros((stop - start, asked.bands), dtype=np.uint64)
                for rows, words in long_rows(corpus, long, start, stop):
                    bands[rows - start] = _bands(words, common, asked)
                entry = part.commit(stop - start, partial(write_npy, bands))
            entries.append(entry)
            advance(stop - start)
    return entries


def _common(corpus: Corpus, long: NDArray[np.bool_], asked: Copies, progress: Progress) -> Common:
    """Which n-grams more rows than `asked.common` have."""
    found = corpus.manifest["tokens"]
    tokens = int(found["prompt_tokens"]) + int(found["response_tokens"])
    bits = min(max(_BITS[0], (_SLOTS * tokens).bit_length()), _BITS[1])
    counts = np.zeros(1 << bits, dtype=np.uint8)
    with step(progress, "n-grams", corpus.num_rows, "rows") as advance:
        for start in range(0, corpus.num_rows, PART_ROWS):
            stop = min(start + PART_ROWS, corpus.num_rows)
            for _, words in long_rows(corpus, long, start, stop):
                hashes, _ = grams_of(words, asked.gram)
                places, times = np.unique(_place(hashes, len(counts)), return_counts=True)
                counts[places] = np.minimum(counts[places] + times, 255)
            advance(stop - start)
    return Common(counts > asked.common)


def long_rows(
    corpus: Corpus, wanted: NDArray[np.bool_], start: int, stop: int
) -> Iterator[tuple[Ints, Words]]:
    """Those of rows start..stop-1 that are wanted: their ids and their words, a block at a time."""
    rows = start + np.flatnonzero(wanted[start:stop])
    done = 0
    for block in blocks_of(corpus, rows):
        yield rows[done : done + len(block)], words_of(block.prompts, block.responses, STRICT)
        done += len(block)


def grams_of(words: Words, n: int) -> tuple[Hashes, Ints]:
    """Different n-grams of each text, one text after another, rising; where each text's begin.

    A text of fewer words than n has none.
    """
    hashes, places = words.grams(n)
    text = np.searchsorted(words.ends, places, side="right") - 1
    order = np.lexsort((hashes, text))
    hashes, text = hashes[order], text[order]
    new = np.append(True, (np.diff(text) != 0) | (hashes[1:] != hashes[:-1]))[: len(hashes)]
    counts = np.bincount(text[new], minlength=len(words.asked))
    return hashes[new], np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def own_grams(words: Words, common: Common, n: int) -> tuple[Hashes, Ints]:
    """`grams_of` without those that are common."""
    hashes, ends = grams_of(words, n)
    own = ~common(hashes)
    return hashes[own], np.concatenate([[0], np.cumsum(own)])[ends].astype(np.int64)


def _bands(words: Words, common: Common, asked: Copies) -> NDArray[np.uint64]:
    """(n, bands): a hash of each band of a text's MinHash; 0 where it has too few n-grams."""
    from rensa import RMinHash

    hashes, ends = own_grams(words, common, asked.gram)
    count = asked.bands * asked.band_rows
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(
        hashes, ends.astype(np.uint64), count, _SEED
    )
    digests = np.array(matrix.to_rows(), dtype=np.uint64).reshape(-1, asked.bands, asked.band_rows)
    folded = np.zeros(digests.shape[:2], dtype=np.uint64)
    for column in range(asked.band_rows):
        folded = (folded ^ digests[:, :, column]) * _FOLD
        folded ^= folded >> np.uint64(29)
    few = np.diff(ends) < LEAST_GRAMS
    return np.where(few[:, None], np.uint64(0), np.maximum(folded, 1))


def _place(hashes: Hashes, places: int) -> Ints:
    bits = places.bit_length() - 1
    found: Ints = (hashes >> np.uint64(64 - bits)).astype(np.int64)
    return found
