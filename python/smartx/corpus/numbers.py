"""A column of the sources as numbers, a row of the corpus each: scores that rows carry along."""

from __future__ import annotations

from difflib import get_close_matches

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from smartx.corpus.corpus import ROWS_PER_FILE, Corpus
from smartx.corpus.extra import COLUMNS, POSITION, REST, parsed, types_of
from smartx.errors import InputError


def has_column(corpus: Corpus, name: str) -> bool:
    """Whether the sources have a column of this name that is not used otherwise."""
    return name in types_of(corpus.manifest["extra"]["columns"])


def check_column(corpus: Corpus, name: str) -> None:
    """Raise InputError, with the columns that there are, where the sources have none so called."""
    there = sorted(types_of(corpus.manifest["extra"]["columns"]))
    if name in there:
        return
    close = get_close_matches(name, there, 1)
    listed = ", ".join(there[:20]) or "none"
    raise InputError(
        f'the sources have no other column "{name}"; there are: {listed}',
        place=name,
        fix=f'did you mean "{close[0]}"?' if close else f"or give `feature` {name}=FILE",
    )


def numbers_of(corpus: Corpus, name: str) -> NDArray[np.float64]:
    """(n,) float64, the numbers of a column by row id; NaN where a row has none, true is 1.

    A text that is a number counts as one: CSV has no others. Raises InputError, with file and row,
    for a value that is none, and where there is no such column.
    """
    check_column(corpus, name)
    numbers = np.full(corpus.num_rows, np.nan)
    for start in range(0, corpus.num_rows, ROWS_PER_FILE):
        positions = corpus.source_positions(start, min(start + ROWS_PER_FILE, corpus.num_rows))
        order = np.argsort(positions)
        rising = positions[order]
        for table in corpus.others(rising):
            at = np.searchsorted(rising, table[POSITION].to_numpy())
            numbers[start + order[at]] = _numbers(corpus, name, table, start + order[at])
    return numbers


def _numbers(
    corpus: Corpus, name: str, table: pa.Table, row_ids: NDArray[np.int64]
) -> NDArray[np.float64]:
    columns = table[COLUMNS].combine_chunks() if COLUMNS in table.column_names else None
    if columns is not None and columns.type.get_field_index(name) >= 0:
        cells = columns.field(name)
        if isinstance(cells, pa.ChunkedArray):
            cells = cells.combine_chunks()
        kind = cells.type
        if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
            found = pc.cast(cells, pa.float64(), safe=False)
            return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.float64)
        values = cells.to_pylist()
    else:
        values = [parsed(text, exact=False).get(name) for text in table[REST].to_pylist()]
    return np.array(
        [_number(corpus, name, value, row) for value, row in zip(values, row_ids, strict=True)],
        dtype=np.float64,
    )


def _number(corpus: Corpus, name: str, value: object, row: int) -> float:
    if value is None or value == "":
        return np.nan
    words = {"true": 1.0, "false": 0.0}
    try:
        text = str(value).strip()
        return words[text.lower()] if text.lower() in words else float(text)
    except ValueError:
        origin = corpus.rows(np.array([row]))
        source = corpus.manifest["sources"][origin["origin_file"][0].as_py()]["name"]
        shown = repr(value)
        raise InputError(
            f'in the column "{name}" stands {shown[:60]}, and a number is needed',
            place=f"{source}:{origin['origin_row'][0].as_py()}",
        ) from None
