"""Draws depend on (seed, stream, index) alone."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from smartx.draws import draws

MASK = (1 << 64) - 1


def splitmix64(value: int) -> int:
    """One output of SplitMix64 (Steele, Lea, Flood 2014) from a state, in plain Python integers."""
    value = (value + 0x9E3779B97F4A7C15) & MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


def reference(seed: int, stream: int, index: int) -> int:
    key = splitmix64(splitmix64(seed & MASK) ^ (stream & MASK))
    return splitmix64((key + index * 0x9E3779B97F4A7C15) & MASK)


def test_the_mixing_function_is_splitmix64():
    assert splitmix64(0) == 0xE220A8397B1DCDAF  # first output of the published generator for seed 0


@given(st.integers(-(2**70), 2**70), st.integers(0, 9), st.integers(0, 2**40))
def test_a_draw_is_the_formula(seed, stream, index):
    assert int(draws(seed, stream, index, index + 1)[0]) == reference(seed, stream, index)


@given(st.integers(0, 1000), st.integers(0, 50), st.integers(0, 50))
def test_a_range_of_draws_is_its_pieces(start, first, second):
    whole = draws(3, 1, start, start + first + second)
    pieces = [draws(3, 1, start, start + first), draws(3, 1, start + first, start + first + second)]
    assert whole.tolist() == np.concatenate(pieces).tolist()


def test_streams_and_seeds_do_not_share_draws():
    taken = [draws(seed, stream, 0, 500) for seed in range(4) for stream in range(4)]
    assert len(set(np.concatenate(taken).tolist())) == 16 * 500


def test_draws_are_spread_evenly():
    """Chi-square over 64 cells of 64,000 draws: 63 degrees of freedom, mean 63, deviation 11."""
    counts = np.bincount((draws(11, 2, 0, 64_000) >> np.uint64(58)).astype(int), minlength=64)
    assert 25 < float(((counts - 1000) ** 2 / 1000).sum()) < 120
