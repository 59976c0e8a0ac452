"""RUN/students/ID: the student of a corpus, fitted once and kept.

A sample of the rows is embedded by the teacher, into the parts of its own vectors like any other
rows, so a kill loses no more than a minute and a larger sample, or the teacher itself, later finds
them there. Then the student is fitted, and judged by rows that it never saw.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx.corpus import Corpus
from smartx.embed.encoded import encoded
from smartx.embed.encoders import EncoderSpec, Identity, encoder_folder, identity_of
from smartx.embed.npy import write_npy
from smartx.embed.student.fit import RECIPE, Table, fitted
from smartx.embed.student.loss import Loss, measured_loss
from smartx.embed.student.sample import Held, held_rows, training_rows
from smartx.embed.student.spec import STUDENT, StudentSpec
from smartx.embed.student.student import FILES, SCHEMA, STAGE, TOKENIZER, Student, open_student
from smartx.embed.student.token_vectors import token_vectors, tokens_to_embed
from smartx.embed.texts import Texts, strings
from smartx.embed.tokens import Ids, TokenReader, tokens_of
from smartx.engine import resolve_threads
from smartx.errors import EncoderError, StoreError
from smartx.files import check_alone, commit_bytes
from smartx.progress import Progress, warn
from smartx.store import FileEntry, Sidecar, Stage, folder_of, key_of

STUDENTS = "students"  # in a run folder
FIRST_ROWS, MOST_ROWS = 4_096, 32_768  # of a learning curve
HELD_ROWS = 1_536  # of each of two kinds (sample.Held), at most
_ENOUGH = 0.01  # a doubling of the rows that raises the cosine by less is the last
_GOOD = 0.6  # of greedy's gain inside groups; with less, people should know of other ways
# Texts that a student can learn from: half of the least that may be asked for, since of those that
# are drawn some say the same, and some are held out.
_LEAST = 32
_WINDOW, _SPECIAL = 512, 2  # tokens that are read where no file says so; [CLS] and [SEP]
_SAMPLE = 512  # texts on which a tokenizer is checked
_Rows = NDArray[np.int64]


def kept_student(
    corpus: Corpus,
    spec: StudentSpec,
    run_folder: Path,
    texts: Texts,
    progress: Progress,
) -> Student:
    """The student of a corpus: the one that is there, or one that is fitted now.

    texts: of the corpus, with the turns of the teacher.
    Raises EncoderError, MissingPackageError, StoreError.
    """
    asked = _Asked.of(corpus, spec, fetch=True)
    assert asked is not None  # it was fetched
    stage = asked.stage(run_folder)
    there = stage.reuse(asked.key)
    if not there:
        _fit(asked, stage, texts, run_folder, progress)  # says what is lost
    student = open_student(stage.folder, threads=spec.teacher.threads)
    if there:
        progress.note(f"{student.name}: {student.line}")
    kept = student.facts["loss"]["in_groups"]
    if kept is not None and kept < _GOOD:
        warn(
            progress,
            f"{student.name} keeps {kept:.0%} of greedy's gain inside groups: `encoder` "
            f"hybrid:{spec.teacher.name} loses less in many tasks, more `student_rows` may help",
        )
    return student


def student_there(corpus: Corpus, spec: StudentSpec, run_folder: Path) -> Student | None:
    """The student of a corpus, if the run folder has it. Raises MissingPackageError."""
    asked = _Asked.of(corpus, spec, fetch=False)
    if asked is None or not asked.stage(run_folder).is_done(asked.key):
        return None
    try:
        return open_student(asked.stage(run_folder).folder, threads=spec.teacher.threads)
    except StoreError:
        return None


def tokens_left(spec: StudentSpec, run_folder: Path) -> int:
    """Tokens that the teacher is yet to embed before a student can be fitted here."""
    teacher, folder = identity_of(spec.teacher), encoder_folder(spec.teacher, fetch=False)
    if teacher is None or folder is None:
        return 0
    return tokens_to_embed(teacher, _tokenizer_of(folder), run_folder / STUDENTS)


def sample_size(rows: int, spec: StudentSpec) -> int:
    """Rows that the teacher embeds at most, of a corpus of so many."""
    return min(rows, (spec.rows or _most(rows)) + 2 * _held(rows, spec))


def _most(rows: int) -> int:
    """Rows at which a learning curve ends, however it goes: about half of a small corpus."""
    wanted = FIRST_ROWS
    while wanted < min(MOST_ROWS, rows // 4):
        wanted *= 2
    return wanted


def _held(rows: int, spec: StudentSpec) -> int:
    """Rows of each kind that are held out, at most."""
    return max(1, min(HELD_ROWS, (spec.rows or MOST_ROWS) // 4, rows // 8))


@dataclass(frozen=True)
class _Asked:
    """What names the student of a corpus."""

    corpus: Corpus
    spec: StudentSpec
    teacher: Identity

    @classmethod
    def of(cls, corpus: Corpus, spec: StudentSpec, *, fetch: bool) -> _Asked | None:
        """None where the teacher is not here yet and is not to be fetched."""
        teacher = identity_of(spec.teacher, fetch=fetch)
        return None if teacher is None else cls(corpus, spec, teacher)

    @property
    def name(self) -> str:
        """With the teacher's name, wherever its folder is."""
        return f"{STUDENT}:{self.teacher.parameters['encoder']}"

    @property
    def parameters(self) -> dict[str, Any]:
        teacher = {**self.teacher.parameters, "turns": self.teacher.turns}
        spec = self.spec
        return {"teacher": teacher, "rows": spec.rows, "seed": spec.seed, "recipe": RECIPE}

    @property
    def inputs(self) -> dict[str, str]:
        return {"corpus": self.corpus.digest, **self.teacher.inputs}

    @property
    def key(self) -> str:
        return key_of(STAGE, SCHEMA, self.parameters, self.inputs)

    def stage(self, run_folder: Path) -> Stage:
        return Stage(STAGE, folder_of(run_folder / STUDENTS, self.key))


@dataclass(frozen=True)
class _Lesson:
    """What the teacher says of some rows: their texts' tokens, and their vectors."""

    ids: Ids
    vectors: NDArray[np.int16]


class _School:
    """Has the teacher embed rows, and reads their tokens."""

    def __init__(self, asked: _Asked, texts: Texts, run_folder: Path, progress: Progress) -> None:
        self._asked, self._texts = asked, texts
        self._run_folder, self._progress = run_folder, progress
        folder = encoder_folder(asked.spec.teacher, fetch=True)
        assert folder is not None
        self.tokenizer = _tokenizer_of(folder)
        self.limit = max(1, window_of(asked.spec.teacher) - _SPECIAL)
        self._reader: TokenReader | None = None

    def lesson(self, rows: _Rows, purpose: str) -> _Lesson:
        """rows: rising.  purpose: what they are for, for people."""
        corpus, teacher = self._asked.corpus, self._asked.spec.teacher
        self._progress.note(f"{self._asked.name}: the teacher gives {len(rows):,} rows {purpose}")
        parts, places = encoded(
            corpus,
            teacher,
            self._asked.teacher,
            self._run_folder,
            self._progress,
            rows=rows,
            texts=self._texts,
            name=f"embed {purpose}",
        )
        texts = [text for array in self._texts.of(rows) for text in strings(array)]
        if self._reader is None:
            self._reader = tokens_of(self.tokenizer, sample=texts[:_SAMPLE])
        return _Lesson(self._reader.read(texts, self.limit), parts.take(places))

    @cached_property
    def tokens(self) -> NDArray[np.int16]:
        """The teacher's vectors of the tokens."""
        asked = self._asked
        folder = self._run_folder / STUDENTS
        return token_vectors(
            asked.spec.teacher, asked.teacher, self.tokenizer, folder, self._progress
        )

    @property
    def vocabulary(self) -> int:
        assert self._reader is not None  # a lesson was read
        return self._reader.vocabulary


def _fit(
    asked: _Asked,
    stage: Stage,
    texts: Texts,
    run_folder: Path,
    progress: Progress,
) -> None:
    """Sample, fit, judge, and write the stage. Raises NotAlone beside others."""
    check_alone()
    corpus, spec = asked.corpus, asked.spec
    held = held_rows(corpus.groups.rows, texts.digests, spec.seed, _held(corpus.num_rows, spec))
    _worth_it(asked, held, texts.digests, progress)
    school = _School(asked, texts, run_folder, progress)
    exam = school.lesson(held.rows, "to judge it by")
    table, curve = _learnt(asked, school, exam, held, texts.digests, progress)
    stage.begin()
    entries = []
    arrays = (table.rows, table.weights, table.counts, table.centre)
    for name, array in zip(FILES, arrays, strict=True):
        array = array if array.ndim == 2 else array[:, np.newaxis]
        file = Sidecar(stage.folder / name, asked.key)
        entries.append(file.commit(len(array), partial(write_npy, array)))
    tokenizer = school.tokenizer.read_bytes()
    commit_bytes(stage.folder / TOKENIZER, tokenizer)
    entries.append(FileEntry.of(stage.folder / TOKENIZER, 1))
    stage.finish(
        key=asked.key,
        schema=SCHEMA,
        parameters=asked.parameters,
        inputs=asked.inputs,
        files=entries,
        facts={
            "name": asked.name,
            "limit": school.limit,
            "loss": curve[-1]["loss"],
            "curve": curve,
        },
    )


def _worth_it(asked: _Asked, held: Held, digests: NDArray[np.uint64], progress: Progress) -> None:
    """Raise EncoderError where too little is left to learn from, and warn where the teacher embeds
    most texts for the sample already. Before it embeds any.
    """
    spec, sizes, judged = asked.spec, asked.corpus.groups.rows, held.rows
    rows = len(training_rows(sizes, digests, judged, spec.seed, spec.rows or FIRST_ROWS))
    if rows < _LEAST:
        more = "" if spec.rows is None else "give more `student_rows`, or "
        raise EncoderError(
            f"{rows:,} distinct texts, besides {len(judged):,} to judge it by, are too few for a "
            f"student, which learns from {_LEAST} at least",
            place="encoder",
            fix=f"{more}pass `encoder` {spec.teacher.name}, which embeds so few itself",
        )
    texts = len(np.unique(digests[:, 0]))
    if 2 * (rows + len(judged)) > texts:
        name = spec.teacher.name
        warn(
            progress,
            f"{asked.name}: for its sample {name} embeds {rows + len(judged):,} of {texts:,} "
            f"distinct texts, so it saves little or nothing: `encoder` {name} loses nothing",
        )


def _learnt(
    asked: _Asked,
    school: _School,
    exam: _Lesson,
    held: Held,
    digests: NDArray[np.uint64],
    progress: Progress,
) -> tuple[Table, list[dict[str, Any]]]:
    """The table, and the learning curve: rows and what is lost. Rows are doubled until that gains
    little, where their number is not given.
    """
    corpus, spec = asked.corpus, asked.spec
    sizes, curve, table = corpus.groups.rows, list[dict[str, Any]](), None
    wanted = spec.rows or FIRST_ROWS
    while True:
        rows = training_rows(sizes, digests, held.rows, spec.seed, wanted)
        lesson = school.lesson(rows, "to learn from")
        threads = resolve_threads(spec.teacher.threads)
        table = fitted(
            lesson.ids,
            lesson.vectors,
            school.tokens,
            school.vocabulary,
            threads=threads,
            progress=progress,
        )
        loss = _judged(asked, table, exam, held, threads)
        curve.append({"rows": len(rows), "loss": loss.facts()})
        progress.note(f"{asked.name} from {len(rows):,} rows: {loss.line()}")
        known = len(curve) > 1 and loss.cosine - curve[-2]["loss"]["cosine"] < _ENOUGH
        if spec.rows is not None or known or wanted >= _most(corpus.num_rows):
            return table, curve
        wanted *= 2


def _judged(asked: _Asked, table: Table, exam: _Lesson, held: Held, threads: int) -> Loss:
    groups, rows = asked.corpus.groups, held.rows
    group = np.searchsorted(np.cumsum(groups.rows), rows, side="right")
    tasks = groups.tasks()
    task = np.searchsorted(tasks.start, rows, side="right") - 1
    return measured_loss(
        exam.vectors,
        table.embed(exam.ids.flat, exam.ids.lengths, threads=threads),
        task,
        np.where(np.isin(rows, held.deep), group, -1),
        seed=asked.spec.seed,
        threads=threads,
    )


def _tokenizer_of(folder: Path) -> Path:
    """The tokenizer of a teacher. Raises EncoderError where it has none of the common form."""
    for place in (folder, folder / "0_Transformer"):
        if (place / TOKENIZER).is_file():
            return place / TOKENIZER
    raise EncoderError(
        f"it has no {TOKENIZER}, by which a student reads texts",
        place=str(folder),
        fix="name an encoder that has one (a fast tokenizer), or embed by this one itself",
    )


def window_of(teacher: EncoderSpec) -> int:
    """Tokens of a text that a teacher reads, its own special ones among them."""
    folder = encoder_folder(teacher, fetch=True)
    assert folder is not None
    found = [teacher.max_length]
    for name, field in (
        ("sentence_bert_config.json", "max_seq_length"),
        ("config.json", "max_position_embeddings"),
    ):
        with suppress(OSError, ValueError, TypeError, AttributeError):
            found.append(json.loads((folder / name).read_bytes()).get(field))
    return next((n for n in found if isinstance(n, int) and n > 0), _WINDOW)
