"""What a stage will take, as it says beforehand: `cost.py` in the room of each stage gives a
StagePlan, and `planning.py` adds them up.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

BASE_BYTES = 180 << 20  # Python with numpy, pyarrow and smartx


@dataclass(frozen=True)
class StagePlan:
    """One stage. seconds: None where it was not measured.  memory: peak bytes.  disk: new bytes.

    done: what an earlier run left will be used.
    """

    name: str
    folder: Path
    seconds: float | None
    memory: int
    disk: int
    done: bool = False
