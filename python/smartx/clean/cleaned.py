"""Which rows of a corpus go, and why, as a stage.

    RUN/clean/ID/  manifest.json dropped.parquet scores.parquet sheet.json report.html

dropped.parquet has a line a row that goes: file, line, the first reason, what was found, and every
rule that the row fails. scores.parquet has a line a row of the sources, in their order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from smartx.clean.measuring import Measures, measures_of, measures_stage
from smartx.clean.page import page
from smartx.clean.rules import Rules, rules_of
from smartx.clean.sheet import sheet
from smartx.clean.sift import Sifted, sift
from smartx.clean.signatures import signatures_stage
from smartx.clean.signs import check_packages
from smartx.collect import Collected
from smartx.config import RunConfig
from smartx.corpus import Corpus
from smartx.corpus.numbers import has_column
from smartx.corpus.tables import as_written, write_table
from smartx.features import SHARD_ROWS
from smartx.files import canonical_json, commit_bytes
from smartx.needs import Feature, Need, digest_of
from smartx.progress import Progress, Silent, counted
from smartx.run_folder import CLEAN
from smartx.store import FileEntry, Stage, folder_of, key_of

SCHEMA = 1  # raised when the same rows and rules give another table
STAGE = "clean"
DROPPED_FILE, SCORES_FILE, SHEET_FILE, PAGE_FILE = (
    *("dropped.parquet", "scores.parquet"),
    *("sheet.json", "report.html"),
)
SAMPLE = 40  # dropped rows that the report shows
SCORES = ("coherence", "readability", "similarity")
Ints = NDArray[np.int64]
Bands = Callable[[str], Feature | None]


def _no_band(name: str) -> None:
    del name


_NO_BANDS: Bands = _no_band


@dataclass(frozen=True, eq=False)
class Cleaned:
    """Rows that go. digest: names exactly which."""

    folder: Path
    digest: str
    manifest: dict[str, Any]

    @cached_property
    def table(self) -> pa.Table:
        """row_id, source_position, file, line, reason, detail, rules; by row.

        Raises StoreError where the file is not what was written.
        """
        with as_written(self.folder, self.manifest, DROPPED_FILE, fix="clean once more") as path:
            return pq.read_table(path, page_checksum_verification=True)

    @property
    def rows(self) -> Ints:
        """(k,) rising ids of the rows that go."""
        return np.asarray(self.table["row_id"].to_numpy(), dtype=np.int64)

    @property
    def counts(self) -> list[dict[str, Any]]:
        """For each reason that a row goes for: `reason`, `rows`; most rows first."""
        return list(self.manifest["counts"])

    @property
    def sheet(self) -> list[dict[str, Any]]:
        """For each rule how many rows fail it, before and after: see sheet.py."""
        return list(self.manifest["sheet"])

    @property
    def repairs(self) -> bool:
        """Whether texts are repaired where rows are written."""
        return bool(self.manifest["parameters"]["rules"]["encoding"]["repair"])

    def line(self) -> str:
        """How many rows go and why, for a person."""
        whole, gone = int(self.manifest["rows"]), int(self.manifest["dropped"])
        why = ", ".join(f"{one['rows']:,} {one['reason']}" for one in self.counts[:6])
        more = f", and {len(self.counts) - 6} more reasons" if len(self.counts) > 6 else ""
        told = f" ({why}{more})" if why else ""
        return f"of {counted(whole, 'row')} {gone:,} are dropped{told}"


@dataclass(frozen=True)
class Asked:
    """What is asked for. seed, sample: of the rows that the report shows."""

    rules: Rules
    seed: int = 0
    sample: int = SAMPLE

    @property
    def needs(self) -> tuple[Need, ...]:
        """The score whose band rows must lie in, if any."""
        name = self.rules.perplexity.feature
        return () if name is None else (Need(name, "column"),)


def clean_rows(
    corpus: Corpus,
    asked: Asked,
    run: Path,
    *,
    band: Bands = _NO_BANDS,
    threads: int = 1,
    progress: Progress | None = None,
) -> Cleaned:
    """Find the rows that go, or use what stands in RUN/clean/ID. No byte depends on `threads`.

    band: gives the score of `asked.needs`.  threads: processes that measure rows.
    The scores of the rows are kept as features of the run, for rankers to find by name.
    Raises MissingPackageError where a package of the extra `clean` is not there.
    """
    check_packages()
    progress, folder = progress or Silent(), run / CLEAN
    key, parameters, inputs = _depends_on(corpus, asked, band)
    stage, least = Stage(STAGE, folder_of(folder, key)), asked.rules.language.least_letters
    measures = measures_of(corpus, folder, least_letters=least, threads=threads, progress=progress)
    keep_scores(corpus, measures, run, progress)
    if not stage.reuse(key):
        score = [band(need.name) for need in asked.needs]
        one = score[0] if score else None
        sifted = sift(corpus, measures, asked.rules, folder, band=one, progress=progress)
        stage.begin()
        files, facts = _written(corpus, measures, sifted, asked, stage.folder)
        stage.finish(
            key=key, schema=SCHEMA, parameters=parameters, inputs=inputs, files=files, facts=facts
        )
    return open_cleaned(stage.folder)


def cleaned_there(
    corpus: Corpus, asked: Asked, run: Path, *, band: Bands = _NO_BANDS
) -> Cleaned | None:
    """What `clean_rows` would use again; it looks closer. None: nothing that seems whole."""
    key, _, _ = _depends_on(corpus, asked, band)
    stage = Stage(STAGE, folder_of(run / CLEAN, key))
    return open_cleaned(stage.folder) if stage.is_done(key) else None


def open_cleaned(folder: Path) -> Cleaned:
    """What was found, in a folder. Raises StoreError where it is not finished there."""
    manifest = Stage(STAGE, folder).manifest(SCHEMA)
    return Cleaned(folder, str(manifest["digest"]), manifest)


def _depends_on(
    corpus: Corpus, asked: Asked, band: Bands
) -> tuple[str, dict[str, Any], dict[str, str]]:
    """Key, parameters and inputs of the stage."""
    rules = asked.rules
    parameters = {"rules": rules.facts(), "seed": asked.seed, "sample": asked.sample}
    measures = measures_stage(corpus, rules.language.least_letters)
    inputs = {"corpus": corpus.digest, "measures": measures[0]}
    if rules.copies.near is not None:
        inputs["signatures"] = signatures_stage(corpus, rules.copies)[0]
    for need in asked.needs:
        if (score := band(need.name)) is not None:
            inputs[f"feature {need.name}"] = score.digest
    return key_of(STAGE, SCHEMA, parameters, inputs), parameters, inputs


def _written(
    corpus: Corpus, measures: Measures, sifted: Sifted, asked: Asked, folder: Path
) -> tuple[list[FileEntry], dict[str, Any]]:
    """Write the files of the stage. Returns them, and what its manifest says."""
    counts = [{"reason": reason, "rows": rows} for reason, rows in sifted.counts()]
    rows = sifted.dropped["row_id"].to_numpy()
    facts: dict[str, Any] = {
        "rows": corpus.num_rows,
        "dropped": len(rows),
        "kept": corpus.num_rows - len(rows),
        "counts": counts,
        "sheet": sheet(measures, sifted),
        "scores": _averages(measures, rows),
        "digest": hashlib.sha256(f"{corpus.digest} {digest_of(rows)}".encode()).hexdigest(),
    }
    files = [
        write_table(folder / DROPPED_FILE, sifted.dropped),
        write_table(folder / SCORES_FILE, _scores(corpus, measures, rows)),
    ]
    texts = {
        SHEET_FILE: canonical_json(facts),
        PAGE_FILE: page(corpus, sifted, facts, asked.seed, asked.sample).encode(),
    }
    for name, content in texts.items():
        commit_bytes(folder / name, content)
        files.append(FileEntry.of(folder / name, 0))
    return files, facts


def _averages(measures: Measures, dropped: Ints) -> list[dict[str, Any]]:
    """The mean of each score before and after, None where no row has one."""
    kept = np.ones(int(measures.manifest["rows"]), np.bool_)
    kept[dropped] = False
    found = []
    for name in SCORES:
        values = measures.column(name).astype(np.float64)
        known = ~np.isnan(values)
        means = (_mean(values[known]), _mean(values[known & kept]))
        found.append(
            {"score": name, "rows": int(known.sum()), "before": means[0], "after": means[1]}
        )
    return found


def _mean(values: NDArray[np.float64]) -> float | None:
    return round(float(values.mean()), 6) if len(values) else None


def _scores(corpus: Corpus, measures: Measures, dropped: Ints) -> pa.Table:
    """A line a row of the sources, in their order; null for what ingest dropped."""
    place = np.full(corpus.num_source_rows, -1)
    place[corpus.source_positions(0, corpus.num_rows)] = np.arange(corpus.num_rows)
    names = [*SCORES, "language", "language_confidence", "prompt_words", "response_words"]
    table = measures.table(names)
    kept = np.ones(corpus.num_rows, np.bool_)
    kept[dropped] = False
    table = table.add_column(0, "kept", pa.array(kept)).add_column(
        0, "row_id", pa.array(np.arange(corpus.num_rows))
    )
    return table.take(pa.array(place, mask=place < 0)).combine_chunks()


def apart(left_out: Any, cleaned: Cleaned | None) -> Any:
    """What a mixture says of rows that nobody took: of `leave_out`, of cleaning, or of both."""
    return left_out if cleaned is None else Apart(left_out, cleaned)


@dataclass(frozen=True, eq=False)
class Apart:
    """Rows that stay out of a mixture because they are left out, or no good, or both."""

    left_out: Any
    cleaned: Cleaned

    @property
    def rows(self) -> Ints:
        """(k,) rising ids of all of them."""
        found = self.cleaned.rows
        return found if self.left_out is None else np.union1d(found, self.left_out.rows)

    @property
    def asked(self) -> dict[str, Any]:
        """What was looked for, as a manifest says it."""
        before = {} if self.left_out is None else self.left_out.asked
        return {**before, "clean": self.cleaned.manifest["parameters"]["rules"]}

    def facts(self) -> dict[str, Any]:
        """What the manifest of a mixture says of it."""
        nothing: Mapping[str, Any] = {"contaminated": 0, "trained": 0, "counts": [], "digest": ""}
        found = nothing if self.left_out is None else self.left_out.facts()
        counts = [{"set": "", **one} for one in self.cleaned.counts]
        return {
            **found,
            "cleaned": len(self.cleaned.rows),
            "counts": [*found["counts"], *counts],
            "digest": hashlib.sha256(
                f"{found['digest']} {self.cleaned.digest}".encode()
            ).hexdigest(),
        }


def asked_of(config: RunConfig) -> Asked | None:
    """What a configuration asks for, if anything. Raises ConfigError, MissingPackageError."""
    if config.clean is None:
        return None
    check_packages()
    return Asked(rules_of(config.clean), config.seed)


def asked_facts(asked: Asked | None) -> dict[str, Any]:
    """What a manifest says of cleaning before anything is found; nothing where none is asked."""
    return {} if asked is None else {"clean": asked.rules.facts()}


def keep_scores(corpus: Corpus, measures: Measures, run: Path, progress: Progress) -> None:
    """The scores as features that rankers find by their names, but for columns of the sources."""
    for name in SCORES:
        if has_column(corpus, name):
            progress.note(f'clean: the sources have a column "{name}", which rankers mean by it')
            continue
        inputs = {"measures": measures.digest}
        kept = Collected.open_or_begin(
            run, corpus, "column", name, {"by": "clean"}, inputs, part_rows=SHARD_ROWS
        )
        if missing := kept.missing():
            values = measures.column(name).astype(np.float64)
            for number in missing:
                start, stop = kept.bounds(number)
                kept.commit_part(number, values[start:stop])
        kept.finish()
