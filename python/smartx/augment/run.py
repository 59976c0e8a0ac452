"""Rows that a model gets wrong, their neighbours, and what to ask a generator: a folder OUT.

    OUT/judged.jsonl   every row that was looked at: its answer or loss, and whether it is wrong
        prompts.jsonl  one chat a line for each wrong row, with its place and its neighbours
        batch.jsonl    the same as requests of a batch, where a generator is named
        manifest.json
        part-*.jsonl   until these are whole

Source: LLM2LLM (Lee et al., 2024), arXiv 2403.15042.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx.augment.asked import LOSS, Asked, SeedRows, seed_rows
from smartx.augment.judge import judged
from smartx.augment.lines import prompts_of
from smartx.augment.prompts import request
from smartx.causal import CausalModel, Row, load_causal, rows_of
from smartx.causal.model import digest_of_folder
from smartx.corpus import Corpus
from smartx.embed import Embeddings
from smartx.embed.devices import devices_of, kind_of
from smartx.engine import resolve_threads
from smartx.errors import InputError, StoreError
from smartx.lock import working_in
from smartx.progress import Progress, Silent, counted, step
from smartx.runs import open_run
from smartx.store import FileEntry, Sidecar, Stage, key_of

STAGE, SCHEMA = "augment", 1
JUDGED, PROMPTS, BATCH = "judged.jsonl", "prompts.jsonl", "batch.jsonl"
PART_ROWS = 64


@dataclass(frozen=True)
class Augmentation:
    """What stands in OUT. manifest: its counts among other things."""

    folder: Path
    manifest: dict[str, Any]

    @property
    def facts(self) -> dict[str, Any]:
        """rows, wrong, prompts, generated, round, threshold, tasks."""
        return dict(self.manifest["facts"])


@dataclass(frozen=True, eq=False)
class _Job:
    """One run of it. judging: the key of the judgments alone."""

    asked: Asked
    corpus: Corpus
    rows: SeedRows
    embeddings: Embeddings | None
    stage: Stage
    generator: str
    threads: int
    progress: Progress
    model_digest: str

    @property
    def judging(self) -> str:
        inputs = {"corpus": self.corpus.digest, "model": self.model_digest}
        inputs["rows"] = self.rows.digest
        return key_of(f"{STAGE} judged", SCHEMA, self._judging, inputs)

    @property
    def parameters(self) -> dict[str, Any]:
        asked = self.asked
        more = {"neighbours": asked.neighbours, "generator": self.generator}
        if asked.judge == LOSS:
            more["quantile"] = asked.quantile
        return {**self._judging, **more}

    @property
    def _judging(self) -> dict[str, Any]:
        device = kind_of(devices_of(self.asked.device)[0])
        made = {"dtype": self.asked.dtype, "device": device, "part_rows": PART_ROWS}
        return {**self.asked.judging, **made}

    @property
    def inputs(self) -> dict[str, str]:
        vectors = "" if self.embeddings is None else self.embeddings.digest
        return {"judged": self.judging, "vectors": vectors}

    @property
    def key(self) -> str:
        return key_of(STAGE, SCHEMA, self.parameters, self.inputs)


def ask(
    run: Path | str,
    out: Path | str,
    asked: Asked,
    *,
    mixture: Path | str | None = None,
    generator: str = "",
    threads: int | None = None,
    progress: Progress | None = None,
) -> Augmentation:
    """Judge the seed rows of a mixture, or of a run's corpus, and write what to ask a generator.

    run: the run folder, with embeddings unless `asked.neighbours` is 0.  out: absent, empty, or
    begun by the same call; a part that a killed run finished is used.
    generator: its name in requests of a batch; "": no batch is written.
    Raises InputError for what cannot be asked, ModelError where the model cannot, StoreError where
    OUT holds anything else.
    """
    progress, folder = progress or Silent(), Path(run)
    opened = open_run(folder)
    corpus = opened.corpus()
    with working_in(folder, progress):
        job = _Job(
            asked,
            corpus,
            seed_rows(corpus, None if mixture is None else Path(mixture)),
            opened.embeddings(corpus) if asked.neighbours else None,
            Stage(STAGE, Path(out)),
            generator,
            resolve_threads(threads),
            progress,
            digest_of_folder(asked.model),
        )
        return Augmentation(job.stage.folder, _made(job))


def _made(job: _Job) -> dict[str, Any]:
    stage = job.stage
    if stage.reuse(job.key):
        job.progress.note(f"the prompts in {stage.folder} are up to date")
        return stage.manifest(SCHEMA)
    kept = _kept(job)
    stage.begin()
    sidecar = Sidecar(stage.folder / JUDGED, job.judging)
    if kept is not None:
        sidecar.vouch(kept)
    entry = sidecar.whole_part()
    if entry is None:
        parts = _parts(job)
        entry = sidecar.commit(len(job.rows.row_ids), partial(_joined, parts))
    found = [json.loads(line) for line in (stage.folder / JUDGED).read_bytes().splitlines()]
    lines, facts = prompts_of(found, job.rows, job.asked, job.corpus, job.embeddings)
    files = [entry, _written(job, PROMPTS, lines)]
    if job.generator:
        files.append(_written(job, BATCH, [request(line, job.generator) for line in lines]))
    manifest = stage.finish(
        key=job.key,
        schema=SCHEMA,
        parameters=job.parameters,
        inputs=job.inputs,
        files=files,
        facts={"facts": facts, "model": str(job.asked.model.name)},
    )
    for path in [*stage.folder.glob("part-*.jsonl"), *stage.folder.glob("part-*.jsonl.json")]:
        path.unlink(missing_ok=True)
    return manifest


def _kept(job: _Job) -> FileEntry | None:
    """The judgments of a finished OUT, where only what follows from them is asked otherwise.

    Raises InputError where OUT holds those of other rows or another model.
    """
    try:
        manifest = job.stage.manifest(SCHEMA)
    except StoreError:
        return None
    if manifest["inputs"].get("judged") != job.judging:
        raise InputError(
            "it holds the judgments of other rows, another model or judge",
            place=str(job.stage.folder),
            fix="name another folder in `out`",
        )
    return next(FileEntry(**entry) for entry in manifest["files"] if entry["name"] == JUDGED)


def _parts(job: _Job) -> list[Path]:
    """Make the parts that are not there; all of them in order."""
    ids, folder = job.rows.row_ids, job.stage.folder
    key = key_of(f"{STAGE} part", SCHEMA, {}, {"judged": job.judging})
    cuts = range(0, len(ids), PART_ROWS)
    parts = [
        (Sidecar(folder / f"part-{number:06d}.jsonl", key), ids[start : start + PART_ROWS])
        for number, start in enumerate(cuts)
    ]
    missing = [(part, own) for part, own in parts if part.whole_part() is None]
    left = sum(len(own) for _, own in missing)
    if missing:
        asked = job.asked
        model = load_causal(asked.model, device=asked.device, dtype=asked.dtype)
        with step(job.progress, "judge", left, "rows") as advance:
            for part, own in missing:
                lines = _judged(job, model, own, advance)
                part.commit(len(own), partial(_write_lines, lines))
    return [part.part for part, _ in parts]


def _judged(
    job: _Job, model: CausalModel, ids: NDArray[np.int64], advance: Any
) -> list[dict[str, Any]]:
    found = judged(model, _rows(job.corpus, ids), job.asked, threads=job.threads, advance=advance)
    return [{"row": int(row), **one} for row, one in zip(ids, found, strict=True)]


def _rows(corpus: Corpus, ids: NDArray[np.int64]) -> list[Row]:
    """Rows of rising ids. Runs of ids that follow each other are read together."""
    cuts = np.flatnonzero(np.diff(ids) != 1) + 1
    spans = [part for part in np.split(ids, cuts) if len(part)]
    return [row for part in spans for row in rows_of(corpus, int(part[0]), int(part[-1]) + 1)]


def _written(job: _Job, name: str, lines: list[dict[str, Any]]) -> FileEntry:
    part = Sidecar(job.stage.folder / name, job.key)
    return part.commit(len(lines), partial(_write_lines, lines))


def _write_lines(lines: list[dict[str, Any]], to: Path) -> None:
    with to.open("w", encoding="utf-8", newline="\n") as file:
        for one in lines:
            file.write(json.dumps(one, ensure_ascii=False, allow_nan=False) + "\n")


def _joined(parts: list[Path], to: Path) -> None:
    with to.open("wb") as file:
        for part in parts:
            file.write(part.read_bytes())


def told(found: Augmentation) -> list[str]:
    """What a person reads of it."""
    facts = found.facts
    first = f"{counted(facts['wrong'], 'row')} of {facts['rows']:,} are wrong"
    if facts["threshold"] is not None:
        first += f" (mean response loss above {facts['threshold']:.4f} nats)"
    if facts["generated"]:
        first += f"; {counted(facts['generated'], 'generated row')} left aside"
    again = facts["wrong"] - facts["prompts"]
    copies = f" ({counted(again, 'wrong row')} are copies of others)" if again else ""
    chats = f"{counted(facts['prompts'], 'prompt')} in {found.folder / PROMPTS}{copies}"
    return [first, chats]
