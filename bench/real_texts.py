"""Real texts beside the vectors that all-MiniLM-L6-v2 gives them: T0, and a part of BIG-bench."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from vectors import real_folder

from smartx.corpus import Corpus, ingest, open_corpus
from smartx.embed import embed_corpus
from smartx.embed.encoders import EncoderSpec, encoder_folder, identity_of
from smartx.embed.student import STUDENTS
from smartx.embed.student.fit import Table, fitted
from smartx.embed.student.sample import training_rows
from smartx.embed.student.token_vectors import token_vectors
from smartx.embed.texts import Texts
from smartx.embed.tokens import TokenReader, tokens_of
from smartx.progress import Silent

KEPT = Path(__file__).parent.parent / "build" / "bench" / "texts"  # what is made once
TEACHER = EncoderSpec("all-MiniLM-L6-v2", device="cpu")
WINDOW = 254  # tokens that it reads, its two own aside
BIGBENCH_ROWS = 100_000  # of the first tasks by name: all of them take the teacher three hours
SAMPLE, FOLDS, SEED = 12_000, 4, 0
COLUMNS = ("task_source", "task_name", "template_type")


@dataclass(frozen=True, eq=False)
class RealTexts:
    """A corpus with its teacher's vectors, made at the first call and kept.

    teacher: (n, d) int16 Q12.  groups, tasks: (n,) rising numbers.  folder: that keeps them.
    """

    corpus: Corpus
    teacher: np.ndarray
    groups: np.ndarray
    tasks: np.ndarray
    folder: Path

    def texts(self, rows: np.ndarray | None = None) -> list[str]:
        prompts = self.corpus.prompts(0, self.corpus.num_rows)
        return prompts if rows is None else [prompts[row] for row in rows.tolist()]

    @cached_property
    def digests(self) -> np.ndarray:
        """(n, 2) uint64 of the texts."""
        return Texts(self.corpus, TEACHER.turns).digests

    @property
    def sizes(self) -> np.ndarray:
        return self.corpus.groups.rows

    def sample(self) -> np.ndarray:
        """12,000 rising rows, no text twice, that students learn from."""
        none = np.empty(0, dtype=np.int64)
        return training_rows(self.sizes, self.digests, none, SEED, SAMPLE)

    def held_out(self) -> np.ndarray:
        """Rows whose text is not among the sample's."""
        learnt = self.digests[self.sample(), 0]
        return np.flatnonzero(~np.isin(self.digests[:, 0], learnt))

    def folds(self) -> list[np.ndarray]:
        """Rows of every fourth task, four times."""
        return [np.flatnonzero(self.tasks % FOLDS == fold) for fold in range(FOLDS)]

    def sample_without(self, rows: np.ndarray) -> np.ndarray:
        """12,000 rising rows of other tasks than these whole ones."""
        others = np.setdiff1d(np.arange(self.corpus.num_rows), rows)
        own = np.zeros(self.corpus.num_rows, dtype=np.bool_)
        own[others] = True
        sizes = self.sizes[np.add.reduceat(own, np.cumsum(self.sizes) - self.sizes) > 0]
        none = np.empty(0, dtype=np.int64)
        return others[training_rows(sizes, self.digests[others], none, SEED, SAMPLE)]

    def reader(self) -> TokenReader:
        return tokens_of(_encoder_file("tokenizer.json"), sample=self.texts()[::997])

    def student(self, rows: np.ndarray, reader: TokenReader) -> Table:
        """That learnt from these rows."""
        identity = identity_of(TEACHER)
        assert identity is not None
        tokenizer = _encoder_file("tokenizer.json")
        tokens = token_vectors(TEACHER, identity, tokenizer, KEPT / STUDENTS, Silent())
        ids = reader.read(self.texts(rows), WINDOW)
        return fitted(
            ids, self.teacher[rows], tokens, reader.vocabulary, threads=1, progress=Silent()
        )


def real_texts(name: str) -> RealTexts:
    """name: "t0" or "bigbench"."""
    folder = KEPT / name
    corpus = _corpus(name, folder)
    if name == "t0":
        rows = np.load(_data() / "t0_minilm_q12.npy")[_source_rows(corpus) - 1]
    else:
        rows = embed_corpus(corpus, TEACHER, folder).rows(0, corpus.num_rows)
    group = np.repeat(np.arange(len(corpus.groups)), corpus.groups.rows)
    task = np.repeat(np.arange(len(corpus.groups.tasks())), corpus.groups.tasks().rows)
    return RealTexts(corpus, rows, group, task, folder)


def teacher_folder() -> Path:
    """The files of the teacher."""
    folder = encoder_folder(TEACHER, fetch=True)
    assert folder is not None
    return folder


def _encoder_file(name: str) -> Path:
    return teacher_folder() / name


def _corpus(name: str, folder: Path) -> Corpus:
    if (folder / "corpus" / "manifest.json").exists():
        return open_corpus(folder / "corpus")
    source = _data() / f"{name}.parquet"
    if name == "bigbench":
        folder.mkdir(parents=True, exist_ok=True)
        table = pq.read_table(source).sort_by([(column, "ascending") for column in COLUMNS])
        source = folder / "first.parquet"
        pq.write_table(table.slice(0, _whole_tasks(table, BIGBENCH_ROWS)), source)
    return ingest([source], folder / "corpus", keep_empty_responses=True)


def _whole_tasks(table, most: int) -> int:
    """Rows of the first tasks, at most so many."""
    task = table["task_name"].combine_chunks().dictionary_encode().indices.to_numpy()
    ends = np.append(np.flatnonzero(np.diff(task)) + 1, len(task))
    return int(ends[np.searchsorted(ends, most, side="right") - 1])


def _source_rows(corpus: Corpus) -> np.ndarray:
    """(n,) which row of its file each row of the corpus was, from 1."""
    return np.concatenate(
        [
            pq.read_table(path, columns=["origin_row"])["origin_row"].to_numpy()
            for path in sorted(corpus.folder.glob("rows-*.parquet"))
        ]
    )


def _data() -> Path:
    folder = real_folder()
    if folder is None:
        raise SystemExit("the real corpora are not here: set SMARTX_DATA to their folder")
    return folder
