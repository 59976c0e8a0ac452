"""Scores of rows by a causal language model, several from one pass where one suffices."""

from smartx.collect.llm.asked import SCORES, Asked, asked_for
from smartx.collect.llm.run import collect_llm

__all__ = ["SCORES", "Asked", "asked_for", "collect_llm"]
