"""What a stage will take, as it says beforehand: `cost.py` in the room of each stage gives a
StagePlan, and `planning.py` adds them up.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from smartx.progress import duration

BASE_BYTES = 180 << 20  # Python with numpy, pyarrow and smartx


@dataclass(frozen=True)
class StagePlan:
    """One stage. seconds: None where it was not measured.  memory: peak bytes.  disk: new bytes.

    done: what an earlier run left will be used.  how: by what, and how fast, for people.
    """

    name: str
    folder: Path
    seconds: float | None
    memory: int
    disk: int
    done: bool = False
    how: str = ""

    def time(self) -> str:
        """How long, in words."""
        if self.done:
            return "done"
        return "not timed" if self.seconds is None else f"about {duration(self.seconds)}"
