"""Write a mixture folder: all or nothing, and never over anything that is not a mixture."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from smartx.files import canonical_json, storing
from smartx.mixture.assemble import Chosen
from smartx.mixture.card import card
from smartx.mixture.chats import (
    CALLS,
    TOOLS,
    refusals,
    refused_facts,
    sharegpt,
    tools_objects,
    turns_of_all,
)
from smartx.mixture.in_store import send
from smartx.mixture.mixture import Mixture
from smartx.mixture.others import OtherColumns
from smartx.mixture.out import (
    building_beside,
    check_replaceable,
    open_mixture,
    put_in_place,
    recover,
    stands,
)
from smartx.mixture.trainers import LLAMA_FACTORY, READ_BY_TRAINERS, trainer_files
from smartx.progress import Progress, Silent, step
from smartx.store import MANIFEST, MIXTURE, file_entries, sealed
from smartx.urls import is_url

if TYPE_CHECKING:
    from smartx.corpus import Corpus

PART_ROWS = 100_000  # rows of one file
COPY = "smartx_copy"  # only where rows may be taken more than once
BLOCK_ROWS = 10_000  # rows of one row group of a file
Report = Callable[[Path, dict[str, Any]], str]


def write_mixture(
    corpus: Corpus,
    chosen: Chosen,
    out: Path | str,
    *,
    facts: dict[str, Any],
    report: Report | None = None,
    overwrite: bool = False,
    staging: Path | None = None,
    progress: Progress | None = None,
) -> Mixture:
    """Write the folder `out`, which a trainer loads.

    out: a folder, or the URL of one in an object store.  staging: for the latter, the name of a
    folder beside which the mixture is made before it is sent there.

    facts: what the manifest says, from `mixture_facts`.  report: given the finished data and the
    facts, the text of report.html; None: no report.
    overwrite: an earlier mixture in `out`, made otherwise, is replaced in one step at the end. The
    same mixture is used as it is, if every file of it is whole.
    Raises InputError before any work where `out` is anything else, or another mixture that may not
    be overwritten.
    """
    progress = progress or Silent()
    facts = {**facts, "digest": _digest(chosen)}

    def build(folder: Path) -> dict[str, Any]:
        return _build(corpus, chosen, folder, facts, report, progress)

    if isinstance(out, str) and is_url(out):
        assert staging is not None
        return send(out, facts, build, staging=staging, overwrite=overwrite, progress=progress)
    out = Path(os.path.abspath(out))
    recover(out)
    check_replaceable(out, facts, overwrite=overwrite)
    if stands(out, facts):
        progress.note(f"the mixture in {out} is up to date")
        return open_mixture(out)
    with storing(out, out.parent), building_beside(out) as building:
        manifest = build(building)
        put_in_place(building, out)
    return Mixture(out, manifest)


def _build(
    corpus: Corpus,
    chosen: Chosen,
    folder: Path,
    facts: dict[str, Any],
    report: Report | None,
    progress: Progress,
) -> dict[str, Any]:
    """All files of a mixture in a folder; its manifest."""
    (folder / "data").mkdir()
    facts = {**facts, "trainers": _write_rows(corpus, chosen, folder, progress)}
    (folder / "README.md").write_bytes(card(facts))
    for name, content in trainer_files(facts["trainers"]).items():
        (folder / name).write_bytes(content)
    if report is not None:
        (folder / "report.html").write_text(report(folder, facts), encoding="utf-8")
    manifest = sealed({"stage": MIXTURE, **facts, "files": file_entries(folder)})
    (folder / MANIFEST).write_bytes(canonical_json(manifest))
    return manifest


def columns_of(corpus: Corpus) -> tuple[OtherColumns, dict[str, bool]]:
    """The other columns of any mixture of a corpus, and what its columns mean to trainers.

    conversations: every row has `messages`.  tools: there is a column of them.  calls: turns may
    call some.
    """
    chats = bool(corpus.manifest["conversations"])
    others = OtherColumns.of(corpus, [*_own(chats).names, COPY, *READ_BY_TRAINERS])
    tools, calls = "tools" in others.names.values(), CALLS in others.turns
    return others, {"conversations": chats, "tools": chats and tools, "calls": chats and calls}


def _write_rows(
    corpus: Corpus, chosen: Chosen, building: Path, progress: Progress
) -> dict[str, Any]:
    """Write the rows in mixture order. Returns what trainers meet: `trainers` of the manifest.

    Of `columns_of`, and shortened: rows that lost turns behind the last answer; refused: what
    trainers do not take as it is, with how many rows.
    """
    parts = max(1, -(-len(chosen) // PART_ROWS))
    others, met = columns_of(corpus)
    copied = met["tools"] or met["calls"]
    shortened, refused = 0, Counter[str]()
    positions = others.positions(chosen.row_ids)
    with step(progress, "write", len(chosen), "rows") as advance:
        for part, rows in enumerate(others.rows(chosen.row_ids, PART_ROWS, building)):
            piece = slice(part * PART_ROWS, (part + 1) * PART_ROWS)
            name = f"train-{part:05d}-of-{parts:05d}.parquet"
            at = pa.array(positions[piece])
            table = _rows(corpus, rows, chosen, piece, at, others, chats=met["conversations"])
            if met["conversations"]:
                turns = others.messages(rows["messages"])
                messages, lost = turns_of_all(turns, rows["prompt"], rows["response"])
                table = table.add_column(0, "messages", messages)
                if met["tools"]:
                    place = table.schema.get_field_index("tools")
                    table = table.set_column(place, TOOLS, tools_objects(table["tools"]))
                shortened += lost
                refused += refusals(messages, joined=copied)
            if copied:
                refused += _write_for_llama_factory(table, building, name)
            _write_file(table, building / "data" / name)
            advance(table.num_rows)
    if refused:
        lines = ", ".join(f"{rows:,} {why}" for why, rows in refused.most_common(3))
        progress.note(f"write: rows that trainers do not take as they are: {lines} (README.md)")
    return {**met, "shortened": shortened, "refused": refused_facts(refused)}


def _write_for_llama_factory(table: pa.Table, building: Path, name: str) -> Counter[str]:
    """A copy of the turns, and of the tools, for the one trainer that cannot read ours.

    Returns what that trainer loses.
    """
    turns, lost = sharegpt(table["messages"].combine_chunks())
    columns = {"conversations": turns}
    if "tools" in table.schema.names:
        columns["tools"] = table["tools"].combine_chunks()
    (building / LLAMA_FACTORY).mkdir(exist_ok=True)
    _write_file(pa.table(columns), building / LLAMA_FACTORY / name)
    return lost


def _write_file(table: pa.Table, path: Path) -> None:
    pq.write_table(
        table,
        path,
        row_group_size=BLOCK_ROWS,
        compression="zstd",
        write_page_checksum=True,
    )


def _rows(
    corpus: Corpus,
    rows: pa.Table,
    chosen: Chosen,
    piece: slice,
    positions: pa.Array,
    others: OtherColumns,
    *,
    chats: bool,
) -> pa.Table:
    group = rows["group_id"].to_numpy()
    names = corpus.groups
    columns = [
        rows["prompt"],
        rows["response"],
        pa.array([names.source[i] for i in group], pa.string()),
        pa.array([names.task[i] for i in group], pa.string()),
        pa.array([names.template[i] for i in group], pa.string()),
        pa.array(chosen.row_ids[piece]),
        pa.array(chosen.ranks[piece]),
        pa.array(chosen.gains[piece]),
        positions,
    ]
    own = _own(chats)
    if chosen.copies is not None:
        own = own.append(pa.field(COPY, pa.int32()))
        columns.append(pa.array(chosen.copies[piece]))
    return others.appended(pa.table(columns, names=own.names).cast(own), rows)


def _own(chats: bool) -> pa.Schema:
    """The columns that every mixture has, besides `messages` where it holds conversations.

    There the texts must not be called as what trainers look for: they would be taken instead.
    """
    texts = ("prompt_text", "completion_text") if chats else ("prompt", "completion")
    text = {name: pa.string() for name in (*texts, "source", "task", "template")}
    numbers = {"smartx_row": pa.int64(), "smartx_rank": pa.int32(), "smartx_gain": pa.float64()}
    numbers["smartx_index"] = pa.int64()
    return pa.schema({**text, **numbers})


def _digest(chosen: Chosen) -> str:
    """Of the chosen rows in their order, whatever wrote the files."""
    return hashlib.sha256(chosen.row_ids.astype("<i8").tobytes()).hexdigest()
