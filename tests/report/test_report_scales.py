"""Round numbers on axes, each against what the words themselves say."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartx.report.scales import even_ticks, log_ticks


@pytest.mark.parametrize(
    ("low", "high", "more", "wanted"),
    [
        (-0.0251, 0.0123, {"times": 1000, "sign": "+"}, ["-20", "-10", "+0", "+10"]),
        (0.0, 0.57, {"times": 100, "after": " %"}, ["0 %", "20 %", "40 %"]),
        (0.0, 0.023, {"times": 100, "after": " %"}, ["0.0 %", "0.5 %", "1.0 %", "1.5 %", "2.0 %"]),
        (0.70, 0.795, {}, ["0.70", "0.72", "0.74", "0.76", "0.78"]),
        (3.0, 3.0, {}, []),
    ],
)
def test_even_ticks_stand_at_round_numbers(low, high, more, wanted):
    ticks = even_ticks(low, high, **more)
    assert [words for _, words in ticks] == wanted
    for at, words in ticks:
        number = float(words.removesuffix(" %"))
        assert (low + at * (high - low)) * more.get("times", 1) == pytest.approx(number, abs=1e-6)


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.sampled_from([1, 100, 1000]))
def test_even_ticks_are_few_differ_and_lie_where_they_say(low, wide, times):
    high = low + wide
    if not high > low or wide < abs(low) * 1e-9:
        return
    ticks = even_ticks(low, high, times=times)
    words = [text for _, text in ticks]
    assert len(set(words)) == len(words) <= 6
    for at, text in ticks:
        assert -1e-6 <= at <= 1 + 1e-6
        assert float(text) == pytest.approx(times * (low + at * wide), abs=1e-3 * times * wide)
        assert re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text)


@given(st.integers(1, 10**6), st.integers(1, 10**9), st.sampled_from([0, 1]))
def test_log_ticks_lie_at_the_logarithms_of_what_they_say(low, more, above):
    high = low + more
    for at, text in log_ticks(low, high, above=above):
        value = int(text.replace(",", ""))
        assert low <= value <= high
        assert str(value).rstrip("0") in ("1", "2", "5")
        wanted = math.log((value + above) / (low + above)) / math.log(
            (high + above) / (low + above)
        )
        assert at == pytest.approx(wanted, abs=1e-9)


def test_a_narrow_log_scale_has_twos_and_fives_and_a_wide_one_has_not():
    assert [text for _, text in log_ticks(2, 80)] == ["2", "5", "10", "20", "50"]
    assert [text for _, text in log_ticks(3, 5_000)] == ["10", "100", "1,000"]
    assert [text for _, text in log_ticks(0, 12, above=1)] == ["1", "2", "5", "10"]
    assert log_ticks(7, 7) == []
