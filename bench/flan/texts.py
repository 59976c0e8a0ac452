"""The rows as text: Parquet files with FLAN's columns, each of some tasks in mixed order."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flan.shape import Shape
from flan.vectors import NUMBER_MARK

FILE_ROWS = 1 << 18
_TEXT = """
the of and to in is that for it as was with on by from at which this are had not have one were
their all when more said about out time people than its over into two after first some would
year other what only could new them these may then do my now such like our even most made must
through years before between under city river music school water history game film team book
house church station village county season song album player army island street bridge company
government language system science theory number family market question
"""
WORDS = _TEXT.split()
ASKED = ("Answer the question", "Choose the right option", "Summarise the text", "Translate it")
PARTS = {"zs": 2, "fs": 5}  # sentences of a prompt: few-shot prompts hold examples


def write_sources(
    shape: Shape, folder: Path, seed: int, advance: Callable[[int], None]
) -> list[Path]:
    """Write every file that is not there yet. advance: told of finished rows."""
    folder.mkdir(parents=True, exist_ok=True)
    sentences = _sentences(seed)
    paths = []
    with ThreadPoolExecutor(2) as pool:
        waiting = []
        for number, (first, last) in enumerate(shape.files(FILE_ROWS)):
            path = folder / f"{shape.source[first]}-{number:05d}.parquet"
            paths.append(path)
            waiting.append(pool.submit(_file, shape, first, last, path, seed, sentences))
        for done in waiting:
            advance(done.result())
    return paths


def _file(shape: Shape, first: int, last: int, path: Path, seed: int, sentences: pa.Array) -> int:
    start, stop = int(shape.starts[first]), int(shape.starts[last])
    if path.exists():
        return stop - start
    part = path.with_suffix(".part")
    rng = np.random.Generator(np.random.SFC64([seed, 5, start]))
    order = in_mixed_order(shape, start, stop, rng)
    writer = None
    for at in range(0, len(order), 1 << 16):
        table = _table(shape, order[at : at + (1 << 16)], sentences, rng)
        writer = writer or pq.ParquetWriter(part, table.schema, compression="zstd")
        writer.write_table(table)
    if writer is not None:
        writer.close()
    os.replace(part, path)
    return stop - start


def in_mixed_order(shape: Shape, start: int, stop: int, rng: np.random.Generator) -> np.ndarray:
    """Numbers start..stop-1, those of the groups in mixed order, those of one group rising: their
    blocks of vectors are then drawn once."""
    group = rng.permutation(np.searchsorted(shape.starts, np.arange(start, stop), side="right"))
    order = np.empty(stop - start, dtype=np.int64)
    order[np.argsort(group, kind="stable")] = np.arange(start, stop)
    return order


def _table(
    shape: Shape, numbers: np.ndarray, sentences: pa.Array, rng: np.random.Generator
) -> pa.Table:
    group = np.searchsorted(shape.starts, numbers, side="right") - 1
    names, template = np.unique(shape.template, return_inverse=True)
    own = template.reshape(-1)[group]
    few = np.array([name.startswith("fs") for name in names])[own]
    columns = []
    for part in range(PARTS["fs"]):
        drawn = pa.array(rng.integers(0, len(sentences), len(numbers)), pa.int32())
        text = sentences.take(drawn)
        columns.append(text if part < PARTS["zs"] else pc.if_else(pa.array(few), text, ""))
    asked = pa.array(ASKED).take(pa.array(rng.integers(0, len(ASKED), len(numbers))))
    mark = pc.binary_join_element_wise(
        f"\nQuestion {NUMBER_MARK}", pa.array(numbers).cast(pa.string()), ""
    )
    answer = sentences.take(pa.array(rng.integers(0, len(sentences), len(numbers)), pa.int32()))
    codes = pa.array(group, pa.int32())
    return pa.table(
        {
            "inputs": pc.binary_join_element_wise(asked, *columns, mark, " "),
            "targets": answer,
            "task_source": pa.array(shape.source).take(codes),
            "task_name": pa.array(shape.task).take(codes),
            "template_type": pa.array(shape.template).take(codes),
        }
    )


def _sentences(seed: int) -> pa.Array:
    """8,192 made-up sentences of 6 to 22 words."""
    rng = np.random.default_rng([seed, 6])
    lengths = rng.integers(6, 23, 8_192)
    words = rng.integers(0, len(WORDS), int(lengths.sum()))
    ends = np.cumsum(lengths)
    found = [
        " ".join(WORDS[word] for word in words[end - length : end]).capitalize() + "."
        for end, length in zip(ends, lengths, strict=True)
    ]
    return pa.array(found)
