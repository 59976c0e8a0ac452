"""The formats of exports, by name."""

from __future__ import annotations

from smartx.config import close_to
from smartx.errors import InputError
from smartx.exports.alignment_handbook import FORMAT as ALIGNMENT_HANDBOOK
from smartx.exports.axolotl import FORMAT as AXOLOTL
from smartx.exports.croissant import FORMAT as CROISSANT
from smartx.exports.format import Format
from smartx.exports.lines import FORMATS as OF_ROWS
from smartx.exports.llama_factory import FORMAT as LLAMA_FACTORY
from smartx.exports.map import MAP
from smartx.exports.nemotron import FORMAT as NEMOTRON
from smartx.exports.torchtune import FORMAT as TORCHTUNE
from smartx.exports.trainers import FORMATS as OF_LINES
from smartx.exports.trl import FORMAT as TRL

FORMATS: dict[str, Format] = {
    known.name: known
    for known in (
        *OF_ROWS,
        TRL,
        AXOLOTL,
        LLAMA_FACTORY,
        TORCHTUNE,
        ALIGNMENT_HANDBOOK,
        NEMOTRON,
        *OF_LINES,
        CROISSANT,
    )
}


def format_named(name: str) -> Format:
    """The format of a name. Raises InputError."""
    if name == MAP:
        raise InputError(
            "a map is one file of a corpus and its mixture, no files of the rows of a mixture",
            place="format",
            fix="smartx export MIXTURE --format map --out FILE.parquet, or "
            "smartx.report.write_map_file",
        )
    if name not in FORMATS:
        near = close_to(name, [*FORMATS, MAP])
        raise InputError(
            f'"{name}" is none of the formats',
            place="format",
            fix=f"did you mean {near}?" if near else f"take one of: {', '.join([*FORMATS, MAP])}",
        )
    return FORMATS[name]
