"""Write a mixture folder: all or nothing, and never over anything that is not a mixture."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from smartx.corpus import pieces
from smartx.files import MARK, canonical_json, file_digest, storing
from smartx.mixture.assemble import Chosen
from smartx.mixture.card import card
from smartx.mixture.exports import trainer_files
from smartx.mixture.others import OtherColumns
from smartx.mixture.out import (
    Mixture,
    building_beside,
    check_replaceable,
    open_mixture,
    put_in_place,
    recover,
    stands,
)
from smartx.progress import Progress, Silent, step
from smartx.store import MANIFEST, MIXTURE, sealed

if TYPE_CHECKING:
    from smartx.corpus import Corpus

PART_ROWS = 100_000  # rows of one file
BLOCK_ROWS = 10_000  # rows of one row group of a file
Report = Callable[[Path, dict[str, Any]], str]


def write_mixture(
    corpus: Corpus,
    chosen: Chosen,
    out: Path,
    *,
    facts: dict[str, Any],
    report: Report | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Mixture:
    """Write the folder `out`, which a trainer loads.

    facts: what the manifest says, from `mixture_facts`.  report: given the finished data and the
    facts, the text of report.html; None: no report.
    overwrite: an earlier mixture in `out`, made otherwise, is replaced in one step at the end. The
    same mixture is used as it is, if every file of it is whole.
    Raises InputError before any work where `out` is anything else, or another mixture that may not
    be overwritten.
    """
    progress = progress or Silent()
    out = Path(os.path.abspath(out))
    facts = {**facts, "digest": _digest(chosen)}
    recover(out)
    check_replaceable(out, facts, overwrite=overwrite)
    if stands(out, facts):
        progress.note(f"the mixture in {out} is up to date")
        return open_mixture(out)
    with storing(out, out.parent), building_beside(out) as building:
        (building / "data").mkdir()
        conversations, tools = _write_rows(corpus, chosen, building, progress)
        (building / "README.md").write_bytes(card(facts))
        for name, content in trainer_files(conversations=conversations, tools=tools).items():
            (building / name).write_bytes(content)
        if report is not None:
            (building / "report.html").write_text(report(building, facts), encoding="utf-8")
        manifest = sealed({"stage": MIXTURE, **facts, "files": _entries(building)})
        (building / MANIFEST).write_bytes(canonical_json(manifest))
        put_in_place(building, out)
    return Mixture(out, manifest)


def _write_rows(
    corpus: Corpus, chosen: Chosen, building: Path, progress: Progress
) -> tuple[bool, bool]:
    """Write the rows in mixture order. Returns whether all are conversations, any has tools."""
    parts = max(1, -(-len(chosen) // PART_ROWS))
    others = OtherColumns.of(corpus, [*_own().names, "messages"])
    columns = others.schema(_own()).names
    if _has_messages(corpus):
        columns.insert(2, "messages")
    conversations, tools = len(chosen) > 0 and "messages" in columns, False
    with step(progress, "write", len(chosen), "rows") as advance:
        for part, rows in enumerate(pieces(corpus, chosen.row_ids, PART_ROWS, building)):
            piece = slice(part * PART_ROWS, (part + 1) * PART_ROWS)
            table = _rows(corpus, rows, chosen, piece, others).select(columns)
            conversations = conversations and not table["messages"].null_count
            tools = tools or ("tools" in columns and table["tools"].null_count < len(table))
            pq.write_table(
                table,
                building / "data" / f"train-{part:05d}-of-{parts:05d}.parquet",
                row_group_size=BLOCK_ROWS,
                compression="zstd",
                write_page_checksum=True,
            )
            advance(table.num_rows)
    return conversations, tools


def _rows(
    corpus: Corpus, rows: pa.Table, chosen: Chosen, piece: slice, others: OtherColumns
) -> pa.Table:
    group = rows["group_id"].to_numpy()
    names = corpus.groups
    columns = {
        "prompt": rows["prompt"],
        "completion": rows["response"],  # the name that TRL loads; other trainers can be told any
        "source": pa.array([names.source[i] for i in group], pa.string()),
        "task": pa.array([names.task[i] for i in group], pa.string()),
        "template": pa.array([names.template[i] for i in group], pa.string()),
        "smartx_row": pa.array(chosen.row_ids[piece]),
        "smartx_rank": pa.array(chosen.ranks[piece]),
        "smartx_gain": pa.array(chosen.gains[piece]),
    }
    own = pa.table(columns).cast(_own())
    return others.appended(own, rows).append_column("messages", others.messages(rows["messages"]))


def _own() -> pa.Schema:
    """The columns that every mixture has."""
    text = {n: pa.string() for n in ("prompt", "completion", "source", "task", "template")}
    numbers = {"smartx_row": pa.int64(), "smartx_rank": pa.int32(), "smartx_gain": pa.float64()}
    return pa.schema({**text, **numbers})


def _has_messages(corpus: Corpus) -> bool:
    """Whether any row of the corpus is a conversation: columns do not depend on the choice."""
    for path in sorted(corpus.folder.glob("rows-*.parquet")):
        with pq.ParquetFile(path) as file:
            for block in range(file.num_row_groups):  # a column of nulls takes no time to read
                column = file.read_row_group(block, columns=["messages"])["messages"]
                if column.null_count < len(column):
                    return True
    return False


def _digest(chosen: Chosen) -> str:
    """Of the chosen rows in their order, whatever wrote the files."""
    return hashlib.sha256(chosen.row_ids.astype("<i8").tobytes()).hexdigest()


def _entries(folder: Path) -> list[dict[str, Any]]:
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MARK)
    return [
        {
            "name": path.relative_to(folder).as_posix(),
            "bytes": path.stat().st_size,
            "sha256": file_digest(path),
        }
        for path in paths
    ]
