"""The rows that stay, written as a data set: whole or not at all, and never over somebody's files.

OUT/data/train-*.parquet or train-*.jsonl, README.md and manifest.json. A row is as its source has
it: prompt and completion (or messages), source, task, template, and every other column.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from smartx import __version__
from smartx.clean.cleaned import Cleaned
from smartx.clean.signs import repaired
from smartx.corpus import Corpus
from smartx.errors import InputError
from smartx.files import canonical_json, storing
from smartx.mixture.chats import turns_of_all
from smartx.mixture.others import OtherColumns
from smartx.mixture.out import (
    building_beside,
    check_replaceable,
    open_mixture,
    put_in_place,
    recover,
    stands,
)
from smartx.progress import Progress, counted, step
from smartx.store import EXPORT, MANIFEST, file_entries, sealed

FORMATS = ("parquet", "jsonl")
PART_ROWS = 100_000
SCHEMA = 1
_NAMES = ("source", "task", "template")
Ints = NDArray[np.int64]
Repair = Callable[[str], str] | None


def check_format(name: str) -> None:
    """Raise InputError for a format that there is not."""
    if name not in FORMATS:
        raise InputError(
            f'there is no format "{name}"', place="format", fix=f"give {' or '.join(FORMATS)}"
        )


def check_out_free(out: Path, settings: Mapping[str, Any], *, overwrite: bool) -> None:
    """Raise InputError where something stands in OUT that is not to be replaced."""
    check_replaceable(out, dict(settings), overwrite=overwrite, stage=EXPORT)


def write_cleaned(
    corpus: Corpus,
    cleaned: Cleaned,
    out: Path,
    *,
    format: str,
    overwrite: bool,
    progress: Progress,
) -> Path:
    """Write the rows that stay to `out`, in the order of the corpus. Returns the folder.

    format: one of FORMATS.  overwrite: what was cleaned otherwise and stands there is replaced.
    Raises InputError where `out` is anything else, or no row stays.
    """
    out = Path(os.path.abspath(out))
    check_format(format)
    rows = np.setdiff1d(np.arange(corpus.num_rows), cleaned.rows, assume_unique=True)
    if not len(rows):
        raise InputError("no row stays", place="out", fix="loosen the rules")
    settings = {
        "smartx": __version__,
        "format": f"cleaned {format}",
        "inputs": {"corpus": corpus.digest, "clean": cleaned.digest},
    }
    recover(out, stage=EXPORT)
    check_out_free(out, settings, overwrite=overwrite)
    if stands(out, settings, stage=EXPORT):
        progress.note(f"the cleaned rows in {out} are up to date")
        return open_mixture(out, stage=EXPORT).folder
    with storing(out, out.parent), building_beside(out) as building:
        (building / "data").mkdir()
        told = repaired if cleaned.repairs else None
        _write(corpus, rows, building, format, told, progress)
        card = _readme(cleaned, len(rows), format)
        (building / "README.md").write_text(card, encoding="utf-8")
        content = {
            "stage": EXPORT,
            "schema": SCHEMA,
            **settings,
            "rows": len(rows),
            "splits": {"train": len(rows)},
            "dropped": cleaned.counts,
            "files": file_entries(building),
        }
        (building / MANIFEST).write_bytes(canonical_json(sealed(content)))
        put_in_place(building, out, stage=EXPORT)
    return out


def _write(
    corpus: Corpus, rows: Ints, folder: Path, format: str, repair: Repair, progress: Progress
) -> None:
    parts = -(-len(rows) // PART_ROWS)
    write: Callable[[pa.Table, Path], None] = _parquet if format == "parquet" else _json_lines
    with step(progress, "write", len(rows), "rows") as advance:
        for part, table in enumerate(_tables(corpus, rows, folder, repair)):
            write(table, folder / "data" / f"train-{part:05d}-of-{parts:05d}.{format}")
            advance(table.num_rows)


def _tables(corpus: Corpus, rows: Ints, folder: Path, repair: Repair) -> Iterator[pa.Table]:
    """The rows with all their columns, PART_ROWS at a time. repair: of their texts."""
    chats = bool(corpus.manifest["conversations"])
    texts = ("messages",) if chats else ("prompt", "completion")
    others = OtherColumns.of(corpus, [*texts, *_NAMES])
    for found in others.rows(rows, PART_ROWS, folder):
        if chats:
            turns = others.messages(found["messages"])
            turns = turns_of_all(turns, found["prompt"], found["response"])[0]
            made = {"messages": turns if repair is None else _turns(turns, repair)}
        else:
            both = (("prompt", found["prompt"]), ("completion", found["response"]))
            made = {name: _texts(column, repair) for name, column in both}
        groups = found["group_id"].to_numpy()
        for name in _NAMES:
            names = getattr(corpus.groups, name)
            made[name] = pa.array([names[group] for group in groups], pa.string())
        yield others.appended(pa.table(made), found)


def _texts(column: pa.ChunkedArray, repair: Repair) -> pa.Array:
    texts = pa.concat_arrays(column.chunks) if column.num_chunks else column.combine_chunks()
    if repair is None:
        return texts
    return pa.array([text and repair(text) for text in texts.to_pylist()], texts.type)


def _turns(turns: pa.ListArray, repair: Callable[[str], str]) -> pa.ListArray:
    made = turns.to_pylist()
    for turn in (turn for talk in made for turn in talk):
        turn["content"] = turn["content"] and repair(turn["content"])
    return pa.array(made, turns.type)


def _parquet(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path, compression="zstd", write_page_checksum=True)


def _json_lines(table: pa.Table, path: Path) -> None:
    """A row a line, without what it has no value for."""
    with path.open("wb") as file:
        for batch in table.to_batches(max_chunksize=8_192):
            for row in batch.to_pylist():
                if "messages" in row:
                    row["messages"] = [_full(turn, "content") for turn in row["messages"]]
                file.write(orjson.dumps(_full(row), default=str) + b"\n")


def _full(row: Mapping[str, Any], *always: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None or name in always}


def _readme(cleaned: Cleaned, rows: int, format: str) -> str:
    """A card by which `datasets` finds the rows."""
    files = f"configs:\n- config_name: default\n  data_files: data/train-*.{format}\n"
    reasons = "".join(f"- {one['rows']:,}: {one['reason']}\n" for one in cleaned.counts)
    return (
        f"---\n{files}---\n\n# {counted(rows, 'row')}, cleaned by smartx {__version__}\n\n"
        f"{cleaned.manifest['dropped']:,} of {cleaned.manifest['rows']:,} rows were dropped:\n\n"
        f"{reasons or '- none'}\n"
    )
