"""A student encoder: fitted on a sample of a corpus to give what a slow encoder would, nearly."""

from smartx.embed.student.loss import Loss
from smartx.embed.student.spec import HybridSpec, StudentSpec
from smartx.embed.student.stage import (
    STUDENTS,
    kept_student,
    sample_size,
    student_there,
    tokens_left,
    window_of,
)
from smartx.embed.student.student import Student, learnt_line, open_student

__all__ = [
    "STUDENTS",
    "HybridSpec",
    "Loss",
    "Student",
    "StudentSpec",
    "kept_student",
    "learnt_line",
    "open_student",
    "sample_size",
    "student_there",
    "tokens_left",
    "window_of",
]
