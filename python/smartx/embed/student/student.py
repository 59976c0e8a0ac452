"""A fitted student: texts -> vectors by one look at their tokens. An encoder like any other."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx.embed.encoders import TABLE_ROWS, Identity, Read
from smartx.embed.npy import open_npy
from smartx.embed.student.fit import Table
from smartx.embed.student.loss import Loss
from smartx.embed.tokens import TokenReader, tokens_of
from smartx.engine import resolve_threads
from smartx.errors import InputError, StoreError
from smartx.files import unchanged_digest
from smartx.store import Stage

STAGE = "student"
SCHEMA = 1  # raised when the files of a student change
FILES = ("rows.npy", "weights.npy", "counts.npy", "centre.npy")  # as Table has them
TOKENIZER = "tokenizer.json"
_BATCH = 1 << 16  # texts that are taken at once


def learnt_line(facts: Mapping[str, Any]) -> str:
    """What a student was learnt from and what is lost, for people. facts: as manifests have them"""
    rows = int(facts["curve"][-1]["rows"])
    return f"learnt from {rows:,} rows; {Loss(**facts['loss']).line()}"


class Student:
    """Gives nearly what its teacher would; implements smartx.embed.Encoder.

    name: as in `--encoder`.  named: what names its vectors.  facts: what manifests say of it, what
    is lost among that.
    """

    def __init__(
        self, table: Table, tokens: TokenReader, manifest: Mapping[str, Any], threads: int
    ) -> None:
        """manifest: of its stage."""
        asked = manifest["parameters"]
        self._table, self._tokens, self._limit = table, tokens, int(manifest["limit"])
        self.name = str(manifest["name"])
        self.facts = {name: manifest[name] for name in ("key", "name", "loss", "curve")}
        self.identity: Mapping[str, Any] = {"encoder": self.name, **asked}
        files = "".join(f"{entry['name']} {entry['sha256']}\n" for entry in manifest["files"])
        digest = hashlib.sha256(files.encode()).hexdigest()
        turns = asked["teacher"]["turns"]
        self.named = Identity(self.identity, {"student": digest}, turns, TABLE_ROWS)
        self.made_by: Mapping[str, str] = {"student": str(SCHEMA)}
        self.batch_tokens = self.batch_rows = _BATCH
        self.workers, self._threads = 1, threads

    @property
    def line(self) -> str:
        """What it was learnt from and what is lost, for people."""
        return learnt_line(self.facts)

    @property
    def dimensions(self) -> int:
        """Values of a vector, as many as the teacher's."""
        return len(self._table.centre)

    def read(self, texts: list[str]) -> Read:
        """The vector of each text: to read it is nearly all the work."""
        ids = self._tokens.read(texts, self._limit)
        vectors = self._table.embed(ids.flat, ids.lengths, threads=self._threads)
        return Read(list(vectors), np.ones(len(texts), dtype=np.int64), ids.cut)

    def encode(self, texts: Sequence[Any], length: int = 1) -> NDArray[np.int16]:
        """(n, d) Q12 rows of texts, or of what `read` gave of them.

        Raises InputError for one text alone, and for what is no text.
        """
        if isinstance(texts, str):
            raise InputError("one text is given, not a list of texts", fix="give [text]")
        if len(texts) and not isinstance(texts[0], np.ndarray):
            wrong = next((n for n, text in enumerate(texts) if not isinstance(text, str)), None)
            if wrong is not None:
                what = type(texts[wrong]).__name__
                raise InputError(f"texts[{wrong}] is of type {what}", fix="give strings alone")
            texts = self.read(list(texts)).texts
        return np.asarray(texts, dtype=np.int16).reshape(-1, self.dimensions)


def open_student(folder: Path, *, threads: int | None = None) -> Student:
    """The student in RUN/students/ID, ready to encode. Raises StoreError, MissingPackageError."""
    stage = Stage(STAGE, Path(folder))
    manifest, again = stage.manifest(SCHEMA), "run `smartx embed` again"
    entries = {entry["name"]: entry for entry in manifest["files"]}
    threads = resolve_threads(threads)
    try:
        for name in (*FILES, TOKENIZER):
            if unchanged_digest(stage.folder / name) != entries[name]["sha256"]:
                raise ValueError(f"{name} is not what was written")
        arrays = [_read(stage.folder / name) for name in FILES]
    except (OSError, ValueError, KeyError) as problem:
        raise StoreError(
            f"the student cannot be read ({problem})", place=str(stage.folder), fix=again
        ) from None
    table = Table(arrays[0], *(array[:, 0] for array in arrays[1:]))
    tokens = tokens_of(stage.folder / TOKENIZER, threads=threads)
    return Student(table, tokens, manifest, threads)


def _read(path: Path) -> NDArray[np.float32]:
    file = open_npy(path)
    rows: NDArray[np.float32] = file.read(0, file.num_rows)
    return rows
