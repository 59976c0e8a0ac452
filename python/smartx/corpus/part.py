"""One part of a divided ingest on disk: some files as they were read, to be put behind others.

Everything in a part counts from its own first row, so that it does not depend on the files before
it: places among the rows of the sources, groups by first arrival. What depends on the order in
which files are read (the types of other columns) is kept as it was seen, and seen again.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from smartx.corpus.blocks import Drop
from smartx.corpus.dropped import DROPPED, DropLedger
from smartx.corpus.extra import POSITION, Kinds, others_file
from smartx.corpus.grouping import Arrivals
from smartx.corpus.reading import Reading
from smartx.corpus.room import Room
from smartx.corpus.sources import SourceFile
from smartx.corpus.tables import ROW_GROUP, table_file
from smartx.corpus.tokens import TokenCounter
from smartx.errors import StoreError
from smartx.files import canonical_json, commit_bytes, committing, storing, unchanged_digest
from smartx.progress import Silent
from smartx.store import FileEntry, read_manifest, sealed

STAGE = "ingest part"
_REMEMBERED = 4_096  # columns with their types that are not written down again
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")
Name = tuple[str, str, str]


class Notes(Silent):
    """Keeps what is noted, and hands on how far the work is."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        self.notes: list[str] = []
        self._advance = advance

    def note(self, message: str) -> None:
        """One line."""
        self.notes.append(message)

    def advance(self, amount: int) -> None:
        """So much more is done."""
        self._advance(amount)


class SeenKinds(Kinds):
    """Writes down which columns were seen with which type, in order, for `see_again`.

    What was seen before teaches `Kinds` nothing, so that it is left out as far as memory goes.
    """

    def __init__(self, word: str, file: TextIO) -> None:
        super().__init__()
        self._word, self._file = word, file
        self._seen: set[tuple[str, pa.DataType]] = set()

    def see(self, name: str, kind: pa.DataType) -> None:
        """A column has values of this type, too."""
        if (name, kind) in self._seen:
            return
        if len(self._seen) < _REMEMBERED:
            self._seen.add((name, kind))
        schema = base64.b64encode(pa.schema([("", kind)]).serialize()).decode()
        self._file.write(json.dumps([self._word, name, schema]) + "\n")


def see_again(path: Path, kinds: Mapping[str, Kinds]) -> None:
    """Have kinds, by word, see what was written down."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            word, name, schema = json.loads(line)
            found = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(schema)))
            kinds[word].see(name, found.field(0).type)


class _Stream:
    """Writes tables to an Arrow stream, a batch each."""

    def __init__(self, writer: pa.RecordBatchStreamWriter) -> None:
        self._writer, self.rows = writer, 0

    def write(self, table: pa.Table) -> None:
        """Append a table."""
        self._writer.write_table(table.combine_chunks())
        self.rows += table.num_rows


@contextmanager
def _stream_file(path: Path, schema: pa.Schema) -> Iterator[_Stream]:
    with (
        committing(path) as temporary,
        pa.ipc.new_stream(str(temporary), schema, options=_OPTIONS) as writer,
    ):
        yield _Stream(writer)


@dataclass(frozen=True)
class Part:
    """Where a part stands. name: of its unit.  key: of everything that goes into it."""

    folder: Path
    name: str
    key: str

    def path(self, ending: str) -> Path:
        """One of its files."""
        return self.folder / f"{self.name}.{ending}"

    @property
    def sidecar(self) -> Path:
        """The file that is written last, and says that the part is whole."""
        return self.path("json")

    def facts(self) -> dict[str, Any] | None:
        """What the sidecar says, if the part is there, made with this key and unharmed."""
        try:
            found = read_manifest(self.sidecar)
            if found.get("stage") != STAGE or found.get("key") != self.key:
                return None
            whole = all(
                (self.folder / entry["name"]).stat().st_size == entry["bytes"]
                and unchanged_digest(self.folder / entry["name"]) == entry["sha256"]
                for entry in found["files"]
            )
        except (StoreError, OSError):
            return None
        return found if whole else None

    def finish(self, entries: Sequence[FileEntry], facts: Mapping[str, Any]) -> None:
        """Write the sidecar."""
        files = [vars(entry) for entry in entries]
        content = sealed({"stage": STAGE, "key": self.key, "files": files, **facts})
        commit_bytes(self.sidecar, canonical_json(content))

    def files(self) -> list[Path]:
        """All that was written of it, whole or not, the sidecar first."""
        return sorted(
            self.folder.glob(f"{self.name}.*"), key=lambda path: (path != self.sidecar, path)
        )


@dataclass
class PartWriter:
    """Reads files into a part.

    read: given a reading, has it read the files; returns the digest of each by name.
    """

    part: Part
    room: Room
    counter: TokenCounter
    entries: list[FileEntry] = field(default_factory=list)

    def write(
        self,
        options: Any,
        read: Callable[[Reading], Mapping[str, str]],
        advance: Callable[[int], None],
    ) -> None:
        """Write all files of the part, the sidecar last."""
        part, notes = self.part, Notes(advance)
        with storing(part.folder):
            arrivals = Arrivals(part.folder, ROW_GROUP, self.room, self.counter)
            try:
                with (
                    table_file(part.path("dropped.parquet"), DROPPED) as writer,
                    committing(part.path("kinds.jsonl")) as kinds,
                    kinds.open("w", encoding="utf-8") as seen,
                ):
                    ledger = DropLedger(writer)
                    others = partial(others_part, part)
                    reading = Reading(options, others, self.room, arrivals, ledger, notes)
                    reading.extra, reading.turns = (
                        SeenKinds(word, seen) for word in ("extra", "turns")
                    )
                    digests = read(reading)
                    ledger.flush()
                arrivals.stop()
                self._keep(arrivals.path, "text.arrow", arrivals.records.count)
                self._keep(arrivals.records.path, "records", arrivals.records.count)
            finally:
                arrivals.close()
            for ending in ("dropped.parquet", "kinds.jsonl"):
                self.entries.append(FileEntry.of(part.path(ending), 0))
            facts = {
                "rows": reading.position,
                "kept": arrivals.records.count,
                "groups": arrivals.names,
                "sources": reading.facts,
                "digests": dict(digests),
                "notes": notes.notes,
            }
            part.finish([*self.entries, *reading.entries], facts)

    def _keep(self, path: Path, ending: str, rows: int) -> None:
        with committing(self.part.path(ending)) as temporary:
            os.replace(path, temporary)
        self.entries.append(FileEntry.of(self.part.path(ending), rows))


def others_part(part: Part, number: int) -> Any:
    """The file of the other columns of a source, in a part."""
    return others_file(_others_path(part, number), _stream_file)


def _others_path(part: Part, number: int) -> Path:
    return part.path(f"others-{number:05d}.arrow")


def put_behind(
    part: Part, facts: Mapping[str, Any], files: Mapping[int, SourceFile], reading: Reading
) -> None:
    """Have a reading go on with the rows of a part, as if it had read its files.

    facts: of the part.  files: of the part, by number.
    """
    start, names = reading.position, {file.name: file for file in files.values()}
    groups = [(str(source), str(task), str(template)) for source, task, template in facts["groups"]]
    arrivals = reading.arrivals
    arrivals.adopt(part.path("text.arrow"), part.path("records"), facts["kept"], groups, start)
    last = files[max(files)]
    reading.room.check_groups(last.path, 0, arrivals.groups, arrivals.name_bytes)
    with pq.ParquetFile(part.path("dropped.parquet"), page_checksum_verification=True) as dropped:
        for batch in dropped.iter_batches():
            for position, name, line, reason, detail in zip(
                *(column.to_pylist() for column in batch.columns), strict=True
            ):
                reading.ledger.add(start + position, names[name], line, Drop(reason, detail))
    written = {entry["name"] for entry in facts["files"]}
    for number in files:
        if (path := _others_path(part, number)).name in written:
            _write_others(path, number, start, reading)
    see_again(part.path("kinds.jsonl"), {"extra": reading.extra, "turns": reading.turns})
    reading.position += facts["rows"]
    reading.facts += facts["sources"]
    for note in facts["notes"]:
        reading.progress.note(note)


def _write_others(path: Path, number: int, start: int, reading: Reading) -> None:
    """The other columns of a source, as they stand in the corpus."""
    with (
        reading.others(number) as others,
        pa.OSFile(str(path)) as file,
        pa.ipc.open_stream(file) as stream,
    ):
        for batch in stream:
            columns = batch.columns
            place = batch.schema.get_field_index(POSITION)
            columns[place] = pc.add(columns[place], start)
            moved = pa.RecordBatch.from_arrays(columns, schema=batch.schema)
            others.write(pa.Table.from_batches([moved]))
    if others.entry is not None:
        reading.entries.append(others.entry)
