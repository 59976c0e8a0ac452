"""Files about a finished mixture, made from its run folder: a report with times, and a map."""

from __future__ import annotations

import os
from pathlib import Path

from smartx import __version__
from smartx.errors import InputError
from smartx.files import commit_bytes
from smartx.mixture import Mixture, open_mixture
from smartx.mixture.facts import SCHEMA
from smartx.report.again import material_of, report_again
from smartx.report.atlas import ROWS, write_map


def write_report(
    mixture: Path, file: Path, *, run: Path | None = None, comparison: Path | None = None
) -> Path:
    """Write the page of a mixture with what its stages took, and with a comparison.

    mixture: its folder.  run: the run folder that made it, MIXTURE.run where none is named.
    comparison: a file of `smartx compare --json`.  Returns the file, as an absolute path.
    A mixture of an earlier version has a page of what its manifest knows.
    Raises InputError where the file would lie in the mixture, whose files are all its own, and
    where a later version made the mixture; StoreError where the run folder has not what the
    mixture was made from.
    """
    made, path, folder = _asked(mixture, file, run)
    commit_bytes(path, report_again(made, folder, comparison=comparison).encode())
    return path


def write_map_file(
    mixture: Path, file: Path, *, run: Path | None = None, rows: int = ROWS, threads: int = 1
) -> tuple[Path, int]:
    """Write a corpus and a mixture of it for embedding-atlas. Returns the file and its rows.

    The arguments are those of `write_report` and of `write_map`.
    """
    made, path, folder = _asked(mixture, file, run)
    return path, write_map(material_of(made, folder), path, rows=rows, threads=threads)


def atlas_command(path: Path) -> str:
    """What shows a map."""
    columns = "--x x --y y --neighbors neighbors --text prompt"
    return f'embedding-atlas "{path}" {columns}'


def _asked(mixture: Path, file: Path, run: Path | None) -> tuple[Mixture, Path, Path]:
    home, path = (Path(os.path.abspath(os.path.expanduser(one))) for one in (mixture, file))
    made = open_mixture(home)
    if int(made.manifest.get("schema", 0)) > SCHEMA:
        raise InputError(
            f"smartx {made.manifest.get('smartx')} made it, which writes manifests that this "
            f"version ({__version__}) does not know",
            place=str(mixture),
            fix="update smartx",
        )
    if home in path.parents:
        raise InputError(
            "it would lie in the mixture, and all files there are its own",
            place=str(file),
            fix="name a file elsewhere",
        )
    return made, path, home.with_name(f"{home.name}.run") if run is None else run
