"""The report of cleaning as one HTML file that works offline: the sheet, and rows for human eyes.

No scripts, nothing loaded; what rows hold is shown as text. The same rows give the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Template
from markupsafe import Markup
from numpy.typing import NDArray

from smartx.clean.sift import Sifted
from smartx.corpus import Corpus
from smartx.draws import CLEAN_DROPPED, CLEAN_KEPT, draws_at
from smartx.errors import plain
from smartx.mixture.names import shown
from smartx.report.frame import environment, policy

Ints = NDArray[np.int64]
_TEXT = 700  # characters of a text that are shown: its beginning and its end


@dataclass(frozen=True)
class Shown:
    """A row for human eyes. place: file and line.  why: reason and detail, "" of a kept row.

    earlier: the row that it is a copy of.
    """

    task: str
    place: str
    why: str
    prompt: str
    response: str
    earlier: Shown | None = None


def page(corpus: Corpus, sifted: Sifted, facts: dict[str, Any], seed: int, count: int) -> str:
    """The report. facts: of the manifest.  seed, count: of the dropped rows that it shows."""
    css = (Path(__file__).parent / "templates" / "clean.css").read_text(encoding="utf-8")
    rows = sifted.dropped["row_id"].to_numpy()
    gone = sampled_dropped(sifted, seed, count)
    kept = np.setdiff1d(np.arange(corpus.num_rows), rows, assume_unique=True)
    kept = np.sort(_first(kept, seed, CLEAN_KEPT)[: count // 2])
    return _template().render(
        facts=facts,
        dropped=_shown(corpus, sifted, gone),
        kept=_shown(corpus, sifted, kept),
        css=Markup(css),
        policy=policy(css),
    )


def sampled_dropped(sifted: Sifted, seed: int, count: int) -> Ints:
    """(k,) rising ids of dropped rows, drawn by the seed and spread over the reasons.

    Each reason gives one in turn, the most frequent first, for as long as it has any.
    """
    rows = sifted.dropped["row_id"].to_numpy()
    reasons = sifted.dropped["reason"].to_numpy().astype(str)
    queues = [
        _first(rows[reasons == name], seed, CLEAN_DROPPED).tolist() for name, _ in sifted.counts()
    ]
    taken: list[int] = []
    while len(taken) < count and any(queues):
        for queue in queues:
            if queue and len(taken) < count:
                taken.append(queue.pop(0))
    return np.array(sorted(taken), np.int64)


def _first(rows: Ints, seed: int, stream: int) -> Ints:
    found: Ints = rows[np.argsort(draws_at(seed, stream, rows), kind="stable")]
    return found


def _shown(corpus: Corpus, sifted: Sifted, rows: Ints) -> list[Shown]:
    """Some rows, and those that they are copies of."""
    earlier = np.array([sifted.of[row] for row in rows.tolist() if row in sifted.of], np.int64)
    wanted = np.union1d(rows, earlier)
    held = {row["row_id"]: row for table in corpus.rising(wanted) for row in table.to_pylist()}
    told = {
        one["row_id"]: f"{one['reason']}: {one['detail']}".rstrip(": ")
        for one in sifted.dropped.to_pylist()
        if one["row_id"] in held
    }
    return [_one(corpus, held, row, told.get(row, ""), sifted.of.get(row)) for row in rows.tolist()]


def _one(
    corpus: Corpus, held: dict[int, dict[str, Any]], row: int, why: str, of: int | None
) -> Shown:
    found = held[row]
    source = corpus.manifest["sources"][found["origin_file"]]["name"]
    return Shown(
        shown(corpus.groups.task[found["group_id"]], 120),
        shown(f"{source}:{found['origin_row']}", 300),
        shown(why, 300),
        _cut(found["prompt"]),
        _cut(found["response"]),
        None if of is None else _one(corpus, held, of, "", None),
    )


def _cut(text: str) -> str:
    """What is shown of a text; what is not seen in it is written out."""
    half = _TEXT // 2
    text = text if len(text) <= _TEXT else f"{text[:half]} […] {text[-half:]}"
    return plain(text)


@cache
def _template() -> Template:
    return environment("smartx.clean").get_template("clean.html.j2")
