"""Write a mixture folder: all or nothing, and never over anything that is not a mixture."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from smartx.corpus import pieces
from smartx.errors import InputError, StoreError
from smartx.mixture.assemble import Chosen
from smartx.mixture.card import card
from smartx.mixture.exports import trainer_files
from smartx.mixture.others import OtherColumns
from smartx.progress import Progress, Silent, step
from smartx.store import MANIFEST, canonical_json, file_digest, sealed, storing

if TYPE_CHECKING:
    from smartx.corpus import Corpus

STAGE = "mixture"
PART_ROWS = 100_000  # rows of one file
BLOCK_ROWS = 10_000  # rows of one row group of a file
Report = Callable[[Path, dict[str, Any]], str]


@dataclass(frozen=True)
class Mixture:
    """A finished mixture: its folder, and its manifest as it stands there."""

    folder: Path
    manifest: dict[str, Any]


def open_mixture(folder: Path) -> Mixture:
    """The mixture in a folder. Raises StoreError if there is none."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        manifest = None
    if not isinstance(manifest, dict) or manifest.get("stage") != STAGE:
        raise StoreError("it is not a mixture", place=str(folder), fix="make one with `smartx mix`")
    return Mixture(folder, manifest)


def write_mixture(
    corpus: Corpus,
    chosen: Chosen,
    out: Path,
    *,
    facts: dict[str, Any],
    report: Report | None = None,
    progress: Progress | None = None,
) -> Mixture:
    """Write the folder `out`, which a trainer loads.

    facts: what the manifest says, from `mixture_facts`.  report: given the finished data and the
    facts, the text of report.html; None: no report.
    An earlier mixture in `out` is replaced in one step at the end. Raises InputError where `out` is
    anything else, before any work.
    """
    progress = progress or Silent()
    out = Path(os.path.abspath(out))
    _recover(out)
    check_out(out)
    with storing(out, out.parent), _folder_beside(out) as building:
        (building / "data").mkdir()
        conversations, tools = _write_rows(corpus, chosen, building, progress)
        (building / "README.md").write_bytes(card(facts))
        for name, content in trainer_files(conversations=conversations, tools=tools).items():
            (building / name).write_bytes(content)
        if report is not None:
            (building / "report.html").write_text(report(building, facts), encoding="utf-8")
        digest = _digest(chosen)
        manifest = sealed({"stage": STAGE, **facts, "digest": digest, "files": _entries(building)})
        (building / MANIFEST).write_bytes(canonical_json(manifest))
        _flush(building)
        _put_in_place(building, out)
    return Mixture(out, manifest)


def check_out(out: Path) -> None:
    """Raise InputError unless `out` is absent, empty, or a mixture and nothing else."""
    fix = "choose another folder for --out, or empty this one"
    if not os.path.lexists(out):
        return
    if not out.is_dir() or out.is_symlink():
        raise InputError("it is not a folder", place=str(out), fix=fix)
    if not any(out.iterdir()):
        return
    try:
        manifest = open_mixture(out).manifest
    except StoreError:
        raise InputError(
            "the folder is not empty and not a mixture of smartx", place=str(out), fix=fix
        ) from None
    inside = {
        path.relative_to(out).as_posix()
        for path in out.rglob("*")
        if not path.is_dir() or path.is_symlink()
    }
    foreign = sorted(inside - {entry["name"] for entry in manifest["files"]} - {MANIFEST})
    if foreign:
        raise InputError(
            f"the mixture there would be replaced, and {len(foreign)} files in the folder "
            f"are not part of it (first: {foreign[0]!r})",
            place=str(out),
            fix="move them away, or " + fix,
        )


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
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [
        {
            "name": path.relative_to(folder).as_posix(),
            "bytes": path.stat().st_size,
            "sha256": file_digest(path),
        }
        for path in paths
    ]


@contextmanager
def _folder_beside(out: Path) -> Iterator[Path]:
    building = out.with_name(f".{out.name}.tmp.{uuid.uuid4().hex}")
    building.mkdir(parents=True)
    try:
        yield building
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _put_in_place(building: Path, out: Path) -> None:
    """Let `building` become `out`. An old mixture steps aside; `_recover` undoes that."""
    old = out.with_name(f".{out.name}.old")
    try:
        if out.exists():
            os.rename(out, old)
        os.rename(building, out)
    except OSError as problem:
        if old.exists() and not out.exists():
            os.rename(old, out)
        raise StoreError(
            f"the folder cannot be put in place ({problem.strerror})",
            place=str(out),
            fix="choose a folder that is not a mount point",
        ) from None
    shutil.rmtree(old, ignore_errors=True)
    _flush_folder(out.parent)


def _recover(out: Path) -> None:
    """Undo what a killed run left: an old mixture comes back, half-built folders go."""
    old = out.with_name(f".{out.name}.old")
    if old.exists() and not out.exists():
        os.rename(old, out)
    shutil.rmtree(old, ignore_errors=True)
    if out.parent.is_dir():
        for path in out.parent.iterdir():
            if path.name.startswith(f".{out.name}.tmp."):
                shutil.rmtree(path, ignore_errors=True)


def _flush(folder: Path) -> None:
    """Have the disk hold every file and folder below `folder`."""
    for root, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(root, name), "rb") as file:
                os.fsync(file.fileno())
        _flush_folder(Path(root))


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
