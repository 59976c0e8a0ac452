"""What a row carries besides the columns that smartx knows: it travels along untouched.

A row's other columns are one JSON object in the corpus, nulls left out, in the order of its source;
so sources with different columns can lie in one corpus. What types the columns have is noted while
reading, and a mixture gets real columns of those types. A column whose values are of several types
(numbers and texts, objects with different keys) is a column of JSON texts there.

JSON has no word for dates, decimals and bytes: they become their text, bytes in base64.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa

from smartx.corpus.blocks import Block, Drop, RowCells

# What values a column holds, as it stands in a manifest: the name of an Arrow type, "int" (whole
# numbers that a double holds, too), ["list", KIND], {KEY: KIND}, or "json" for a mixture.
Kind = Any
EXTRA = pa.large_string()
TOO_DEEP = "nested too deeply"
JSON = "json"
MOST = 1_000  # columns of their own in a mixture; what is beyond lies in one column of JSON texts
_DEEPEST = 8  # lists and objects inside each other; what is deeper is JSON text
_SAFE = 2**53
_VECTOR = 64  # a longer list of floats is a vector, and belongs in a file of vectors
_INTS = {"int", "int8", "int16", "int32", "uint8", "uint16", "uint32"}  # a double holds them


class Kinds:
    """The kinds of columns, by name, as more and more of their values are seen."""

    def __init__(self) -> None:
        self.by_name: dict[str, Kind] = {}
        self.more = False  # whether there are names beyond MOST, which get no column of their own

    def facts(self) -> dict[str, Any]:
        """For a manifest."""
        return {"kinds": self.by_name, "more": self.more}

    def see(self, name: str, kind: Kind) -> None:
        """A column has values of this kind, too."""
        if len(self.by_name) >= MOST and name not in self.by_name:
            self.more = True
            return
        known = self.by_name.get(name, "null")
        if known is not kind:
            self.by_name[name] = unify(known, kind)

    def see_all(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Rows of JSON values."""
        columns: dict[str, list[Any]] = {}
        for row in rows:
            for name, value in row.items():
                columns.setdefault(name, []).append(value)
        for name, values in columns.items():
            if self.by_name.get(name) != JSON:
                self.see(name, kind_of(values))


@dataclass(frozen=True)
class Taken:
    """Which columns of a block's rows are used already.

    usual: in every row but those of `special`, which are by index.
    """

    usual: frozenset[str]
    special: Mapping[int, frozenset[str]]

    def without(self, name: str, rows: int) -> Sequence[int]:
        """Which of so many rows do not use a column, rising."""
        if name in self.usual:
            return sorted(index for index, names in self.special.items() if name not in names)
        if not self.special:
            return range(rows)
        return [index for index in range(rows) if name not in self.special.get(index, ())]


class TooDeepError(Exception):
    """Values that hold each other too deeply to be written as JSON."""


def other_columns(block: Block, taken: Taken, kinds: Kinds) -> list[bytes | Drop | None]:
    """For each row of a block a JSON object of the columns that are not taken; None for none.

    A row whose values are nested too deeply to be written gets a Drop instead.

    kinds: learns what is in them.
    """
    if isinstance(block.cells, RowCells):
        usual = taken.usual
        rows = [_rest(row, usual) for row in block.cells.rows]
        for index, special in taken.special.items():
            rows[index] = _rest(block.cells.rows[index], special)
        kinds.see_all(rows)
    else:
        rows = [{} for _ in block.places]
        for name in block.cells:
            where = taken.without(name, len(rows))
            if where:
                values, kind = _column(block, name)
                kinds.see(name, kind)
                for index in where:
                    if values[index] is not None:
                        rows[index][name] = values[index]
    return [_text_or_drop(row) if row else None for row in rows]


def _text_or_drop(row: Mapping[str, Any]) -> bytes | Drop | None:
    try:
        return json_text(row)
    except TooDeepError:
        return Drop(TOO_DEEP, "in a column that is not used")


def json_text(value: Mapping[str, Any]) -> bytes | None:
    """An object as JSON; None for an empty one. Raises TooDeepError."""
    try:
        return orjson.dumps(value, default=_text) if value else None
    except orjson.JSONEncodeError:
        raise TooDeepError from None


def _rest(row: Mapping[str, Any], taken: frozenset[str]) -> dict[str, Any]:
    if row.keys() <= taken:
        return {}
    return {name: value for name, value in row.items() if value is not None and name not in taken}


def _column(block: Block, name: str) -> tuple[list[Any], Kind]:
    """The values of a column as JSON has them; integers that stand for labels are those labels."""
    cells, labels = block.cells[name], block.labels.get(name)
    if isinstance(cells, list):
        return cells, "string"
    kind, values = _arrow_values(cells)
    if labels is None:
        return values, kind
    named = [labels[v] if isinstance(v, int) and 0 <= v < len(labels) else None for v in values]
    return named, "string"


def _arrow_values(cells: pa.Array) -> tuple[Kind, list[Any]]:
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    kind = kind_of_type(cells.type)
    try:
        if pa.types.is_temporal(cells.type):
            cells = cells.cast(pa.string())

        return kind, list(cells.to_pylist())
    except (ValueError, pa.ArrowException):
        return kind, [_readable(cell) for cell in cells]


def _readable(cell: pa.Scalar) -> Any:
    try:
        return cell.as_py()
    except ValueError:  # not UTF-8, or a moment that Python cannot say
        return None


def _text(value: Any) -> Any:
    """What JSON has no word for, as text."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def is_vector(cells: pa.Array | list[Any]) -> bool:
    """Whether a column holds vectors: lists of many floats."""
    if not isinstance(cells, list):
        kind = cells.type
        if not (hasattr(kind, "value_type") and pa.types.is_floating(kind.value_type)):
            return False
        cells = cells.drop_null().slice(0, 1).to_pylist()
    first = next((value for value in cells if value is not None), None)
    return (
        isinstance(first, list)
        and len(first) > _VECTOR
        and all(isinstance(number, float) for number in first)
    )


def kind_of(values: Sequence[Any], depth: int = 0) -> Kind:
    """The kind of a column of JSON values. depth: how many lists and objects they lie in."""
    types = set(map(type, values)) - {type(None)}
    if not types:
        return "null"
    if types == {str}:
        return "string"
    if types == {bool}:
        return "bool"
    if types == {float}:
        return "double"
    if types == {int}:
        low, high = min(v for v in values if v is not None), max(v for v in values if v is not None)
        if low >= -_SAFE and high <= _SAFE:
            return "int"
        return "int64" if high < 2**63 else JSON
    kind: Kind = "null"
    for value in values:
        kind = unify(kind, _kind_of_one(value, depth + 1))
        if kind == JSON:
            break
    return kind


def _kind_of_one(value: Any, depth: int) -> Kind:
    if depth > _DEEPEST and isinstance(value, (list, dict)):
        return JSON
    if isinstance(value, list):
        return _holding(["list", kind_of(value, depth)])
    if isinstance(value, dict):
        return _holding({name: kind_of([inner], depth) for name, inner in value.items()})
    return kind_of([value])


def _holding(kind: Kind) -> Kind:
    """A list or object of what has no one kind has none either; nor has an object of nothing."""
    inner = list(kind.values()) if isinstance(kind, dict) else kind[1:]
    return JSON if not inner or JSON in inner else kind


def kind_of_type(kind: pa.DataType) -> Kind:
    """The kind of a column of an Arrow type, once its values are JSON."""
    return _kind_of_type(kind, 0)


def _kind_of_type(kind: pa.DataType, depth: int) -> Kind:
    types = pa.types
    if types.is_dictionary(kind):
        return _kind_of_type(kind.value_type, depth)
    if types.is_boolean(kind) or types.is_null(kind):
        return str(kind)
    if types.is_integer(kind):
        return JSON if types.is_uint64(kind) else str(kind)
    if types.is_floating(kind):
        return "double" if types.is_float64(kind) else "float"
    if depth > _DEEPEST and types.is_nested(kind):
        return JSON
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _holding(["list", _kind_of_type(kind.value_type, depth + 1)])
    if types.is_struct(kind):
        return _holding({field.name: _kind_of_type(field.type, depth + 1) for field in kind})
    return JSON if types.is_nested(kind) else "string"


def unify(one: Kind, other: Kind) -> Kind:
    """The kind of a column that holds values of both kinds."""
    if one == other or other == "null":
        return one
    if one == "null":
        return other
    if isinstance(one, list) and isinstance(other, list):
        return _holding(["list", unify(one[1], other[1])])
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return _holding({name: unify(kind, other[name]) for name, kind in one.items()})
    if not (isinstance(one, str) and isinstance(other, str)):
        return JSON
    both = {one, other}
    if both <= _INTS:
        return "int"
    if both <= _INTS | {"int64"}:
        return "int64"
    return "double" if both <= _INTS | {"float", "double"} else JSON


def arrow_type(kind: Kind) -> pa.DataType:
    """The type of a column of this kind in a mixture."""
    if isinstance(kind, list):
        return pa.list_(arrow_type(kind[1]))
    if isinstance(kind, dict):
        return pa.struct([(name, arrow_type(inner)) for name, inner in kind.items()])
    if kind == JSON:
        return pa.string()
    return pa.int64() if kind == "int" else pa.type_for_alias(kind)


def arrow_column(values: Sequence[Any], kind: Kind) -> pa.Array:
    """JSON values as a column of their kind."""
    if kind == JSON:
        texts = [None if value is None else orjson.dumps(value).decode() for value in values]
        return pa.array(texts, pa.string())
    return pa.array(values, arrow_type(kind))
