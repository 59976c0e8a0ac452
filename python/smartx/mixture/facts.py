"""What a manifest says about how its mixture was made: nothing that changes on a rerun."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from smartx.budget import Allotment
from smartx.corpus.regroup import found_by
from smartx.mixture.assemble import Chosen
from smartx.mixture.names import shown
from smartx.rankers import Ranker, Rankings
from smartx.strategies import facts_of
from smartx.weights import WeightLaw, spread_line, spread_of

if TYPE_CHECKING:
    from smartx.corpus import Corpus
    from smartx.leave_out import LeftOut

SCHEMA = 3
FEW = 20  # rows of a task too small to speak of
SEEN = {
    "cut": "rows cut at the encoder's window",
    "shared": "rows that share one vector with another row of their task and template",
    "one_vector": "rows of tasks and templates in which most have one and the same vector",
}


def mixture_facts(
    corpus: Corpus,
    rankings: Rankings,
    allotment: Allotment,
    chosen: Chosen,
    *,
    law: WeightLaw,
    ranker: Ranker,
    preset: str,
    seed: int,
    version: str,
    budget: dict[str, Any] | None = None,
    tokens: NDArray[np.int64] | None = None,
    embedding: dict[str, Any] | None = None,
    left_out: LeftOut | None = None,
) -> dict[str, Any]:
    """The facts of a mixture, ready for `write_mixture`.

    preset: its name, or "" where anything else than the preset's own choices ran.
    budget: what was asked for, as `Budget.facts` has it.  tokens: (n,) of every row of the corpus,
    where the budget is in tokens.
    version: of smartx.  left_out: rows that nobody may take, and why.
    embedding: what made the vectors (encoder, digest), and as "cut",
    "shared", "one_vector" what is known of their rows; None where none were used.
    """
    return {
        "schema": SCHEMA,
        "smartx": version,
        "preset": preset,
        "seed": seed,
        "rows": len(chosen),
        "budget": budget or {"rows": len(chosen)},
        "tokens": None if tokens is None else int(tokens[chosen.row_ids].sum()),
        "weights": facts_of(law),
        "ranker": facts_of(ranker),
        "inputs": {"corpus": corpus.digest, "rankings": rankings.digest},
        "embedding": embedding and {**embedding, **_rows_only(embedding)},
        "sources": corpus.manifest.get("sources", []),
        "found_tasks": found_by(corpus),
        "corpus_rows": corpus.manifest.get("rows", {"kept": corpus.num_rows}),
        "near_duplicates": rankings.near_duplicates,
        "leave_out": left_out.asked if left_out else {},
        "left_out": left_out.facts() if left_out else None,
        "shares": spread_of(allotment.weights, corpus.groups.tasks().rows),
        "tasks": _tasks(corpus, rankings, allotment, chosen, embedding or {}, left_out, tokens),
        "groups": _groups(corpus, chosen),
        "value": _value(rankings, chosen),
    }


def shares_line(facts: dict[str, Any]) -> str:
    """How the law would spread the rows, for a person; nothing where no task got a share.

    Sizes, whole rows and demands then decide: what tasks have in the mixture is another thing.
    """
    found = facts.get("shares")
    if not found:
        return ""
    said = spread_line(found, shown(facts["tasks"][found["largest"]["task"]]["task"]))
    return f"by the weights, {said}"


def budget_line(facts: dict[str, Any]) -> str:
    """What was asked for, for a person; nothing where that is a number of rows and no more."""
    asked = dict(facts.get("budget") or {"rows": 0})
    if [*asked] == ["rows"] and isinstance(asked["rows"], int):
        return ""
    unit = "tokens" if "tokens" in asked else "rows"
    amount, kind = asked.pop(unit), asked.pop("token_kind", "")
    number = amount if isinstance(amount, str) else f"{amount:,}"
    line = f"{number} {'' if kind in ('', 'all') else f'{kind} '}{unit}"
    if facts.get("tokens") is not None:
        line += f" ({facts['tokens']:,} taken)"
    return "; ".join([line, *(f"{name} {_demanded(value)}" for name, value in asked.items())])


def _demanded(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{pattern} {amount}" for pattern, amount in value.items())
    return ", ".join(value) if isinstance(value, list) else shown(str(value), 80)


def blind_tasks(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """Tasks in which most rows have one vector with most others of their template, largest first.

    Their ranking says nothing: what tells these rows apart is not in what was embedded.
    """
    found = [
        task
        for task in facts["tasks"]
        if task["capacity"] >= FEW and 2 * task.get("one_vector", 0) > task["capacity"]
    ]
    return sorted(found, key=lambda task: -int(task["capacity"]))


def _rows_only(embedding: dict[str, Any]) -> dict[str, int]:
    """How many rows were cut and share a vector, in all; those of each task stand there."""
    return {name: embedding[name]["rows"] for name in SEEN if name in embedding}


def _tasks(
    corpus: Corpus,
    rankings: Rankings,
    allotment: Allotment,
    chosen: Chosen,
    embedding: dict[str, Any],
    left_out: LeftOut | None,
    tokens: NDArray[np.int64] | None,
) -> list[dict[str, Any]]:
    """One entry a task, in corpus order. `order`: its place in the law's, null if not chosen.

    `capacity`: its rows in the corpus, of which `left_out` and `near_duplicates` were not to be
    had. `cut`: rows whose text is longer than the encoder reads. `shared`: rows that have the
    vector of another one; `one_vector`: of templates in which most have one and the same. Of a
    budget in tokens, `asked`, `budget` and `tokens` are what the weight alone says, what was given
    and what the `rows` have.
    """
    tasks = corpus.groups.tasks()
    sizes = corpus.groups.rows
    gone = np.add.reduceat(sizes - rankings.kept_of_groups(corpus.groups), tasks.first_group[:-1])
    out = np.zeros(len(tasks), dtype=np.int64)
    if left_out is not None:
        own = np.searchsorted(tasks.start, left_out.rows, side="right") - 1
        out = np.bincount(own, minlength=len(tasks))
    seen = {
        name: np.add.reduceat(np.array(embedding[name]["by_group"]), tasks.first_group[:-1])
        for name in SEEN
        if name in embedding
    }
    task = np.searchsorted(tasks.start, chosen.row_ids, side="right") - 1
    taken = np.bincount(task, minlength=len(tasks))
    more: dict[str, NDArray[Any]] = {}
    if tokens is not None:
        of_rows = np.zeros(len(tasks), dtype=np.int64)
        np.add.at(of_rows, task, tokens[chosen.row_ids])
        more = {"budget": allotment.tasks, "tokens": of_rows}
    place: dict[int, int] = {task: i for i, task in enumerate(allotment.order.tolist())}
    gains = allotment.gains if allotment.gains is not None else np.full(len(tasks.rows), np.nan)
    return [
        {
            "source": tasks.source[i],
            "task": tasks.task[i],
            "capacity": int(tasks.rows[i]),
            "near_duplicates": int(gone[i] - out[i]),
            "left_out": int(out[i]),
            **{name: int(rows[i]) for name, rows in seen.items()},
            "order": place.get(i),
            "gain": None if math.isnan(gains[i]) else float(gains[i]),
            "weight": float(allotment.weights[i]),
            "asked": int(allotment.asked[i]),
            "rows": int(taken[i]),
            **{name: int(values[i]) for name, values in more.items()},
        }
        for i in range(len(tasks.rows))
    ]


def _groups(corpus: Corpus, chosen: Chosen) -> list[dict[str, Any]]:
    """One entry a group, in corpus order. `task`: its place in `tasks`."""
    groups = corpus.groups
    own = np.searchsorted(groups.start, chosen.row_ids, side="right") - 1
    rows = np.bincount(own, minlength=len(groups))
    first = groups.tasks().first_group
    task = np.repeat(np.arange(len(first) - 1), np.diff(first))
    return [
        {
            "task": int(task[i]),
            "template": groups.template[i],
            "capacity": int(groups.rows[i]),
            "rows": int(rows[i]),
        }
        for i in range(len(groups))
    ]


def _value(rankings: Rankings, chosen: Chosen) -> dict[str, Any] | None:
    """How much of the groups' objective the mixture holds; None for a ranker without gains.

    `curve`: what the first 0, 1/20, ..., 1 of every group would hold.
    """
    curve = [float(point) for point in rankings.manifest.get("curve", [])]
    if not curve or not curve[-1]:
        return None
    return {"held": math.fsum(chosen.gains.tolist()), "whole": curve[-1], "curve": curve}
