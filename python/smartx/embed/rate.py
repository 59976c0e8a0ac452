"""How long embedding will take: what the vectors are, and how fast this machine makes them."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from smartx.corpus import Corpus
from smartx.embed.batches import batches
from smartx.embed.cost import Vectors, Way
from smartx.embed.embeddings import Embeddings
from smartx.embed.encoders import TEXT_ROWS, EncoderSpec, encoder_folder, identity_of, source_name
from smartx.embed.loading import devices_for, loaded
from smartx.embed.npy import open_npy
from smartx.embed.plan import part_sizes
from smartx.embed.run import new_texts
from smartx.embed.static_files import static_files
from smartx.embed.student import (
    HybridSpec,
    Student,
    StudentSpec,
    learnt_line,
    sample_size,
    student_there,
    tokens_left,
)
from smartx.embed.texts import Texts, strings
from smartx.embed.vector_files import VectorsSpec
from smartx.embed.workers import share_of
from smartx.engine import resolve_threads
from smartx.errors import EncoderError, MissingPackageError
from smartx.progress import Progress, Silent

_PLACES, _ROWS = 8, 32  # prompts that are looked at: from 8 places of the corpus, 32 each
_SECONDS = 2.0  # and how long some of them are encoded
_STUDENT_ROWS = 2e4  # that a student embeds a second on one core, their texts read and hashed
_TOKEN, _READ = 12.0, 256.0  # tokens that one costs by itself; of a text that are read, at most
_GATHERED = 4e8  # values of ready vectors a second that are read, checked and rounded


def embedding_rate(
    corpus: Corpus,
    encoder: EncoderSpec | StudentSpec | HybridSpec | VectorsSpec,
    there: Embeddings | None,
    run_folder: Path,
    progress: Progress,
    *,
    fetch: bool = False,
) -> Vectors:
    """What the vectors of a corpus are, and how long it takes to make those that the run folder
    does not hold.

    there: they are, and nothing is made.  fetch: get the encoder from the hub if it is not here;
    one that is here is loaded and timed.
    """
    if there is not None:
        source = source_name(there.manifest["parameters"])
        encodes = not isinstance(encoder, VectorsSpec)
        if student := there.manifest.get("student"):  # of a hybrid too: the other rows are by it
            source += f", {learnt_line(student)}"
        return Vectors(there.dimensions, 0.0, encodes, done=True, source=source)
    if isinstance(encoder, VectorsSpec):
        path = Path(encoder.path)
        width = _width_of(path)
        seconds = None if width is None else corpus.num_source_rows * width / _GATHERED
        return Vectors(width, seconds, False, done=False, source=path.name)
    if isinstance(encoder, EncoderSpec):
        return _by_encoder(corpus, encoder, run_folder, progress, fetch=fetch)
    return _by_student(corpus, encoder, run_folder, progress, fetch=fetch)


def _by_encoder(
    corpus: Corpus, encoder: EncoderSpec, run_folder: Path, progress: Progress, *, fetch: bool
) -> Vectors:
    folder, seconds, new = None, None, None
    ways: tuple[Way, ...] = ()
    devices: tuple[str, ...] = (encoder.device,)
    with suppress(MissingPackageError):  # the embed stage says what to install
        folder = encoder_folder(encoder, fetch=False)
        if folder is None and fetch:
            progress.note(f"fetching the encoder {encoder.name} from the hub")
            folder = encoder_folder(encoder, fetch=True)
        devices = devices_for(encoder)[: _parts(corpus, encoder)]
        if folder is not None:
            seconds = _measured(corpus, share_of(encoder, devices, devices[0])) / len(devices)
            hybrid = HybridSpec(StudentSpec(encoder))
            before = _tokens_seconds(corpus, seconds, hybrid.student, run_folder)
            ways = ways_of(corpus.num_rows, seconds, hybrid, before=before)
            ways = ways if ways[-1].seconds < seconds else ()  # a student would be no quicker
            new = new_texts(corpus, encoder, run_folder)
            seconds *= 1.0 if new is None else new / corpus.num_rows
    width = None if folder is None else _width_of_encoder(folder)
    return Vectors(width, seconds, True, False, len(devices), encoder.name, new, ways)


def _parts(corpus: Corpus, encoder: EncoderSpec) -> int:
    """Into how many parts all rows go, at most: a device without one is not started."""
    identity = identity_of(encoder)
    return len(part_sizes(corpus.num_rows, identity.part_rows if identity else TEXT_ROWS))


def _by_student(
    corpus: Corpus,
    spec: StudentSpec | HybridSpec,
    run_folder: Path,
    progress: Progress,
    *,
    fetch: bool,
) -> Vectors:
    """The teacher is timed; a student that is fitted already only has rows to look at."""
    hybrid = spec if isinstance(spec, HybridSpec) else HybridSpec(spec)
    student = student_there(corpus, hybrid.student, run_folder)
    if student is not None and spec is not hybrid:
        own = rows_seconds(corpus.num_rows, hybrid.student)
        loss = (Way(spec.name, own, student.line),)
        return Vectors(student.dimensions, own, True, False, source=spec.name, ways=loss)
    teacher = _by_encoder(corpus, hybrid.student.teacher, run_folder, progress, fetch=fetch)
    ways: tuple[Way, ...] = ()
    if teacher.seconds is not None:
        before = _tokens_seconds(corpus, teacher.seconds, hybrid.student, run_folder)
        ways = ways_of(corpus.num_rows, teacher.seconds, hybrid, student, before=before)
    seconds = next((way.seconds for way in ways if way.name == spec.name), None)
    return replace(teacher, seconds=seconds, source=spec.name, new=None, ways=ways)


def ways_of(
    rows: int,
    seconds: float,
    hybrid: HybridSpec,
    student: Student | None = None,
    *,
    before: float = 0.0,
) -> tuple[Way, ...]:
    """What a teacher, its student and both together take and lose. seconds: of the teacher, for all
    rows.  student: if it is fitted.  before: seconds until one can be, the sample aside.
    """
    spec, amount = hybrid.student, hybrid.amount
    share = amount if isinstance(amount, float) else min(1.0, amount / rows)
    learnt = 0.0 if student else before + seconds * sample_size(rows, spec) / rows
    own = learnt + rows_seconds(rows, spec)
    lost = student.line if student else "measured when it is fitted"
    return (
        Way(spec.teacher.name, seconds, "nothing"),
        Way(hybrid.name, own + share * seconds, "less than its student, in the smaller tasks"),
        Way(spec.name, own, lost),
    )


def _tokens_seconds(corpus: Corpus, seconds: float, spec: StudentSpec, run_folder: Path) -> float:
    """What the teacher takes for its tokens, as texts of 8 with padding, in batches that are less
    full. seconds: for all rows.
    """
    try:
        tokens = tokens_left(spec, run_folder)
    except EncoderError:
        return 0.0  # it cannot be: whoever fits the student says why
    counted = float(corpus.manifest["tokens"]["prompt_tokens"]) / corpus.num_rows
    return tokens * seconds / corpus.num_rows * _TOKEN / max(_TOKEN, min(counted, _READ))


def rows_seconds(rows: int, spec: StudentSpec) -> float:
    """What a fitted student takes for so many rows."""
    return rows / _STUDENT_ROWS / max(1, resolve_threads(spec.teacher.threads))


def _measured(corpus: Corpus, spec: EncoderSpec) -> float:
    """Seconds for all rows on one device, from a sample's tokens and the time some of them take."""
    starts = np.linspace(0, max(0, corpus.num_rows - _ROWS), _PLACES, dtype=np.int64)
    rows = np.unique(np.minimum(starts[:, None] + np.arange(_ROWS), corpus.num_rows - 1))
    none = np.empty(0, dtype=np.int64)
    texts = [text for part in Texts(corpus, spec.turns, none).of(rows) for text in strings(part)]
    with loaded(spec, Silent()) as encoder:
        encoder.read(texts[:1])  # first calls are slow
        began = time.perf_counter()
        read = encoder.read(texts)
        reading = (time.perf_counter() - began) / len(texts)
        lengths = read.lengths
        made = list(batches(lengths, encoder.batch_tokens, encoder.batch_rows))

        def encode(batch: NDArray[np.int64]) -> None:
            encoder.encode([read.texts[row] for row in batch.tolist()], int(lengths[batch[0]]))

        encode(made[len(made) // 2][:2])  # first calls are slow
        tokens, began = 0, time.perf_counter()
        for batch in made[:: max(1, len(made) // 4)] + made:
            encode(batch)
            tokens += int(lengths[batch].sum())
            if time.perf_counter() - began > _SECONDS:
                break
        took = time.perf_counter() - began
        workers = encoder.workers
    encoding = float(lengths.mean()) * took / tokens / workers
    return corpus.num_rows * (reading + encoding)


def _width_of(path: Path) -> int | None:
    """Values of a ready vector, where the file says so at its head."""
    try:
        if path.suffix.lower() != ".parquet":
            return open_npy(path).width
        fields = pq.read_schema(path)
    except (OSError, ValueError, pa.ArrowException):
        return None  # the embed stage says what is wrong with it
    widths = [f.type.list_size for f in fields if pa.types.is_fixed_size_list(f.type)]
    return widths[0] if len(widths) == 1 else None


def _width_of_encoder(folder: Path) -> int | None:
    if (static := static_files(folder)) is not None:
        return static.width()
    for name, field in (
        ("1_Pooling/config.json", "word_embedding_dimension"),
        ("config.json", "hidden_size"),
    ):
        try:
            return int(json.loads((folder / name).read_bytes())[field])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None
