"""Corpus -> embeddings: every distinct text is embedded once, and found again by its digest.

Vectors of an encoder go into the parts of RUN/vectors/ID, which all corpora of the run folder
share; RUN/embeddings/ID says where in them each row's vector lies. So another source, or one less,
or another order of sources embeds only texts that are new. A file of ready vectors has no texts:
its rows are stored in RUN/embeddings/ID themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypedDict

import numpy as np
from numpy.typing import NDArray

from smartx.corpus import Corpus
from smartx.embed.divided import EmbedUnits
from smartx.embed.embeddings import SCHEMA, STAGE, Embeddings, encoders_of, open_embeddings
from smartx.embed.encoded import ToEmbed, encoded, parts_of, to_embed
from smartx.embed.encoders import Encoder, EncoderSpec, Identity, identity_of, made_by
from smartx.embed.hybrid import Teaching, placed_hybrid, rows_of, taught_groups
from smartx.embed.parts import number_of
from smartx.embed.placing import placed
from smartx.embed.student import (
    HybridSpec,
    Student,
    StudentSpec,
    kept_student,
    student_there,
    window_of,
)
from smartx.embed.student.spec import HYBRID
from smartx.embed.texts import Texts
from smartx.embed.vector_files import VectorsSpec, vectors_inputs, vectors_parameters
from smartx.embed.vectors import gathered
from smartx.errors import StoreError
from smartx.progress import Progress, Silent
from smartx.store import FileEntry, Stage, folder_of, key_of
from smartx.units import Divide

Spec: TypeAlias = EncoderSpec | StudentSpec | HybridSpec | VectorsSpec
Source: TypeAlias = Spec | Encoder


def embed_corpus(
    corpus: Corpus,
    encoder: Source,
    run_folder: Path,
    *,
    divide: Divide | None = None,
    part_rows: int | None = None,
    progress: Progress | None = None,
) -> Embeddings:
    """One Q12 row for each row of the corpus.

    encoder: which sentence encoder, or whose student, or a file of ready vectors, or an object that
    encodes. A student is fitted on the corpus first, where the run folder does not have it; of a
    hybrid the rows of some tasks are then embedded by the teacher.
    divide: is given the parts of vectors that are planned, of a hybrid those of both encoders, to
    have them made; not what a student learns from, nor vectors from a file, nor finished ones.
    part_rows: rows a file; only in tests.
    Finished embeddings of the same texts and encoder are used again, and so is every vector of one
    of its texts. Nothing that stands is changed before the new embeddings are whole.
    Raises EncoderError, VectorsError, MissingPackageError, StoreError.
    """
    run_folder, progress = Path(run_folder), progress or Silent()
    if not isinstance(encoder, StudentSpec | HybridSpec):
        return _embedded(corpus, encoder, run_folder, part_rows, progress, None, divide)
    spec = encoder.student if isinstance(encoder, HybridSpec) else encoder
    texts = Texts(corpus, spec.teacher.turns)
    if isinstance(encoder, HybridSpec) and student_there(corpus, spec, run_folder) is None:
        _taught(corpus, encoder, texts)  # what it cannot be given is said before it works
    student = kept_student(corpus, spec, run_folder, texts, progress)
    if not isinstance(encoder, HybridSpec):
        return _embedded(corpus, student, run_folder, part_rows, progress, texts, divide)
    if divide is not None:
        _divide_hybrid(corpus, encoder, student, run_folder, part_rows, progress, texts, divide)
    made = _embedded(corpus, student, run_folder, part_rows, progress, texts, None)
    return _mended(corpus, encoder, made, run_folder, progress, texts)


def _embedded(
    corpus: Corpus,
    encoder: EncoderSpec | VectorsSpec | Encoder,
    run_folder: Path,
    part_rows: int | None,
    progress: Progress,
    texts: Texts | None,
    divide: Divide | None,
) -> Embeddings:
    """As `embed_corpus`. texts: of the corpus, where the caller has them."""
    asked = _asked(corpus, encoder, fetch=True)
    assert asked is not None  # it was fetched
    stage = asked.stage(run_folder)
    if found := _whole(asked, stage, corpus, progress):
        return found
    if isinstance(encoder, VectorsSpec):
        digest = asked.inputs["vectors"]
        files, facts = gathered(corpus, encoder, digest, stage, asked.key, part_rows, progress)
    else:
        assert asked.identity is not None
        asks = corpus, encoder, asked.identity, run_folder, progress
        options: _Options = {"texts": texts, "part_rows": part_rows}
        options["pointed"] = _pointed(stage, asked.key)
        if divide is not None:
            _made_by(divide, embed=to_embed(*asks, **options))
        name = "embed by the student" if isinstance(encoder, Student) else "embed"
        parts, places = encoded(*asks, **options, name=name)
        files, facts = placed(corpus, [parts], places, stage, asked.key)
        facts["made_by"] = made_by(encoder)
        if isinstance(encoder, Student):
            facts["student"] = encoder.facts
    return _finished(asked, stage, corpus, files, facts)


def _mended(
    corpus: Corpus,
    spec: HybridSpec,
    student: Embeddings,
    run_folder: Path,
    progress: Progress,
    texts: Texts,
) -> Embeddings:
    """The student's vectors, those of some tasks by the teacher in their place."""
    asked = _asked_hybrid(corpus, spec, student)
    stage = asked.stage(run_folder)
    if found := _whole(asked, stage, corpus, progress):
        return found
    teacher = spec.student.teacher
    identity = identity_of(teacher, fetch=True)
    assert identity is not None
    taught = _taught(corpus, spec, texts)
    rows = rows_of(corpus, taught)
    pointed = _pointed(stage, asked.key)
    parts, places = encoded(
        corpus,
        teacher,
        identity,
        run_folder,
        progress,
        rows=rows,
        texts=texts,
        pointed=pointed,
        name="embed by the teacher",
    )
    name = str(identity.parameters["encoder"])
    teaching = Teaching(name, made_by(teacher), taught, parts, places)
    files, facts = placed_hybrid(corpus, teaching, student, stage, asked.key)
    facts["student"] = student.manifest["student"]
    return _finished(asked, stage, corpus, files, facts)


def _divide_hybrid(
    corpus: Corpus,
    spec: HybridSpec,
    student: Student,
    run_folder: Path,
    part_rows: int | None,
    progress: Progress,
    texts: Texts,
    divide: Divide,
) -> None:
    """Have the parts of both encoders made at once: the teacher's take nearly all the time."""
    there = embeddings_there(corpus, spec, run_folder)
    if there is not None and there.whole():
        return
    teacher, rows = spec.student.teacher, rows_of(corpus, _taught(corpus, spec, texts))
    identity = identity_of(teacher, fetch=True)
    assert identity is not None
    own = to_embed(
        corpus, student, student.named, run_folder, progress, texts=texts, part_rows=part_rows
    )
    its = to_embed(corpus, teacher, identity, run_folder, progress, rows=rows, texts=texts)
    _made_by(divide, embed=own, teach=its)


def _made_by(divide: Divide, **asked: ToEmbed) -> None:
    """Have parts made. Where `divide` raises, it goes on with the units it was given."""
    units = EmbedUnits(asked)
    divide(units)
    units.close()


class _Options(TypedDict, total=False):
    """Arguments of `to_embed`."""

    texts: Texts | None
    part_rows: int | None
    pointed: Sequence[tuple[int, int]]


def _whole(asked: _Asked, stage: Stage, corpus: Corpus, progress: Progress) -> Embeddings | None:
    """The embeddings, if they stand there and all that they need."""
    if not stage.reuse(asked.key) or not (found := open_embeddings(stage.folder, corpus)).whole():
        return None
    progress.note(f"embed: the vectors of {corpus.num_rows:,} rows are there and used again")
    return found


def _pointed(stage: Stage, key: str) -> list[tuple[int, int]]:
    """Numbers and rows of the parts that finished embeddings point into, which lost some of them;
    of a hybrid those of its teacher.
    """
    try:
        found = open_embeddings(stage.folder).manifest
        parts = encoders_of(found)[0]["parts"] if found["key"] == key else []
        return [(number_of(part["name"]), int(part["rows"])) for part in parts]
    except (StoreError, LookupError, TypeError, ValueError):
        return []


def _finished(
    asked: _Asked, stage: Stage, corpus: Corpus, files: list[FileEntry], facts: dict[str, Any]
) -> Embeddings:
    """The stage with its manifest, opened."""
    stage.finish(
        key=asked.key,
        schema=SCHEMA,
        parameters=asked.parameters,
        inputs=asked.inputs,
        files=files,
        facts={"num_rows": corpus.num_rows, **facts},
    )
    return open_embeddings(stage.folder, corpus)


def _taught(corpus: Corpus, spec: HybridSpec, texts: Texts) -> NDArray[np.bool_]:
    """(g,) which groups the teacher embeds. Raises ConfigError where it is given no whole task."""
    window = window_of(spec.student.teacher)
    return taught_groups(corpus, texts.digests, spec.amount, window=window)


def _asked_hybrid(corpus: Corpus, spec: HybridSpec, student: Embeddings) -> _Asked:
    """What names the embeddings of a hybrid."""
    made = student.manifest["parameters"]
    name = f"{HYBRID}:{made['teacher']['encoder']}"
    parameters = {**made, "encoder": name, "teacher_rows": str(spec.teacher_rows)}
    inputs = {"corpus": corpus.digest, "student": student.digest}
    return _Asked(parameters, inputs, None)


def embedding_key(corpus: Corpus, encoder: EncoderSpec | VectorsSpec | Encoder) -> str | None:
    """The key of a corpus's embeddings, or None for an encoder of the hub that is not here yet.

    Quick: the files of the encoder, or of the vectors, are hashed once a process; no torch on a
    machine without a GPU. Raises EncoderError, VectorsError, MissingPackageError.
    """
    asked = _asked(corpus, encoder, fetch=False)
    return asked.key if asked else None


def embeddings_there(corpus: Corpus, encoder: Source, run_folder: Path) -> Embeddings | None:
    """The embeddings asked for, if the run folder has them; `embed_corpus` looks closer."""
    fitted = encoder_of(corpus, encoder, run_folder)
    if isinstance(fitted, StudentSpec):
        return None  # it is not fitted yet
    if isinstance(encoder, HybridSpec):
        student = embeddings_there(corpus, encoder.student, run_folder)
        asked = _asked_hybrid(corpus, encoder, student) if student else None
    else:
        asked = _asked(corpus, fitted, fetch=False)
    try:
        return open_embeddings(asked.stage(run_folder).folder, corpus) if asked else None
    except StoreError:
        return None


def encoder_of(
    corpus: Corpus, encoder: Source, run_folder: Path
) -> EncoderSpec | StudentSpec | VectorsSpec | Encoder:
    """What embeds other texts as the rows of this corpus are: the student that was fitted on it, if
    it is there, also of a hybrid; all else is what it is.
    """
    spec = encoder.student if isinstance(encoder, HybridSpec) else encoder
    if isinstance(spec, StudentSpec):
        return student_there(corpus, spec, Path(run_folder)) or spec
    return spec


def new_texts(corpus: Corpus, encoder: EncoderSpec | Encoder, run_folder: Path) -> int | None:
    """How many distinct texts of a corpus the run folder has no vectors of; None if it has none of
    this encoder at all, or the encoder is not here. Raises MissingPackageError.
    """
    identity = identity_of(encoder)
    if identity is None or not (parts := parts_of(encoder, identity, Path(run_folder))).whole:
        return None
    places = parts.places_of(Texts(corpus, identity.turns).digests)
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


def _asked(
    corpus: Corpus, encoder: EncoderSpec | VectorsSpec | Encoder, *, fetch: bool
) -> _Asked | None:
    inputs = {"corpus": corpus.digest}
    if isinstance(encoder, VectorsSpec):
        return _Asked(vectors_parameters(encoder), {**inputs, **vectors_inputs(encoder)}, None)
    known = encoder.named if isinstance(encoder, Student) else None
    identity = known or identity_of(encoder, fetch=fetch)
    if identity is None:
        return None
    parameters = {**identity.parameters, "turns": identity.turns}
    return _Asked(parameters, {**inputs, **identity.inputs}, identity)
