"""When an answer counts as the response, and how much two texts overlap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartx.augment.matching import MATCHES
from smartx.augment.overlap import longest_common, overlaps, words_of


@pytest.mark.parametrize(
    ("judge", "answer", "reference", "same"),
    [
        ("exact", " The Beatles! ", "beatles", True),
        ("exact", "a cat, a dog", "cat dog", True),
        ("exact", "another", "other", False),
        ("exact", "yes", "no", False),
        ("exact", "", "x", False),
        ("number", "so 3 + 4 = 7", "It is 3 and 4.\n#### 7", True),
        ("number", "$1,250.50", "1250.5", True),
        ("number", "-3", "3", False),
        ("number", "none at all", "7", False),
        ("number", "Yes.", "yes", True),
    ],
)
def test_an_answer_is_the_response(judge, answer, reference, same):
    assert MATCHES[judge](answer, reference) is same


def by_table(one, other):
    """The usual table of the longest common subsequence."""
    table = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i, word in enumerate(one):
        for j, met in enumerate(other):
            best = max(table[i][j + 1], table[i + 1][j])
            table[i + 1][j + 1] = table[i][j] + 1 if word == met else best
    return table[-1][-1]


texts = st.lists(st.sampled_from("abcd"), max_size=90)


@given(texts, texts)
def test_the_longest_common_subsequence_is_that_of_the_table(one, other):
    assert longest_common(one, other) == by_table(one, other)


@given(texts, texts, st.sampled_from([0.5, 0.75, 0.95]))
def test_overlap_is_f1_of_the_longest_common_subsequence(one, other, threshold):
    total = len(one) + len(other)
    score = 2 * by_table(one, other) / total if one and other else 0.0
    if abs(score - threshold) > 1e-9:
        assert overlaps(one, other, threshold) == (score > threshold)


def test_words_have_no_case_and_no_punctuation():
    assert words_of("Wer, wenn nicht Ömer?") == ("wer", "wenn", "nicht", "ömer")
