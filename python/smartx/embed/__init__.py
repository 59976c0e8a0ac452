"""Corpus -> embeddings: a sentence encoder, or ready vectors; one int16 Q12 row per row."""

from smartx.embed.counts import warnings_of
from smartx.embed.embeddings import Embeddings, open_embeddings
from smartx.embed.encoders import Encoder, EncoderSpec, Read, default_encoder
from smartx.embed.rate import embedding_rate
from smartx.embed.regroup import embeddings_like, regrouped_embeddings
from smartx.embed.run import embed_corpus, embedding_key, embeddings_there
from smartx.embed.student import HybridSpec, Student, StudentSpec, open_student
from smartx.embed.vector_files import VectorsSpec

__all__ = [
    "Embeddings",
    "Encoder",
    "EncoderSpec",
    "HybridSpec",
    "Read",
    "Student",
    "StudentSpec",
    "VectorsSpec",
    "default_encoder",
    "embed_corpus",
    "embedding_key",
    "embedding_rate",
    "embeddings_like",
    "embeddings_there",
    "open_embeddings",
    "open_student",
    "regrouped_embeddings",
    "warnings_of",
]
