"""Causal language models from local folders: loaded, given rows as tokens, asked for losses."""

from smartx.causal.losses import batches_of, each_batch, response_losses
from smartx.causal.model import CausalModel, load_causal
from smartx.causal.rows import Row, Tokens, rows_of, tokens_of

__all__ = [
    "CausalModel",
    "Row",
    "Tokens",
    "batches_of",
    "each_batch",
    "load_causal",
    "response_losses",
    "rows_of",
    "tokens_of",
]
