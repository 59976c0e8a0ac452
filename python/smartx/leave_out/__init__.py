"""What a mixture must not hold: rows of evaluation sets, and rows that were trained on before."""

from smartx.leave_out.asked import Asked
from smartx.leave_out.detection import DETECTORS, Detection
from smartx.leave_out.evaluation import EvaluationSet, evaluation_sets
from smartx.leave_out.left_out import LeftOut, Vectors, leave_out, left_out_line, open_left_out
from smartx.leave_out.trained import Trained, trained_on

__all__ = [
    "DETECTORS",
    "Asked",
    "Detection",
    "EvaluationSet",
    "LeftOut",
    "Trained",
    "Vectors",
    "evaluation_sets",
    "leave_out",
    "left_out_line",
    "open_left_out",
    "trained_on",
]
