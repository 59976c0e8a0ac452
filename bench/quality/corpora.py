"""Rows of multi-task corpora, with the families of their tasks: what is trained on, and what the
trained model is asked.

- t0: T0's training prompts, with vectors; bigbench: BIG-bench's JSON tasks without those of
  BIG-bench Hard. Both are files of a folder that users do not have.
- demo: the corpus of `smartx demo`, which comes as a package, so that anybody can run the bench.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import orjson
import pyarrow.parquet as pq
from numpy.typing import NDArray

import smartx
from smartx.demo import demo_corpus
from smartx.embed.encoders import EncoderSpec, encoder_folder

COLUMNS = ("inputs", "targets", "task_name", "template_type")
ENCODER = "all-MiniLM-L6-v2"
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
T0_RELATIVES = {task: family for family, tasks in T0_FAMILIES.items() for task in tasks}


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of a corpus, each (prompt, target) once, none of them empty.

    source: (n,) int64, the row of the file.  tasks, templates: (n,) names.
    relatives: the family of a task, where it is not one by itself.
    vectors: (n, d) int16 Q12 of the prompts; None: they are made when they are asked for.
    """

    source: NDArray[np.int64]
    prompts: list[str]
    targets: list[str]
    tasks: list[str]
    templates: list[str]
    vectors: NDArray[np.int16] | None = None
    relatives: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.source)

    def vectors_of(self, rows: Sequence[int]) -> NDArray[np.int16]:
        """(r, d) int16 Q12 of the prompts of some rows."""
        if self.vectors is not None:
            return self.vectors[list(rows)]
        from sentence_transformers import SentenceTransformer

        folder = encoder_folder(EncoderSpec(ENCODER), fetch=False)
        encoder = SentenceTransformer(str(folder), device="cpu")
        prompts = [self.prompts[row] for row in rows]
        return smartx.quantize(encoder.encode(prompts, normalize_embeddings=True))

    def groups(self) -> dict[tuple[str, str], list[int]]:
        """Rows of each (task, template), in order of name."""
        found: dict[tuple[str, str], list[int]] = defaultdict(list)
        for row, key in enumerate(zip(self.tasks, self.templates, strict=True)):
            found[key].append(row)
        return dict(sorted(found.items()))


def t0(folder: Path) -> Rows:
    """T0's training prompts with the vectors of all-MiniLM-L6-v2 that lie beside them."""
    rows = _of_parquet(folder / "t0.parquet")
    vectors = np.load(folder / "t0_minilm_q12.npy", mmap_mode="r")
    return replace(rows, vectors=vectors[rows.source], relatives=T0_RELATIVES)


def bigbench(folder: Path) -> Rows:
    """BIG-bench's tasks; their subtasks are its templates."""
    rows = _of_parquet(folder / "bigbench.parquet", in_order=True)
    return replace(rows, tasks=[task.split("/")[0] for task in rows.tasks], templates=rows.tasks)


def demo(folder: Path) -> Rows:
    """The demo corpus, written into the folder. Relatives are the tasks whose names begin with the
    same word.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lines = [orjson.loads(line) for line in demo_corpus(folder).read_bytes().splitlines()]
    chats = [[turn["content"] for turn in line["messages"]] for line in lines]
    tasks = [line["task"] for line in lines]
    rows = _of_columns(
        ["\n".join(turns[:-1]) for turns in chats],
        [turns[-1] for turns in chats],
        tasks,
        [line["template"] for line in lines],
    )
    return replace(rows, relatives={task: re.split(r"[-._]", task)[0] for task in tasks})


def folds_of(sizes: dict[str, int], count: int) -> dict[str, int]:
    """The fold of each family: largest first, each to the fold that has the fewest rows so far.

    sizes: rows of each family.
    """
    load, found = [0] * count, {}
    for family, size in sorted(sizes.items(), key=lambda item: (-item[1], item[0])):
        found[family] = load.index(min(load))
        load[found[family]] += size
    return found


def _of_parquet(path: Path, *, in_order: bool = False) -> Rows:
    """in_order: of task and template, instead of the file's."""
    table = pq.read_table(path, columns=list(COLUMNS))
    if in_order:
        table = table.sort_by([(name, "ascending") for name in COLUMNS[2:]])
    return _of_columns(*(table[name].to_pylist() for name in COLUMNS))


def _of_columns(
    prompts: Sequence[str | None],
    targets: Sequence[str | None],
    tasks: Sequence[str],
    templates: Sequence[str],
) -> Rows:
    kept = list(_distinct(prompts, targets))
    rows = [row for row, _, _ in kept]
    return Rows(
        np.array(rows, dtype=np.int64),
        [prompt for _, prompt, _ in kept],
        [target for _, _, target in kept],
        [tasks[row] for row in rows],
        [templates[row] for row in rows],
    )


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
