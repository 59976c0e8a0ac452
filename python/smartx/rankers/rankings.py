"""Rankings on disk, read back: every row of every unit in order; a budget is a prefix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from smartx.errors import StoreError
from smartx.files import unchanged_digest
from smartx.rankers.near import COLUMNS
from smartx.rankers.pool import Units, units_of
from smartx.store import Stage

if TYPE_CHECKING:
    from smartx.corpus import Groups

STAGE = "ranking"
PART_ROWS = 65_536  # rows of one file: what a killed run does not have to rank again
BLOCK_ROWS = PART_ROWS  # rows of one row group of a file: the least that is read
TABLE = pa.schema(
    [("row_id", pa.int64()), ("group_id", pa.int32()), ("rank", pa.int32()), ("gain", pa.float64())]
)
_READ = ["row_id", "rank", "gain"]

Prefix = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]


@dataclass(frozen=True)
class Rankings:
    """All rows of a corpus by (unit, rank): those of a unit stand at start..start+rows.

    folder: where they are.  digest: names exactly this content.  manifest: as the stage wrote it.
    """

    folder: Path
    digest: str
    manifest: dict[str, Any]

    @property
    def num_rows(self) -> int:
        """Rows in all groups together."""
        return int(self.manifest["rows"])

    @property
    def near_duplicates(self) -> dict[str, Any] | None:
        """`threshold`, the least cosine of near duplicates, and how many `rows` are some; `within`
        what they were looked for, where that is not what was ranked by itself.

        None: they were not looked for.
        """
        found = self.manifest.get("near_duplicates")
        return dict(found) if found else None

    @property
    def per(self) -> str:
        """What was ranked by itself: the rows of a "template", of a "task" or of the "corpus"."""
        return str(self.manifest["per"])

    def units(self, groups: Groups) -> Units:
        """What was ranked by itself. groups: of the corpus."""
        return units_of(groups, self.per)

    def kept(self, groups: Groups) -> NDArray[np.int64]:
        """(u,) how many of the rows of each unit may be taken: all but its near duplicates and what
        was left out. The rows that may be taken are ranked first.
        """
        return self.units(groups).rows - self._apart("units")

    def kept_of_groups(self, groups: Groups) -> NDArray[np.int64]:
        """(g,) the same of each group of the corpus."""
        return groups.rows - self._apart("groups")

    def _apart(self, of: str) -> NDArray[np.int64] | int:
        """How many rows nobody takes, of each of the units or groups."""
        found = self.manifest.get("apart")
        return np.array(found[of], dtype=np.int64) if found else 0

    def duplicates(self) -> pa.Table:
        """The near duplicates: row_id, duplicate_of (the row that stays instead) and cosine.

        Empty where they were not looked for. Raises StoreError where a file is damaged.
        """
        names = ["row_id", *COLUMNS.names]
        found = [pa.schema([TABLE.field("row_id"), *COLUMNS]).empty_table()]
        if self.near_duplicates:
            for number in range(-(-self.num_rows // BLOCK_ROWS)):
                block = self._block(number, names)
                found.append(block.filter(block["duplicate_of"].is_valid()))
        return pa.concat_tables(found)

    def prefix(self, start_row: int, count: int) -> Prefix:
        """The first `count` rows of the unit that begins at `start_row`: row ids, ranks, gains."""
        return next(self.prefixes(np.array([start_row]), np.array([count])))

    def prefixes(self, starts: NDArray[np.int64], counts: NDArray[np.int64]) -> Iterator[Prefix]:
        """`prefix` of many units, in rising order of starts; each block is read once.

        Raises StoreError where a file is missing or damaged.
        """
        nothing = TABLE.empty_table().select(_READ)
        number, block = -1, nothing
        for start, count in zip(starts.tolist(), counts.tolist(), strict=True):
            pieces, stop = [nothing], start + count
            while start < stop:
                if start // BLOCK_ROWS != number:
                    number = start // BLOCK_ROWS
                    block = self._block(number)
                inside = start - number * BLOCK_ROWS
                piece = block.slice(inside, stop - start)
                if not piece.num_rows:
                    raise StoreError(
                        f"rows {start}..{stop} are asked for and there are {self.num_rows}",
                        place=str(self.folder),
                        fix="run `smartx rank` again",
                    )
                pieces.append(piece)
                start += piece.num_rows
            table = pa.concat_tables(pieces)
            yield (
                table["row_id"].to_numpy().astype(np.int64, copy=False),
                table["rank"].to_numpy().astype(np.int32, copy=False),
                table["gain"].to_numpy().astype(np.float64, copy=False),
            )

    def _block(self, number: int, columns: Sequence[str] = _READ) -> pa.Table:
        part, block = divmod(number, PART_ROWS // BLOCK_ROWS)
        path = self.folder / part_name(part)
        with reading(path):
            if unchanged_digest(path) != self.manifest["files"][part]["sha256"]:
                raise ValueError("its bytes are not those that were written")
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                return file.read_row_group(block, columns=list(columns))


def part_name(part: int) -> str:
    """File name of the numbered part."""
    return f"ranks-{part:05d}.parquet"


def write_rows(table: pa.Table, block_rows: int, path: Path) -> None:
    """Write rows of a ranking, so many to a row group."""
    pq.write_table(
        table.combine_chunks(),
        path,
        row_group_size=block_rows,
        compression="zstd",
        write_page_checksum=True,
        use_dictionary=["group_id"],
        store_schema=False,
    )


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever is wrong with a file of a ranking into a StoreError that names it."""
    try:
        yield
    except (OSError, ValueError, pa.ArrowException) as problem:
        raise StoreError(
            f"it cannot be read ({problem})",
            place=str(path),
            fix="run `smartx rank` again; whole files are kept",
        ) from None


def open_rankings(folder: Path) -> Rankings:
    """The rankings in a folder. Raises StoreError if the stage has not been finished there."""
    manifest = Stage(STAGE, folder).manifest()
    return Rankings(folder, str(manifest["digest"]), manifest)
