"""Rows of a corpus -> vectors in the parts of their encoder: each distinct text once, and only
those that no part holds yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smartx.corpus import Corpus
from smartx.embed.encoders import Encoder, EncoderSpec, Identity, made_by, source_name
from smartx.embed.encoding import EncodedParts
from smartx.embed.loading import devices_for, loaded
from smartx.embed.parts import SCHEMA as PART_SCHEMA
from smartx.embed.parts import STAGE as VECTORS
from smartx.embed.parts import Parts, Places
from smartx.embed.texts import Texts
from smartx.embed.work import PartMaker, Sizes, Work
from smartx.embed.workers import workers_on
from smartx.progress import Progress, step
from smartx.store import folder_of, key_of


def encoded(
    corpus: Corpus,
    encoder: EncoderSpec | Encoder,
    identity: Identity,
    run_folder: Path,
    progress: Progress,
    *,
    rows: NDArray[np.int64] | None = None,
    texts: Texts | None = None,
    part_rows: int | None = None,
    name: str = "embed",
) -> tuple[Parts, Places]:
    """Embed the texts of these rows that no part holds. Returns where each row's vector is.

    rows: rising rows of the corpus; None: all.  texts: of the corpus, where the caller has
    them.  part_rows: rows a file; only in tests.  name: of the step, for people.
    Raises EncoderError, MissingPackageError, StoreError.
    """
    parts = parts_of(encoder, identity, run_folder)
    parts.begin()
    texts = texts or Texts(corpus, identity.turns)
    digests = texts.digests_of(rows)
    places = parts.places_of(digests)
    new = np.flatnonzero(places == ~np.arange(len(places)))
    if len(new) < len(places):
        there = int((places >= 0).sum())
        progress.note(
            f"embed by {source_name(identity.parameters)}: {len(new):,} new texts for "
            f"{len(places):,} rows ({there:,} have a text that was embedded before, "
            f"{len(places) - there - len(new):,} one that another of these rows has)"
        )
    if len(new):
        sizes = Sizes(part_rows)
        with (
            _maker(encoder, corpus, -(-len(new) // sizes.rows), progress) as maker,
            step(progress, name, len(new), "rows") as advance,
        ):
            work = _work(new, rows, texts.own_system, digests, parts, sizes)
            for done, part in maker.make(work, sizes, advance):
                at = done.rows if rows is None else np.searchsorted(rows, done.rows)
                places[at] = parts.add(done.file, part)
        repeats = np.flatnonzero(places < 0)
        places[repeats] = places[~places[repeats]]
    return parts, places


def parts_of(encoder: EncoderSpec | Encoder, identity: Identity, run_folder: Path) -> Parts:
    """The vectors of an encoder, made by what is installed here, that a run folder has."""
    parameters = {**identity.parameters, "made_by": made_by(encoder)}
    key = key_of(VECTORS, PART_SCHEMA, parameters, identity.inputs)
    return Parts(folder_of(run_folder / VECTORS, key), key)


def _work(
    new: NDArray[np.int64],
    rows: NDArray[np.int64] | None,
    own_system: NDArray[np.int64],
    digests: NDArray[np.uint64],
    parts: Parts,
    sizes: Sizes,
) -> Iterator[Work]:
    """What is yet to be made, cut into parts. new: rising places among `rows`, whose digests these
    are.
    """
    start = 0
    for file in parts.free():
        at = new[start : start + sizes.rows]
        if not len(at):
            return
        start += len(at)
        part = at if rows is None else rows[at]
        own = own_system[np.isin(own_system, part, assume_unique=True)]
        yield Work(file, part, digests[at], own)


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
    devices = devices_for(encoder)[:parts]
    if len(devices) > 1:
        with workers_on(devices, encoder, corpus, progress) as workers:
            yield workers
        return
    with loaded(replace(encoder, device=devices[0]), progress) as here:
        yield EncodedParts(corpus, here, encoder.turns)
