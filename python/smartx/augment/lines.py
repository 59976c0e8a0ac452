"""From what was judged to the prompts: which rows are wrong, what is near them, what is asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx.augment.asked import LOSS, Asked, SeedRows
from smartx.augment.prompts import chat, row_digest
from smartx.compare.nearest import NearLists, near_lists
from smartx.corpus import Corpus
from smartx.embed import Embeddings

_ONE = (0.998 * 4096) ** 2  # the product of a Q12 row with itself
_SPARE = 16  # neighbours that are looked at besides: a row itself and its copies are left out
Line = dict[str, Any]


def prompts_of(
    judged: Sequence[Line],
    rows: SeedRows,
    asked: Asked,
    corpus: Corpus,
    embeddings: Embeddings | None,
) -> tuple[list[Line], Line]:
    """(a line for each wrong row, counts). Of rows that say the same one is asked for.

    judged: of each of `rows`, with `wrong` or `loss`.  embeddings: None: no neighbours.
    """
    threshold = None
    if asked.judge == LOSS:
        threshold = float(np.quantile([one["loss"] for one in judged], asked.quantile))
        judged = [{**one, "wrong": one["loss"] > threshold} for one in judged]
    wrong = [one for one in judged if one["wrong"]]
    lines = _unique(list(_lines(wrong, rows, asked.neighbours, corpus, embeddings)))
    counts = {"rows": len(judged), "wrong": len(wrong), "prompts": len(lines)}
    more = {"generated": rows.generated, "round": rows.round, "threshold": threshold}
    return lines, {**counts, **more, "tasks": _by_task(judged, rows, corpus)}


def _by_task(judged: Sequence[Line], rows: SeedRows, corpus: Corpus) -> list[Line]:
    groups = corpus.groups
    tasks: dict[tuple[str, str], list[int]] = {}
    for group, one in zip(groups.of_rows(rows.row_ids).tolist(), judged, strict=True):
        counts = tasks.setdefault((groups.source[group], groups.task[group]), [0, 0])
        counts[0] += 1
        counts[1] += bool(one["wrong"])
    return [
        {"source": source, "task": task, "rows": held, "wrong": missed}
        for (source, task), (held, missed) in tasks.items()
    ]


def _unique(lines: Sequence[Line]) -> list[Line]:
    """The first line of each id."""
    first: dict[str, Line] = {}
    for line in lines:
        first.setdefault(line["id"], line)
    return list(first.values())


def _lines(
    wrong: Sequence[Line],
    rows: SeedRows,
    neighbours: int,
    corpus: Corpus,
    embeddings: Embeddings | None,
) -> Iterator[Line]:
    ids = np.array([one["row"] for one in wrong], dtype=np.int64)
    near = _near(ids, neighbours, embeddings)
    wanted = ids if near is None else np.unique(np.concatenate([ids, near.row_ids.ravel()]))
    texts = dict(zip(wanted.tolist(), _told(corpus, wanted), strict=True))
    for place, one in enumerate(wrong):
        own = texts[one["row"]]
        said = (own["prompt"], own["response"])
        others = [] if near is None else _differing(texts, said, near, place, neighbours)
        shown = [(texts[row]["prompt"], texts[row]["response"]) for row, _ in others]
        yield {
            "id": row_digest(own["source"], own["task"], own["template"], *said),
            "row": one["row"],
            "round": rows.round,
            **own,
            **{name: one[name] for name in ("answer", "loss") if name in one},
            "neighbours": [{"row": row, "similarity": like} for row, like in others],
            "messages": chat(*said, shown),
        }


def _near(
    ids: NDArray[np.int64], neighbours: int, embeddings: Embeddings | None
) -> NearLists | None:
    """The rows nearest to each, nearest first, by exact products; some more than are shown."""
    if embeddings is None or not len(ids):
        return None
    pool = np.arange(embeddings.num_rows, dtype=np.int64)
    return near_lists(embeddings.take(ids), embeddings, pool, length=neighbours + _SPARE)


def _differing(
    texts: dict[int, Line], said: tuple[str, str], near: NearLists, place: int, most: int
) -> list[tuple[int, float]]:
    """The first neighbours that say something else, each thing once, and how near they are."""
    seen = {said}
    found: list[tuple[int, float]] = []
    for row, product in zip(near.row_ids[place].tolist(), near.products[place], strict=True):
        text = (texts[row]["prompt"], texts[row]["response"])
        if text not in seen and len(found) < most:
            seen.add(text)
            found.append((row, round(float(product) / _ONE, 4)))
    return found


def _told(corpus: Corpus, ids: NDArray[np.int64]) -> list[dict[str, Any]]:
    """Where rows are and what they say. ids: rising."""
    groups, files = corpus.groups, corpus.manifest["sources"]
    columns = ("group_id", "prompt", "response", "origin_file", "origin_row")
    return [
        {
            "source": groups.source[row["group_id"]],
            "task": groups.task[row["group_id"]],
            "template": groups.template[row["group_id"]],
            "origin": f"{files[row['origin_file']]['name']}:{row['origin_row']}",
            "prompt": row["prompt"],
            "response": row["response"],
        }
        for table in corpus.rising(ids, columns)
        for row in table.to_pylist()
    ]
