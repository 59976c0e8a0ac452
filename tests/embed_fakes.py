"""An encoder without torch for the tests of embed: vectors from a text's bytes, every call kept."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from smartx.corpus import Corpus, ingest
from smartx.embed import Embeddings, EncoderSpec, Read, embed_corpus, open_embeddings
from smartx.embed.cost import Vectors
from smartx.embed.embeddings import SCHEMA, STAGE
from smartx.embed.encoded import encoded
from smartx.embed.encoders import identity_of
from smartx.embed.hybrid import Teaching, placed_hybrid, rows_of
from smartx.progress import Progress, Silent
from smartx.store import Stage, folder_of, key_of

DIMENSIONS = 24
WINDOW = 28  # words that the encoder says it reads


def vector_of(text: str) -> NDArray[np.float32]:
    """A direction that depends on the text alone."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    return np.random.default_rng(seed).normal(size=DIMENSIONS).astype(np.float32)


class FakeEncoder:
    """Implements smartx.embed.Encoder. stop_after: texts after which it is interrupted."""

    def __init__(
        self,
        *,
        stop_after: int | None = None,
        version: str = "1",
        dtype: str = "a",
        workers: int = 1,
    ) -> None:
        self.identity = {"name": "fake", "dtype": dtype}
        self.made_by = {"fake": version}
        self.batch_tokens, self.batch_rows, self.workers = 64, 5, workers
        self.calls: list[list[str]] = []
        self.stop_after = stop_after

    @property
    def encoded(self) -> list[str]:
        """Every text that was encoded, in order."""
        return [text for call in self.calls for text in call]

    def read(self, texts: list[str]) -> Read:
        lengths = np.array([len(text.split()) for text in texts], dtype=np.int64)
        return Read(texts, lengths, lengths > WINDOW)

    def encode(self, texts: list[str], length: int) -> NDArray[np.float32]:
        assert {len(text.split()) for text in texts} == {length}
        if self.stop_after is not None and len(self.encoded) + len(texts) > self.stop_after:
            raise KeyboardInterrupt
        self.calls.append(texts)
        return np.stack([vector_of(text) for text in texts])


FAULT, PIDS = "SMARTX_TEST_FAULT", "SMARTX_TEST_PIDS"


class FaultyEncoder(FakeEncoder):
    """What a worker process loads. The variable FAULT ("kill 7", "zero 7", "raise 7", "slow",
    "differ", "card") says what goes wrong, and at the text that begins with which word; in the
    folder PIDS each process leaves a file under its number, with a line for each text.
    """

    def __init__(self, device: str) -> None:
        super().__init__()
        self._fault, _, self._word = os.environ.get(FAULT, "").partition(" ")
        if self._fault == "differ":
            self.made_by = {"fake": device}
        if self._fault == "card":
            self.made_by = {"device": "gpu"}
        if self._fault == "absent":
            raise OSError("there is no such encoder")

    def read(self, texts: list[str]) -> Read:
        if self._fault == "card" and PIDS in os.environ:
            with (Path(os.environ[PIDS]) / str(os.getpid())).open("a") as file:
                file.write(f"read {len(texts)}\n")
        return super().read(texts)

    def encode(self, texts: list[str], length: int) -> NDArray[np.float32]:
        vectors = super().encode(texts, length)
        if self._fault == "card":
            time.sleep(0.01)  # so that the next texts are read meanwhile
        if PIDS in os.environ:
            with (Path(os.environ[PIDS]) / str(os.getpid())).open("a") as file:
                file.write("".join(f"{text}\n" for text in texts))
        if self._fault == "slow":
            time.sleep(0.1)
        for row, text in enumerate(texts):
            if self._word and text.startswith(f"{self._word} "):
                if self._fault == "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                if self._fault == "raise":
                    raise RuntimeError("CUDA error: an illegal memory access was encountered\nmore")
                vectors[row] = 0
        return vectors


@contextmanager
def loaded(spec: EncoderSpec, progress: Progress) -> Iterator[FaultyEncoder]:
    """Stands in for the loader of real encoders."""
    del progress
    yield FaultyEncoder(spec.device)


def write_rows(path: Path, prompts: list[str], *, without_response: tuple[int, ...] = ()) -> Path:
    """A JSONL file whose rows go to three tasks in turn, so that ingest reorders them."""
    lines = [
        {
            "prompt": prompt,
            "response": "" if row in without_response else f"answer {row}",
            "task": f"task-{row % 3}",
        }
        for row, prompt in enumerate(prompts)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    return path


def some_prompts(count: int) -> list[str]:
    """Distinct prompts of 1 to 30 words."""
    words = np.random.default_rng(3).integers(1, 30, size=count)
    return [f"{row} " + "word " * int(n) for row, n in enumerate(words)]


def corpus_of(
    folder: Path, prompts: list[str], *, without_response: tuple[int, ...] = ()
) -> Corpus:
    """An ingested corpus of these prompts."""
    rows = write_rows(folder / "rows.jsonl", prompts, without_response=without_response)
    return ingest([rows], folder / "corpus")


def aborted(spec: EncoderSpec, progress: Progress) -> None:
    """A loader during which a library ends the process."""
    del spec, progress
    os.write(2, b"some advice\nthe driver is too old\n")
    os._exit(3)


def known_rate(*_: object, **__: object) -> Vectors:
    """Stands in for the measuring of a real encoder before a run embeds."""
    return Vectors(DIMENSIONS, 1.0, True, done=False, source="fake")


class FakeStudent(FakeEncoder):
    """Other vectors of the same width as FakeEncoder's."""

    def __init__(self) -> None:
        super().__init__()
        self.identity = {"name": "student:fake"}

    def encode(self, texts: list[str], length: int) -> NDArray[np.float32]:
        del length
        self.calls.append(texts)
        return np.stack([vector_of(f"student {text}") for text in texts])


def hybrid_of(corpus: Corpus, taught: NDArray[np.bool_], run: Path) -> Embeddings:
    """Finished embeddings: FakeEncoder's of the groups that are taught, else FakeStudent's.

    Their key names the groups, as that of a real hybrid names what these follow from.
    """
    student, teacher = embed_corpus(corpus, FakeStudent(), run), FakeEncoder()
    identity, rows = identity_of(teacher), rows_of(corpus, taught)
    parts, places = encoded(corpus, teacher, identity, run, Silent(), rows=rows, part_rows=7)
    parameters = {"encoder": "hybrid:fake", "taught": taught.tolist()}
    inputs = {"corpus": corpus.digest}
    key = key_of(STAGE, SCHEMA, parameters, inputs)
    stage = Stage(STAGE, folder_of(run / STAGE, key))
    teaching = Teaching("fake", teacher.made_by, taught, parts, places)
    files, facts = placed_hybrid(corpus, teaching, student, stage, key)
    facts["num_rows"] = corpus.num_rows
    stage.finish(
        key=key, schema=SCHEMA, parameters=parameters, inputs=inputs, files=files, facts=facts
    )
    return open_embeddings(stage.folder, corpus)
