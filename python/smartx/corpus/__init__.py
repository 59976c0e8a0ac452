"""Sources in, a corpus out: rows grouped by (source, task, template), read back by place."""

from smartx.corpus.columns import Columns
from smartx.corpus.corpus import Corpus, Groups, Tasks, open_corpus
from smartx.corpus.divided import ingested
from smartx.corpus.ingest import Ingestion, ingest, ingestion
from smartx.corpus.pieces import pieces

__all__ = [
    "Columns",
    "Corpus",
    "Groups",
    "Ingestion",
    "Tasks",
    "ingest",
    "ingested",
    "ingestion",
    "open_corpus",
    "pieces",
]
