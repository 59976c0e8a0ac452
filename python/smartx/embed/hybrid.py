"""Hybrid embeddings: a teacher embeds the rows of some tasks, and its student all others.

The teacher gets whole tasks, so that rows which are ranked together, or compared within a task, are
of one encoder. It gets those that cost it least, by the tokens of their texts: small tasks of short
texts. Its work goes by tokens, what it mends by tasks and rows, and a student loses about as much
in a row of any length. On T0 and BIG-bench a tenth of the teacher's work then mends three to eight
times as much as in tasks at random, and more than in those with the fewest rows. Choosing by the
student's loss for each token mends a little more of the rows and less of the tasks, and takes
measuring.

Vectors of teacher and student are compared with each other, too: cosines between rows of different
tasks, and between means of tasks, are nearer to the teacher's than the student's alone. Only equal
texts are not: one that both embedded has a cosine of .9 with itself. What looks for such rows
takes the student's vectors of all rows (`Embeddings.by_one_encoder`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx.corpus import Corpus
from smartx.embed.cost import tokens_read
from smartx.embed.embeddings import Embeddings
from smartx.embed.encoders import source_name
from smartx.embed.parts import ENCODER_PLACES, Parts, Places
from smartx.embed.placing import placed
from smartx.errors import ConfigError, InputError
from smartx.store import FileEntry, Stage

WINDOW = 512  # tokens of a text that an encoder reads, where nothing else is known


def taught_groups(
    corpus: Corpus, texts: NDArray[np.uint64], amount: float | int, *, window: int = WINDOW
) -> NDArray[np.bool_]:
    """Which groups the teacher embeds: whole tasks, those with the fewest tokens first, as long as
    they fit.

    texts: (n, 2) digest of each row's text: equal texts are embedded once.
    amount: a share of the teacher's work for the whole corpus, in tokens, above 0 and at most 1; or
    a whole number of texts.  window: tokens of a text that the teacher reads.
    Returns (g,) bool. Raises ConfigError where not even one task fits, and says what would.
    """
    shares = isinstance(amount, float)
    if not 0 < amount <= (1 if shares else corpus.num_rows):
        most = "100 %" if shares else f"{corpus.num_rows:,} rows"
        raise ConfigError(
            f"{amount:g} is not above 0 and at most {most}",
            place="teacher_rows",
            fix="give a part such as 10%",
        )
    first, text = np.unique(texts[:, 0], return_index=True, return_inverse=True)[1:]
    tokens, tasks = tokens_read(corpus, window)[first], corpus.groups.tasks()
    held = [
        np.unique(text[start : start + rows])
        for start, rows in zip(tasks.start.tolist(), tasks.rows.tolist(), strict=True)
    ]
    prices = tokens if shares else np.ones_like(tokens)
    budget = int(amount * int(prices.sum())) if shares else int(amount)
    cheapest = np.argsort([int(tokens[own].sum()) for own in held], kind="stable")
    taught = np.empty(len(tasks), dtype=np.bool_)
    taught[cheapest] = _within(budget, prices, [held[task] for task in cheapest.tolist()])
    if not taught.any():
        least, whole = min(int(prices[own].sum()) for own in held), int(prices.sum())
        enough = f"{-(-1000 * least // whole) / 10:g}%" if shares else f"{least:,}"
        raise ConfigError(
            f"the teacher is given whole tasks, and its {budget:,} {'tokens' if shares else 'rows'}"
            f" are fewer than the {least:,} of any task",
            place="teacher_rows",
            fix=f"give at least {enough}, or use the student alone",
        )
    return np.repeat(taught, np.diff(tasks.first_group))


def rows_of(corpus: Corpus, taught: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Rising rows of these groups. taught: (g,) bool."""
    return np.flatnonzero(np.repeat(taught, corpus.groups.rows)).astype(np.int64)


def _within(
    budget: int, prices: NDArray[np.int64], tasks: list[NDArray[np.int64]]
) -> NDArray[np.bool_]:
    """Which tasks are taken, one after another, each that still fits. A text is paid for once.

    prices: of each text.  tasks: the texts of each.
    """
    taken, paid = np.zeros(len(tasks), dtype=np.bool_), np.zeros(len(prices), dtype=np.bool_)
    for number, texts in enumerate(tasks):
        new = texts[~paid[texts]]
        if (price := int(prices[new].sum())) <= budget:
            taken[number], paid[new] = True, True
            budget -= price
    return taken


@dataclass(frozen=True, eq=False)
class Teaching:
    """What the teacher embedded. name, made_by: of the encoder.  parts: that its vectors are in.

    groups: (g,) bool, whose rows.  places: (k,) of these rows, rising, in its parts.
    """

    name: str
    made_by: Mapping[str, str]
    groups: NDArray[np.bool_]
    parts: Parts
    places: Places


def placed_hybrid(
    corpus: Corpus, teacher: Teaching, student: Embeddings, stage: Stage, key: str
) -> tuple[list[FileEntry], dict[str, Any]]:
    """The files and facts of embeddings by a teacher and its student, as `placed` gives them.

    student: the embeddings of all rows of this corpus. They stay where they are, and the facts name
    them. Facts "made" say who made what: "encoders", each with name and rows, the teacher first,
    and "by_group", its number among these.
    Raises InputError where these do not belong together.
    """
    parts, rows = student.parts(), rows_of(corpus, teacher.groups)
    if student.manifest["inputs"].get("corpus") != corpus.digest or len(parts) != 1:
        raise InputError("they are not a student's vectors of this corpus", place="student")
    if len(rows) != len(teacher.places):
        counts = f"{len(teacher.places):,} vectors of the teacher for {len(rows):,} rows"
        raise InputError(counts, place="teacher")
    places = student.places(0, corpus.num_rows) + ENCODER_PLACES
    places[rows] = teacher.places
    files, facts = placed(corpus, [teacher.parts, *parts], places, stage, key)
    made = [
        (teacher.name, len(rows)),
        (source_name(student.manifest["parameters"]), corpus.num_rows - len(rows)),
    ]
    return files, {
        **facts,
        "made": {
            "encoders": [{"encoder": name, "rows": count} for name, count in made],
            "by_group": (~teacher.groups).astype(int).tolist(),
        },
        "made_by": {**student.manifest["made_by"], **teacher.made_by},
        "one_encoder": {"key": str(student.manifest["key"]), "digest": student.digest},
    }
