"""Rows of a corpus -> vectors in the parts of their encoder: each distinct text once, and only
those that no part holds yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smartx.corpus import Corpus
from smartx.embed.encoders import Encoder, EncoderSpec, Identity, made_by, source_name
from smartx.embed.encoding import EncodedParts
from smartx.embed.loading import devices_for, loaded
from smartx.embed.parts import SCHEMA as PART_SCHEMA
from smartx.embed.parts import SHARD_ROWS, Parts, Places
from smartx.embed.parts import STAGE as VECTORS
from smartx.embed.plan import Plan, plan_of
from smartx.embed.scraps import delete_needless
from smartx.embed.texts import Texts
from smartx.embed.work import PartMaker, Work
from smartx.embed.workers import workers_on
from smartx.files import check_alone, is_beside_others, storing
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
    pointed: Sequence[tuple[int, int]] = (),
    part_rows: int | None = None,
    name: str = "embed",
) -> tuple[Parts, Places]:
    """Embed the texts of these rows that no part holds. Returns where each row's vector is.

    The arguments are those of `to_embed`.  name: of the step, for people.
    Raises EncoderError, MissingPackageError, StoreError; NotAlone beside others, where anything is
    missing.
    """
    asked = to_embed(
        corpus,
        encoder,
        identity,
        run_folder,
        progress,
        rows=rows,
        texts=texts,
        pointed=pointed,
        part_rows=part_rows,
    )
    plan, parts = asked.plan, asked.parts
    _tell(plan, parts, identity, progress)
    if missing := plan.missing(parts):
        check_alone()
        try:
            _make(asked, missing, name)
        except BaseException:
            plan.given_up()
            raise
    plan.finished()
    return parts, plan.places


def _make(asked: ToEmbed, missing: Sequence[int], name: str) -> None:
    """Make these parts here."""
    left = sum(len(asked.plan.parts[number]) for number in missing)
    with (
        asked.maker(len(missing)) as maker,
        step(asked.progress, name, left, "rows") as advance,
    ):
        for done, part in maker.make(map(asked.work, missing), advance):
            asked.parts.add(done.file, part)


def to_embed(
    corpus: Corpus,
    encoder: EncoderSpec | Encoder,
    identity: Identity,
    run_folder: Path,
    progress: Progress,
    *,
    rows: NDArray[np.int64] | None = None,
    texts: Texts | None = None,
    pointed: Sequence[tuple[int, int]] = (),
    part_rows: int | None = None,
) -> ToEmbed:
    """The parts that hold the texts of these rows, planned.

    rows: rising rows of the corpus; None: all.  texts: of the corpus, where the caller has
    them.  pointed: as `plan_of`.  part_rows: rows of a part; only in tests.
    Raises MissingPackageError, StoreError; NotAlone beside others, where there is no plan.
    """
    parts = parts_of(encoder, identity, run_folder)
    if not is_beside_others():
        parts.begin()
        with storing(parts.folder):
            delete_needless(parts)
    texts = texts or Texts(corpus, identity.turns)
    digests = texts.digests_of(rows)
    plan = plan_of(parts, digests, identity.part_rows, pointed, part_rows)
    return ToEmbed(corpus, encoder, identity, texts, rows, digests, plan, parts, progress)


@dataclass(frozen=True, eq=False)
class ToEmbed:
    """Parts that are planned: who makes them, of which texts. The arguments of `to_embed`, and what
    came of them.
    """

    corpus: Corpus
    encoder: EncoderSpec | Encoder
    identity: Identity
    texts: Texts
    rows: NDArray[np.int64] | None
    digests: NDArray[np.uint64]
    plan: Plan
    parts: Parts
    progress: Progress

    def rows_of(self, number: int) -> NDArray[np.int64]:
        """Rising rows of the corpus whose texts a part holds."""
        own = self.plan.parts[number]
        return own if self.rows is None else self.rows[own]

    def work(self, number: int) -> Work:
        """A part that is planned."""
        rows, system = self.rows_of(number), self.texts.own_system
        first, end = np.searchsorted(system, [rows[0], rows[-1] + 1])
        near = system[first:end]
        near = near[np.isin(near, rows, assume_unique=True)]
        return Work(self.parts.file(number), rows, self.digests[self.plan.parts[number]], near)

    @contextmanager
    def maker(self, parts: int) -> Iterator[PartMaker]:
        """The encoder, loaded: here, or in a process for each of several devices.

        parts: to make; a device without one is not started.
        """
        encoder, corpus = self.encoder, self.corpus
        if not isinstance(encoder, EncoderSpec):
            yield EncodedParts(corpus, encoder)
            return
        devices = devices_for(encoder)[:parts]
        if len(devices) > 1:
            with workers_on(devices, encoder, corpus, self.progress) as workers:
                yield workers
            return
        with loaded(replace(encoder, device=devices[0]), self.progress) as here:
            yield EncodedParts(corpus, here, encoder.turns)


def parts_of(encoder: EncoderSpec | Encoder, identity: Identity, run_folder: Path) -> Parts:
    """The vectors of an encoder, made by what is installed here, that a run folder has."""
    parameters = {**identity.parameters, "made_by": made_by(encoder)}
    key = key_of(VECTORS, PART_SCHEMA, parameters, identity.inputs)
    return Parts(folder_of(run_folder / VECTORS, key), key)


def _tell(plan: Plan, parts: Parts, identity: Identity, progress: Progress) -> None:
    """How much is new of what is asked for."""
    missing = plan.missing(parts)
    new, rows = sum(len(plan.parts[number]) for number in missing), len(plan.places)
    if new == rows:
        return
    again = int(np.isin(plan.places // SHARD_ROWS, missing).sum()) - new
    progress.note(
        f"embed by {source_name(identity.parameters)}: {new:,} new texts for {rows:,} rows "
        f"({rows - again - new:,} have a text that was embedded before, "
        f"{again:,} one that another of these rows has)"
    )
