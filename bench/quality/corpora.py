"""Rows of multi-task corpora, with the families of their tasks: what is trained on, and what the
trained model is asked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

COLUMNS = ("inputs", "targets", "task_name", "template_type")
END = "<|endoftext|>"  # stands behind the targets of the published T0 rows

# Data sets of T0 that ask much the same of much the same texts; any other is a family of its own.
T0_FAMILIES = {
    "sentiment": (
        "amazon_polarity",
        "app_reviews",
        "imdb",
        "rotten_tomatoes",
        "yelp_review_full",
    ),
    "summaries": ("cnn_dailymail_3_0_0", "gigaword", "multi_news", "samsum", "xsum"),
    "paraphrases": ("glue_mrpc", "glue_qqp", "paws_labeled_final"),
    "adversarial questions": (
        "adversarial_qa_dbert",
        "adversarial_qa_dbidaf",
        "adversarial_qa_droberta",
    ),
    "films": ("duorc_ParaphraseRC", "duorc_SelfRC"),
    "science": ("qasc", "quarel", "quartz", "ropes", "sciq", "wiqa"),
}


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of a corpus, each (prompt, target) once, none of them empty.

    source: (n,) int64, the row of the file.  tasks, templates: (n,) names.
    vectors: (n, d) int16 Q12 of the prompts; None where there are none.
    """

    source: NDArray[np.int64]
    prompts: list[str]
    targets: list[str]
    tasks: list[str]
    templates: list[str]
    vectors: NDArray[np.int16] | None = None

    def __len__(self) -> int:
        return len(self.source)

    def groups(self) -> dict[tuple[str, str], list[int]]:
        """Rows of each (task, template), in order of name."""
        found: dict[tuple[str, str], list[int]] = defaultdict(list)
        for row, key in enumerate(zip(self.tasks, self.templates, strict=True)):
            found[key].append(row)
        return dict(sorted(found.items()))


def t0(folder: Path) -> Rows:
    """T0's training prompts with the vectors of all-MiniLM-L6-v2."""
    rows = _of_parquet(folder / "t0.parquet")
    vectors = np.load(folder / "t0_minilm_q12.npy", mmap_mode="r")[rows.source]
    return Rows(rows.source, rows.prompts, rows.targets, rows.tasks, rows.templates, vectors)


def bigbench(folder: Path) -> Rows:
    """BIG-bench's JSON tasks without those of BIG-bench Hard. They have no vectors here."""
    return _of_parquet(folder / "bigbench.parquet")


def family_of(task: str) -> str:
    """The family of a task of T0; of BIG-bench, the task that a subtask belongs to."""
    for family, members in T0_FAMILIES.items():
        if task in members:
            return family
    return task.split("/")[0]


def folds_of(sizes: dict[str, int], count: int) -> dict[str, int]:
    """The fold of each family: largest first, each to the fold that has the fewest rows so far.

    sizes: rows of each family.
    """
    load, found = [0] * count, {}
    for family, size in sorted(sizes.items(), key=lambda item: (-item[1], item[0])):
        found[family] = load.index(min(load))
        load[found[family]] += size
    return found


def _of_parquet(path: Path) -> Rows:
    table = pq.read_table(path, columns=list(COLUMNS))
    kept = list(_distinct(*(table[name].to_pylist() for name in COLUMNS[:2])))
    source = np.array([row for row, _, _ in kept], dtype=np.int64)
    taken = table.take(source)
    tasks, templates = (taken[name].to_pylist() for name in COLUMNS[2:])
    return Rows(source, [p for _, p, _ in kept], [t for _, _, t in kept], tasks, templates)


def _distinct(
    prompts: Sequence[str | None], targets: Sequence[str | None]
) -> Iterator[tuple[int, str, str]]:
    """Row, prompt and target of the rows that have both and came not before."""
    seen = set()
    for row, (prompt, target) in enumerate(zip(prompts, targets, strict=True)):
        texts = ((prompt or "").strip(), (target or "").replace(END, "").strip())
        if all(texts) and texts not in seen:
            seen.add(texts)
            yield row, *texts
