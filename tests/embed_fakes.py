"""An encoder without torch for the tests of embed: vectors from a text's bytes, every call kept."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from smartx.corpus import Corpus, ingest

DIMENSIONS = 24


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

    def lengths(self, texts: list[str]) -> NDArray[np.int64]:
        return np.array([len(text.split()) for text in texts], dtype=np.int64)

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        if self.stop_after is not None and len(self.encoded) + len(texts) > self.stop_after:
            raise KeyboardInterrupt
        self.calls.append(texts)
        return np.stack([vector_of(text) for text in texts])


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
