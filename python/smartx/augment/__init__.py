"""LLM2LLM: rows that a fine-tuned model gets wrong, prompts for more like them, and the new rows.

Source: Lee et al. (2024), LLM2LLM: Boosting LLMs with Novel Iterative Data Enhancement, arXiv
2403.15042.
"""

from smartx.augment.answers import Taken, take
from smartx.augment.asked import Asked
from smartx.augment.run import Augmentation, ask

__all__ = ["Asked", "Augmentation", "Taken", "ask", "take"]
