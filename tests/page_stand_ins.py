"""What blocks of pages call and tests must not do: `pip install` and `make` are only looked up.

A script: page_stand_ins.py pip|make|hf ARGUMENT...; exits with 1 and a line where an extra or a
target does not exist. `install_stand_ins` puts it on a PATH, with `smartx` and `python` of here.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from page_blocks import LOOKED_UP

REPOSITORY = Path(__file__).parents[1]


def install_stand_ins(folder: Path) -> None:
    """Write the commands into a folder that is to stand first on the PATH."""
    lines = {name: f'"{__file__}" {name}' for name in LOOKED_UP}
    lines |= {"smartx": "-m smartx", "python": "", "python3": ""}
    for name, line in lines.items():
        path = folder / name
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" {line} "$@"\n', encoding="utf-8")
        path.chmod(0o755)


def missing(command: str, arguments: list[str]) -> str | None:
    """What of a command does not exist here; None: it would be tried."""
    words = [word for word in arguments if not word.startswith("-")]
    if command == "make":
        makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
        targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
        return next((f"no target {word}" for word in words if word not in targets), None)
    if command == "pip" and words[:1] == ["install"]:
        return next(filter(None, map(_missing_extra, words[1:])), None)
    return None


def _missing_extra(requirement: str) -> str | None:
    """The name must be ours where it looks like it, and its extras must exist."""
    found = re.fullmatch(r"(?:\.|smartx[a-z-]*)(?:\[([a-z,]+)\])?", requirement)
    if found is None:
        return None
    if requirement.startswith("smartx") and not requirement.startswith("smartx-mix"):
        return f"{requirement} is not the name of the package"
    project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    _, _, table = project.partition("[project.optional-dependencies]")
    extras = set(re.findall(r"^([a-z]+) = ", table.partition("\n[")[0], flags=re.MULTILINE))
    asked = set((found[1] or "").split(",")) - {""}
    return f"no extra {', '.join(sorted(asked - extras))}" if asked - extras else None


if __name__ == "__main__":
    fault = missing(sys.argv[1], sys.argv[2:])
    sys.exit(f"{' '.join(sys.argv[1:])}: {fault}" if fault else 0)
