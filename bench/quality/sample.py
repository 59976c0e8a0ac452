"""Which rows of the corpora take part, and as what: one draw, kept in a folder and never changed.

- pool: what strategies choose from: whole groups (task, template) of a sample of templates.
- held: what a model is asked of each task, from templates that are in no pool while there are any.
- option: a wrong answer to a row that is held: another answer of its group.
- other: rows of BIG-bench, of which no model trains on any.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from quality.corpora import Rows, folds_of
from quality.texts import Chat, Tokenize, Tokens, tokens_of

POOL, HELD, OPTION, OTHER = range(4)


@dataclass(frozen=True)
class Sizes:
    """How much of the corpora takes part.

    templates: part of a task's templates whose rows are the pool, at least `least_templates`.
    of_template: rows of each that take part at most; None: all of them.
    held: rows of a task that a model is asked.  ranked: of these, rows with wrong answers, at most
    `options` each.  other: rows of each parent task of BIG-bench.  folds: of families.
    """

    templates: float = 0.3
    least_templates: int = 2
    of_template: int | None = None
    held: int = 60
    ranked: int = 16
    options: int = 3
    other: int = 6
    folds: int = 4
    seed: int = 7


@dataclass
class _Drawn:
    """Rows as they are drawn, one list a column."""

    prompts: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)
    templates: list[str] = field(default_factory=list)
    parts: list[int] = field(default_factory=list)
    of: list[int] = field(default_factory=list)
    source: list[int] = field(default_factory=list)

    def add(self, rows: Rows, row: int, part: int, target: str = "") -> int:
        """Returns the place of the row; target: another answer than its own."""
        self.prompts.append(rows.prompts[row])
        self.targets.append(target or rows.targets[row])
        self.tasks.append(rows.tasks[row])
        self.templates.append(rows.templates[row])
        self.parts.append(part)
        self.of.append(-1)
        self.source.append(int(rows.source[row]))
        return len(self.parts) - 1


@dataclass(frozen=True, eq=False)
class Sample:
    """n rows that take part.

    tokens: of all rows.  tasks, templates: (n,) names.
    parts: (n,) one of POOL, HELD, OPTION, OTHER.  of: (n,) the held row that an option answers.
    source: (n,) row of the corpus' file.  vectors: (n, d) int16 Q12, zeros outside the pool and the
    held rows.  families, folds: of each task of the pool.  opening: the chat's first token ids.
    whole: (n, 2) int64 tokens of prompt and answer before they were cut.
    """

    tokens: Tokens
    tasks: list[str]
    templates: list[str]
    parts: NDArray[np.int8]
    of: NDArray[np.int64]
    source: NDArray[np.int64]
    vectors: NDArray[np.int16]
    families: dict[str, str]
    folds: dict[str, int]
    opening: tuple[int, ...]
    facts: dict[str, Any]
    whole: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.parts)

    @cached_property
    def row_folds(self) -> NDArray[np.int64]:
        """(n,) the fold of each row's task; -1: a row of BIG-bench."""
        return np.array([self.folds.get(task, -1) for task in self.tasks], dtype=np.int64)

    @cached_property
    def options(self) -> dict[int, list[int]]:
        """The wrong answers of each held row that has any."""
        found: dict[int, list[int]] = {}
        for row in np.flatnonzero(self.parts == OPTION).tolist():
            found.setdefault(int(self.of[row]), []).append(row)
        return found

    @cached_property
    def digest(self) -> str:
        """Of all that the outcome of a run depends on."""
        made = hashlib.sha256(json.dumps([self.families, self.folds, self.opening]).encode())
        for array in (self.tokens.ids, self.tokens.lengths, self.parts, self.of, self.vectors):
            made.update(np.ascontiguousarray(array).tobytes())
        return made.hexdigest()[:16]

    def save(self, folder: Path) -> None:
        """Write rows.parquet, vectors.npy and sample.json, the last one last."""
        folder.mkdir(parents=True, exist_ok=True)
        ids = np.split(self.tokens.ids, np.cumsum(self.tokens.lengths)[:-1])
        columns = {"ids": pa.array([list(map(int, row)) for row in ids], pa.list_(pa.int32()))}
        columns |= {"targets": self.tokens.targets, "ends": self.tokens.ends}
        columns |= {"task": self.tasks, "template": self.templates, "part": self.parts}
        columns |= {"of": self.of, "source": self.source}
        columns |= {"prompt_tokens": self.whole[:, 0], "target_tokens": self.whole[:, 1]}
        pq.write_table(pa.table(columns), folder / "rows.parquet")
        np.save(folder / "vectors.npy", self.vectors)
        told = {"families": self.families, "folds": self.folds, "opening": self.opening}
        (folder / "sample.json").write_text(json.dumps({**told, **self.facts}, indent=1) + "\n")


def open_sample(folder: Path) -> Sample:
    """What `save` wrote."""
    told = json.loads((folder / "sample.json").read_text())
    families, folds, opening = (told.pop(name) for name in ("families", "folds", "opening"))
    table = pq.read_table(folder / "rows.parquet")
    ids = table["ids"].combine_chunks()
    lengths = np.diff(ids.offsets.to_numpy()).astype(np.int64)
    targets, ends = table["targets"].to_numpy(), table["ends"].to_numpy(zero_copy_only=False)
    return Sample(
        Tokens(ids.values.to_numpy(), lengths, targets, ends),
        table["task"].to_pylist(),
        table["template"].to_pylist(),
        table["part"].to_numpy(),
        table["of"].to_numpy(),
        table["source"].to_numpy(),
        np.load(folder / "vectors.npy", mmap_mode="r"),
        families,
        folds,
        tuple(opening),
        told,
        np.stack([table[name].to_numpy() for name in ("prompt_tokens", "target_tokens")], axis=1),
    )


def draw(
    corpus: str, rows: Rows, others: Rows | None, sizes: Sizes, tokenize: Tokenize, chat: Chat
) -> Sample:
    """The sample of a corpus, and of BIG-bench as `others`."""
    rng, drawn = np.random.default_rng(sizes.seed), _Drawn()
    by_task = _by_task(rows)
    for groups in by_task.values():
        _draw_task(rows, groups, sizes, rng, drawn)
    own = {int(source): row for row, source in enumerate(rows.source)}
    wanted = [place for place, part in enumerate(drawn.parts) if part in (POOL, HELD)]
    found = rows.vectors_of([own[drawn.source[place]] for place in wanted])
    if others is not None:
        _draw_others(others, sizes, rng, drawn)
    vectors = np.zeros((len(drawn.parts), found.shape[1]), dtype=np.int16)
    vectors[wanted] = found
    families = {task: rows.relatives.get(task, task) for task in by_task}
    rows_of: dict[str, int] = {}
    for task, groups in by_task.items():
        size = sum(len(members[: sizes.of_template]) for members in groups.values())
        rows_of[families[task]] = rows_of.get(families[task], 0) + size
    folds = folds_of(rows_of, sizes.folds)
    parts = np.array(drawn.parts, dtype=np.int8)
    names = ("pool", "held", "option", "other")
    counts = dict(zip(names, np.bincount(parts, minlength=4).tolist(), strict=True))
    tokens, whole = tokens_of(drawn.prompts, drawn.targets, tokenize, chat)
    return Sample(
        tokens,
        drawn.tasks,
        drawn.templates,
        parts,
        np.array(drawn.of, dtype=np.int64),
        np.array(drawn.source, dtype=np.int64),
        vectors,
        families,
        {task: folds[family] for task, family in families.items()},
        chat.opening,
        {"corpus": corpus, "sizes": asdict(sizes), "rows": counts},
        whole,
    )


def _by_task(rows: Rows) -> dict[str, dict[str, list[int]]]:
    """Rows of each template of each task."""
    found: dict[str, dict[str, list[int]]] = {}
    for (task, template), members in rows.groups().items():
        found.setdefault(task, {})[template] = members
    return found


def _draw_task(
    rows: Rows,
    groups: dict[str, list[int]],
    sizes: Sizes,
    rng: np.random.Generator,
    drawn: _Drawn,
) -> None:
    """The pool, the held rows and the options of a task."""
    order = [list(groups)[place] for place in rng.permutation(len(groups))]
    pooled = order[: max(sizes.least_templates, round(sizes.templates * len(order)))]
    outside = [name for name in order if name not in pooled] or pooled
    held = _spread({name: groups[name] for name in outside}, sizes.held, rng)
    asked = {(rows.prompts[row], rows.targets[row]) for row in held}
    for name in pooled:
        for row in groups[name][: sizes.of_template]:
            if (rows.prompts[row], rows.targets[row]) not in asked:
                drawn.add(rows, row, POOL)
    places = [drawn.add(rows, row, HELD) for row in held]
    for row, place in list(zip(held, places, strict=True))[: sizes.ranked]:
        answers = sorted({rows.targets[other] for other in groups[rows.templates[row]]})
        wrong = [answer for answer in answers if answer != rows.targets[row]]
        for choice in rng.permutation(len(wrong))[: sizes.options]:
            drawn.of[drawn.add(rows, row, OPTION, target=wrong[choice])] = place


def _draw_others(rows: Rows, sizes: Sizes, rng: np.random.Generator, drawn: _Drawn) -> None:
    for groups in _by_task(rows).values():
        for row in _spread(groups, sizes.other, rng):
            drawn.add(rows, row, OTHER)


def _spread(groups: dict[str, list[int]], count: int, rng: np.random.Generator) -> list[int]:
    """As many rows, drawn in turns from groups in random order, so that none has two more than
    another one that still has some.
    """
    left = [list(rng.permutation(groups[name])) for name in groups]
    left = [left[place] for place in rng.permutation(len(left))]
    taken: list[int] = []
    while len(taken) < count and any(left):
        for members in left:
            if members and len(taken) < count:
                taken.append(int(members.pop()))
    return taken
