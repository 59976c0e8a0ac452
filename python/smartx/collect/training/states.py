"""States of a training on disk: everything it needs to go on, whole or not at all.

    FOLDER/.smartx  checkpoint-N/  checkpoint-N.json

The trainer writes checkpoint-N: weights (safetensors), the optimizer's state, where the schedule
and the draws are. The file beside it is written last and names every file with its digest; a state
without it, or whose files are others, was torn by a kill and is deleted. At most two states stand
at a time: the last one goes when the next is whole.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smartx.files import canonical_json, commit_bytes, flush_folder, own, sweep, unchanged_digest

_STATE = re.compile(r"checkpoint-(\d{1,12})")
_WRITTEN = ("*.safetensors", "*.json", "*.pt", "*.pth", "*.bin", "*.jinja", "README.md")


@dataclass(frozen=True)
class States:
    """The states of one training. key: of everything that shapes them."""

    folder: Path
    key: str

    def begin(self) -> None:
        """Make the folder ready: ours, and without what a kill tore. Raises StoreError."""
        own(self.folder, "training")
        sweep(self.folder)
        for step in self._steps():
            if not self.is_whole(step):
                self._delete(step)

    def path(self, step: int) -> Path:
        """Where the state after so many optimizer steps stands: the trainer's own name for it."""
        return self.folder / f"checkpoint-{step}"

    def is_whole(self, step: int) -> bool:
        """Whether all files of a state are there as they were written, under this key."""
        with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
            told = json.loads(self._told(step).read_bytes())
            return bool(told == self._content(step) and told["files"])
        return False

    def newest(self, most: int) -> int | None:
        """The last whole state after at most so many steps; None where there is none."""
        whole = [step for step in self._steps() if step <= most and self.is_whole(step)]
        return max(whole, default=None)

    def vouch(self, step: int) -> None:
        """Say that a state is whole, once the disk has it; the others are deleted then."""
        folder = self.path(step)
        for path in _files(folder):
            with path.open("rb") as file:
                os.fsync(file.fileno())
        flush_folder(folder)
        commit_bytes(self._told(step), canonical_json(self._content(step)))
        for other in self._steps():
            if other != step:
                self._delete(other)

    def remove(self) -> None:
        """Delete all states, and the folder if nothing else is in it."""
        for step in self._steps():
            self._delete(step)
        sweep(self.folder)
        with suppress(OSError):
            mark = [path for path in self.folder.iterdir() if path.name == ".smartx"]
            if len(list(self.folder.iterdir())) == len(mark):
                for path in mark:
                    path.unlink()
                self.folder.rmdir()

    def _told(self, step: int) -> Path:
        return self.folder / f"checkpoint-{step}.json"

    def _steps(self) -> list[int]:
        found = (_STATE.fullmatch(path.name.removesuffix(".json")) for path in _listed(self.folder))
        return sorted({int(match[1]) for match in found if match})

    def _content(self, step: int) -> dict[str, Any]:
        files = {path.name: unchanged_digest(path) for path in _files(self.path(step))}
        return {"key": self.key, "step": step, "files": files}

    def _delete(self, step: int) -> None:
        """First what vouches for it; of its folder only what a trainer writes."""
        self._told(step).unlink(missing_ok=True)
        for path in _files(self.path(step)):
            path.unlink(missing_ok=True)
        with suppress(OSError):
            self.path(step).rmdir()


def _listed(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() and not folder.is_symlink() else []


def _files(folder: Path) -> Iterator[Path]:
    """Files that a trainer writes into a state, in order of name."""
    for path in _listed(folder):
        named = any(path.match(pattern) for pattern in _WRITTEN)
        if named and path.is_file() and not path.is_symlink():
            yield path
