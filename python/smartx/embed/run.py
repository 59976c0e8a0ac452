"""Corpus -> embeddings: shard by shard, so that a killed run goes on after its last whole shard.

A shard is 65,536 rows in row_id order. Inside it, prompts are batched by length, with a fixed rule,
so that padding is not paid for and a second run makes the same batches; the vectors are quantised
to Q12 once and written back in row order. A shard is done when the small file beside it names its
key, size and SHA-256, and the shard is so.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from smartx.corpus import Corpus
from smartx.embed.embeddings import (
    SCHEMA,
    SHARD_ROWS,
    STAGE,
    Embeddings,
    content_digest,
    open_embeddings,
    shard_name,
)
from smartx.embed.encoders import Encoder, EncoderSource, EncoderSpec
from smartx.embed.npy import open_npy
from smartx.embed.shards import Shard, ShardMaker
from smartx.embed.vectors import VectorsSource, VectorsSpec
from smartx.errors import StoreError
from smartx.progress import Progress, Silent, step
from smartx.store import FileEntry, Sidecar, Stage, key_of


class Source(Protocol):
    """Where vectors come from."""

    def parameters(self) -> dict[str, Any]:
        """What was asked for: all that names the vectors, but for `inputs`."""

    def inputs(self) -> dict[str, str]:
        """Digests of files the vectors depend on."""

    def open(
        self, corpus: Corpus, folder: Path, shards: int, progress: Progress
    ) -> AbstractContextManager[ShardMaker]:
        """Load what is needed for that many shards; only called when there is one to make."""


def embed_corpus(
    corpus: Corpus,
    encoder: EncoderSpec | VectorsSpec | Encoder,
    folder: Path,
    *,
    shard_rows: int = SHARD_ROWS,
    progress: Progress | None = None,
) -> Embeddings:
    """One Q12 row for the prompt of each row of the corpus.

    encoder: which sentence encoder, or a file of ready vectors, or an object that encodes.
    shard_rows: rows a file; other than the default only in tests.
    Finished embeddings of the same texts and encoder are used again, whatever machine made them.
    Raises EncoderError, VectorsError, MissingPackageError, StoreError.
    """
    progress = progress or Silent()
    source = _source_of(encoder)
    parameters = {**source.parameters(), "shard_rows": shard_rows}
    inputs = {"corpus": corpus.digest, **source.inputs()}
    key = key_of(STAGE, SCHEMA, parameters, inputs)
    stage = Stage(STAGE, Path(folder))
    if stage.reuse(key):
        progress.note(f"the embeddings in {folder} are up to date and are used again")
        return open_embeddings(stage.folder)
    stage.keep_parts(key, lambda manifest: _shard_key(key, manifest["made_by"]))
    stage.begin()
    with source.open(corpus, stage.folder, -(-corpus.num_rows // shard_rows), progress) as maker:
        entries, dimensions = _make_shards(corpus, maker, stage, key, shard_rows, progress)
    facts = {
        "num_rows": corpus.num_rows,
        "dimensions": dimensions,
        "digest": content_digest(entries),
        "made_by": dict(maker.made_by),
    }
    stage.finish(
        key=key, schema=SCHEMA, parameters=parameters, inputs=inputs, files=entries, facts=facts
    )
    return open_embeddings(stage.folder)


def embeddings_there(
    corpus: Corpus, encoder: EncoderSpec | VectorsSpec | Encoder, folder: Path
) -> Embeddings | None:
    """The embeddings asked for, if the folder seems to hold them; `embed_corpus` looks closer."""
    try:
        found = open_embeddings(folder)
    except StoreError:
        return None
    manifest, asked = found.manifest, _source_of(encoder).parameters()
    same = {name: manifest["parameters"].get(name) for name in asked} == asked
    return found if same and manifest["inputs"].get("corpus") == corpus.digest else None


def _source_of(encoder: EncoderSpec | VectorsSpec | Encoder) -> Source:
    if isinstance(encoder, VectorsSpec):
        return VectorsSource(encoder)
    return EncoderSource(encoder)


def _make_shards(
    corpus: Corpus, maker: ShardMaker, stage: Stage, key: str, shard_rows: int, progress: Progress
) -> tuple[list[FileEntry], int]:
    """Every shard that is not there yet. Returns all entries and the number of values in a row."""
    shard_key = _shard_key(key, maker.made_by)
    shards = [
        Shard(start, min(start + shard_rows, corpus.num_rows), sidecar)
        for number, start in enumerate(range(0, corpus.num_rows, shard_rows))
        for sidecar in [Sidecar(stage.folder / shard_name(number), shard_key)]
    ]
    entries = {shard.start: shard.sidecar.whole_part() for shard in shards}
    missing = [shard for shard in shards if entries[shard.start] is None]
    with step(progress, "embed", corpus.num_rows, "rows") as advance:
        if kept := len(shards) - len(missing):
            progress.note(f"{kept} of {len(shards)} shards of embeddings were there already")
            advance(corpus.num_rows - sum(shard.stop - shard.start for shard in missing))
        for shard, entry in maker.make(missing, advance):
            entries[shard.start] = entry
    whole = [entry for entry in entries.values() if entry is not None]
    return whole, open_npy(stage.folder / whole[0].name).width


def _shard_key(key: str, made_by: Mapping[str, str]) -> str:
    """Shards of one folder come from one encoder on one kind of device and one set of versions."""
    return key_of("embeddings shard", SCHEMA, dict(made_by), {"stage": key})
