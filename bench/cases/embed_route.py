"""One case: a corpus embedded one way: rows a core-second, and what is kept of the teacher.

route: one of routes.ROUTES, or of the vectors that are made of others': "student, other tasks" (a
row's student learnt from other tasks than its own), "hybrid 1/10" and "hybrid 1/3" (the teacher's
vectors for that part of its work).  rows: 0 for all held-out rows, else whole groups of about so
many in all, for ways that are slow.
"""

import os
import time

import numpy as np
from measure import answer, arguments
from neighbours_kept import kept
from real_texts import WINDOW, real_texts
from routes import ROUTES, absent

from smartx.embed.hybrid import taught_groups
from smartx.engine import quantize

WARM = 64  # texts before the clock starts
HYBRID = {"hybrid 1/10": 1 / 10, "hybrid 1/3": 1 / 3}
OTHER_TASKS = "student, other tasks"


def whole_groups(groups, rows, most):
    """Of these rows, those of groups spread evenly, about `most`."""
    if not most:
        return rows
    numbers, sizes = np.unique(groups[rows], return_counts=True)
    useful = numbers[(sizes >= 20) & (sizes <= most // 4)]
    count = max(1, round(most / sizes[np.isin(numbers, useful)].mean()))
    picked = useful[np.linspace(0, len(useful) - 1, min(count, len(useful))).astype(int)]
    return rows[np.isin(groups[rows], picked)]


def of_other_tasks(data):
    """(n, d) Q12: each row by a student that learnt from no row of its task."""
    made, reader = np.empty_like(data.teacher), data.reader()
    for rows in data.folds():
        table = data.student(data.sample_without(rows), reader)
        ids = reader.read(data.texts(rows), WINDOW)
        made[rows] = table.embed(ids.flat, ids.lengths, threads=1)
    return made


def hybrid(data, share):
    """(n, d) Q12 of the student, of the teacher for the groups that smartx gives it."""
    taught = taught_groups(data.corpus, data.digests, share, window=WINDOW + 2)[data.groups]
    return np.where(taught[:, np.newaxis], data.teacher, ROUTES["student"](data)(data.texts()))


def main():
    asked = arguments()
    os.environ["HF_HUB_OFFLINE"] = os.environ["TOKENIZERS_PARALLELISM"] = "1"
    route = asked["route"]
    if (missing := absent(route)) is not None:
        answer(absent=missing)
        return
    data = real_texts(asked["data"])
    rows = whole_groups(data.groups, data.held_out(), asked["rows"])
    timed = {}
    if route == OTHER_TASKS:
        vectors = of_other_tasks(data)[rows]
    elif route in HYBRID:
        vectors = hybrid(data, HYBRID[route])[rows]
    else:
        started = time.process_time()
        encode = ROUTES[route](data)
        ready = time.process_time() - started
        texts = data.texts(rows)
        encode(texts[:WARM])
        started, wall = time.process_time(), time.perf_counter()
        vectors = encode(texts)
        timed = {"ready": ready, "cpu": time.process_time() - started}
        timed["wall"] = time.perf_counter() - wall
    vectors = np.asarray(vectors)
    if vectors.dtype != np.int16:
        vectors = quantize(np.ascontiguousarray(vectors, dtype=np.float32))
    quality = kept(data.teacher[rows], vectors, data.groups[rows], data.tasks[rows])
    characters = sum(map(len, data.texts(rows)))
    answer(
        runs=[timed] if timed else [], rows=len(rows), characters=characters,
        groups=len(np.unique(data.groups[rows])), tasks=len(np.unique(data.tasks[rows])),
        dimensions=vectors.shape[1], quality=quality,
    )  # fmt: skip


main()
