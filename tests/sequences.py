"""Random sequences of what people do in one run folder, and what must hold after every step.

    python tests/sequences.py FOLDER --count 10000 --seed 1

A step changes a flag, adds, drops or reorders sources, and runs; or it fails (a wrong column, an
encoder that is not there, too many tasks or rows, a disk that fills up), or is interrupted.
After each step: every stage and mixture that was finished is there, byte for byte; no file of
anybody else is touched; a mixture that was made equals that of a fresh folder.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import random
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from conftest import tree_digest
from embed_fakes import FakeEncoder, known_rate
from smartx import forecast, pipeline, session
from smartx.config import config_from
from smartx.embed import embed_corpus
from smartx.errors import InputError, SmartxError
from smartx.files import file_digest
from smartx.store import MANIFEST

SOURCES = ("a.jsonl", "b.jsonl", "c.csv")
FLAGS: dict[str, list[Any]] = {
    "preset": ["smart-acl2024", "proportional", "equal", "random"],
    "prompt_prefix": ["", "query: "],  # another encoder, as far as vectors are concerned
    "rows": [4, 6],
    "seed": [0, 1],
    "duplicates": ["keep", "drop"],
    "near_duplicates": [None, 0.9],
    "ranker": [None, "graph-cut"],
    "tasks": [None, "auto:clusters=3"],
    "out": ["mix", "work/mix", "other"],
    "overwrite": [True, False],
    "threads": [1],
}
MISTAKES: list[dict[str, Any]] = [
    {"prompt_column": "promt"},
    {"encoder": "./not/there"},
    {"weights": "taylor-softmax:num_tasks=99"},
    {"rows": 10_000},
    {"sources": ["data/lost.jsonl"]},
    {"vectors": "lost.npy"},
    {"out": "data"},
    {"task": "one", "task_column": "task"},
    {"run_dir": "data"},
]
FOREIGN = {
    "data/notes.txt": "my notes",
    ".mix.old/thesis.txt": "my thesis",
    ".mix.tmp.notes/notes.txt": "my notes",
    "work/.x.tmp.y": "mine",
    "work/notes.txt": "mine",
    "work/corpus/notes.txt": "mine",
}


def write_sources(folder: Path) -> None:
    """Three small sources: plain rows, chats, a table; some prompts are in two of them."""
    folder.mkdir(parents=True)
    plain = [
        {"prompt": f"question {i} of a", "response": f"{i}", "task": f"task-{i % 3}"}
        for i in range(12)
    ]
    (folder / SOURCES[0]).write_text("".join(json.dumps(row) + "\n" for row in plain))
    chats = [
        {
            "messages": [
                {"role": "system", "content": "be kind"},
                {"role": "user", "content": f"question {i} of {'ab'[i % 2]}"},
                {"role": "assistant", "content": f"{i} indeed"},
            ],
            "task": f"task-{i % 2}",
        }
        for i in range(10)
    ]
    (folder / SOURCES[1]).write_text("".join(json.dumps(row) + "\n" for row in chats))
    table = "".join(f"question {i} of c,{i},task-{i % 4}\n" for i in range(12))
    (folder / SOURCES[2]).write_text("prompt,response,task\n" + table)


class Encoder(FakeEncoder):
    """Another one for each prefix."""

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self.identity = {**self.identity, "prefix": prefix}
        self._prefix = prefix

    def encode(self, texts: list[str], length: int) -> Any:
        vectors = super().encode(texts, length)
        return vectors[:, ::-1] if self._prefix else vectors


@contextmanager
def fake_encoder() -> Iterator[None]:
    """Runs embed by `Encoder`; their configuration still names a real one, which is not loaded."""

    def embed(corpus: Any, asked: Any, run: Path, **options: Any) -> Any:
        return embed_corpus(corpus, Encoder(asked.prompt_prefix), run, **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(session, "embed_corpus", embed)
        patched.setattr(forecast, "embedding_rate", known_rate)
        patched.setattr(forecast, "embeddings_there", lambda *_: None)
        yield


@contextmanager
def trouble_at(visit: int, trouble: Callable[[], BaseException]) -> Iterator[None]:
    """Raise at the given count of what touches the disk, once."""
    visits = 0

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal visits
            visits += 1
            if visits == visit:
                raise trouble()
            return function(*arguments, **options)

        return call

    with pytest.MonkeyPatch.context() as patched:
        for name in ("fsync", "replace", "rename", "unlink", "mkdir"):
            patched.setattr(os, name, counted(getattr(os, name)))
        yield


def full_disk() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Person:
    """Somebody at work in a folder, and what must stay true."""

    def __init__(self, folder: Path, dice: random.Random, fresh: dict[str, Any]) -> None:
        """fresh: mixtures that were made in folders of their own, by configuration."""
        self.folder, self.dice, self.fresh = folder, dice, fresh
        self.done: Counter[str] = Counter()
        write_sources(folder / "data")
        self.flags = {name: choices[0] for name, choices in FLAGS.items()}
        self.sources = [SOURCES[0]]
        self.run({})
        for name, content in FOREIGN.items():
            (folder / name).parent.mkdir(exist_ok=True, parents=True)
            (folder / name).write_text(content)

    def step(self) -> None:
        """One random step, and every check."""
        before = self.finished()
        kind = self.dice.choice(["flag", "flag", "rows_change", "again", "mistake", "stop", "full"])
        getattr(self, kind)()
        self.done[kind] += 1
        after = self.finished()
        lost = [name for name in before if after.get(name) != before[name]]
        assert not lost, (kind, self.flags, self.sources, lost)
        for name, content in FOREIGN.items():
            assert (self.folder / name).read_text() == content, (kind, name)

    def flag(self) -> None:
        name = self.dice.choice(list(FLAGS))
        self.flags[name] = self.dice.choice(FLAGS[name])
        self.run({})

    def rows_change(self) -> None:
        self.sources_changed()
        self.run({})

    def sources_changed(self) -> None:
        """Add, drop or reorder some."""
        self.sources = self.dice.sample(SOURCES, self.dice.randint(1, len(SOURCES)))

    def again(self) -> None:
        self.run({})

    def mistake(self) -> None:
        with self.quietly_failing() as failed:
            self.attempt({"preset": "smart-acl2024", **(mistake := self.dice.choice(MISTAKES))})
        assert failed, (mistake, self.flags, self.sources)

    def stop(self) -> None:
        self.disturbed(KeyboardInterrupt)

    def full(self) -> None:
        self.disturbed(full_disk)

    def disturbed(self, trouble: Callable[[], BaseException]) -> None:
        if self.dice.random() < 0.5:
            self.sources_changed()
        name = self.dice.choice(list(FLAGS))
        self.flags[name] = self.dice.choice(FLAGS[name])
        with self.quietly_failing(), trouble_at(self.dice.randint(1, 60), trouble):
            self.attempt({})

    @contextmanager
    def quietly_failing(self) -> Iterator[list[BaseException]]:
        failed: list[BaseException] = []
        try:
            yield failed
        except (SmartxError, KeyboardInterrupt) as problem:
            failed.append(problem)

    def run(self, fields: dict[str, Any]) -> None:
        """A run that must end well, or be refused because another mixture stands in OUT."""
        try:
            mixture = self.attempt(fields)
        except InputError as problem:
            if self.flags["overwrite"] or "another mixture stands there" not in str(problem):
                raise
            self.done["refused"] += 1
            return
        self.done["mixtures"] += 1
        made, expected = tree_digest(mixture), self.expected()
        assert made == expected, (self.flags, self.sources)

    def attempt(self, fields: dict[str, Any]) -> Path:
        return self.in_folder(self.folder, fields)

    def in_folder(self, folder: Path, fields: dict[str, Any]) -> Path:
        asked = {
            "sources": [f"data/{name}" for name in self.sources],
            "encoder": "all-MiniLM-L6-v2",
            "run_dir": "work",
            **self.flags,
            **fields,
        }
        for name in ("run_dir", "out", "vectors"):
            if name in asked:
                asked[name] = folder / asked[name]
        asked["sources"] = [str(folder / name) for name in asked["sources"]]
        return pipeline.run(config_from(asked)).folder

    def expected(self) -> dict[str, str]:
        """What a fresh folder gives for the same flags and sources."""
        deciding = {n: v for n, v in self.flags.items() if n not in ("out", "overwrite", "threads")}
        name = json.dumps([deciding, self.sources])
        if name not in self.fresh:
            folder = self.folder.parent / "fresh"
            shutil.rmtree(folder, ignore_errors=True)
            write_sources(folder / "data")
            self.fresh[name] = tree_digest(self.in_folder(folder, {"out": "mix"}))
        return self.fresh[name]

    def finished(self) -> dict[str, str]:
        """SHA-256 of every file of every finished stage, and of every whole part of vectors."""
        work, found = self.folder / "work", []
        for manifest in work.glob(f"*/*/{MANIFEST}"):
            names = [entry["name"] for entry in json.loads(manifest.read_bytes())["files"]]
            found += [manifest, *(manifest.parent / name for name in names)]
        for sidecar in work.glob("vectors/*/part-[0-9]*[0-9].npy.json"):
            part = sidecar.with_suffix("")
            texts = part.with_suffix(".texts.npy")
            found += [part, sidecar, texts, texts.with_name(texts.name + ".json")]
        return {str(path): file_digest(path) for path in found}


def play(folder: Path, count: int, seed: int, told: Callable[[str], None] = print) -> Counter[str]:
    """Play `count` sequences of 2 to 6 steps. Returns how often each kind of step was done."""
    fresh: dict[str, Any] = {}
    done: Counter[str] = Counter()
    with fake_encoder():
        for number in range(count):
            dice = random.Random(f"{seed} {number}")
            place = folder / "sequence"
            person = Person(place, dice, fresh)
            try:
                for _ in range(dice.randint(2, 6)):
                    person.step()
            except BaseException:
                told(f"sequence {number} of seed {seed}")
                raise
            done += person.done
            shutil.rmtree(place)
            if (number + 1) % 500 == 0:
                told(f"{number + 1} sequences: {dict(done)}")
    return done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    json.dump(play(asked.folder, asked.count, asked.seed), sys.stdout)


if __name__ == "__main__":
    main()
