"""The measures of a corpus as a stage, made in parts by one process or several.

    RUN/clean/ID/  manifest.json measures-*.parquet

A part that is whole stays where a run is killed, and no part depends on who made it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from smartx.clean.measures import SCHEMA as TABLE
from smartx.clean.measures import measured
from smartx.clean.signs import versions
from smartx.corpus import Corpus, open_corpus
from smartx.corpus.tables import as_written, table_file
from smartx.errors import StoreError, WorkerError
from smartx.executors.child import Child
from smartx.executors.processes import as_error
from smartx.progress import Progress, step
from smartx.store import FileEntry, Sidecar, Stage, folder_of, key_of

SCHEMA = 1  # raised when the same rows get other measures
STAGE = "measures"
PART_ROWS = 4_096  # some ten seconds of one processor
WORKER = "smartx.clean.worker:main"


@dataclass(frozen=True)
class Parts:
    """The parts of the measures of a corpus.

    key: of the stage.  least_letters: as `measured` has it.  rows: of a part.
    """

    corpus: Corpus
    folder: Path
    key: str
    least_letters: int
    rows: int

    def __len__(self) -> int:
        return -(-self.corpus.num_rows // self.rows)

    def bounds(self, number: int) -> tuple[int, int]:
        """(start, stop): the rows of a part."""
        return number * self.rows, min((number + 1) * self.rows, self.corpus.num_rows)

    def sidecar(self, number: int) -> Sidecar:
        """That of a part."""
        return Sidecar(self.folder / f"measures-{number:06d}.parquet", self.key)

    def make(self, number: int) -> None:
        """Make a part."""
        start, stop = self.bounds(number)
        texts: list[list[str]] = [[], []]
        for table in self.corpus.rising(np.arange(start, stop), ("prompt", "response")):
            for held, name in zip(texts, ("prompt", "response"), strict=True):
                held += table[name].to_pylist()
        made = measured(*texts, least_letters=self.least_letters)
        self.sidecar(number).commit(stop - start, partial(_write, made))


@dataclass(frozen=True, eq=False)
class Measures:
    """Finished measures of a corpus."""

    folder: Path
    manifest: dict[str, Any]

    @property
    def digest(self) -> str:
        """Names the content."""
        return str(self.manifest["digest"])

    def column(self, name: str) -> NDArray[Any]:
        """(n,) of all rows: numbers as they are, a language as a text or None."""
        table = self.table([name])[name]
        return np.asarray(table.to_numpy())

    def table(self, names: Sequence[str] | None = None) -> pa.Table:
        """Some columns of all rows. Raises StoreError where a file is not what was written."""
        return pa.concat_tables(list(self._read(names)))

    def _read(self, names: Sequence[str] | None) -> Iterator[pa.Table]:
        for entry in self.manifest["files"]:
            name = str(entry["name"])
            with as_written(self.folder, self.manifest, name, fix="clean once more") as path:
                table = pq.read_table(path, columns=names, page_checksum_verification=True)
            yield table


def measures_of(
    corpus: Corpus, folder: Path, *, least_letters: int, threads: int, progress: Progress
) -> Measures:
    """The measures of all rows, from folder/ID; what is missing is made, by `threads` processes."""
    key, parameters, inputs = measures_stage(corpus, least_letters)
    stage = Stage(STAGE, folder_of(folder, key))
    if not stage.reuse(key):
        stage.keep_parts(key, lambda _: key)
        stage.begin()
        parts = Parts(corpus, stage.folder, key, least_letters, PART_ROWS)
        there = [parts.sidecar(number).whole_part() for number in range(len(parts))]
        missing = [number for number, entry in enumerate(there) if entry is None]
        if kept := len(parts) - len(missing):
            progress.note(f"{kept} of {len(parts)} parts of the measures were there already")
        rows = sum(stop - start for start, stop in map(parts.bounds, missing))
        with step(progress, "measure", rows, "rows") as advance:
            _make(parts, missing, min(threads, len(missing)), advance)
        entries = [_entry(parts.sidecar(number)) for number in range(len(parts))]
        digest = key_of("content", SCHEMA, {}, {e.name: e.sha256 for e in entries})
        stage.finish(
            key=key,
            schema=SCHEMA,
            parameters=parameters,
            inputs=inputs,
            files=entries,
            facts={"digest": digest, "rows": corpus.num_rows},
        )
    return Measures(stage.folder, stage.manifest(SCHEMA))


def measures_stage(
    corpus: Corpus, least_letters: int
) -> tuple[str, dict[str, Any], dict[str, str]]:
    """Key, parameters and inputs of the stage."""
    parameters = {"least_letters": least_letters, "part_rows": PART_ROWS, **versions()}
    inputs = {"corpus": corpus.digest}
    return key_of(STAGE, SCHEMA, parameters, inputs), parameters, inputs


def _make(
    parts: Parts, missing: Sequence[int], processes: int, advance: Callable[[int], None]
) -> None:
    """Make parts here, or by several processes with one part at a time each."""

    def told(number: int) -> None:
        start, stop = parts.bounds(number)
        advance(stop - start)

    if processes < 2:
        for number in missing:
            parts.make(number)
            told(number)
        return
    job = [str(parts.corpus.folder), str(parts.folder), parts.key, parts.least_letters, parts.rows]
    waiting = list(reversed(missing))
    with ExitStack() as stack:
        at_work: dict[Any, tuple[Child, int]] = {}
        for _ in range(processes):
            child = Child(WORKER)
            stack.callback(child.close)
            child.say(job)
            at_work[child.link] = (child, waiting.pop())
            child.say(at_work[child.link][1])
        while at_work:
            for link in wait(list(at_work)):
                child, number = at_work.pop(link)
                _check_made(child, number)
                told(number)
                if waiting:
                    at_work[link] = (child, waiting.pop())
                    child.say(at_work[link][1])


def _check_made(child: Child, number: int) -> None:
    """Hear that a part is made. Raises what the worker tells, WorkerError where it died."""
    heard = child.hear()
    if heard is None:
        _, how = child.ending()
        raise WorkerError(
            f"a process that measured rows ended ({how})",
            fix="finished parts are kept, and the same command goes on; where memory ran out, give "
            "fewer `threads`",
        )
    if heard[0] == "failed":
        raise as_error(*heard[1:], doing=f"part {number} of the measures")


def _entry(sidecar: Sidecar) -> FileEntry:
    entry = sidecar.whole_part()
    if entry is None:
        raise StoreError("it was deleted while others were made", place=str(sidecar.part))
    return entry


def _write(table: pa.Table, path: Path) -> None:
    with table_file(path, TABLE) as writer:
        writer.write(table)


def parts_of(job: str) -> Parts:
    """The parts that a job, as `_make` sends it, is about."""
    corpus, folder, key, least, rows = json.loads(job)
    return Parts(open_corpus(Path(corpus)), Path(folder), str(key), int(least), int(rows))
