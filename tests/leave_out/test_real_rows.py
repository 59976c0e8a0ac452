"""Rows of BIG-bench planted into T0: how many are found, and what of T0 itself is.

`bench/contamination.py` is the long version; docs/leave_out.md has its table.
"""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from smartx.corpus import ingest
from smartx.leave_out import Detection, evaluation_sets, leave_out

PLANTED = 100  # of each kind
# T0 and parts of BIG-bench are made from these; their passages are the same.
SHARED = {"ropes": "ropes", "quoref": "quoref", "cosmos_qa": "cosmosqa", "qasc": "qasc"}


@pytest.fixture(scope="module")
def found(real_data, tmp_path_factory):
    """(recall by kind of edit, T0's tasks and those of the evaluation rows that they stand for)."""
    folder = tmp_path_factory.mktemp("real")
    rng = np.random.default_rng(4)
    bench = pq.read_table(real_data / "bigbench.parquet")
    chosen = bench.take(pa.array(np.sort(rng.choice(bench.num_rows, 4_000, replace=False))))
    pq.write_table(chosen, folder / "bench.parquet")
    long = [r for r in chosen.to_pylist() if len(re.findall(r"\w+", r["inputs"])) >= 20]
    edits = {
        "same": lambda text: text,
        "typed": lambda text: re.sub(r"[.,:?!]", " ", text.upper()),
        "inside": lambda text: f"Read this. {text} Now answer.",
        "edited": lambda text: changed(text, rng),
        "dropped": lambda text: " ".join(w for w in text.split() if rng.random() > 0.1),
    }
    rows = []
    for number, (kind, edit) in enumerate(edits.items()):
        for one in long[number * PLANTED :][:PLANTED]:
            rows.append({**one, "inputs": edit(one["inputs"]), "task_name": f"planted {kind}"})
    pq.write_table(pa.Table.from_pylist(rows, chosen.schema), folder / "planted.parquet")
    corpus = ingest([real_data / "t0.parquet", folder / "planted.parquet"], folder / "corpus")
    sets = evaluation_sets([folder / "bench.parquet"], folder / "run")
    left = leave_out(corpus, sets, folder / "leave_out", Detection(), threads=2)
    of = np.searchsorted(corpus.groups.start, left.contaminated, side="right") - 1
    tasks = [corpus.groups.task[g] for g in of]
    recall = {kind: tasks.count(f"planted {kind}") / PLANTED for kind in edits}
    theirs = chosen["task_name"].to_pylist()
    pairs = [
        (corpus.groups.task[np.searchsorted(corpus.groups.start, row, side="right") - 1], at)
        for row, at in zip(*(left.table[n].to_pylist() for n in ("row_id", "set_row")), strict=True)
    ]
    return recall, [(task, theirs[at - 1]) for task, at in pairs if "planted" not in task]


def changed(text, rng):
    words = text.split()
    for place in rng.choice(len(words), max(2, len(words) // 20), replace=False):
        words[place] = f"other{place}"
    return " ".join(words)


def test_what_is_planted_is_found(found):
    recall, _ = found
    assert recall["same"] == recall["typed"] == recall["inside"] == 1.0
    assert recall["edited"] >= 0.85
    assert recall["dropped"] >= 0.75


def test_of_clean_rows_only_those_are_found_whose_passage_is_an_evaluation_row(found):
    _, pairs = found
    assert all(SHARED.get(task, "none") in theirs for task, theirs in pairs)
    assert pairs
