"""Corpus -> embeddings: a sentence encoder, or ready vectors; one int16 Q12 row per prompt."""

from smartx.embed.embeddings import Embeddings, open_embeddings
from smartx.embed.encoders import Encoder, EncoderSpec, default_encoder
from smartx.embed.rate import EmbeddingRate, embedding_rate
from smartx.embed.run import embed_corpus, embeddings_there
from smartx.embed.vectors import VectorsSpec

__all__ = [
    "EmbeddingRate",
    "Embeddings",
    "Encoder",
    "EncoderSpec",
    "VectorsSpec",
    "default_encoder",
    "embed_corpus",
    "embedding_rate",
    "embeddings_there",
    "open_embeddings",
]
