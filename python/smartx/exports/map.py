"""A map for embedding-atlas. It has rows of the corpus that the mixture lacks, and is one file: no
`Format`, whose files are of the rows of a mixture alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from smartx.engine import resolve_threads
from smartx.errors import InputError
from smartx.progress import counted
from smartx.report.atlas import ROWS
from smartx.report.files import atlas_command, write_map_file

MAP = "map"  # as a name of a format
OF_A_MAP = ("run_dir", "points")  # what no other format reads


def map_lines(
    mixture: Path,
    out: Path,
    *,
    run: Path | None,
    points: int | None,
    threads: int | None,
    other: Mapping[str, Any],
) -> Iterator[str]:
    """Write the map of a mixture; what was written, and what shows it.

    run: the run folder that made it, MIXTURE.run where none is named.  points: rows at most.
    other: what is asked for of other formats, by option. Raises InputError for any of it.
    """
    for name, value in other.items():
        if value:
            raise InputError(
                "a map is one file of the corpus and the mixture, without this",
                place=name,
                fix=f"leave `{name}` out, or take another format",
            )
    path, rows = write_map_file(
        mixture, out, run=run, rows=ROWS if points is None else points,
        threads=resolve_threads(threads),
    )  # fmt: skip
    yield f"{counted(rows, 'row')} in {path}"
    yield f"  look:     {atlas_command(path)}"


def map_explained() -> Iterator[str]:
    """What is in it, and how it is used, as of a format."""
    yield f"{MAP}: one Parquet file of the corpus and the mixture: places, exact neighbours, ranks"
    yield f"    use:     {atlas_command(Path('OUT'))}"
    yield f"    {ROWS:,} rows at most (`points`), half of them of the mixture"
    yield "    unproven by the tool; its columns by its documentation"
