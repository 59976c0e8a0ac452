"""What the stages of a run took, as its records tell."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from smartx.mixture.names import shown
from smartx.progress import duration, size
from smartx.run_folder import records


@dataclass(frozen=True)
class StageLine:
    """A step of a command that worked in the run folder, as text."""

    step: str
    when: str
    took: str
    threads: str
    memory: str


def stage_lines(run: Path, last: int = 40) -> list[StageLine]:
    """The last steps of a run folder, in their order; nothing where no records are."""
    return [
        StageLine(
            shown(str(one.get("step", ""))),
            shown(str(one.get("started", ""))).replace("T", " ").replace("+00:00", " UTC"),
            duration(took) if isinstance(took := one.get("seconds"), int | float) else "–",
            shown(str(one.get("threads", "–"))),
            size(peak) if isinstance(peak := one.get("peak_memory"), int) else "–",
        )
        for one in records(run)[-last:]
    ]
