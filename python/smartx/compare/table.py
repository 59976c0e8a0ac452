"""A comparison as lines of tables: what a person looks at first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# Heads of the columns, each with what it says: of what a strategy shows on held-out rows,
UNSEEN = (
    ("tasks", "1,000 x (mean cosine of rows of held-out tasks with the nearest chosen row, less "
     "that of random choices)"),
    ("95 %", "interval of that difference, over families of tasks"),
    ("z", "that difference in standard deviations of random choices"),
    ("better", "held-out tasks to which the strategy is nearer than random choices are"),
    ("templ.", "1,000 x the same difference for held-out templates of known tasks"),
    ("copied", "short responses of held-out templates that the nearest chosen row has, too"),
    ("probe", "macro F1 of a linear map from rows to tasks, on held-out templates"),
)  # fmt: skip
# and of its mixture.
MIXTURE = (
    ("twins", "rows with a cosine above 0.95 to one in another template of their task"),
    ("spread", "effective number of tasks, exp of the entropy of their shares"),
    ("largest", "the largest share of a task"),
    ("of greedy", "facility location over the tasks' own rows, as a part of what greedy gets"),
    ("tokens", "of all prompts and responses together"),
)
COLUMNS = (*UNSEEN, *MIXTURE)


@dataclass(frozen=True)
class Line:
    """A strategy and its cells, under UNSEEN and under MIXTURE."""

    name: str
    unseen: tuple[str, ...]
    mixture: tuple[str, ...]

    @property
    def cells(self) -> tuple[str, ...]:
        """Under COLUMNS."""
        return (*self.unseen, *self.mixture)


def lines(facts: dict[str, Any]) -> list[Line]:
    """Of each strategy, in order."""
    return [Line(str(one["name"]), _unseen(one), _mixture(one)) for one in facts["strategies"]]


def _unseen(one: dict[str, Any]) -> tuple[str, ...]:
    tasks, templates = one["unseen_tasks"] or {}, one["unseen_templates"] or {}
    ends = tasks.get("interval")
    return (
        _thousand(tasks.get("delta")),
        f"{_thousand(ends[0])} {_thousand(ends[1])}" if ends else "-",
        _form("{:+.1f}", tasks.get("z")),
        f"{tasks['better']}/{tasks['of']}" if tasks else "-",
        _thousand(templates.get("delta")),
        _form("{:.3f}", (one["copied"] or {}).get("value")),
        _form("{:.3f}", (one["probe"] or {}).get("value")),
    )


def _mixture(one: dict[str, Any]) -> tuple[str, ...]:
    shares, objective = one["shares"], one["objective"] or {}
    return (
        f"{one['twins']['other_template']:.1%}",
        f"{shares['effective_tasks']:.1f}" if shares else "-",
        f"{shares['largest']['share']:.1%}" if shares else "-",
        _form("{:.3f}", objective.get("of_greedy")),
        f"{one['tokens']['total']:,}",
    )


def _thousand(value: float | None) -> str:
    return "-" if value is None else f"{1000 * value:+.1f}"


def _form(form: str, value: float | None) -> str:
    return "-" if value is None else form.format(value)


def chance_line(facts: dict[str, Any]) -> str:
    """What random choices show, in a line below the tables."""
    found, draws = facts["chance"], facts["held_out"]["draws"]
    parts = []
    for name, of in (
        ("unseen_tasks", "held-out tasks"),
        ("unseen_templates", "held-out templates"),
    ):
        if known := found[name]:
            parts.append(f"cosine {known['mean']:.4f} ± {known['deviation']:.4f} to {of}")
    for name in ("copied", "probe"):
        if known := found[name]:
            parts.append(f"{name} {known['value']:.3f} ± {known['deviation']:.3f}")
    parts.append(f"twins {found['twins']['other_template']:.1%}")
    return f"random rows ({draws['rows']} choices): {', '.join(parts)}"
