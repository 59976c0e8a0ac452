"""The rows as real text: those of T0 and BIG-bench, repeated with edits, as JSON lines.

Every group of the shape takes the texts of one real (task, template). A row is the first words of
one of them, the last words of another of about the same length, and 12 of 100 words exchanged for
others (three of four from the same task): lengths stay those of the real rows, texts are as varied
as real ones, and no two of a file are equal. 3 of 100 rows nearly repeat the row before in their
group: two words differ. What a row is follows from the seed and its number alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flan.shape import Shape
from flan.texts import FILE_ROWS, in_mixed_order

CORPORA = ("t0", "bigbench")  # tasks of the shape take theirs in turns
LEAST_WORDS = 4
FEW_TEXTS = 64  # a template with fewer lends from its task
CHUNK = 1 << 14  # rows
EDITED, LEAST_EDITS, OWN_TASK = 0.12, 2, 0.75
SPLICED, NEIGHBOURS = 0.75, 16  # how many rows have two parents, and how near in length these are
REPEATS, REPEAT_EDITS = 0.03, 2
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, eq=False)
class Pool:
    """The real texts, those of a task one after another, in words that begin with their space.

    words: (2 w,) distinct words, escaped for JSON; word i + w is word i without its space.
    codes: (m,) int32, the word at each place of all texts.  starts: (n + 1,) int64, where each
    text begins.  targets: (n,) escaped.  texts: of each group of the shape, rising in length.
    span: (g, 2) int64, the places of its task in codes.
    """

    words: pa.Array
    codes: np.ndarray
    starts: np.ndarray
    targets: pa.Array
    texts: np.ndarray
    sizes: np.ndarray
    span: np.ndarray
    names: pa.Array


def write_sources(
    shape: Shape, folder: Path, seed: int, data: Path, advance: Callable[[int], None]
) -> list[Path]:
    """Write every file that is not there yet. data: the folder of the real corpora."""
    folder.mkdir(parents=True, exist_ok=True)
    pool, paths = read_pool(shape, seed, data), []
    with ThreadPoolExecutor(2) as threads:
        waiting = []
        for number, (first, last) in enumerate(shape.files(FILE_ROWS)):
            path = folder / f"{shape.source[first]}-{number:05d}.jsonl.zst"
            paths.append(path)
            waiting.append(threads.submit(_file, shape, pool, first, last, path, seed))
        for done in waiting:
            advance(done.result())
    return paths


def read_pool(shape: Shape, seed: int, data: Path) -> Pool:
    """The texts of T0 and BIG-bench, and which of them each group of the shape takes."""
    table = pa.concat_tables([_corpus(data / f"{name}.parquet", name) for name in CORPORA])
    escaped = [b" " + orjson.dumps(text)[1:-1] for text in table["inputs"].to_pylist()]
    blob = np.frombuffer(b"".join(escaped), dtype=np.uint8)
    ends = np.cumsum([len(text) for text in escaped])
    space = blob == ord(" ")
    space[1:] &= blob[:-1] != ord(" ")
    space[ends[:-1]] = True
    places = np.flatnonzero(space)
    counts = np.searchsorted(places, ends)
    starts = np.concatenate([[0], counts])
    coded = _strings(blob, np.append(places, len(blob))).dictionary_encode()
    stripped = pc.utf8_slice_codeunits(coded.dictionary, 1)
    targets = pa.array([orjson.dumps(text)[1:-1].decode() for text in table["targets"].to_pylist()])
    texts, span = _assigned(shape, table, starts, seed)
    names = [
        f'", "task_source": "{source}", "task_name": "{task}", "template_type": "{template}"}}\n'
        for source, task, template in zip(shape.source, shape.task, shape.template, strict=True)
    ]
    return Pool(
        pa.concat_arrays([coded.dictionary, stripped]).cast(pa.string()),
        coded.indices.to_numpy(), starts, targets, np.concatenate(texts),
        np.array([len(own) for own in texts]), span, pa.array(names),
    )  # fmt: skip


def _corpus(path: Path, name: str) -> pa.Table:
    """Its rows of enough words and an answer, by task and template; `corpus` is its name."""
    table = pq.read_table(path).sort_by(
        [("task_name", "ascending"), ("template_type", "ascending")]
    )
    enough = pc.greater_equal(pc.count_substring(table["inputs"], " "), 2 * LEAST_WORDS)
    answered = pc.not_equal(pc.utf8_trim_whitespace(table["targets"]), "")
    table = table.filter(pc.and_(enough, answered)).combine_chunks()
    return table.append_column("corpus", pa.array([name] * len(table)))


def _strings(blob: np.ndarray, offsets: np.ndarray) -> pa.Array:
    buffers = [None, pa.py_buffer(offsets.astype(np.int64)), pa.py_buffer(blob)]
    return pa.Array.from_buffers(pa.large_string(), len(offsets) - 1, buffers)


def _assigned(
    shape: Shape, table: pa.Table, starts: np.ndarray, seed: int
) -> tuple[list[np.ndarray], np.ndarray]:
    """Tasks of the shape take real tasks in turns, of either corpus; their templates go round."""
    corpus, task, template = (
        table[name].combine_chunks().dictionary_encode().indices.to_numpy()
        for name in ("corpus", "task_name", "template_type")
    )
    length = np.diff(starts)
    cuts = np.flatnonzero(np.diff(corpus * (1 << 20) + task)) + 1
    tasks = np.split(np.arange(len(table)), cuts)
    rng = np.random.default_rng([seed, 7])
    queues = [
        rng.permutation([i for i, rows in enumerate(tasks) if corpus[rows[0]] == which])
        for which in range(len(CORPORA))
    ]
    texts, span, seen = [], [], dict.fromkeys(range(len(tasks)), 0)
    for number in shape.task_of.tolist():
        queue = queues[number % len(queues)]
        real = int(queue[number // len(queues) % len(queue)])
        rows = tasks[real]
        templates = np.split(rows, np.flatnonzero(np.diff(template[rows])) + 1)
        own = templates[seen[real] % len(templates)]
        seen[real] += 1
        own = own if len(own) >= FEW_TEXTS else rows
        texts.append(own[np.argsort(length[own], kind="stable")])
        span.append((starts[rows[0]], starts[rows[-1] + 1]))
    return texts, np.array(span, dtype=np.int64)


def _file(shape: Shape, pool: Pool, first: int, last: int, path: Path, seed: int) -> int:
    start, stop = int(shape.starts[first]), int(shape.starts[last])
    if path.exists():
        return stop - start
    rng = np.random.Generator(np.random.SFC64([seed, 5, start]))
    order = in_mixed_order(shape, start, stop, rng)
    salt = _distinct(shape, pool, order, seed)
    part = path.with_suffix(".part")
    with pa.CompressedOutputStream(str(part), "zstd") as stream:
        for at in range(0, len(order), CHUNK):
            stream.write(lines(shape, pool, order[at : at + CHUNK], salt[at : at + CHUNK], seed))
    os.replace(part, path)
    return stop - start


def _distinct(shape: Shape, pool: Pool, order: np.ndarray, seed: int) -> np.ndarray:
    """(n,) uint64: what each row is drawn with, so that no two texts of the file are equal."""
    salt = np.zeros(len(order), dtype=np.uint64)
    marks = np.empty(len(order), dtype=np.uint64)
    again = np.arange(len(order))
    while len(again):
        for part in np.split(again, np.arange(CHUNK, len(again), CHUNK)):
            codes, ends = _words(shape, pool, order[part], salt[part], seed)
            marks[part] = _marks(codes, ends)
        by_mark = np.argsort(marks, kind="stable")
        again = by_mark[1:][marks[by_mark[1:]] == marks[by_mark[:-1]]]
        salt[again] += np.uint64(1)
    return salt


def lines(shape: Shape, pool: Pool, numbers: np.ndarray, salt: np.ndarray, seed: int) -> pa.Buffer:
    """The rows with these numbers as JSON lines."""
    codes, ends = _words(shape, pool, numbers, salt, seed)
    offsets = pa.array(np.concatenate([[0], ends]), pa.int32())
    words = pool.words.take(pa.array(codes))
    text = pc.binary_join(pa.ListArray.from_arrays(offsets, words), "")
    group = np.searchsorted(shape.starts, numbers, side="right") - 1
    first, *_ = _parents(pool, group, _key(shape, numbers, group, seed))
    target, names = pool.targets.take(pa.array(first)), pool.names.take(pa.array(group))
    joined = pc.binary_join_element_wise('{"inputs": "', text, '", "targets": "', target, names, "")
    _, bounds, bytes_ = joined.buffers()
    bounds = np.frombuffer(bounds, dtype=np.int32)[joined.offset :][: len(joined) + 1]
    return bytes_.slice(int(bounds[0]), int(bounds[-1] - bounds[0]))


def _words(
    shape: Shape, pool: Pool, numbers: np.ndarray, salt: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The words of all texts one after another, and where each text ends."""
    group = np.searchsorted(shape.starts, numbers, side="right") - 1
    key = _key(shape, numbers, group, seed)
    first, second, cut = _parents(pool, group, key)
    begins = pool.starts[np.stack([first, second], axis=1)]
    length = np.diff(pool.starts)[np.stack([first, second], axis=1)]
    kept = np.maximum(1, (cut[:, None] * length).astype(np.int64))
    kept[first == second] = length[first == second]
    counts = np.stack([kept[:, 0], length[:, 1] - kept[:, 1]], axis=1)
    begins[:, 1] += kept[:, 1]
    places = _ranges(begins.ravel(), counts.ravel())
    ends = np.cumsum(counts.sum(axis=1))
    _edit(places, ends, counts.sum(axis=1), pool, group, key, _mix(numbers, seed + 9), salt)
    codes = pool.codes[places]
    codes[ends - counts.sum(axis=1)] += len(pool.words) // 2  # the first word has no space
    return codes, ends


def _edit(
    places: np.ndarray, ends: np.ndarray, lengths: np.ndarray, pool: Pool, group: np.ndarray,
    key: np.ndarray, own: np.ndarray, salt: np.ndarray,
) -> None:  # fmt: skip
    """Exchange words, in place. own: a number of the row alone; key: that of the row it repeats."""
    some = np.maximum(LEAST_EDITS, (EDITED * lengths).astype(np.int64))
    repeats = (key != own).astype(np.int64) * REPEAT_EDITS
    for base, many in ((key, some), (own, repeats)):
        row = np.repeat(np.arange(len(lengths)), many)
        turn = _ranges(np.zeros(len(many), dtype=np.int64), many).astype(np.uint64)
        drawn = _mixed(base[row] + _GOLDEN * (turn + np.uint64(1)) + (salt[row] << np.uint64(40)))
        at = (ends - lengths)[row] + 1 + _below(drawn, (lengths - 1)[row])
        drawn = _mixed(drawn)
        low, high = pool.span[group[row]].T
        wide = _share(drawn) >= OWN_TASK
        low[wide], high[wide] = 0, len(pool.codes)
        places[at] = low + _below(_mixed(drawn), high - low)


def _key(shape: Shape, numbers: np.ndarray, group: np.ndarray, seed: int) -> np.ndarray:
    """(n,) uint64 that says what a row is: its own, or that of the row before it."""
    own = _mix(numbers, seed + 9)
    near = (_share(_mix(numbers, seed + 10)) < REPEATS) & (numbers > shape.starts[group])
    return np.where(near, _mix(numbers - 1, seed + 9), own)


def _parents(
    pool: Pool, group: np.ndarray, key: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two texts a row, of about the same length, and what part it takes of the first."""
    sizes, every = pool.sizes, pool.texts
    base = np.cumsum(sizes) - sizes
    place = _below(_mixed(key + np.uint64(1)), sizes[group])
    shift = _below(_mixed(key + np.uint64(2)), np.full(len(key), 2 * NEIGHBOURS + 1)) - NEIGHBOURS
    alone = _share(_mixed(key + np.uint64(3))) >= SPLICED
    other = np.where(alone, place, np.clip(place + shift, 0, sizes[group] - 1))
    cut = 0.2 + 0.6 * _share(_mixed(key + np.uint64(4)))
    return every[base[group] + place], every[base[group] + other], cut


def _marks(codes: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """(n,) uint64 of each text's words and their places."""
    begins = np.concatenate([[0], ends[:-1]])
    place = _ranges(np.zeros(len(ends), dtype=np.int64), np.diff(ends, prepend=0))
    mixed = _mixed(codes.astype(np.uint64) + (place.astype(np.uint64) << np.uint64(32)))
    return np.add.reduceat(mixed, begins)


def _ranges(begins: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """begins[i], begins[i] + 1, ... counts[i] of them, for one i after another."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) + np.repeat(begins - (ends - counts), counts)


def _mix(numbers: np.ndarray, stream: int) -> np.ndarray:
    return _mixed(numbers.astype(np.uint64) * _GOLDEN + np.uint64(stream << 48))


def _mixed(state: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def _below(drawn: np.ndarray, most: np.ndarray) -> np.ndarray:
    """(n,) int64 below `most`, which is below 2^31."""
    return ((drawn >> np.uint64(32)) * most.astype(np.uint64) >> np.uint64(32)).astype(np.int64)


def _share(drawn: np.ndarray) -> np.ndarray:
    return (drawn >> np.uint64(11)).astype(np.float64) * 2.0**-53
