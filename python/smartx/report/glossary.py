"""What the words of a report mean, for who meets them for the first time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from smartx.mixture.names import shown


@dataclass(frozen=True)
class Term:
    """A word of the page, the field's own name for it where that is another, and its meaning."""

    word: str
    meaning: str
    known_as: str = ""


def glossary(facts: dict[str, Any]) -> dict[str, Term]:
    """Of the columns of the table, by their names there, and of the numbers above it."""
    ranker, law = (shown(str(facts[part]["name"]), 40) for part in ("ranker", "weights"))
    terms = {
        "rows": Term("rows", "how many rows of the task are in the mixture"),
        "share": Term("share", "the same as a part of the mixture"),
        "proportional": Term(
            "proport.",
            "the share that the task would have if rows were drawn from the whole corpus alike: "
            "its part of the corpus",
            "examples-proportional mixing",
        ),
        "equal": Term(
            "equal",
            "the share that it would have if all tasks got the same number of rows, as far as "
            "they have them",
            "equal mixing",
        ),
        "ratio": Term(
            "ratio", "share divided by the proportional one; at 2 × it got twice as much"
        ),
        "used": Term("used", "which part of the task's rows is in the mixture"),
        "held": Term(
            "worth",
            f"what its rows in the mixture are worth to the ranking ({ranker}), as a part of what "
            "all its rows are. The ranking's objective says how well rows stand for all of their "
            "group; whether a model learns more from them, it cannot say",
            "value of the objective",
        ),
        "tokens": Term("tokens/row", "mean length of prompt and response together"),
        "gain": Term(
            "gain",
            f"what the weights ({law}) found that the task adds to those chosen before it: the "
            "larger, the more rows it was to get",
            "marginal gain",
        ),
        "spread": Term(
            "spread",
            "over how many equally large tasks rows would be spread as evenly as these: 1 where "
            "one task has all, the number of tasks where all have the same",
            "effective number of tasks, exp of the entropy of the shares",
        ),
    }
    return terms | _of_weights(facts)


def _of_weights(facts: dict[str, Any]) -> dict[str, Term]:
    """What the command line says of the weights, before tasks ran out of rows."""
    found = facts.get("shares")
    if not found or found["tasks"] < 2:
        return {}
    asked, divergence = found["effective_tasks"], found["kl_to_proportional"]
    return {
        "weights": Term(
            "weights",
            "what the tasks were to get before small ones ran out of rows, as the command line "
            f"prints it: a spread of {asked:,.1f} tasks, and {divergence:.3f} away from the "
            "proportional shares, where 0 is the same as these",
            "KL divergence to the proportional shares, in nats",
        )
    }
