"""Sources become a corpus: each row is in its group, or counted under a reason, file and line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from smartx.corpus.ahead import one_ahead
from smartx.corpus.blocks import Drop
from smartx.corpus.columns import Columns
from smartx.corpus.corpus import DROPPED_FILE, SCHEMA, STAGE, Corpus, open_corpus
from smartx.corpus.dropped import DROPPED, DropLedger
from smartx.corpus.extra import OthersFile, others_file, others_name
from smartx.corpus.grouping import Arrivals, Order
from smartx.corpus.layouts import Options, look_at
from smartx.corpus.names import readable
from smartx.corpus.overview import source_lines
from smartx.corpus.reading import Reading
from smartx.corpus.remote import Location, RemotePath, signature_of
from smartx.corpus.room import Room
from smartx.corpus.sources import SourceFile, cannot_be_read, find_sources
from smartx.corpus.tables import ROW_GROUP, table_file
from smartx.corpus.tokens import Counting, TokenCounter, token_counter
from smartx.corpus.writing import write_groups, write_rows
from smartx.errors import CorpusError, InputError, plain
from smartx.files import storing, unchanged_digest
from smartx.progress import Progress, Silent, counted, step
from smartx.store import FileEntry, Stage, key_of

_REPEATS = 1 << 17  # duplicates that are accounted for at a time
_MANY_TASKS = 5_000  # a guessed task column with more values than this is pointed out
# Parameters that leave texts, groups and order as they are.
_BESIDES_TEXT = ("other_columns", "tokens")
_SIZE = 2  # in a signature
_NO_COLUMNS = Columns()
Gather = Callable[[Reading], None]  # gives the reading all rows of all files, in order
_SILENT = Silent()
T = TypeVar("T")


def ingest(
    sources: Sequence[str | Path],
    folder: Path,
    *,
    columns: Columns = _NO_COLUMNS,
    keep_empty_responses: bool = False,
    task_name: str | None = None,
    source_name: str | None = None,
    other_columns: bool = True,
    duplicates: Literal["keep", "drop"] = "keep",
    tokenizer: str | None = None,
    memory: int | None = None,
    progress: Progress = _SILENT,
) -> Corpus:
    """Read the sources into a corpus folder, rows by (source, task, template) and source order.

    sources: files, folders, globs or names of the Hub, in this order, each as it is or with a name
    for what it holds (NAME=SOURCE).  columns: what the guess would get wrong.
    task_name, source_name: one task, one source for all rows.
    other_columns: keep what else the rows carry.
    duplicates: whether a row that says what an earlier one says, in any group, is left out.
    tokenizer: tokenizer.json, its folder or a Hub name; None: tokens are estimated.
    memory: bytes that the process may take; None: as many as the rows need. It does not change a
    byte of the corpus.
    A folder that holds just this corpus is used as it is.
    Raises CorpusError for a file that is missing, damaged or not understood, or if no row is left;
    ConfigError or CorpusError, with the number that is needed, where `memory` is too little.
    """
    asked = ingestion(
        sources,
        columns=columns,
        keep_empty_responses=keep_empty_responses,
        task_name=task_name,
        source_name=source_name,
        other_columns=other_columns,
        duplicates=duplicates,
        tokenizer=tokenizer,
        progress=progress,
    )
    return asked.into(Path(folder), memory=memory, progress=progress)


def ingestion(
    sources: Sequence[str | Path],
    *,
    columns: Columns = _NO_COLUMNS,
    keep_empty_responses: bool = False,
    task_name: str | None = None,
    source_name: str | None = None,
    other_columns: bool = True,
    duplicates: Literal["keep", "drop"] = "keep",
    tokenizer: str | None = None,
    progress: Progress = _SILENT,
) -> Ingestion:
    """What `ingest` with these arguments will make: its key is known before a row is read.

    Raises CorpusError for a source that is missing or of a kind that is not understood.
    """
    if task_name is not None and columns.task is not None:
        raise InputError("a task name and a task column exclude each other", fix="pass one of them")
    if source_name is not None and columns.source is not None:
        fault = "a source name and a source column exclude each other"
        raise InputError(fault, fix="pass one of them")
    if duplicates not in ("keep", "drop"):
        raise InputError(f"duplicates cannot be {duplicates!r}", fix='pass "keep" or "drop"')
    files = find_sources(sources, progress.note)
    columns = Columns(**{role: _text(name) for role, name in asdict(columns).items()})
    names = _text(task_name), _text(source_name)
    options = Options(columns, keep_empty_responses, *names, other_columns)
    return Ingestion(files, options, duplicates, token_counter(tokenizer))


@dataclass(frozen=True)
class Ingestion:
    """A corpus that is asked for: all that decides what is in it."""

    files: list[SourceFile]
    options: Options
    duplicates: str
    counter: TokenCounter

    @cached_property
    def signatures(self) -> list[tuple[int, ...]]:
        """Of the files when their digests were taken: they must not change until they are read."""
        return [_asked(signature_of, file) for file in self.files]

    @cached_property
    def digests(self) -> dict[str, str]:
        """SHA-256 of the sources, by name; see `digest_of`."""
        assert len(self.signatures) == len(self.files)  # taken before the first byte is read
        return {file.name: self.digest_of(file) for file in self.files}

    def digest_of(self, file: SourceFile) -> str:
        """SHA-256 of one of the sources; of an object of a store, what stands for it there."""
        return _asked(_digest, file)

    def know(self, digests: Mapping[str, str]) -> None:
        """Take the digests of all sources from whoever read them."""
        vars(self)["digests"] = {file.name: digests[file.name] for file in self.files}

    @cached_property
    def key(self) -> str:
        """Names the corpus: another source, order or option gives another one. Reads all files."""
        return self._key(self.parameters)

    @property
    def parameters(self) -> dict[str, Any]:
        """What the corpus depends on besides the bytes of its sources."""
        return {
            **asdict(self.options),
            "duplicates": self.duplicates,
            "tokens": self.counter.parameters(),
            "order": [[file.name, file.label, file.named] for file in self.files],
        }

    def into(
        self,
        folder: Path,
        *,
        memory: int | None = None,
        progress: Progress = _SILENT,
        gather: Gather | None = None,
    ) -> Corpus:
        """Make the corpus in a folder, or use it where it stands there already. See `ingest`.

        gather: where the rows come from; None: they are read here.
        """
        if Stage(STAGE, folder).reuse(self.key):
            progress.note(f"the corpus in {folder} is up to date and is used again")
        else:
            room = Room() if memory is None else Room(memory)
            room.check()
            self._do(folder, room, progress, gather)
        corpus = open_corpus(folder)
        for line in source_lines(corpus.manifest["sources"]):
            progress.note(line)
        if lost := sum(corpus.manifest["rows"]["dropped"].values()):
            rows, place = counted(lost, "dropped row"), folder / DROPPED_FILE
            progress.note(f"{rows}, each with file, line and reason, in {place}")
        return corpus

    def _key(self, parameters: Mapping[str, Any]) -> str:
        return key_of(STAGE, SCHEMA, parameters, self.digests)

    def _do(self, folder: Path, room: Room, progress: Progress, gather: Gather | None) -> None:
        stage, parameters = Stage(STAGE, folder), self.parameters
        stage.begin()
        try:
            with storing(stage.folder):
                facts, entries = self._make(folder, room, progress, gather)
        except BaseException:
            stage.abandon()
            raise
        texts = {name: value for name, value in parameters.items() if name not in _BESIDES_TEXT}
        facts["digest"] = self._key(texts)
        stage.finish(
            key=self.key,
            schema=SCHEMA,
            parameters=parameters,
            inputs=self.digests,
            files=entries,
            facts=facts,
        )

    def _read(self, reading: Reading) -> None:
        """All rows of all files, into the arrivals or the ledger."""
        looks = look_at(self.files, self.signatures, self.options, reading.room)
        with step(reading.progress, "ingest", sum(s[_SIZE] for s in self.signatures), "bytes"):
            each = zip(self.files, looks, self.signatures, strict=True)
            for number, (file, look, before) in enumerate(each):
                reading.read(number, file, look, before)

    def _make(
        self, folder: Path, room: Room, progress: Progress, gather: Gather | None
    ) -> tuple[dict[str, Any], list[FileEntry]]:
        """Write the files of the corpus. Returns what the manifest says, and the files."""

        def others(number: int) -> AbstractContextManager[OthersFile]:
            return others_file(folder / others_name(number))

        counting = Counting(self.counter)
        arrivals = Arrivals(folder, ROW_GROUP, room, self.counter if gather else None)
        try:
            with table_file(folder / DROPPED_FILE, DROPPED) as writer:
                ledger = DropLedger(writer)
                reading = Reading(self.options, others, room, arrivals, ledger, progress)
                (gather or self._read)(reading)
                _check_left(reading, self.files)
                order = arrivals.order(drop_repeats=self.duplicates == "drop")
                _account_for_repeats(reading, order, self.files)
            with step(progress, "group rows", order.rows, "rows") as advance:
                pieces = map(counting.counted, one_ahead(arrivals.placed(order)))
                entries = write_rows(pieces, folder, advance)
        finally:
            arrivals.close()
        entries += [*reading.entries, write_groups(order.names, order.sizes, folder)]
        dropped = sum(reading.ledger.reasons.values())
        entries.append(FileEntry.of(folder / DROPPED_FILE, dropped))
        _report(reading, order, progress)
        facts = {**_facts(reading, order), "tokens": counting.facts()}
        facts["conversations"] = counting.conversations
        facts["sources"] = [
            {**told, **_identity(file, self.digests[file.name])}
            for told, file in zip(facts["sources"], self.files, strict=True)
        ]
        return facts, entries


def _text(name: str | None) -> str | None:
    """A name that the caller gave: the command line takes any bytes."""
    return name and readable(name)


def _digest(path: Location) -> str:
    return path.digest() if isinstance(path, RemotePath) else unchanged_digest(path)


def _identity(file: SourceFile, digest: str) -> dict[str, str]:
    """What the manifest says of the content of a source."""
    if isinstance(file.path, RemotePath):
        return {"url": str(file.path), "fingerprint": digest}
    return {"sha256": digest}


def _asked(question: Callable[[Location], T], file: SourceFile) -> T:
    """What the system says about a file."""
    try:
        return question(file.path)
    except OSError as problem:
        raise cannot_be_read(file.path, problem) from None


def _facts(reading: Reading, order: Order) -> dict[str, Any]:
    """What the manifest says about the corpus."""
    rows = {
        "read": reading.position,
        "kept": order.rows,
        "dropped": dict(reading.ledger.reasons),
        "duplicates": order.repeats,  # whether they were kept or not
    }
    return {
        "num_rows": order.rows,
        "num_groups": len(order.names),
        "rows": rows,
        "extra": {"columns": reading.extra.facts(), "turns": reading.turns.facts()},
        "sources": reading.facts,
    }


def _account_for_repeats(reading: Reading, order: Order, files: list[SourceFile]) -> None:
    """What is left out because an earlier row says it, behind what could not be used."""
    for start in range(0, len(order.again), _REPEATS):
        again, first = order.again[start : start + _REPEATS], order.first[start : start + _REPEATS]
        asked = np.union1d(again, first)
        origin = reading.arrivals.records.at(asked)
        later, earlier = (origin[np.searchsorted(asked, rows)] for rows in (again, first))
        places = (later[name].tolist() for name in ("position", "file", "row"))
        for position, file, row, of, line in zip(
            *places, earlier["file"].tolist(), earlier["row"].tolist(), strict=True
        ):
            why = Drop("duplicate", f"of {files[of].name}:{line}")
            reading.ledger.add(position, files[file], row, why)
    reading.ledger.flush()


def _check_left(reading: Reading, files: list[SourceFile]) -> None:
    """Raise CorpusError where no row can be used."""
    if sum(reading.ledger.reasons.values()) == reading.position:
        reasons = "\n  ".join(["no row can be used", *reading.ledger.summary()])
        raise CorpusError(files[0].path, 0, reasons, fix=_nothing_left_fix(reading))


def _nothing_left_fix(reading: Reading) -> str:
    reasons = reading.ledger.reasons
    if not reasons:
        return "the sources are empty: name others"
    if reasons["not an object"] or reasons["not JSON"]:
        return "write one JSON object per line"
    if reasons["empty response"]:
        return "pass `keep_empty_responses` if the responses are meant to be empty"
    return "check that the columns are the right ones"


def _report(reading: Reading, order: Order, progress: Progress) -> None:
    for line in reading.ledger.summary():
        progress.note(plain(line))
    if order.repeats and order.kept is None:
        progress.note(
            f"{order.repeats:,} word-for-word copies of earlier rows; they are kept "
            "(`duplicates` drop leaves them out)"
        )
    named = {(source, task) for source, task, _ in order.names}
    columns = [file for file in reading.facts if "column" in file["task"]]
    for label in sorted({file["set"] for file in columns if (file["set"], file["set"]) in named}):
        progress.note(
            plain(f"rows that say no task are in the task {label}, called after the file")
        )
    tasks = len(named)
    if tasks > _MANY_TASKS and reading.options.columns.task is None:
        progress.note(
            f"{tasks:,} tasks were found; if that is not meant, pass `task_column` or `task`"
        )
