from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from q12_reference import SCALE, quantized_row
from smartx.engine import as_rows, other_scale, quantize, sum_rows
from smartx.engine.fixed_point import q12_norms2
from smartx.errors import InputError

finite = st.floats(allow_nan=False, allow_infinity=False, width=64)
float_rows = st.lists(finite, min_size=1, max_size=40).filter(any)


@given(float_rows)
def test_a_row_is_quantised_by_the_letter_of_the_format(row: list[float]) -> None:
    assert quantize(np.array([row])).tolist() == [quantized_row(row)]


@given(float_rows)
def test_no_row_is_longer_than_the_bound(row: list[float]) -> None:
    q = quantize(np.array([row])).astype(np.int64)
    assert 0 < (q * q).sum() <= 2**24


@given(float_rows.filter(lambda row: max(map(abs, row)) < 1e290), st.integers(0, 30))
def test_powers_of_two_do_not_change_a_row(row: list[float], power: int) -> None:
    small = max(abs(v) for v in row if v) < 1e-290
    values = np.array([row]) * (2.0**300 if small else 1.0)
    assert np.array_equal(quantize(values * 2.0**power), quantize(values))


@pytest.mark.parametrize("d", [768, 1024, 3010, 4096])
def test_rows_of_equal_values_take_the_truncation_path(d: int) -> None:
    """Rounding would carry these past 2**24."""
    exact = SCALE / np.sqrt(d)
    rounded = np.rint(exact)
    q = quantize(np.ones((1, d), dtype=np.float32)).astype(np.int64)
    assert (q * q).sum() <= 2**24
    assert q[0, 0] == (rounded if rounded**2 * d <= 2**24 else np.trunc(exact))


def test_the_all_ones_row_of_768_is_truncated() -> None:
    assert 148 * 148 * 768 > 2**24  # what rounding would give
    assert np.unique(quantize(np.ones((1, 768)))).tolist() == [147]


@pytest.mark.parametrize("magnitude", [5e-324, 1e-310, 1e-200, 1e-30, 1e30, 1e200, 1.7e308])
def test_magnitudes_of_any_size_neither_overflow_nor_vanish(magnitude: float) -> None:
    values = np.array([[1.0, -1.0, 0.0, 1.0]])
    assert np.array_equal(quantize(values * magnitude), quantize(values))


@pytest.mark.parametrize("magnitude", [1e-45, 1e-38, 1e-30, 1e30, 3e38])
def test_float32_magnitudes_of_any_size_work(magnitude: float) -> None:
    values = np.array([[1.0, -1.0]], dtype=np.float32)
    assert np.array_equal(quantize(values * np.float32(magnitude)), quantize(values))


def test_float32_and_float64_of_equal_values_agree() -> None:
    values = np.random.default_rng(0).normal(size=(200, 37)).astype(np.float32)
    assert np.array_equal(quantize(values), quantize(values.astype(np.float64)))


def test_any_number_of_threads_gives_the_same_rows() -> None:
    values = np.random.default_rng(1).normal(size=(1000, 33))
    assert all(np.array_equal(quantize(values, threads=t), quantize(values)) for t in (2, 3, 8))


def test_memory_order_and_byte_order_do_not_matter() -> None:
    values = np.random.default_rng(2).normal(size=(50, 20))
    wanted = quantize(values)
    for same in (np.asfortranarray(values), values[::-1].copy()[::-1], values.astype(">f8")):
        assert np.array_equal(quantize(same), wanted)
        assert quantize(same).flags.c_contiguous


def test_q12_rows_pass_through_as_rows_untouched() -> None:
    rows = quantize(np.random.default_rng(3).normal(size=(20, 8)))
    assert as_rows(rows) is rows


def test_as_rows_quantises_floats() -> None:
    values = np.random.default_rng(4).normal(size=(20, 8))
    assert np.array_equal(as_rows(values), quantize(values))


def test_quantising_q12_rows_again_moves_no_value_by_more_than_the_length_was_off() -> None:
    """It is not idempotent: a Q12 row is near, not at, length 0.998 * 4096."""
    rows = quantize(np.random.default_rng(5).normal(size=(200, 64)))
    again = quantize(rows.astype(np.float64))
    assert np.abs(again.astype(int) - rows).max() <= 1
    assert (again != rows).mean() < 0.1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_row_that_is_not_finite_is_named(bad: float, kind: type) -> None:
    values = np.ones((30, 9), dtype=kind)
    values[17, 8] = bad
    with pytest.raises(InputError, match="row 17 is not finite"):
        quantize(values)


def test_rows_without_length_are_named_and_counted() -> None:
    values = np.ones((30, 9))
    values[[3, 9]] = 0.0
    with pytest.raises(InputError, match=r"rows 3, 9 have zero length \(2 in all\)"):
        quantize(values)
    values[10:] = 0.0
    with pytest.raises(InputError, match=r"rows 3, 9, 10, 11, 12, \.\.\. .*\(22 in all\)"):
        quantize(values)


def test_int16_rows_that_are_too_long_are_named() -> None:
    rows = quantize(np.ones((4, 2)))
    assert as_rows(rows) is rows
    rows[2] = 4096
    with pytest.raises(InputError, match="row 2 is longer"):
        as_rows(rows, name="vectors")


def rounded_alike(d: int, whole: int, part: float) -> np.ndarray:
    """A unit row of whose values as many as there is room for are `whole + part` in Q12 units."""
    value = (whole + part) / SCALE
    count = min(d, int(1.0 / value**2))
    return np.r_[np.full(count, value), math.sqrt(max(0.0, 1.0 - count * value**2))]


# Values whose rounding errors add up: all of a row rounded the same way.
awkward = st.one_of(
    st.builds(lambda d: np.ones(d), st.integers(1, 9_000)),
    st.builds(
        rounded_alike,
        st.integers(1, 9_000),
        st.integers(0, 40),
        st.sampled_from([0.49, 0.499999, 0.5, 0.500001, 0.51]),
    ),
    st.builds(
        lambda d, seed: np.random.default_rng(seed).normal(size=d) ** 3,
        st.integers(1, 9_000),
        st.integers(0, 99),
    ),
    float_rows.map(np.array),
)


@given(awkward)
def test_whatever_quantize_gives_has_the_length_of_q12(row: np.ndarray) -> None:
    rows = quantize(row[np.newaxis])
    low, high = q12_norms2(len(row))
    assert low <= int((rows.astype(np.int64) ** 2).sum()) <= high
    assert as_rows(rows) is rows


@pytest.mark.parametrize("d", range(1, 400))
def test_the_bounds_are_no_wider_than_rounding_makes_them(d: int) -> None:
    low, high = q12_norms2(d)
    assert math.sqrt(low) >= SCALE - math.sqrt(d) - 1e-3
    assert math.sqrt(high) <= min(4096.0, SCALE + math.sqrt(d) / 2 + 1e-3)


@pytest.mark.parametrize("scale", [3, 127, 1_000, 3_900, 4_200, 32_767])
@pytest.mark.parametrize("d", [3, 16, 384, 1_024])
def test_int16_of_another_scale_is_refused_with_the_way_out(scale: int, d: int) -> None:
    unit = np.random.default_rng(d).normal(size=(9, d))
    length = np.abs(unit).max if scale == 3 else partial(np.linalg.norm, unit)
    rows = np.round(unit / length(axis=1, keepdims=True) * scale).astype(np.int16)
    assert other_scale(rows).all()
    with pytest.raises(InputError, match=r"another scale|longer") as caught:
        as_rows(rows)
    assert "smartx.quantize" in caught.value.fix


def test_one_row_of_another_scale_is_named() -> None:
    rows = quantize(np.random.default_rng(0).normal(size=(2_000, 16)))
    assert not other_scale(rows).any()
    rows[1_234] //= 2
    with pytest.raises(InputError, match="row 1234 has not the length of Q12"):
        as_rows(rows)


def test_a_symmetric_matrix_is_not_taken_for_rows() -> None:
    X = np.random.default_rng(0).normal(size=(20, 20))
    assert np.array_equal(as_rows(X), quantize(X))
    for kernel in (X @ X.T, np.eye(20), (X @ X.T).astype(np.float32)):
        kernel = np.tril(kernel) + np.tril(kernel, -1).T
        with pytest.raises(InputError, match="symmetric") as caught:
            as_rows(kernel)
        assert "DenseKernel" in caught.value.fix
        assert np.array_equal(as_rows(quantize(kernel)), quantize(kernel))  # said to be rows
    assert len(as_rows(np.ones((1, 1)))) == 1


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_tensors_of_torch_are_rows(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    X = torch.arange(12.0).reshape(3, 4).to(getattr(torch, dtype)).requires_grad_(True)
    assert np.array_equal(quantize(X), quantize(np.arange(12.0).reshape(3, 4)))
    assert np.array_equal(as_rows(X), quantize(X))


def test_the_longest_int16_row_is_refused_not_wrapped() -> None:
    with pytest.raises(InputError, match="row 0 is longer"):
        as_rows(np.full((1, 4096), -32768, dtype=np.int16))


@pytest.mark.parametrize(
    "values",
    [
        np.ones((3, 4), dtype=np.int64),
        np.ones((3, 4), dtype=np.int32),
        np.ones(4),
        np.ones((1, 2, 3)),
        np.ones((0, 4)),
        np.ones((4, 0)),
        np.array([["a", "b"]]),
        np.array([[None, 1.0]], dtype=object),
        np.ones((2, 2), dtype=complex),
        np.ones((1, 70_000)),
    ],
)
def test_what_is_no_matrix_of_floats_is_refused(values: np.ndarray) -> None:
    with pytest.raises(InputError, match="X: "):
        quantize(values)
    with pytest.raises(InputError, match="mine: "):
        as_rows(values, name="mine")


@given(st.integers(1, 5), st.integers(0, 50))
def test_sums_of_rows_are_exact(d: int, n: int) -> None:
    rows = np.random.default_rng(n).integers(-32768, 32768, (n, d)).astype(np.int16)
    assert sum_rows(rows).tolist() == rows.astype(np.int64).sum(axis=0).tolist()


def test_sums_of_many_equal_rows_do_not_wrap() -> None:
    rows = np.full((70_000, 2), [32767, -32768], dtype=np.int16)
    assert sum_rows(rows).tolist() == [70_000 * 32767, -70_000 * 32768]


@pytest.mark.corpus
def test_the_stored_vectors_of_the_real_corpus_are_q12(real_data: Path) -> None:
    rows = np.load(real_data / "t0_minilm_q12.npy")
    assert as_rows(rows) is rows
