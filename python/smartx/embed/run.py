"""Corpus -> embeddings: every distinct text is embedded once, and found again by its digest.

Vectors of an encoder go into the parts of RUN/vectors/ID, which all corpora of the run folder
share; RUN/embeddings/ID says where in them each row's vector lies. So another source, or one less,
or another order of sources embeds only texts that are new. A file of ready vectors has no texts:
its rows are stored in RUN/embeddings/ID themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from smartx.corpus import Corpus
from smartx.embed.counts import cut_of, facts_of
from smartx.embed.devices import devices_of
from smartx.embed.embeddings import PLACES, SCHEMA, STAGE, Embeddings, open_embeddings
from smartx.embed.encoders import Encoder, EncoderSpec, Identity, identity_of, made_by
from smartx.embed.encoding import EncodedParts
from smartx.embed.npy import write_npy
from smartx.embed.parts import SCHEMA as PART_SCHEMA
from smartx.embed.parts import STAGE as VECTORS
from smartx.embed.parts import Parts, Places
from smartx.embed.texts import Texts
from smartx.embed.vector_files import VectorsSpec, vectors_inputs, vectors_parameters
from smartx.embed.vectors import gathered
from smartx.embed.work import PartMaker, Sizes, Work
from smartx.embed.workers import workers_on
from smartx.errors import StoreError
from smartx.progress import Progress, Silent, step
from smartx.store import FileEntry, Sidecar, Stage, folder_of, key_of

Source: TypeAlias = EncoderSpec | VectorsSpec | Encoder


def embed_corpus(
    corpus: Corpus,
    encoder: Source,
    run_folder: Path,
    *,
    part_rows: int | None = None,
    progress: Progress | None = None,
) -> Embeddings:
    """One Q12 row for each row of the corpus.

    encoder: which sentence encoder, or a file of ready vectors, or an object that encodes.
    part_rows: rows a file; only in tests.
    Finished embeddings of the same texts and encoder are used again, and so is every vector of one
    of its texts. Nothing that stands is changed before the new embeddings are whole.
    Raises EncoderError, VectorsError, MissingPackageError, StoreError.
    """
    run_folder, progress = Path(run_folder), progress or Silent()
    asked = _asked(corpus, encoder, fetch=True)
    assert asked is not None  # it was fetched
    stage = asked.stage(run_folder)
    if stage.reuse(asked.key) and (found := open_embeddings(stage.folder, corpus)).whole():
        progress.note(f"embed: the vectors of {corpus.num_rows:,} rows are there and used again")
        return found
    if isinstance(encoder, VectorsSpec):
        digest = asked.inputs["vectors"]
        files, facts = gathered(corpus, encoder, digest, stage, asked.key, part_rows, progress)
    else:
        assert asked.identity is not None
        made = _encoded(corpus, encoder, asked.identity, run_folder, part_rows, progress)
        files, facts = placed(corpus, *made, stage, asked.key)
        facts["made_by"] = made_by(encoder)
    stage.finish(
        key=asked.key,
        schema=SCHEMA,
        parameters=asked.parameters,
        inputs=asked.inputs,
        files=files,
        facts={"num_rows": corpus.num_rows, **facts},
    )
    return open_embeddings(stage.folder, corpus)


def embedding_key(corpus: Corpus, encoder: Source) -> str | None:
    """The key of a corpus's embeddings, or None for an encoder of the hub that is not here yet.

    Quick: the files of the encoder, or of the vectors, are hashed once a process; no torch on a
    machine without a GPU. Raises EncoderError, VectorsError, MissingPackageError.
    """
    asked = _asked(corpus, encoder, fetch=False)
    return asked.key if asked else None


def embeddings_there(corpus: Corpus, encoder: Source, run_folder: Path) -> Embeddings | None:
    """The embeddings asked for, if the run folder has them; `embed_corpus` looks closer."""
    asked = _asked(corpus, encoder, fetch=False)
    try:
        return open_embeddings(asked.stage(run_folder).folder, corpus) if asked else None
    except StoreError:
        return None


def new_texts(corpus: Corpus, encoder: EncoderSpec | Encoder, run_folder: Path) -> int | None:
    """How many distinct texts of a corpus the run folder has no vectors of; None if it has none of
    this encoder at all, or the encoder is not here. Raises MissingPackageError.
    """
    identity = identity_of(encoder)
    if identity is None or not (parts := _parts(encoder, identity, Path(run_folder))).whole:
        return None
    places = parts.places_of(Texts(corpus, identity.turns).digests())
    return int((places == ~np.arange(len(places))).sum())


@dataclass(frozen=True)
class _Asked:
    """What names the embeddings of a corpus. identity: of the encoder, if there is one."""

    parameters: Mapping[str, Any]
    inputs: Mapping[str, str]
    identity: Identity | None

    @property
    def key(self) -> str:
        return key_of(STAGE, SCHEMA, self.parameters, self.inputs)

    def stage(self, run_folder: Path) -> Stage:
        return Stage(STAGE, folder_of(Path(run_folder) / STAGE, self.key))


def _asked(corpus: Corpus, encoder: Source, *, fetch: bool) -> _Asked | None:
    inputs = {"corpus": corpus.digest}
    if isinstance(encoder, VectorsSpec):
        return _Asked(vectors_parameters(encoder), {**inputs, **vectors_inputs(encoder)}, None)
    identity = identity_of(encoder, fetch=fetch)
    if identity is None:
        return None
    parameters = {**identity.parameters, "turns": identity.turns}
    return _Asked(parameters, {**inputs, **identity.inputs}, identity)


def placed(
    corpus: Corpus, parts: Parts, places: Places, stage: Stage, key: str
) -> tuple[list[FileEntry], dict[str, Any]]:
    """Write where each row's vector lies, and count what the vectors are."""
    stage.begin()
    file = Sidecar(stage.folder / PLACES, key)
    entry = file.commit(corpus.num_rows, partial(write_npy, places[:, None]))
    told = parts.told_of(places)
    held = [vars(part.vectors) for part in told.parts.values()]
    return [entry], {
        "dimensions": parts.dimensions,
        "vectors": {"key": parts.key, "parts": held},
        "cut": cut_of(corpus.groups, told.cut),
        **facts_of(corpus.groups, told.vector_digests),
    }


def _encoded(
    corpus: Corpus,
    encoder: EncoderSpec | Encoder,
    identity: Identity,
    run_folder: Path,
    part_rows: int | None,
    progress: Progress,
) -> tuple[Parts, Places]:
    """Embed the texts of a corpus that no part holds. Returns where each row's vector is."""
    parts, texts = _parts(encoder, identity, run_folder), Texts(corpus, identity.turns)
    parts.begin()
    digests = texts.digests()
    places = parts.places_of(digests)
    new = np.flatnonzero(places == ~np.arange(len(places)))
    if len(new) < len(places):
        there = int((places >= 0).sum())
        progress.note(
            f"embed: {len(new):,} new texts for {len(places):,} rows ({there:,} rows have a text "
            f"that was embedded before, {len(places) - there - len(new):,} one of these)"
        )
    if len(new):
        sizes = Sizes(part_rows)
        with (
            _maker(encoder, corpus, -(-len(new) // sizes.rows), progress) as maker,
            step(progress, "embed", len(new), "rows") as advance,
        ):
            work = _work(new, texts.own_system, digests, parts, sizes)
            for done, part in maker.make(work, sizes, advance):
                places[done.rows] = parts.add(done.file, part)
        repeats = np.flatnonzero(places < 0)
        places[repeats] = places[~places[repeats]]
    return parts, places


def _parts(encoder: EncoderSpec | Encoder, identity: Identity, run_folder: Path) -> Parts:
    """The vectors of an encoder, made by what is installed here, that a run folder has."""
    parameters = {**identity.parameters, "made_by": made_by(encoder)}
    key = key_of(VECTORS, PART_SCHEMA, parameters, identity.inputs)
    return Parts(folder_of(run_folder / VECTORS, key), key)


def _work(
    rows: NDArray[np.int64],
    own_system: NDArray[np.int64],
    digests: NDArray[np.uint64],
    parts: Parts,
    sizes: Sizes,
) -> Iterator[Work]:
    """Rising rows, cut into parts that are yet to be made. digests: of all rows."""
    start = 0
    for file in parts.free():
        part = rows[start : start + sizes.rows]
        if not len(part):
            return
        start += len(part)
        own = own_system[np.isin(own_system, part, assume_unique=True)]
        yield Work(file, part, digests[part], own)


@contextmanager
def _maker(
    encoder: EncoderSpec | Encoder, corpus: Corpus, parts: int, progress: Progress
) -> Iterator[PartMaker]:
    """Load the encoder: here, or in a process for each of several devices.

    parts: to make, if they stay as small as the first; a device without one is not started.
    """
    if not isinstance(encoder, EncoderSpec):
        yield EncodedParts(corpus, encoder)
        return
    devices = devices_of(encoder.device)[:parts]
    if len(devices) > 1:
        with workers_on(devices, encoder, corpus, progress) as workers:
            yield workers
        return
    from smartx.embed.sentence_transformer import loaded

    with loaded(replace(encoder, device=devices[0]), progress) as here:
        yield EncodedParts(corpus, here, encoder.turns)
