"""Online mixing: the shares of tasks follow the losses while a model trains on a mixture.

`trainer.py` brings it to trainers of transformers and TRL, and is loaded by nothing else.
"""

from smartx.online.batches import TaskBatches, lag_of
from smartx.online.loader import loader_of
from smartx.online.policy import OnlineMixing
from smartx.online.rows import MixtureRows, mixing_of, tasks_of

__all__ = [
    "MixtureRows",
    "OnlineMixing",
    "TaskBatches",
    "lag_of",
    "loader_of",
    "mixing_of",
    "tasks_of",
]
