"""One case: the 64 nearest neighbours of every row by smartx, hnswlib, numpy or torch.

`share` below 1: only that share of the queries is run, spread evenly, and its seconds are scaled.
The index of hnswlib is always built over all rows.
"""

import numpy as np
from measure import alone, answer, arguments, measured
from vectors import clustered

SAMPLE = 500
QUERIES = 1024  # in one block of numpy and torch


def by_smartx(asked, vectors, queries, k, watch):
    """(q, k) columns in any order. All rows are searched."""
    from smartx.engine import knn_graph

    graph = knn_graph(
        vectors, k, "exact", threads=asked["threads"], symmetric=False, include_self=False
    )
    return graph.indices.reshape(len(vectors), k)[queries]


def by_hnswlib(asked, vectors, queries, k, watch):
    import hnswlib

    with watch.stage("build"):
        index = hnswlib.Index(space="ip", dim=vectors.shape[1])
        index.init_index(max_elements=len(vectors), M=16, ef_construction=100, random_seed=0)
        index.add_items(vectors, num_threads=asked["threads"])
    with watch.stage("query"):
        index.set_ef(128)
        labels, _ = index.knn_query(vectors[queries], k=k + 1, num_threads=asked["threads"])
    return without_self(labels.astype(np.int64), queries)


def by_numpy(asked, vectors, queries, k, watch):
    found = np.empty((len(queries), k), dtype=np.int64)
    for start in range(0, len(queries), QUERIES):
        rows = queries[start : start + QUERIES]
        with watch.stage("gemm"):
            block = vectors[rows] @ vectors.T
        block[np.arange(len(rows)), rows] = -np.inf
        with watch.stage("top k"):
            found[start : start + QUERIES] = np.argpartition(block, -k, axis=1)[:, -k:]
    return found


def by_torch(asked, vectors, queries, k, watch):
    import torch

    torch.set_num_threads(asked["threads"])
    data = torch.from_numpy(vectors).to(getattr(torch, asked["dtype"]))
    found = np.empty((len(queries), k), dtype=np.int64)
    for start in range(0, len(queries), QUERIES):
        rows = torch.from_numpy(queries[start : start + QUERIES])
        with watch.stage("gemm"):
            block = data[rows] @ data.T
        block[torch.arange(len(rows)), rows] = -torch.inf
        with watch.stage("top k"):
            nearest = torch.topk(block, k, dim=1, sorted=False).indices
        found[start : start + QUERIES] = nearest.numpy()
    return found


def without_self(labels, queries):
    """Of k + 1 labels a row, best first, k that are not the row itself."""
    others = labels != queries[:, None]
    others[others.all(axis=1), -1] = False
    return labels[others].reshape(len(labels), -1)


def recall(rows, queries, found):
    """Share of found neighbours that are no less similar, in float64, than the true k-th."""
    sample = np.linspace(0, len(queries) - 1, min(SAMPLE, len(queries))).astype(np.int64)
    k, rows, asked = found.shape[1], rows.astype(np.float64), queries[sample]
    good = 0
    for start in range(0, len(asked), 64):
        some = asked[start : start + 64]
        values = rows[some] @ rows.T
        values[np.arange(len(some)), some] = -np.inf
        kth = np.partition(values, -k, axis=1)[:, -k]
        got = np.take_along_axis(values, found[sample[start : start + 64]], axis=1)
        good += int((got >= kth[:, None] * (1 - 1e-12)).sum())
    return good / (len(asked) * k)


def main():
    asked = arguments()
    vectors = clustered(asked["n"], asked["d"])
    k, share = asked["k"], asked.get("share", 1)
    queries = np.arange(0, len(vectors), round(1 / share), dtype=np.int64)
    method = {
        "smartx": by_smartx, "hnswlib": by_hnswlib, "numpy": by_numpy, "torch": by_torch,
    }[asked["method"]]  # fmt: skip
    method(asked, vectors[:256], np.arange(256), k, _NoWatch())  # imports, first calls

    def search(watch, threads=asked["threads"]):
        return method(asked | {"threads": threads}, vectors, queries, k, watch)

    found, record = measured(search, alone(search, asked))
    if len(queries) < len(vectors):
        fixed = {unit: record["stages" + end].get("build", 0) for unit, end in _UNITS.items()}
        for unit in _UNITS:
            record[unit] = fixed[unit] + (record[unit] - fixed[unit]) * len(vectors) / len(queries)
    fields = {"recall": recall(vectors, queries, found)}
    if asked["method"] == "smartx":
        from smartx.engine import quantize

        fields["recall_fixed_point"] = recall(quantize(vectors), queries, found)
    answer(runs=[record | fields | {"queries": len(queries)}])


_UNITS = {"cpu": "", "wall": "_wall"}


class _NoWatch:
    def stage(self, _):
        from contextlib import nullcontext

        return nullcontext()


main()
