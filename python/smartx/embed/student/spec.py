"""A student encoder: which teacher it learns from, and from how many rows."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from smartx.amounts import Amount, Percent
from smartx.embed.encoders import EncoderSpec

STUDENT, HYBRID = "student", "hybrid"
_TENTH = Percent(Fraction(10))


@dataclass(frozen=True, slots=True)
class StudentSpec:
    """An encoder that is fitted on each corpus, to give what a slow one would.

    teacher: the slow one, which embeds a sample of the rows.  rows: it learns from (None: as many
    as a learning curve says).  seed: of the sample.
    """

    teacher: EncoderSpec
    rows: int | None = None
    seed: int = 0

    @property
    def name(self) -> str:
        """As in `--encoder`."""
        return f"{STUDENT}:{self.teacher.name}"


@dataclass(frozen=True, slots=True)
class HybridSpec:
    """A student for most rows, and its teacher for some tasks.

    teacher_rows: what the teacher embeds itself: rows, or a part of its work for the whole corpus.
    """

    student: StudentSpec
    teacher_rows: Amount = _TENTH

    @property
    def name(self) -> str:
        """As in `--encoder`."""
        return f"{HYBRID}:{self.student.teacher.name}"

    @property
    def amount(self) -> float | int:
        """A share above 0 and at most 1, or rows."""
        rows = self.teacher_rows
        return float(rows.of_100 / 100) if isinstance(rows, Percent) else rows
