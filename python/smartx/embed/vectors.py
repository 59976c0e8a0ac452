"""Ready vectors -> embeddings: one vector per row of the sources, in their order.

A row that ingest dropped takes its vector with it, so the file fits whatever ingest kept. The rows
go into shards of 65,536; a killed run goes on after its last whole one.
"""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx.corpus import Corpus
from smartx.embed.counts import facts_of
from smartx.embed.embeddings import shard_name
from smartx.embed.npy import open_npy, write_npy
from smartx.embed.order import order_facts, sample_of
from smartx.embed.parts import SHARD_ROWS, vector_digests
from smartx.embed.places import place_of
from smartx.embed.texts import ALL_TURNS, Texts
from smartx.embed.vector_files import (
    TEXT_COLUMN,
    VectorsFile,
    VectorsSpec,
    fault,
    opened,
    texts_beside,
)
from smartx.engine.fixed_point import other_scale, quantize
from smartx.errors import VectorsError
from smartx.progress import Progress, step
from smartx.store import FileEntry, Sidecar, Stage

_CHUNK = 4_096  # rows gathered and quantised at once


def gathered(
    corpus: Corpus,
    spec: VectorsSpec,
    digest: str,
    stage: Stage,
    key: str,
    shard_rows: int | None,
    progress: Progress,
) -> tuple[list[FileEntry], dict[str, Any]]:
    """Make every shard of a stage that is not there yet. digest: of the file.

    Returns the entries of all shards, and the facts of the manifest.
    """
    size, rows = shard_rows or SHARD_ROWS, corpus.num_rows
    stage.keep_parts(key, lambda manifest: key)
    stage.begin()
    digests = np.empty((rows, 2), dtype=np.uint64)
    entries: list[FileEntry] = []
    sample, looked = sample_of(corpus.groups), list[NDArray[np.int16]]()
    with opened(spec, digest, stage.folder) as file, step(progress, "embed", rows, "rows") as told:
        _check_count(file, corpus)
        _check_texts(corpus, file)
        file.check_unchanged()
        for number, start in enumerate(range(0, rows, size)):
            stop = min(start + size, rows)
            sidecar = Sidecar(stage.folder / shard_name(number), key)
            if entry := sidecar.whole_part():
                made = open_npy(sidecar.part).read(0, stop - start)
            else:
                made = _shard(corpus, file, start, stop)
                file.check_unchanged()
                entry = sidecar.commit(stop - start, partial(write_npy, made))
            entries.append(entry)
            digests[start:stop] = vector_digests(made)
            looked.append(
                made[sample.rows[slice(*np.searchsorted(sample.rows, (start, stop)))] - start]
            )
            told(stop - start)
        width = file.rows.width
    facts = facts_of(corpus.groups, lambda start, stop: digests[start:stop])
    facts["order"] = order_facts(corpus, sample, np.concatenate(looked))
    return entries, {"dimensions": width, "shard_rows": size, **facts}


def _shard(corpus: Corpus, file: VectorsFile, start: int, stop: int) -> NDArray[np.int16]:
    """Row r of the corpus takes the vector at its place among all rows of the sources."""
    positions = corpus.source_positions(start, stop)
    made = np.empty((stop - start, file.rows.width), dtype=np.int16)
    for at in range(0, stop - start, _CHUNK):
        part = positions[at : at + _CHUNK]
        vectors = file.take(part)
        _check(corpus, file, vectors, part, start + at)
        made[at : at + _CHUNK] = vectors if vectors.dtype == np.int16 else quantize(vectors)
    return made


def _check(
    corpus: Corpus, file: VectorsFile, vectors: NDArray[Any], at: NDArray[np.int64], first: int
) -> None:
    fix = "embed that row again, or leave it out of the sources and the vectors"
    kinds = {"zero": ~vectors.any(axis=1)}
    if vectors.dtype == np.int16:
        kinds["of another scale than Q12 (rows of length 4,088)"] = other_scale(vectors)
        fix += "; or give all vectors as the encoder's floats, or what smartx.quantize gave"
    else:
        kinds["not finite"] = ~np.isfinite(vectors).all(axis=1)
    for kind, bad in kinds.items():
        if bad.any():
            row = int(np.argmax(bad))
            raise VectorsError(
                f"the vector of this row is {kind}; it belongs to {place_of(corpus, first + row)}",
                place=f"{os.fspath(file.name)}: row {at[row]} (from 0)",
                fix=fix,
            )


def _check_texts(corpus: Corpus, file: VectorsFile) -> None:
    """Raise VectorsError where a file says beside each vector what it is of, and that is another
    text than the row's: neither what smartx would embed, nor the prompt as it stands.
    """
    texts = texts_beside(file.name)
    if texts is None:
        return
    wrong = np.ones(corpus.num_rows, dtype=np.bool_)
    positions = corpus.source_positions(0, corpus.num_rows)
    for turns in ("user", ALL_TURNS):
        wrong &= (Texts(corpus, turns).digests != texts[positions]).any(axis=1)
        if not wrong.any():
            return
    row = int(np.argmax(wrong))
    raise VectorsError(
        f"the text beside this vector is not that of its row, {place_of(corpus, row)} "
        f"({int(wrong.sum()):,} of {corpus.num_rows:,} rows)",
        place=f"{os.fspath(file.name)}: row {positions[row]} (from 0)",
        fix="bring the vectors into the order of the rows of the sources; what is compared is the "
        f"column {TEXT_COLUMN}",
    )


def _check_count(file: VectorsFile, corpus: Corpus) -> None:
    count = file.rows.num_rows
    if count == corpus.num_source_rows:
        return
    said = f"it holds {count:,} vectors, and the sources hold {corpus.num_source_rows:,} rows"
    if count == corpus.num_rows:
        dropped = corpus.num_source_rows - corpus.num_rows
        said += f", of which ingest dropped {dropped:,}: vectors of the kept rows alone do not fit"
    raise fault(file.name, said, "give one vector for every row of the sources, in their order")
