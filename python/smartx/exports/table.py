"""The formats of exports, by name."""

from __future__ import annotations

from smartx.config import close_to
from smartx.errors import InputError
from smartx.exports import (
    alignment_handbook,
    axolotl,
    croissant,
    lines,
    llama_factory,
    nemotron,
    torchtune,
    trainers,
    trl,
)
from smartx.exports.format import Format

FORMATS: dict[str, Format] = {
    known.name: known
    for known in (
        *lines.FORMATS,
        trl.FORMAT,
        axolotl.FORMAT,
        llama_factory.FORMAT,
        torchtune.FORMAT,
        alignment_handbook.FORMAT,
        nemotron.FORMAT,
        *trainers.FORMATS,
        croissant.FORMAT,
    )
}


def format_named(name: str) -> Format:
    """The format of a name. Raises InputError."""
    if name not in FORMATS:
        near = close_to(name, [*FORMATS])
        raise InputError(
            f'"{name}" is none of the formats',
            place="format",
            fix=f"did you mean {near}?" if near else f"take one of: {', '.join(FORMATS)}",
        )
    return FORMATS[name]
