"""How amounts, demands and patterns are written."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartx.amounts import Percent, amount, demands, patterns


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("5000", 5_000), ("5k", 5_000), ("1.5m", 1_500_000), ("2B", 2 * 10**9), (" 7 K ", 7_000),
        ("5,000", 5_000), ("1_000_000", 1_000_000), ("0.5k", 500), (12, 12), (3e3, 3_000),
    ],
)  # fmt: skip
def test_a_number_may_have_a_letter_for_thousands_millions_and_billions(text, number):
    assert amount(text) == number


def test_a_percentage_is_exact():
    assert amount("33.3%") == Percent(Fraction(333, 10))
    assert amount("10%").of(12_345) == Fraction(12_345, 10)


@given(st.integers(1, 10**9), st.integers(0, 6))
def test_a_percentage_is_written_as_it_is_read(number, digits):
    percent = Percent(Fraction(number, 10**digits))
    if percent.of_100 <= 100_000:
        assert amount(str(percent)) == percent


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("0", "at least 1"), ("0%", "above 0"), ("-5", "an amount"), ("ten", "an amount"),
        ("1.5", "a part of a row"), ("0.0001k", "a part of a row"), ("1e3", "an amount"),
        (0.5, "a part of a row"), (True, "an amount"), (None, "an amount"), ("5%k", "an amount"),
        ("100001%", "over"), (str(2**53 + 1), "at most"), ("5,00", "an amount"), ("", "an amount"),
        (float("nan"), "an amount"), ([5], "an amount"),
    ],
)  # fmt: skip
def test_what_is_no_amount_is_refused_in_words(text, word):
    with pytest.raises(ValueError, match=word):
        amount(text)


def test_demands_are_a_mapping_or_texts_whose_names_may_hold_the_sign():
    wanted = {"math": 500, "a=b": Percent(Fraction(5)), "flan/": 0}
    assert demands({"math": 500, "a=b": "5%", "flan/": "0"}) == wanted
    assert demands(["math=500", "a=b=5%", "flan/=0"]) == wanted
    assert demands("math=5k") == {"math": 5_000}
    assert list(demands(["b=1", "a=1"])) == ["b", "a"]


@pytest.mark.parametrize(
    ("given_demands", "word"),
    [
        (["math"], "PATTERN=AMOUNT"),
        (["=5"], "name of a source"),
        (["math=5", "math=6"], "twice"),
        (["math=x"], "math: an amount"),
        ({5: 5}, "name of a source"),
        ([5], "PATTERN=AMOUNT"),
    ],
)
def test_demands_of_another_form_are_refused_in_words(given_demands, word):
    with pytest.raises(ValueError, match=word):
        demands(given_demands)


def test_patterns_are_one_text_or_several():
    assert patterns("toxic*") == patterns(["toxic*"]) == ("toxic*",)
    with pytest.raises(ValueError, match="name of a source"):
        patterns(["a", " "])
