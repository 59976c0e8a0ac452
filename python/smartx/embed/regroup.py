"""Embeddings of the same rows in another order, from those that are there: nothing is encoded, and
no file of vectors is asked for. They are those that `embed_corpus` would make, under the same key.

Of a hybrid they are those of its student: under other tasks other rows are the teacher's.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx.corpus import Corpus
from smartx.embed.counts import facts_of
from smartx.embed.embeddings import SCHEMA, STAGE, Embeddings, open_embeddings, shard_name
from smartx.embed.npy import open_npy, write_npy
from smartx.embed.order import order_facts, sample_of
from smartx.embed.parts import SHARD_ROWS, vector_digests
from smartx.embed.placing import placed
from smartx.errors import StoreError
from smartx.progress import Progress, Silent, step
from smartx.store import FileEntry, Sidecar, Stage, folder_of, key_of


def regrouped_embeddings(
    embeddings: Embeddings,
    corpus: Corpus,
    order: NDArray[np.int64],
    run_folder: Path,
    *,
    progress: Progress | None = None,
) -> Embeddings:
    """The embeddings of `corpus`, whose row r is row order[r] of the corpus that `embeddings` are
    of. Raises StoreError where those are not what was written.
    """
    embeddings = embeddings.by_one_encoder
    manifest = embeddings.manifest
    inputs, key = _of_corpus(embeddings, corpus)
    stage = Stage(STAGE, folder_of(Path(run_folder) / STAGE, key))
    if stage.reuse(key) and (found := open_embeddings(stage.folder, corpus)).whole():
        return found
    if "vectors" in manifest:
        if not embeddings.whole():
            raise StoreError(
                "vectors that it points to are damaged or gone",
                place=str(embeddings.folder),
                fix="run `smartx embed` again; what is whole is kept",
            )
        parts = embeddings.parts()
        places = embeddings.places(0, embeddings.num_rows)[order]
        files, facts = placed(corpus, parts, places, stage, key)
        facts["made_by"] = manifest["made_by"]
    else:
        files, facts = _shards(embeddings, corpus, order, stage, key, progress or Silent())
    stage.finish(
        key=key,
        schema=SCHEMA,
        parameters=manifest["parameters"],
        inputs=inputs,
        files=files,
        facts={"num_rows": corpus.num_rows, **facts},
    )
    return open_embeddings(stage.folder, corpus)


def embeddings_like(embeddings: Embeddings, corpus: Corpus, run_folder: Path) -> Embeddings | None:
    """The embeddings of another corpus that were made as these, where the run folder has them."""
    try:
        _, key = _of_corpus(embeddings.by_one_encoder, corpus)
        return open_embeddings(folder_of(Path(run_folder) / STAGE, key), corpus)
    except StoreError:
        return None


def _of_corpus(embeddings: Embeddings, corpus: Corpus) -> tuple[dict[str, str], str]:
    """Inputs and key of embeddings of another corpus that are made as these."""
    inputs = {**embeddings.manifest["inputs"], "corpus": corpus.digest}
    return inputs, key_of(STAGE, SCHEMA, embeddings.manifest["parameters"], inputs)


def _shards(
    embeddings: Embeddings,
    corpus: Corpus,
    order: NDArray[np.int64],
    stage: Stage,
    key: str,
    progress: Progress,
) -> tuple[list[FileEntry], dict[str, Any]]:
    """Ready vectors, a shard at a time; those that a killed run finished are kept."""
    stage.keep_parts(key, lambda manifest: key)
    stage.begin()
    rows, entries = corpus.num_rows, list[FileEntry]()
    digests = np.empty((rows, 2), dtype=np.uint64)
    with step(progress, "group vectors by task", rows, "rows") as advance:
        for number, start in enumerate(range(0, rows, SHARD_ROWS)):
            stop = min(start + SHARD_ROWS, rows)
            file = Sidecar(stage.folder / shard_name(number), key)
            if entry := file.whole_part():
                made = open_npy(file.part).read(0, stop - start)
            else:
                made = embeddings.take(order[start:stop])
                entry = file.commit(stop - start, partial(write_npy, made))
            entries.append(entry)
            digests[start:stop] = vector_digests(made)
            advance(stop - start)
    facts = facts_of(corpus.groups, lambda start, stop: digests[start:stop])
    size = {"dimensions": embeddings.dimensions, "shard_rows": SHARD_ROWS}
    sample = sample_of(corpus.groups)
    facts["order"] = order_facts(corpus, sample, embeddings.take(order[sample.rows]))
    return entries, {**size, **facts}
