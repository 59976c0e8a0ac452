"""Gradients of rows and targets by LoRA adapters, as LESS has them: warmed up, preconditioned,
sketched.

Its files need torch and peft; they are imported when gradients are asked for.
"""

from smartx.collect.gradients.asked import Asked, asked_for
from smartx.collect.gradients.packages import collect_gradients

__all__ = ["Asked", "asked_for", "collect_gradients"]
