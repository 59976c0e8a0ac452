"""What a stage will take, as it says beforehand: `cost.py` in the room of each stage gives a
StagePlan, and `planning.py` adds them up.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from smartx.errors import ConfigError
from smartx.progress import duration, size

BASE_BYTES = 180 << 20  # Python with numpy, pyarrow and smartx


@dataclass(frozen=True)
class StagePlan:
    """One stage. seconds: None where it was not measured.  memory: peak bytes.  disk: new bytes.

    done: what an earlier run left will be used.  how: by what, and how fast, for people.
    less: what else than more memory helps where it does not fit, for people.
    """

    name: str
    folder: Path
    seconds: float | None
    memory: int
    disk: int
    done: bool = False
    how: str = ""
    less: str = ""

    def check_memory(self, memory: int) -> None:
        """Raise ConfigError where the stage needs more than `memory` bytes."""
        if self.memory > memory and not self.done:
            raise ConfigError(
                f"{self.name} needs about {size(self.memory)}, and {size(memory)} may be used",
                place="memory",
                fix=f"pass `memory` {-(-self.memory >> 20)}M if the machine has it",
            )

    def time(self) -> str:
        """How long, in words."""
        if self.done:
            return "done"
        return "not timed" if self.seconds is None else f"about {duration(self.seconds)}"
