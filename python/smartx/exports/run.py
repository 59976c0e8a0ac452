"""One export: a mixture -> a folder that one reader takes, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smartx import __version__
from smartx.amounts import Amount, amount
from smartx.errors import InputError, StoreError
from smartx.exports.format import Format, Job
from smartx.exports.push import Hub, checked_hub, push
from smartx.exports.readme import readme
from smartx.exports.rows import Rows
from smartx.exports.split import validation_rows
from smartx.exports.table import format_named
from smartx.files import canonical_json, storing
from smartx.mixture import Mixture, open_mixture
from smartx.mixture.out import (
    building_beside,
    check_replaceable,
    put_in_place,
    recover,
    stands,
)
from smartx.progress import Progress, Silent, counted
from smartx.store import EXPORT, MANIFEST, file_entries, sealed

SCHEMA = 1


@dataclass(frozen=True)
class Exported:
    """A finished export.

    folder: where it stands.  format: what it is.  manifest: as it stands there.
    commit: of the Hub, where it was pushed to; else "".
    """

    folder: Path
    format: Format
    manifest: dict[str, Any]
    commit: str = ""

    @property
    def rows(self) -> dict[str, int]:
        """How many rows each split has."""
        found: dict[str, int] = self.manifest["splits"]
        return found


def export(
    mixture: Mixture | Path | str,
    format: str,
    out: Path | str,
    *,
    validation: Amount | str | None = None,
    seed: int = 0,
    leave_out_misfits: bool = False,
    overwrite: bool = False,
    push_to: str = "",
    public: bool = False,
    hub: Hub | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Write the rows of a mixture as one reader takes them.

    mixture: one, or its folder.  format: a name of `smartx.exports.FORMATS`.
    out: the folder to write: absent, empty, or an earlier export.
    validation: rows to set aside, a number or "5%", drawn by `seed` from every task in proportion;
    rows of one text stay on one side.
    leave_out_misfits: rows that the format has no place for are left out and counted; else they
    are an error.  overwrite: an export that was made otherwise is replaced.
    push_to: OWNER/NAME of a data set of the Hub, private unless `public`.  hub: instead of it.
    Raises InputError for what cannot be, before anything is written; StoreError for a mixture or
    a disk that is damaged. What stood in `out` is as it was then.

    >>> import smartx
    >>> rows = [{"prompt": f"{n} + 1", "response": f"{n + 1}", "task": "sums"} for n in range(50)]
    >>> mixture = smartx.run(rows, rows=20, preset="random")
    >>> made = smartx.export(mixture, "messages", "mix-messages", validation="10%")
    >>> made.rows, sorted(path.name for path in made.folder.glob("*.jsonl"))
    ({'train': 18, 'validation': 2}, ['train.jsonl', 'validation.jsonl'])
    """
    progress, kind, home = progress or Silent(), format_named(format), _absolute(out)
    rows = Rows(mixture if isinstance(mixture, Mixture) else open_mixture(Path(mixture)))
    _check(rows, kind, home)
    asked = _asked(validation)
    settings = {
        "smartx": __version__,
        "format": kind.name,
        "inputs": {"mixture": str(rows.mixture.manifest["seal"])},
        "validation": None if asked is None else str(asked),
        "seed": seed if asked is not None else None,
        "leave_out_misfits": leave_out_misfits,
        "home": str(home) if kind.local else "",
    }
    recover(home, stage=EXPORT)
    check_replaceable(home, settings, overwrite=overwrite, stage=EXPORT)
    ready = checked_hub(push_to, hub) if push_to else None
    if stands(home, settings, stage=EXPORT):
        progress.note(f"the export in {home} is up to date")
        made = open_mixture(home, stage=EXPORT).manifest
    else:
        made = _written(rows, kind, home, settings, asked, progress)
    found = Exported(home, kind, made)
    if ready is None:
        return found
    message = f"{counted(sum(found.rows.values()), 'row')} of a mixture of smartx {__version__}"
    commit = push(home, push_to, ready, private=not public, message=message)
    return Exported(home, kind, made, commit)


def _written(
    rows: Rows,
    kind: Format,
    home: Path,
    settings: Mapping[str, Any],
    asked: Amount | None,
    progress: Progress,
) -> dict[str, Any]:
    """Write the files of an export, and put them in place. Returns the manifest."""
    aside = None if asked is None else validation_rows(rows, asked, int(settings["seed"]))
    with storing(home, home.parent), building_beside(home) as building:
        job = Job(rows, building, home, aside, progress)
        kind.write(job)
        _check_fit(job, kind, leave_out=bool(settings["leave_out_misfits"]))
        (building / "README.md").write_text(readme(job, kind), encoding="utf-8")
        content = {
            "stage": EXPORT,
            "schema": SCHEMA,
            **settings,
            "rows": sum(job.written.values()),
            "splits": {split: job.written[split] for split in job.splits},
            "misfits": dict(sorted(job.misfits.items())),
            "lost": dict(sorted(job.lost.items())),
            "files": file_entries(building),
        }
        manifest = sealed(content)
        (building / MANIFEST).write_bytes(canonical_json(manifest))
        put_in_place(building, home, stage=EXPORT)
    return manifest


def _check(rows: Rows, kind: Format, home: Path) -> None:
    """Raise where a mixture has not what a format needs, or lies where the export is to."""
    folder = _absolute(rows.mixture.folder)
    if home == folder or folder in home.parents or home in folder.parents:
        raise InputError(
            "an export stands beside its mixture, not in it or around it",
            place="out",
            fix="choose another folder",
        )
    if "trainers" not in rows.mixture.manifest:
        raise StoreError(
            "an older smartx made this mixture, and did not say what trainers meet in it",
            place=str(rows.mixture.folder),
            fix="make it again with `smartx mix --overwrite`",
        )
    if not len(rows):
        raise InputError("the mixture holds no rows", place=str(rows.mixture.folder))
    if lacking := [name for name in kind.columns if name not in rows.schema.names]:
        raise InputError(
            f"the format {kind.name} needs the column {lacking[0]}, which this mixture has not",
            place=str(rows.mixture.folder),
            fix="make it again with this version of smartx (`smartx mix --overwrite`)",
        )


def _check_fit(job: Job, kind: Format, *, leave_out: bool) -> None:
    """Raise InputError where rows do not fit the format and are not to be left out."""
    if not job.misfits or (leave_out and job.written["train"]):
        return
    reasons = "; ".join(f"{rows:,} with {why}" for why, rows in job.misfits.most_common())
    count = counted(job.misfits.total(), "row")
    raise InputError(
        f"{kind.name} has no place for {count} of {len(job.rows):,}: {reasons}",
        place="format",
        fix="pass `leave_out_misfits`, or take another format (messages has a place for all)"
        if job.written["train"]
        else "take another format (messages has a place for all)",
    )


def _asked(validation: Amount | str | None) -> Amount | None:
    try:
        return None if validation is None else amount(validation)
    except ValueError as problem:
        raise InputError(str(problem), place="validation") from None


def _absolute(path: Path | str) -> Path:
    return Path(os.path.abspath(path))
