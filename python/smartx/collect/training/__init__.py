"""A language model fine-tuned in segments by the trainer of transformers, its states kept whole."""

from smartx.collect.training.examples import Examples
from smartx.collect.training.recipe import Recipe, checkpoint_steps
from smartx.collect.training.segment import Training, trained_to, weights_from
from smartx.collect.training.states import States

__all__ = [
    "Examples",
    "Recipe",
    "States",
    "Training",
    "checkpoint_steps",
    "trained_to",
    "weights_from",
]
