"""Gopher's measures against their definitions, written out slowly."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartx.clean.scores import coherence, content_of, similarity
from smartx.clean.texts import quality, repetition, words_of

WORDS = st.sampled_from(["a", "b", "cc", "the", "of", "- d", "#", "e...", "7", "\n", "\n\n", "x\n"])
TEXTS = st.lists(WORDS, min_size=1, max_size=30).map(" ".join).filter(str.strip)


def characters_of_repeated_runs(words, n):
    """From the left, each run of n words that stands somewhere before, without overlap."""
    seen, found, place = [], 0, 0
    while place + n <= len(words):
        run = words[place : place + n]
        if run in seen:
            found += sum(map(len, run))
            place += n
        else:
            seen.append(run)
            place += 1
    return found


@given(TEXTS)
def test_repetition_is_what_its_definition_says(text):
    words = text.split()
    found = repetition(text, words)
    for n in (5, 6, 7, 8, 9, 10):
        slow = characters_of_repeated_runs(words, n) / len(text)
        # Runs are told by their characters, joined: "a b" and "ab" may be one.
        assert found[f"repeated_{n}"] >= slow - 1e-12
    for n in (2, 3, 4):
        runs = [words[i : i + n] for i in range(len(words) - n + 1)]
        most = max((runs.count(run) for run in runs), default=0)
        top = [run for run in runs if runs.count(run) == most]
        wanted = {len(" ".join(run)) * most / len(text) for run in top} or {0.0}
        assert found[f"top_{n}"] in wanted
    lines = re.split("\n+", text)
    again = [line for place, line in enumerate(lines) if line in lines[:place]]
    assert found["lines"] == len(again) / len(lines)
    assert found["line_characters"] == sum(map(len, again)) / len(text)


@given(TEXTS)
def test_quality_is_what_its_definition_says(text):
    words = text.split()
    found = quality(text, words)
    assert found["hashes"] == text.count("#") / len(words)
    assert found["ellipses"] == (text.count("...") + text.count("…")) / len(words)
    with_letters = [word for word in words if any(sign.isalpha() for sign in word)]
    assert found["alphabetic_words"] == len(with_letters) / len(words)
    assert found["stop_words"] == sum(word in words for word in ("the", "of"))
    solid = [word for word in words if any(sign.isalnum() for sign in word)]
    mean = sum(map(len, solid)) / len(solid) if solid else math.nan
    assert found["word_length"] == pytest.approx(mean, nan_ok=True)


def test_repeated_lines_and_paragraphs_by_hand():
    found = repetition("ab\nab\ncd\n\nef\n\nef", ["ab", "ab", "cd", "ef", "ef"])
    assert found["lines"] == 2 / 5
    assert found["line_characters"] == 4 / 16
    assert found["paragraphs"] == 1 / 3
    assert found["paragraph_characters"] == 2 / 16


def test_every_character_of_a_script_without_spaces_is_a_word():
    assert words_of("北京 is big") == ["北", "京", "is", "big"]
    assert math.isnan(quality("北京是中国的首都", words_of("北京是中国的首都"))["word_length"])


def test_scores_by_hand():
    assert content_of("The garden, (the) GARDEN! of 北京") == {"garden", "北", "京"}
    assert coherence("A garden grows. The garden sleeps.") == pytest.approx(1 / 2)
    assert math.isnan(coherence("One sentence alone."))
    assert similarity("green garden", "garden walls here") == pytest.approx(1 / math.sqrt(6))
    assert math.isnan(similarity("green garden", "42"))


def test_the_numbers_are_those_of_datatrove():
    theirs = pytest.importorskip("datatrove.pipeline.filters.gopher_repetition_filter")
    text = "the cat sat on the mat\nthe cat sat on the mat\n\nand then it sat there again, the cat"
    words, found = text.split(), None
    found = repetition(text, words)
    for n in (2, 3, 4):
        theirs_n = theirs.find_top_duplicate(theirs.get_n_grams(words, n))
        assert found[f"top_{n}"] == theirs_n / len(text)
    for n in (5, 6):
        assert found[f"repeated_{n}"] == theirs.find_all_duplicate(words, n) / len(text)
