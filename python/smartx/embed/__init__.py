"""Corpus -> embeddings: a sentence encoder, or ready vectors; one int16 Q12 row per prompt."""

from smartx.embed.embeddings import Embeddings, open_embeddings
from smartx.embed.encoders import Encoder, EncoderSpec, default_encoder
from smartx.embed.run import embed_corpus
from smartx.embed.vectors import VectorsSpec

__all__ = [
    "Embeddings",
    "Encoder",
    "EncoderSpec",
    "VectorsSpec",
    "default_encoder",
    "embed_corpus",
    "open_embeddings",
]
