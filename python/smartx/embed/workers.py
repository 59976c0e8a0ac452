"""Embedding on several devices: one process a device, each making whole parts.

Processes are started fresh (no fork: torch and OpenMP do not survive one) and without the caller's
main module, so a script needs no guard. A worker commits its parts itself, as a single process
does, so a kill at any moment leaves whole parts and the next run goes on from there.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from multiprocessing.connection import wait
from typing import Any

from smartx.corpus import Corpus
from smartx.embed.devices import kind_of
from smartx.embed.encoders import EncoderSpec
from smartx.embed.parts import Part
from smartx.embed.work import Advance, Work
from smartx.engine import resolve_threads
from smartx.errors import EncoderError, StoreError
from smartx.executors.child import Child
from smartx.progress import Progress
from smartx.store import FileEntry

LOADER = "smartx.embed.loading:loaded"  # what a worker calls with its EncoderSpec
_KEPT = "finished parts are kept, and the same command goes on from there"


@contextmanager
def workers_on(
    devices: Sequence[str], spec: EncoderSpec, corpus: Corpus, progress: Progress
) -> Iterator[Workers]:
    """A worker on each device, with the encoder loaded; all are gone when the block ends.

    Raises EncoderError where one cannot load it, or where the devices would not compute alike.
    """
    started: list[_Worker] = []
    try:
        for device in devices:
            started.append(_Worker(share_of(spec, devices, device), corpus))
        workers = Workers(started, progress)
        progress.note(f"encoder {spec.name} on {', '.join(devices)}")
        yield workers
    finally:
        for worker in started:
            worker.process.kill()
        for worker in started:
            worker.close()


def share_of(spec: EncoderSpec, devices: Sequence[str], device: str) -> EncoderSpec:
    """The encoder for one of several devices; those on the CPU share its threads."""
    threads = max(1, resolve_threads(spec.threads) // max(1, list(devices).count("cpu")))
    return replace(spec, device=device, threads=threads)


class Workers:
    """Loaded workers; implements smartx.embed.work.PartMaker."""

    def __init__(self, workers: Sequence[_Worker], progress: Progress) -> None:
        self._workers, self._progress = workers, progress
        made: dict[str, Mapping[str, str]] = {}
        loading = list(workers)
        while loading:
            for worker, _, content in _heard(loading):
                made[worker.spec.device] = content
                loading.remove(worker)
        first = workers[0].spec.device
        for device, made_by in made.items():
            if made_by != made[first]:
                raise EncoderError(
                    f"{first} and {device} would not compute alike: "
                    f"{dict(made[first])} and {dict(made_by)}",
                    place="device",
                    fix="name devices of one kind, and one `dtype` for all",
                )

    def make(self, parts: Iterable[Work], advance: Advance) -> Iterator[tuple[Work, Part]]:
        """Parts go out in order, each to the first worker that is free.

        One on a card has the next part there already, and reads its texts.
        """
        work = iter(parts)
        for worker in [*self._workers, *(one for one in self._workers if one.on_card)]:
            worker.give(next(work, None))
        while busy := [worker for worker in self._workers if worker.work]:
            for worker, kind, content in _heard(busy):
                if kind == "advance":
                    advance(content)
                elif kind == "note":
                    self._progress.note(content)
                elif kind == "done" and (done := worker.work) is not None:
                    worker.done()
                    worker.give(next(work, None))
                    yield done, done.file.holding(FileEntry(**content))


class _Worker:
    """A process, what is said to it and heard from it."""

    def __init__(self, spec: EncoderSpec, corpus: Corpus) -> None:
        self.spec = spec
        self.on_card = kind_of(spec.device) != "cpu"
        self._given: deque[Work] = deque()
        self._child = Child("smartx.embed.worker:main")
        self.process, self.link = self._child.process, self._child.link
        self._send(
            {"loader": LOADER, "spec": asdict(spec), "corpus": os.path.abspath(corpus.folder)}
        )

    @property
    def work(self) -> Work | None:
        """The part that it makes."""
        return self._given[0] if self._given else None

    def done(self) -> None:
        """It has made that part."""
        self._given.popleft()

    def give(self, work: Work | None) -> None:
        """The next part to make, or nothing."""
        if work is not None:
            self._given.append(work)
            folder = os.path.abspath(work.file.folder)
            file = [folder, work.file.number, work.file.key]
            rows = [array.tolist() for array in (work.rows, work.digests, work.own_system)]
            self._send([file, *rows])

    def hear(self) -> tuple[str, Any]:
        """What it says next. Raises what went wrong there, or that it is no more."""
        heard = self._child.hear()
        if heard is None:
            raise self._ended()
        kind, *content = heard
        if kind == "failed":
            raise self._failed(*content)
        return kind, content[0]

    def close(self) -> None:
        """End it; leaves no zombie."""
        self._child.close()

    def _send(self, message: Any) -> None:
        if not self._child.say(message):
            raise self._ended()

    def _failed(self, kind: str, fault: str, place: str, fix: str) -> EncoderError | StoreError:
        error = StoreError if kind == "StoreError" else EncoderError
        fix = fix or f"see `smartx doctor`, or leave {self.spec.device} out of `device`; {_KEPT}"
        return error(f"{fault} ({self._doing})", place=place, fix=fix)

    def _ended(self) -> EncoderError:
        """It went without a word: the system or a library ended it."""
        status, how = self._child.ending()
        fix = f"see `smartx doctor`, or leave {self.spec.device} out of `device`; {_KEPT}"
        if status == -signal.SIGKILL:
            fix = (
                "if memory ran out, pass a smaller `batch_size` or fewer devices in `device`; "
                + _KEPT
            )
        return EncoderError(f"a worker process ended ({how}; {self._doing})", fix=fix)

    @property
    def _doing(self) -> str:
        if self.work is None:
            return f"on {self.spec.device}, while it loaded the encoder"
        return f"on {self.spec.device}, in {self.work.file.name}, {len(self.work.rows):,} texts"


def _heard(workers: Sequence[_Worker]) -> Iterator[tuple[_Worker, str, Any]]:
    """At least one message of these workers, waiting for it if need be."""
    ready = wait([worker.link for worker in workers])
    for worker in [worker for worker in workers if worker.link in ready]:
        yield worker, *worker.hear()
