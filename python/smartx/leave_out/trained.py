"""Rows that a model was trained on before: those of an earlier mixture, or of any data set."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from smartx.corpus import Corpus, ingestion
from smartx.errors import StoreError
from smartx.files import unchanged_digest
from smartx.leave_out.evaluation import set_names
from smartx.needs import digest_of
from smartx.progress import Progress, Silent
from smartx.run_folder import CORPUS
from smartx.store import MANIFEST, MIXTURE, folder_of, read_manifest

_ROW = "smartx_row"


@dataclass(frozen=True, eq=False)
class Trained:
    """A data set that was trained on.

    rows: (k,) int64, rising, where its rows are known by their numbers in the corpus; else None.
    texts: its rows, where they are known by what they say; else None.
    """

    name: str
    digest: str
    rows: NDArray[np.int64] | None = None
    texts: Corpus | None = None


def trained_on(
    sources: Sequence[str | Path],
    corpus: Corpus,
    run_folder: Path,
    *,
    memory: int | None = None,
    progress: Progress | None = None,
) -> list[Trained]:
    """What is in mixtures of ours, or in files as they are ingested.

    A mixture of this corpus names its rows. Of any other data set a row is that row of the corpus
    which has the same prompt and response (case, white space and punctuation aside).
    Raises StoreError for a mixture that is damaged, CorpusError for a source that is missing or not
    understood, ConfigError for two of one name.
    """
    progress = progress or Silent()
    return [
        _one(name, source, corpus, run_folder, memory, progress)
        for name, source in zip(set_names(sources, "trained"), sources, strict=True)
    ]


def _one(
    name: str,
    source: str | Path,
    corpus: Corpus,
    run_folder: Path,
    memory: int | None,
    progress: Progress,
) -> Trained:
    path = os.fspath(source)
    folder = Path(path if os.path.exists(path) else path.partition("=")[2])
    found = rows_of_mixture(folder, corpus)
    if found is not None:
        return Trained(name, digest_of(found), rows=found)
    wanted = ingestion([source], keep_empty_responses=True, other_columns=False)
    texts = wanted.into(folder_of(run_folder / CORPUS, wanted.key), memory=memory)
    progress.note(f"trained: the {texts.num_rows:,} rows of {name} are looked for by their texts")
    return Trained(name, texts.digest, texts=texts)


def rows_of_mixture(folder: Path, corpus: Corpus) -> NDArray[np.int64] | None:
    """(k,) rising ids of the rows in a mixture of this corpus; None where it is anything else.

    Raises StoreError where a file of the mixture is not what was written.
    """
    try:
        manifest = read_manifest(folder / MANIFEST)
    except StoreError:
        return None
    inputs = manifest.get("inputs")
    if manifest.get("stage") != MIXTURE or not isinstance(inputs, dict):
        return None
    if inputs.get("corpus") != corpus.digest:
        return None
    ids = [np.empty(0, np.int64)]
    for entry in manifest["files"]:
        if str(entry["name"]).startswith("data/"):
            ids.append(_ids(folder / str(entry["name"]), str(entry["sha256"])))
    rows = np.unique(np.concatenate(ids))
    if len(rows) and not 0 <= rows[0] <= rows[-1] < corpus.num_rows:
        raise _damaged(folder, f"it names row {rows[-1]:,}")
    return rows


def _ids(path: Path, sha256: str) -> NDArray[np.int64]:
    try:
        if unchanged_digest(path) != sha256:
            raise OSError("its bytes are not those that were written")
        table = pq.read_table(path, columns=[_ROW], page_checksum_verification=True)
        return np.asarray(table[_ROW].to_numpy(), dtype=np.int64)
    except (OSError, KeyError, pa.ArrowException) as problem:
        raise _damaged(path, str(problem)) from None


def _damaged(path: Path, problem: str) -> StoreError:
    fix = "make the mixture again, or name its rows as files"
    return StoreError(f"it cannot be read ({problem})", place=str(path), fix=fix)
