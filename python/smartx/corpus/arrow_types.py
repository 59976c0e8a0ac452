"""The Arrow types of columns: of JSON values, of files, and of several of them together.

Every type is one that Parquet holds and `datasets` loads. Two stand for more than themselves, and
are dictionary types since no other column has one: WHOLE are whole numbers that a double holds,
too, since JSON writes 1 for 1.0; JSON is for values that have no type in common, each as its text.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import pyarrow as pa

WHOLE = pa.dictionary(pa.int8(), pa.int64())
JSON = pa.dictionary(pa.int8(), pa.string())
_SAFE = 2**53
_DEEPEST = 8  # lists and objects of JSON inside each other; what is deeper is JSON text
_IS = pa.types


class MixedError(Exception):
    """Values that have no type in common."""


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The type of the same values that stands in files: dictionaries are their values, maps lists
    of keys and values, lists of any length, extensions what they are stored as; no notes on fields.

    Raises MixedError where Parquet has none.
    """
    return _each(kind, _plain_leaf)


def _each(kind: pa.DataType, leaf: Callable[[pa.DataType], pa.DataType]) -> pa.DataType:
    """The type with another for each type in it that holds no other."""
    if _IS.is_dictionary(kind):
        return _each(kind.value_type, leaf)
    if isinstance(kind, pa.BaseExtensionType):
        return _each(kind.storage_type, leaf)
    if _IS.is_map(kind):
        pair = [("key", _each(kind.key_type, leaf)), ("value", _each(kind.item_type, leaf))]
        return pa.list_(pa.struct(pair))
    if _IS.is_struct(kind):
        names = [field.name for field in kind]
        if not names or len(set(names)) < len(names):
            raise MixedError
        return pa.struct([(field.name, _each(field.type, leaf)) for field in kind])
    if _IS.is_large_list(kind):
        return pa.large_list(_each(kind.value_type, leaf))
    if _IS.is_list(kind) or _IS.is_fixed_size_list(kind):
        return pa.list_(_each(kind.value_type, leaf))
    return leaf(kind)


def _plain_leaf(kind: pa.DataType) -> pa.DataType:
    if str(kind) in ("string_view", "binary_view"):
        return pa.string() if str(kind) == "string_view" else pa.binary()
    if kind in (pa.timestamp("s", getattr(kind, "tz", None)), pa.time32("s")):
        return pa.time32("ms") if _IS.is_time(kind) else pa.timestamp("ms", kind.tz)
    negative = _IS.is_decimal(kind) and kind.scale < 0
    if _IS.is_nested(kind) or _IS.is_interval(kind) or "run_end" in str(kind) or negative:
        raise MixedError
    return kind


def bytes_type(kind: pa.DataType) -> pa.DataType:
    """The type in which text is just bytes. Raises MixedError where there is none."""
    texts = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary()}
    return _each(kind, lambda leaf: texts.get(leaf, leaf))


def type_of(values: Sequence[Any], depth: int = 0) -> pa.DataType:
    """The type of a column of JSON values. Objects have one if all of them have the same keys.

    depth: how many lists and objects the values lie in. Raises MixedError.
    """
    kinds = set(map(type, values)) - {type(None)}
    if not kinds:
        return pa.null()
    if kinds == {str}:
        return pa.string()
    if kinds == {bool}:
        return pa.bool_()
    if kinds == {float}:
        return pa.float64()
    if kinds <= {int, float}:
        return _type_of_numbers([value for value in values if type(value) is int], kinds)
    if depth == _DEEPEST:
        raise MixedError
    present = [value for value in values if value is not None]
    if kinds == {list}:
        return pa.list_(type_of([value for inner in present for value in inner], depth + 1))
    if kinds == {dict} and (keys := present[0].keys()) and all(v.keys() == keys for v in present):
        return pa.struct([(k, type_of([value[k] for value in present], depth + 1)) for k in keys])
    raise MixedError


def _type_of_numbers(whole: Sequence[int], kinds: set[type]) -> pa.DataType:
    low, high = min(whole), max(whole)
    if low >= -_SAFE and high <= _SAFE:
        return WHOLE if kinds == {int} else pa.float64()
    if kinds == {int} and low >= -(2**63) and high < 2**63:
        return pa.int64()
    raise MixedError


def unify(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    """The type that holds every value of both, unchanged. Raises MixedError where there is none."""
    if one == other or _IS.is_null(other):
        return one
    if _IS.is_null(one):
        return other
    if JSON in (one, other):
        return JSON
    if _is_number(one) and _is_number(other):
        return _unified_numbers(one, other)
    if _is_list(one) and _is_list(other):
        made = pa.large_list if _IS.is_large_list(one) or _IS.is_large_list(other) else pa.list_
        return made(unify(one.value_type, other.value_type))
    if _IS.is_struct(one) and _IS.is_struct(other):
        types = {field.name: field.type for field in other}
        if {field.name for field in one} == types.keys():
            return pa.struct([(field.name, unify(field.type, types[field.name])) for field in one])
    if _IS.is_decimal(one) and _IS.is_decimal(other) and one.scale == other.scale:
        return max(one, other, key=lambda kind: kind.precision)
    for small, large in ((pa.string(), pa.large_string()), (pa.binary(), pa.large_binary())):
        if {one, other} == {small, large}:
            return large
    raise MixedError


def _is_list(kind: pa.DataType) -> bool:
    return bool(_IS.is_list(kind) or _IS.is_large_list(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(kind == WHOLE or _IS.is_integer(kind) or _IS.is_floating(kind))


def _unified_numbers(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    """Of two types that differ, the smallest that holds both."""
    both = (one, other)
    if all(map(_IS.is_floating, both)):
        return max(both, key=lambda kind: kind.bit_width)
    if any(kind in (pa.int64(), pa.uint64()) for kind in both):
        narrow = all(kind == WHOLE or _IS.is_integer(kind) for kind in both)
        signed = pa.uint64() not in both
        if narrow and (signed or all(map(_IS.is_unsigned_integer, both))):
            return pa.int64() if signed else pa.uint64()
        raise MixedError
    if any(map(_IS.is_floating, both)):
        return pa.float64()
    if WHOLE in both:
        return WHOLE
    if all(map(_IS.is_unsigned_integer, both)):
        return max(both, key=lambda kind: kind.bit_width)
    bits = max(kind.bit_width << _IS.is_unsigned_integer(kind) for kind in both)
    return pa.type_for_alias(f"int{bits}")


def fitted(cells: pa.Array, kind: pa.DataType) -> pa.Array:
    """Cells of a column as those of a type that their own was unified to."""
    if kind == JSON:
        return _texts(cells)
    stored = plain_type(kind)
    if cells.type == stored:
        return cells
    try:
        return cells.cast(stored)
    except (pa.ArrowNotImplementedError, pa.ArrowTypeError, pa.ArrowInvalid):
        return pa.array(cells.to_pylist(), stored)  # objects whose keys stand in another order


def column_of(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """JSON values as a column of their type."""
    if kind == JSON:
        return pa.array([None if v is None else json_text(v) for v in values], pa.string())
    return pa.array(values, plain_type(kind))


def plain(cells: pa.Array) -> pa.Array:
    """Cells as they stand in files; those of a type that Parquet lacks as their text.

    Raises ArrowInvalid for a moment that is beyond what Parquet holds.
    """
    if isinstance(cells, pa.ExtensionArray):
        cells = cells.storage
    try:
        kind = plain_type(cells.type)
        if cells.type == kind:
            return cells
        # Taken, since null lists that were of a fixed length are not empty, which some refuse.
        return cells.cast(kind).take(pa.array(range(len(cells)), pa.int64()))
    except (MixedError, pa.ArrowNotImplementedError, pa.ArrowTypeError):
        return _texts(cells)


def json_text(value: Any) -> str:
    """JSON; what it has no word for as text, bytes in base64. Numbers keep their digits."""
    return json.dumps(value, default=said, ensure_ascii=False, separators=(",", ":"))


def said(value: Any) -> str:
    """What JSON has no word for, as text."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def _texts(cells: pa.Array) -> pa.Array:
    with suppress(MixedError, pa.ArrowNotImplementedError, pa.ArrowTypeError):
        kind = _each(cells.type, _spoken_leaf)
        cells = cells if kind == cells.type else cells.cast(kind)
    try:
        values = cells.to_pylist()
    except (ValueError, OverflowError):  # two keys of one name, a length of time beyond Python's
        values = [str(cell) if cell.is_valid else None for cell in cells]
    return column_of(values, JSON)


def _spoken_leaf(kind: pa.DataType) -> pa.DataType:
    """A moment as its text: Python has no word for some, and several for others."""
    moment = _IS.is_timestamp(kind) or _IS.is_date(kind) or _IS.is_time(kind)
    return pa.string() if moment else _plain_leaf(kind)


def one_array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A column as one array."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    return pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column
