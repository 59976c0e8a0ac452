"""The type of several columns together holds every value of each, and no accident decides it."""

from __future__ import annotations

import datetime
import json
import math
from decimal import Decimal
from functools import reduce
from importlib.util import find_spec
from itertools import permutations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartx.corpus.arrow_types import (
    JSON,
    WHOLE,
    MixedError,
    column_of,
    fitted,
    plain,
    plain_type,
    type_of,
    unify,
)

numbers = st.integers(-(2**63), 2**63 - 1) | st.integers(-9, 9) | st.integers(2**63, 2**70)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | st.floats(-9, 9) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=5,
)


def together(kinds):
    """The type of columns of these types; JSON where they have none in common."""
    try:
        return reduce(unify, kinds, pa.null())
    except MixedError:
        return JSON


def kind_of(values):
    try:
        return type_of(values)
    except MixedError:
        return JSON


@given(st.lists(json_values, max_size=5), st.lists(json_values, max_size=5))
def test_a_column_of_the_type_of_json_values_holds_every_one(one, other):
    kind = together([kind_of(one), kind_of(other)])
    values = [*one, *other]
    column = column_of(values, kind)
    assert column.type == plain_type(kind)
    found = column.to_pylist()
    if kind == JSON:
        found = [text and json.loads(text) for text in found]
    assert np.all([found == values])


ints = [*("int8", "int16", "int32", "int64"), *("uint8", "uint16", "uint32", "uint64")]
leaves = st.sampled_from(
    [
        pa.null(),
        WHOLE,
        *map(pa.type_for_alias, ints),
        *(pa.float16(), pa.float32(), pa.float64()),
        *(pa.bool_(), pa.string(), pa.large_string(), pa.binary(), pa.large_binary()),
        *(pa.decimal128(5, 2), pa.decimal128(9, 2), pa.decimal256(50, 2), pa.decimal128(5, 3)),
        *(pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.timestamp("ns"), pa.date32()),
    ]
)
kinds = st.recursive(
    leaves,
    lambda inner: (
        inner.map(pa.list_)
        | inner.map(pa.large_list)
        | st.lists(inner, min_size=1, max_size=2).map(
            lambda types: pa.struct([(name, kind) for name, kind in zip("ab", types, strict=False)])
        )
    ),
    max_leaves=3,
)


@given(st.lists(kinds, min_size=2, max_size=4))
def test_the_order_of_columns_does_not_decide_their_type(types):
    found = {str(plain_type(together(order))) for order in permutations(types)}
    assert len(found) == 1
    assert len({together(order) == JSON for order in permutations(types)}) == 1


def example(kind, seed):
    """Two values and a null of a type, at the ends of what it holds."""
    if pa.types.is_struct(kind):
        return pa.StructArray.from_arrays(
            [example(field.type, seed) for field in kind],
            [field.name for field in kind],
            mask=pa.array([False, True, False]),
        )
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        values = example(kind.value_type, seed)
        made = pa.LargeListArray if pa.types.is_large_list(kind) else pa.ListArray
        return made.from_arrays([0, None, 1, 3], values)
    stored = plain_type(kind)
    if kind == WHOLE:
        return pa.array([-(2**53), None, 2**53], stored)
    if pa.types.is_integer(kind):
        ends = np.iinfo(str(kind))
        return pa.array([int(ends.min), None, int(ends.max)], stored)
    if pa.types.is_floating(kind):
        ends = np.finfo(f"float{kind.bit_width}")
        return pa.array(np.array([ends.max, -0.0, ends.tiny], ends.dtype), stored)
    if pa.types.is_decimal(kind):
        most = f"{'9' * kind.precision}e-{kind.scale}"
        return pa.array([Decimal(most), None, Decimal("-" + most)], stored)
    if pa.types.is_temporal(kind):
        whole = pa.int32() if kind == pa.date32() else pa.int64()
        return pa.array([-seed, None, 2**20 + seed], whole).cast(kind)
    values = [True, None, False] if kind == pa.bool_() else ["", None, "ü"]
    return pa.nulls(3) if kind == pa.null() else pa.array(values, stored)


@pytest.mark.skipif(find_spec("pandas") is None, reason="pyarrow gives nanoseconds only with it")
@given(kinds, kinds)
def test_values_that_are_fitted_to_a_common_type_are_unchanged(one, other):
    kind = together([one, other])
    for cells in (example(one, 1), example(other, 2)):
        made = fitted(cells, kind)
        made.validate(full=True)
        assert made.type == plain_type(kind)
        if kind == JSON:
            assert made.is_null() == cells.is_null()
            assert [text and json.loads(text) is not None for text in made.to_pylist()]
        else:
            assert as_numbers(made.to_pylist()) == as_numbers(cells.to_pylist())


def as_numbers(value):
    """Values in which numbers are compared exactly, whatever type they have."""
    if isinstance(value, (list, dict)):
        items = value.values() if isinstance(value, dict) else value
        return [as_numbers(item) for item in items]
    return str(Decimal(value)) if isinstance(value, (int, float)) else value


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (WHOLE, pa.int8(), WHOLE),
        (WHOLE, pa.int64(), pa.int64()),
        (WHOLE, pa.float64(), pa.float64()),  # JSON writes 1 for 1.0
        (pa.int64(), pa.float64(), None),  # a double does not hold all of these
        (pa.uint64(), pa.int8(), None),
        (pa.uint32(), pa.int8(), pa.int64()),
        (pa.int32(), pa.float32(), pa.float64()),
        (pa.timestamp("us"), pa.timestamp("us", "UTC"), None),  # not the same moments
        (pa.struct([("a", WHOLE)]), pa.struct([("b", WHOLE)]), None),  # absent is not null
        (pa.struct([]), pa.struct([("b", WHOLE)]), None),
    ],
)
def test_what_has_a_type_in_common(one, other, both):
    assert together([one, other]) == (JSON if both is None else both)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 2**70, 1e300])
def test_numbers_that_json_lacks_keep_what_they_say_as_text(value):
    (text,) = column_of([{"a": value}], JSON).to_pylist()
    found = json.loads(text)["a"]
    assert found == value or (math.isnan(found) and math.isnan(value))


def test_columns_that_parquet_lacks_become_ones_that_it_has():
    pairs = [[("a", 1), ("b", None)], None, []]
    made = plain(pa.array(pairs, pa.map_(pa.string(), pa.int8())))
    assert made.to_pylist() == [
        pairs[0] and [{"key": k, "value": v} for k, v in pairs[0]], None, []
    ]  # fmt: skip
    assert plain(pa.array(["a", None, "a"]).dictionary_encode()).to_pylist() == ["a", None, "a"]
    pairs = pa.array([[1, 2], None, [3, None]], pa.list_(pa.int8(), 2))
    for cells in (pairs, pairs.slice(1), pa.StructArray.from_arrays([pairs], ["pair"])):
        assert plain(cells).to_pylist() == cells.to_pylist()
    if hasattr(pa, "string_view"):
        assert plain(pa.array(["a", None], pa.string_view())).type == pa.string()
    interval = pa.array([(1, 2, 3), None], pa.month_day_nano_interval())
    assert plain(interval).to_pylist() == ["[1,2,3]", None]
    assert plain(pa.array([{}, None], pa.struct([]))).to_pylist() == ["{}", None]
    twice = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"])
    assert plain(twice).type == pa.string()


def test_moments_become_text_without_pandas(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    cells = pa.array([{"at": 1}], pa.struct([("at", pa.timestamp("ns"))]))
    assert fitted(cells, JSON).to_pylist() == ['{"at":"1970-01-01 00:00:00.000000001"}']
    moment = pa.array([0], pa.timestamp("us", "Asia/Tokyo"))
    assert fitted(moment, JSON).to_pylist() == ['"1970-01-01 09:00:00.000000+0900"']
    day = pa.array([datetime.date(2024, 2, 29)])
    assert fitted(day, JSON).to_pylist() == ['"2024-02-29"']
