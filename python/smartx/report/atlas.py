"""A corpus and its mixture as one Parquet file for embedding-atlas: places and neighbours.

Its format is embedding-atlas's own: columns of x and y, and `neighbors` of {ids, distances}, where
ids are numbers of rows of the file, from 0.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from smartx.engine import knn_graph
from smartx.errors import InputError
from smartx.files import committing
from smartx.mixture.names import shown
from smartx.report.material import Material
from smartx.report.points import sampled
from smartx.report.projection import MOST_ROWS, plane

NEIGHBOURS = 15
ROWS = 50_000
TEXT = 2_000  # characters of a text


def write_map(
    material: Material,
    path: Path,
    *,
    rows: int = ROWS,
    neighbours: int = NEIGHBOURS,
    threads: int = 1,
) -> int:
    """Write the map of a corpus, or of a sample of it. Returns its number of rows.

    rows: at most so many, half of them of the mixture where it has as many, each half evenly strewn
    over the corpus.  neighbours: of each row, among those of the file, exact, nearest first.
    distances: 1 - cosine.  The same mixture gives the same rows and numbers on any threads.
    Memory: 16 bytes a value of the vectors of these rows.
    Raises InputError where there are no vectors, or `rows` is not within 2..524,288.
    """
    if material.embeddings is None:
        raise InputError(
            "nothing looked at vectors when the mixture was made, so that there is no map",
            place="map",
            fix="make one with a ranker that needs them",
        )
    if not 2 <= rows <= MOST_ROWS:
        raise InputError(f"{rows:,} is not within 2..{MOST_ROWS:,}", place="rows")
    others, picked = sampled(
        np.flatnonzero(~material.picked), np.flatnonzero(material.picked), rows
    )
    ids = np.sort(np.concatenate([others, picked]))
    vectors = material.embeddings.take(ids)
    places = plane(vectors)
    scale = float(np.abs(places).max(initial=0.0)) or 1.0
    table = _columns(material, ids)
    for name, values in (("x", places[:, 0]), ("y", places[:, 1])):
        table = table.append_column(name, pa.array(values / scale, pa.float32()))
    table = table.append_column("neighbors", _neighbours(vectors, neighbours, threads))
    with committing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
    return len(ids)


def _columns(material: Material, ids: NDArray[np.int64]) -> pa.Table:
    """What a reader sees of each row. rank: in its ranking, 0 is best."""
    groups = material.corpus.groups
    group = groups.of_rows(ids)
    ranks, gains = _ranked(material, ids)
    texts = pa.concat_tables(material.corpus.rising(ids, ["prompt", "response"]))

    def names(of: list[str]) -> pa.Array:
        return pa.array([shown(of[place], 120) for place in group], pa.string())

    def cut(name: str) -> pa.Array:
        return pa.array([(text or "")[:TEXT] for text in texts[name].to_pylist()], pa.string())

    return pa.table(
        {
            "row": pa.array(ids, pa.int64()),
            "task": names(groups.task),
            "source": names(groups.source),
            "template": names(groups.template),
            "picked": pa.array(material.picked[ids]),
            "rank": pa.array(ranks, pa.int32()),
            "gain": pa.array(gains, pa.float64()),
            "prompt": cut("prompt"),
            "response": cut("response"),
        }
    )


def _ranked(
    material: Material, ids: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """The rank and the gain of rows of rising ids."""
    ranks, gains = np.zeros(len(ids), dtype=np.int32), np.zeros(len(ids))
    units = material.rankings.units(material.corpus.groups)
    for found, rank, gain in material.rankings.prefixes(units.start, units.rows):
        place = np.minimum(np.searchsorted(ids, found), len(ids) - 1)
        here = ids[place] == found
        ranks[place[here]], gains[place[here]] = rank[here], gain[here]
    return ranks, gains


def _neighbours(vectors: NDArray[np.int16], count: int, threads: int) -> pa.Array:
    """{ids, distances} of each row, nearest first; ties go to the lower row."""
    graph = knn_graph(vectors, count, threads=threads, symmetric=False, include_self=False)
    row = np.repeat(np.arange(graph.n), np.diff(graph.indptr))
    order = np.lexsort((graph.indices, -graph.weights.astype(np.int64), row))
    bounds = pa.array(graph.indptr, pa.int32())
    ids = pa.array(graph.indices[order], pa.int64())
    distances = pa.array(1.0 - graph.similarities[order], pa.float64())
    lists = [pa.ListArray.from_arrays(bounds, values) for values in (ids, distances)]
    return pa.StructArray.from_arrays(lists, names=["ids", "distances"])
