"""Plant rows of BIG-bench into T0 and look for them: recall by what was done to a row and by
detector, and which rows of T0 itself are found.

    python bench/contamination.py --data FOLDER --work DIR --out FILE.json [--near]
    python bench/contamination.py --table FILE.json

FOLDER holds t0.parquet and bigbench.parquet; with --near also t0_minilm_q12.npy, and the packaged
encoder embeds 2,800 texts (minutes on a CPU). A stopped run reads again what it has ingested and
embedded. The tables are those of docs/leave_out.md.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from results import save

from smartx.corpus import Corpus, ingest
from smartx.embed import EncoderSpec, VectorsSpec, embed_corpus
from smartx.leave_out import Detection, EvaluationSet, Vectors, evaluation_sets, leave_out

EVALUATION_ROWS, PLANTED_ROWS, SEED = 10_000, 200, 0
TEXT = ("exact", "ngrams")
WORDS, SHARES, COSINES = (5, 8, 13), (0.3, 0.5, 0.8), (0.8, 0.85, 0.9, 0.95, 0.98)
LEAST = 8  # words of a prompt below which only equal texts are found
# T0 and Natural Instructions, which is part of BIG-bench here, are made from these data sets.
SHARED = {"ropes": "ropes", "quoref": "quoref", "cosmos_qa": "cosmosqa", "qasc": "qasc"}


class Edits:
    """What is done to a prompt, by name. other: words that are put in the place of its own."""

    def __init__(self, rng: np.random.Generator, other: list[str]) -> None:
        self._rng, self._other = rng, other
        self.kinds = {
            "as it is": lambda text: text,
            "upper case, no punctuation": lambda text: re.sub(r"[.,;:!?'\"`]", " ", text.upper()),
            "between two sentences": lambda text: f"Read this with care.\n{text}\nNow answer it.",
            "5 % of words changed": lambda text: self._changed(text, 0.05),
            "10 % of words changed": lambda text: self._changed(text, 0.1),
            "10 % of words dropped": lambda text: self._dropped(text, 0.1),
            "20 % of words dropped": lambda text: self._dropped(text, 0.2),
        }

    def _changed(self, text: str, share: float) -> str:
        """At least two words."""
        parts = re.split(r"(\s+)", text)
        words = [i for i in range(0, len(parts), 2) if parts[i]]
        count = min(len(words), max(2, round(share * len(words))))
        for place in self._rng.choice(words, count, replace=False):
            parts[place] = self._other[self._rng.integers(len(self._other))]
        return "".join(parts)

    def _dropped(self, text: str, share: float) -> str:
        parts = re.split(r"(\s+)", text)
        kept = (p for i, p in enumerate(parts) if i % 2 or self._rng.random() >= share)
        return "".join(kept).strip() or text


def main() -> int:
    options = _options()
    if options.table:
        print(page(json.loads(options.table.read_text())))
        return 0
    sets, planted = _planted(options.data, options.work)
    corpus = ingest(
        [options.data / "t0.parquet", options.work / "planted.parquet"], options.work / "both"
    )
    found = _by_texts(corpus, sets["all"], options.work, planted)
    if options.near:
        found["near"] = _by_vectors(corpus, sets["asked"], options, planted)
    save(options.out, found)
    print(page(found))
    return 0


def _planted(data: Path, work: Path) -> tuple[dict[str, EvaluationSet], dict[str, list[str]]]:
    """Write evaluation rows and planted rows. Returns the sets, and prompts planted by kind."""
    work.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(SEED)
    bench = pq.read_table(data / "bigbench.parquet", columns=["inputs", "targets", "task_name"])
    places = rng.permutation(bench.num_rows)
    chosen = bench.take(pa.array(places[:EVALUATION_ROWS]))
    rest = bench["inputs"].take(pa.array(places[-2_000:])).to_pylist()
    edits = Edits(rng, [word for text in rest for word in text.split()])
    rows = chosen.slice(0, PLANTED_ROWS * len(edits.kinds)).to_pylist()
    by_kind: dict[str, list[str]] = {}
    written = []
    for number, (kind, edit) in enumerate(edits.kinds.items()):
        own = rows[number * PLANTED_ROWS :][:PLANTED_ROWS]
        texts = [edit(row["inputs"]) for row in own]
        by_kind[kind] = texts
        written += [
            {"inputs": text, "targets": row["targets"], "task_name": "planted",
             "template_type": f"{kind}, {'long' if _words(row['inputs']) >= LEAST else 'short'}"}
            for row, text in zip(own, texts, strict=True)
        ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(written), work / "planted.parquet")
    pq.write_table(chosen, work / "all.parquet")
    pq.write_table(chosen.slice(0, len(rows)), work / "asked.parquet")
    names = ("all", "asked")
    sets = evaluation_sets([work / f"{name}.parquet" for name in names], work / "run")
    return dict(zip(names, sets, strict=True)), by_kind


def _by_texts(
    corpus: Corpus, evaluated: EvaluationSet, work: Path, planted: dict[str, list[str]]
) -> dict[str, Any]:
    found: dict[str, Any] = {"texts": {}, "seconds": {}, "rows": corpus.num_rows}
    tries = [Detection(TEXT, words=words, share=share) for words in WORDS for share in SHARES]
    for tried in [Detection(("exact",)), *tries]:
        name = "exact" if tried.by == ("exact",) else f"{tried.words} words, {tried.share:g}"
        started = time.process_time()
        left = leave_out(corpus, [evaluated], work / "leave_out", tried)
        found["seconds"][name] = time.process_time() - started
        found["texts"][name] = _told(corpus, left.contaminated, left.table, evaluated, planted)
        print(name, found["texts"][name], file=sys.stderr, flush=True)
    return found


def _by_vectors(
    corpus: Corpus, evaluated: EvaluationSet, options: Any, planted: dict[str, list[str]]
) -> dict[str, Any]:
    """T0 by its ready vectors, planted and evaluation rows by the packaged encoder."""
    encoder, run = EncoderSpec("all-MiniLM-L6-v2", max_length=256), options.work / "run"
    own = ingest([options.work / "planted.parquet"], options.work / "planted")
    made = embed_corpus(own, encoder, run)
    theirs = np.empty((own.num_source_rows, made.dimensions), dtype=np.int16)
    theirs[own.source_positions(0, own.num_rows)] = made.rows(0, own.num_rows)
    ready = np.load(options.data / "t0_minilm_q12.npy")
    np.save(options.work / "both.npy", np.concatenate([ready, theirs]))
    rows = embed_corpus(corpus, VectorsSpec(options.work / "both.npy"), run)
    vectors = Vectors(rows, [embed_corpus(evaluated.corpus, encoder, run)])
    found = {}
    for cosine in COSINES:
        near = Detection(("near",), cosine=cosine)
        left = leave_out(corpus, [evaluated], options.work / "leave_out", near, vectors=vectors)
        found[f"{cosine:g}"] = _told(corpus, left.contaminated, left.table, evaluated, planted)
    usual = Detection((*TEXT, "near"))
    left = leave_out(corpus, [evaluated], options.work / "leave_out", usual, vectors=vectors)
    found["all three"] = _told(corpus, left.contaminated, left.table, evaluated, planted)
    return found


def _told(
    corpus: Corpus,
    ids: np.ndarray,
    table: pa.Table,
    evaluated: EvaluationSet,
    planted: dict[str, list[str]],
) -> dict[str, Any]:
    """Recall by kind, over all rows and over those whose prompt has words enough; what is found of
    T0, and how much of that is of another data set than the evaluation row.
    """
    groups = corpus.groups
    of = np.searchsorted(groups.start, ids, side="right") - 1
    hits, recall = np.bincount(of, minlength=len(groups)), {}
    for kind in planted:
        sizes = {
            end: (int(hits[g]), int(groups.rows[g]))
            for g, name in enumerate(groups.template)
            for end in ("long", "short")
            if groups.task[g] == "planted" and name == f"{kind}, {end}"
        }
        long, short = sizes.get("long", (0, 0)), sizes.get("short", (0, 0))
        recall[kind] = [(long[0] + short[0]) / (long[1] + short[1]), long[0] / max(1, long[1])]
    pairs = Counter()
    tasks = _tasks(evaluated)
    for line in table.to_pylist():
        task = groups.task[np.searchsorted(groups.start, line["row_id"], side="right") - 1]
        if task != "planted":
            pairs[line["row_id"], task, tasks[line["set_row"]]] += 1
    other = {row for row, task, theirs in pairs if SHARED.get(task, "\0") not in theirs}
    return {"recall": recall, "t0": len({row for row, *_ in pairs}), "other": len(other)}


def _tasks(evaluated: EvaluationSet) -> dict[int, str]:
    """The task of each evaluation row, by its row in the file."""
    file = Path(evaluated.corpus.folder).parents[2] / f"{evaluated.name}.parquet"
    names = pq.read_table(file, columns=["task_name"])["task_name"].to_pylist()
    return dict(enumerate(names, 1))


def page(found: dict[str, Any]) -> str:
    """The tables of docs/leave_out.md."""
    parts = [_table("detector", found["texts"])]
    if "near" in found:
        parts.append(_table("near, cosine at least", found["near"]))
    took = ", ".join(f"{name}: {seconds:.1f} s" for name, seconds in found["seconds"].items())
    return "\n\n".join([*parts, f"CPU, {found['rows']:,} rows: {took}"])


def _table(head: str, told: dict[str, Any]) -> str:
    kinds = list(next(iter(told.values()))["recall"])
    lines = [f"| {head} | {' | '.join(kinds)} | T0 rows | of other data |"]
    lines.append("|---" * (len(kinds) + 3) + "|")
    for name, one in told.items():
        cells = [f"{whole:.2f} ({long:.2f})" for whole, long in one["recall"].values()]
        lines.append(f"| {name} | {' | '.join(cells)} | {one['t0']} | {one['other']} |")
    return "\n".join(lines)


def _words(text: str) -> int:
    return len(re.findall(r"[^\W_]+", text))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--near", action="store_true")
    parser.add_argument("--table", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
