"""The folder of a run, for reading what its stages left."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from smartx.corpus import Corpus, open_corpus
from smartx.embed import Embeddings, open_embeddings
from smartx.rankers import Rankings, open_rankings
from smartx.run_folder import CORPUS, EMBEDDINGS, RANKINGS, meant
from smartx.store import MANIFEST


@dataclass(frozen=True)
class Run:
    """The folder of a run.

    >>> import smartx
    >>> rows = [{"prompt": f"{n} + 1", "response": f"{n + 1}", "task": "sums"} for n in range(9)]
    >>> mixture = smartx.run(rows, rows=3, preset="random", run_dir="work")
    >>> run = smartx.open_run("work")
    >>> run.corpus().num_rows, len(run.rankings())
    (9, 1)
    """

    folder: Path

    def corpus(self) -> Corpus:
        """The rows that were ingested last. Raises StoreError where there are none."""
        return open_corpus(meant(self.folder, CORPUS))

    def embeddings(self, corpus: Corpus | None = None) -> Embeddings:
        """The vectors of the rows, as they were asked for last.

        Raises StoreError where there are none, or those there belong to another corpus.
        """
        return open_embeddings(meant(self.folder, EMBEDDINGS), corpus or self.corpus())

    def rankings(self) -> list[Rankings]:
        """Every finished ranking, one for each choice of rows, vectors, ranker and parameters."""
        finished = sorted(path.parent for path in (self.folder / RANKINGS).glob(f"*/{MANIFEST}"))
        return [open_rankings(folder) for folder in finished]


def open_run(folder: Path | str) -> Run:
    """The run in a folder. Raises StoreError where there is none.

    >>> import smartx
    >>> smartx.open_run("nowhere")
    Traceback (most recent call last):
    smartx.errors.StoreError: nowhere: the corpus stage has not been finished here
      fix: run `smartx ingest` on this run folder first
    """
    run = Run(Path(folder))
    run.corpus()
    return run
