"""The rows of a corpus that a mixture must not hold, each with the reason, as a stage.

RUN/leave_out/ID/left-out.parquet has a line for each row, reason and set by which it is found: the
evaluation row that says it best, and how well. RUN/leave_out/ID/manifest.json counts them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from smartx.corpus import Corpus
from smartx.corpus.tables import as_written, write_table
from smartx.engine import near_rows
from smartx.errors import InputError
from smartx.leave_out.detection import EXACT, NEAR, NGRAMS, REASONS, TRAINED, Detection
from smartx.leave_out.evaluation import EvaluationSet
from smartx.leave_out.texts import Block, Equal, Found, Grams, blocks_of, starts_of
from smartx.leave_out.trained import Trained
from smartx.progress import Progress, Silent, step
from smartx.store import Stage, folder_of, key_of

if TYPE_CHECKING:
    from smartx.embed import Embeddings

SCHEMA = 1  # raised when the same corpus and sets give another table
STAGE, TABLE_FILE = "leave_out", "left-out.parquet"
VECTOR_ROWS = 65_536  # of the corpus that meet the evaluation rows together
_OTHERS = ("trained", "cleaned")  # reasons besides evaluation sets
_AHEAD = 2  # blocks that wait, for each thread
_ROWS = [("row_id", pa.int64()), ("reason", pa.string()), ("set", pa.string())]
_ORIGIN = [("set_file", pa.string()), ("set_row", pa.int64()), ("score", pa.float64())]
TABLE = pa.schema([*_ROWS, *_ORIGIN])


@dataclass(frozen=True, eq=False)
class LeftOut:
    """The rows that are left out, and why. digest: names exactly the lines of the table."""

    folder: Path
    digest: str
    manifest: dict[str, Any]

    @cached_property
    def table(self) -> pa.Table:
        """row_id, reason, set, set_file, set_row, score; by row, reason and set.

        Raises StoreError where the file is not what was written.
        """
        fix = "run the command again that made it"
        with as_written(self.folder, self.manifest, TABLE_FILE, fix=fix) as path:
            return pq.read_table(path, page_checksum_verification=True)

    @property
    def contaminated(self) -> NDArray[np.int64]:
        """(k,) rising ids of rows that an evaluation set holds."""
        return self._ids([reason for reason in REASONS if reason != TRAINED])

    @property
    def trained(self) -> NDArray[np.int64]:
        """(k,) rising ids of rows that were trained on."""
        return self._ids([TRAINED])

    @property
    def rows(self) -> NDArray[np.int64]:
        """(k,) rising ids of all of them."""
        return self._ids(REASONS)

    @property
    def asked(self) -> dict[str, Any]:
        """What was looked for, and how, as a manifest says it."""
        return dict(self.manifest["parameters"])

    def facts(self) -> dict[str, Any]:
        """What the manifest of a mixture says of it."""
        rows = {"contaminated": len(self.contaminated), "trained": len(self.trained)}
        return {**rows, "counts": self.counts, "digest": self.digest}

    @property
    def counts(self) -> list[dict[str, Any]]:
        """For each reason and set: `rows` that are found by it."""
        return list(self.manifest["counts"])

    def _ids(self, reasons: Sequence[str]) -> NDArray[np.int64]:
        wanted = np.isin(self.table["reason"].to_numpy(), reasons)
        return np.unique(self.table["row_id"].to_numpy()[wanted]).astype(np.int64)


def left_out_line(rows: int, found: Mapping[str, Any]) -> str:
    """How many rows are left out and why, for a person. rows: looked at.  found: as `facts`."""
    parts = [
        f"{found[name]:,} {what}"
        for name, what in (
            ("contaminated", "stand in evaluation sets"),
            ("trained", "were trained on before"),
            ("cleaned", "are dropped by cleaning"),
        )
        if found.get(name) or (name == "contaminated" and not any(map(found.get, _OTHERS)))
    ]
    why = ", ".join(
        f"{one['rows']:,} {one['reason']} {one['set']}".rstrip() for one in found["counts"]
    )
    line = f"of {rows:,} rows {' and '.join(parts)}, and are left out"
    return f"{line} ({why})" if why else line


@dataclass(frozen=True, eq=False)
class Vectors:
    """What near rows are told by. rows: of the corpus.  sets: of each evaluation set."""

    rows: Embeddings
    sets: Sequence[Embeddings]


def leave_out(
    corpus: Corpus,
    sets: Sequence[EvaluationSet],
    folder: Path,
    detection: Detection,
    *,
    vectors: Vectors | None = None,
    trained: Sequence[Trained] = (),
    threads: int = 1,
    progress: Progress | None = None,
) -> LeftOut:
    """Find the rows of a corpus that stand in evaluation sets, or that were trained on before.

    folder: the run's `leave_out`; what stands there is used again. vectors: for near rows.
    Memory: the n-grams of all sets, and a few blocks of the corpus; cost.py has the numbers.
    Raises InputError where near rows are asked for and vectors are missing or do not fit.
    """
    progress = progress or Silent()
    if NEAR not in detection.by or not sets:
        vectors = None
    elif vectors is None:
        raise InputError("near rows need vectors", place="leave_out_by", fix="embed the rows first")
    parameters, inputs = _depends_on(corpus, sets, detection, vectors, trained)
    key = key_of(STAGE, SCHEMA, parameters, inputs)
    stage = Stage(STAGE, folder_of(folder, key))
    if not stage.reuse(key):
        stage.begin()
        found = _by_texts(corpus, sets, detection, threads, progress)
        if vectors is not None:
            found[NEAR] = _by_vectors(vectors, sets, detection.cosine, threads, progress)
        table = _table(found, sets, _by_training(corpus, trained, threads, progress))
        facts = {"rows": corpus.num_rows, "counts": _counts(table), "digest": _digest(table)}
        files = [write_table(stage.folder / TABLE_FILE, table)]
        stage.finish(
            key=key, schema=SCHEMA, parameters=parameters, inputs=inputs, files=files, facts=facts
        )
    return open_left_out(stage.folder)


def left_out_there(
    corpus: Corpus,
    sets: Sequence[EvaluationSet],
    folder: Path,
    detection: Detection,
    *,
    vectors: Vectors | None = None,
    trained: Sequence[Trained] = (),
) -> LeftOut | None:
    """What `leave_out` would use again; it looks closer. None: nothing that seems whole."""
    near = NEAR in detection.by and bool(sets)
    asked = _depends_on(corpus, sets, detection, vectors if near else None, trained)
    key = key_of(STAGE, SCHEMA, *asked)
    stage = Stage(STAGE, folder_of(folder, key))
    return open_left_out(stage.folder) if stage.is_done(key) else None


def open_left_out(folder: Path) -> LeftOut:
    """What was found, in a folder. Raises StoreError where it is not finished there."""
    manifest = Stage(STAGE, folder).manifest(SCHEMA)
    return LeftOut(folder, str(manifest["digest"]), manifest)


def _depends_on(
    corpus: Corpus,
    sets: Sequence[EvaluationSet],
    detection: Detection,
    vectors: Vectors | None,
    trained: Sequence[Trained],
) -> tuple[dict[str, Any], dict[str, str]]:
    """Parameters and inputs of the stage."""
    parameters: dict[str, Any] = detection.parameters() if sets else {}
    parameters["sets"] = [one.name for one in sets]
    parameters["trained"] = [one.name for one in trained]
    inputs = {"corpus": corpus.digest}
    for number, one in enumerate(sets):
        inputs[f"set {number}"] = one.corpus.digest
    if vectors is not None:
        inputs["embeddings"] = vectors.rows.digest
        inputs |= {f"vectors {i}": one.digest for i, one in enumerate(vectors.sets)}
    inputs |= {f"trained {i}": one.digest for i, one in enumerate(trained)}
    return parameters, inputs


def _by_texts(
    corpus: Corpus,
    sets: Sequence[EvaluationSet],
    detection: Detection,
    threads: int,
    progress: Progress,
) -> dict[str, Found]:
    """What is found by exact and n-grams: the best evaluation row of each row and set."""
    looking: dict[str, Any] = {}
    if EXACT in detection.by and sets:
        looking[EXACT] = Equal([(one.corpus, one.answered) for one in sets], (0, 1))
    if NGRAMS in detection.by and sets:
        looking[NGRAMS] = grams = Grams(
            sets,
            n=detection.words,
            least=detection.least,
            common=detection.common,
            share=detection.share,
        )
        unseen = grams.index.short + grams.index.without
        if unseen:
            progress.note(
                f"leave out: {unseen:,} evaluation texts are found by equality only: "
                f"{grams.index.short:,} have less than {detection.least} words, the n-grams of "
                f"{grams.index.without:,} all stand in more than {detection.common} texts"
            )
    return _looked(
        corpus, looking, starts_of([one.corpus for one in sets]), threads, progress, "leave out"
    )


def _by_training(
    corpus: Corpus, trained: Sequence[Trained], threads: int, progress: Progress
) -> list[tuple[str, NDArray[np.int64]]]:
    """The rows of each data set that was trained on, by its name."""
    by_text = [one.texts for one in trained if one.texts is not None]
    rows: list[NDArray[np.int64]] = []
    if by_text:
        starts = starts_of(by_text)
        looking = {TRAINED: Equal([(one, True) for one in by_text], (1,))}
        found = _looked(corpus, looking, starts, threads, progress, "trained on before")[TRAINED]
        of = np.searchsorted(starts, found.evaluations, side="right") - 1
        rows = [np.unique(found.rows[of == number]) for number in range(len(by_text))]
    told = iter(rows)
    return [(one.name, next(told) if one.rows is None else one.rows) for one in trained]


def _looked(
    corpus: Corpus,
    looking: dict[str, Any],
    starts: NDArray[np.int64],
    threads: int,
    progress: Progress,
    name: str,
) -> dict[str, Found]:
    """What each detector finds among all rows, the best of each row and set."""

    def one(block: Block) -> tuple[int, dict[str, Found]]:
        found = {why: detector.found(block).best(starts) for why, detector in looking.items()}
        return len(block), found

    parts: dict[str, list[Found]] = {why: [] for why in looking}
    if looking:
        start = 0
        with step(progress, name, corpus.num_rows, "rows") as advance:
            for rows, found in _in_order(one, blocks_of(corpus), threads):
                for why, some in found.items():
                    parts[why].append(Found(some.rows + start, some.evaluations, some.scores))
                start += rows
                advance(rows)
    return {why: Found.joined(some) for why, some in parts.items()}


def _in_order(work: Callable[[Any], Any], blocks: Iterable[Any], threads: int) -> Iterator[Any]:
    """`work` of each block, in order; several at a time: numpy and pyarrow let them."""
    with ThreadPoolExecutor(max(1, threads)) as pool:
        waiting: list[Future[Any]] = []
        for block in blocks:
            waiting.append(pool.submit(work, block))
            if len(waiting) >= _AHEAD * threads:
                yield waiting.pop(0).result()
        for one in waiting:
            yield one.result()


def _by_vectors(
    vectors: Vectors,
    sets: Sequence[EvaluationSet],
    cosine: float,
    threads: int,
    progress: Progress,
) -> Found:
    """The nearest evaluation row of each row and set, where it is near."""
    rows, starts = vectors.rows, starts_of([one.corpus for one in sets])
    for one, known in zip(sets, vectors.sets, strict=True):
        if known.dimensions != rows.dimensions or known.num_rows != one.corpus.num_rows:
            raise InputError(
                f"the {known.num_rows:,} vectors of {known.dimensions} values of {one.name} do not "
                f"fit its {one.corpus.num_rows:,} rows and a corpus of {rows.dimensions} values",
                place="leave_out_vectors",
                fix="embed all with one encoder",
            )
    near = partial(near_rows, threshold=cosine, threads=threads)
    held = [known.rows(0, known.num_rows) for known in vectors.sets]
    parts = []
    with step(progress, "leave out (near)", rows.num_rows, "rows") as advance:
        for start in range(0, rows.num_rows, VECTOR_ROWS):
            block = rows.rows(start, min(start + VECTOR_ROWS, rows.num_rows))
            for first, others in zip(starts.tolist(), held, strict=False):
                found = near(block, others)
                parts.append(Found(found.rows + start, found.others + first, found.cosines))
            advance(len(block))
    return Found.joined(parts)


def _table(
    found: dict[str, Found],
    sets: Sequence[EvaluationSet],
    trained: list[tuple[str, NDArray[np.int64]]],
) -> pa.Table:
    """All lines, by row, reason and set."""
    starts = starts_of([one.corpus for one in sets])
    parts, keys = [TABLE.empty_table()], [np.empty((0, 3), dtype=np.int64)]
    for reason, one in found.items():
        of = np.searchsorted(starts, one.evaluations, side="right") - 1
        for number, evaluated in enumerate(sets):
            own = np.flatnonzero(of == number)
            files, lines = _origin(evaluated.corpus, one.evaluations[own] - starts[number])
            rows = one.rows[own]
            parts.append(_lines(rows, reason, evaluated.name, files, lines, one.scores[own]))
            keys.append(_keys(rows, REASONS.index(reason), number))
    for number, (name, rows) in enumerate(trained):
        none = pa.nulls(len(rows))
        parts.append(_lines(rows, TRAINED, name, none, none, np.ones(len(rows))))
        keys.append(_keys(rows, REASONS.index(TRAINED), number))
    order = np.lexsort(np.concatenate(keys).T[::-1])
    return pa.concat_tables(parts).combine_chunks().take(pa.array(order))


def _keys(rows: NDArray[np.int64], reason: int, number: int) -> NDArray[np.int64]:
    return np.stack([rows, np.full_like(rows, reason), np.full_like(rows, number)], axis=1)


def _lines(
    rows: NDArray[np.int64],
    reason: str,
    name: str,
    files: pa.Array,
    lines: pa.Array,
    scores: NDArray[np.float64],
) -> pa.Table:
    same = [pa.repeat(pa.scalar(text, pa.string()), len(rows)) for text in (reason, name)]
    columns = [pa.array(rows), *same, files, lines, pa.array(scores)]
    cast = [column.cast(field.type) for column, field in zip(columns, TABLE, strict=True)]
    return pa.Table.from_arrays(cast, schema=TABLE)


def _origin(corpus: Corpus, rows: NDArray[np.int64]) -> tuple[pa.Array, pa.Array]:
    """File and line of each row, as the sources are named."""
    asked, back = np.unique(rows, return_inverse=True)
    tables = corpus.rising(asked, ("origin_file", "origin_row"))
    table = pa.concat_tables(tables).combine_chunks().take(pa.array(back.reshape(-1)))
    names = pa.array([source["name"] for source in corpus.manifest["sources"]], pa.string())
    files = table["origin_file"].combine_chunks()
    return names.take(files), table["origin_row"].combine_chunks()


def _counts(table: pa.Table) -> list[dict[str, Any]]:
    """Lines of each reason and set: one is a row."""
    found = table.group_by(["reason", "set"]).aggregate([("row_id", "count")]).to_pylist()
    counts = [{"reason": f["reason"], "set": f["set"], "rows": f["row_id_count"]} for f in found]
    return sorted(counts, key=lambda one: (REASONS.index(one["reason"]), one["set"]))


def _digest(table: pa.Table) -> str:
    """Of the rows, reasons and scores, whatever wrote the file."""
    rows, scores = (table[name].to_numpy() for name in ("row_id", "score"))
    texts = ["\0".join(table[name].to_pylist()).encode() for name in ("reason", "set")]
    parts = (rows.astype("<i8").tobytes(), scores.astype("<f8").tobytes(), *texts)
    digests = (hashlib.sha256(part).digest() for part in parts)
    return hashlib.sha256(b"".join(digests)).hexdigest()
