"""Texts as words, against regular expressions over the plain text."""

from __future__ import annotations

import re
import string

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartx.leave_out.words import PROSE, STRICT, Words, plain, words_of

TEXTS = st.lists(
    st.tuples(
        *[st.text(st.sampled_from(string.ascii_letters[:4] + "19 \n.+(é漢🙂"), max_size=30)] * 2
    ),
    max_size=6,
)
OTHERS = "[^\x00-\x7f]"
CUTS = [(PROSE, f"[a-z0-9]|{OTHERS}"), (STRICT, rf"[^\s.,;:!?'\"`]|{OTHERS}")]


def words_by_hand(text, inside):
    """The words of a text that has been made `plain`, lower case."""
    return re.findall(f"(?:{inside})+", text.lower())


def made(pairs, cut):
    prompts, responses = (
        plain(pa.array([pair[i] for pair in pairs], pa.large_string())) for i in (0, 1)
    )
    return words_of(prompts, responses, cut), prompts.to_pylist(), responses.to_pylist()


@pytest.mark.parametrize(("cut", "inside"), CUTS, ids=["prose", "strict"])
@given(pairs=TEXTS)
def test_words_are_those_of_the_pattern_and_equal_where_their_texts_are(cut, inside, pairs):
    words, prompts, responses = made(pairs, cut)
    by_hand = [
        [words_by_hand(text, inside) for text in pair]
        for pair in zip(prompts, responses, strict=True)
    ]
    assert words.counts.tolist() == [len(p) + len(r) for p, r in by_hand]
    assert words.asked.tolist() == [len(p) for p, _ in by_hand]
    flat = [word for p, r in by_hand for word in (*p, *r)]
    assert len({*zip(flat, words.hashes.tolist(), strict=True)}) == len({*flat})
    assert len({*words.hashes.tolist()}) == len({*flat})


@pytest.mark.parametrize("n", [1, 2, 3, 5])
@given(pairs=TEXTS)
def test_grams_are_runs_of_words_inside_of_texts(n, pairs):
    words, prompts, responses = made(pairs, PROSE)
    texts = [
        [*words_by_hand(p, CUTS[0][1]), *words_by_hand(r, CUTS[0][1])]
        for p, r in zip(prompts, responses, strict=True)
    ]
    runs = [tuple(own[i : i + n]) for own in texts for i in range(len(own) - n + 1)]
    hashes, places = words.grams(n)
    assert len(hashes) == len(runs)
    assert len({*zip(runs, hashes.tolist(), strict=True)}) == len({*runs})
    assert len({*hashes.tolist()}) == len({*runs})
    inside = [
        i
        for own, end in zip(texts, words.ends, strict=False)
        for i in range(end, end + len(own) - n + 1)
    ]
    assert places.tolist() == inside


@given(pairs=TEXTS)
def test_texts_have_one_hash_where_their_words_are_the_same(pairs):
    words, prompts, responses = made(pairs, PROSE)
    found = words.texts()
    of_prompt = [tuple(words_by_hand(p, CUTS[0][1])) for p in prompts]
    of_both = [
        (*a, *words_by_hand(r, CUTS[0][1])) for a, r in zip(of_prompt, responses, strict=True)
    ]
    every = [*of_prompt, *of_both]
    hashes = [*found[:, 0].tolist(), *found[:, 1].tolist()]
    assert len({*zip(every, hashes, strict=True)}) == len({*every}) == len({*hashes})
    assert all((own == ()) == (value == 0) for own, value in zip(every, hashes, strict=True))


def test_parts_joined_and_taken_are_the_texts_that_they_were():
    pairs = [("one two", "three"), ("", ""), ("four", "five six seven"), ("eight", "")]
    whole = made(pairs, PROSE)[0]
    parts = Words.joined([made(pairs[:1], PROSE)[0], made(pairs[1:], PROSE)[0]])
    assert parts.hashes.tolist() == whole.hashes.tolist()
    taken = whole.take(np.array([2, 1, 0]))
    again = made([pairs[2], pairs[1], pairs[0]], PROSE)[0]
    for name in ("hashes", "ends", "asked"):
        assert getattr(taken, name).tolist() == getattr(again, name).tolist()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is  the CAPITAL\nof France?", "what is the capital of france"),
        ("“Twenty – thirty”", '"twenty - thirty"'),
        ("Straße", "STRASSE"),
        ("ﬁnd Å", "find Å"),
        ("東京は", "東 京 は"),
        ("so🙂so🙂🙂", "so 🙂 so 🙂 🙂"),
    ],
)
def test_case_form_and_punctuation_do_not_count(one, other):
    hashes = made([(one, ""), (other, "")], PROSE)[0].texts()
    assert hashes[0, 0] == hashes[1, 0] != 0


@pytest.mark.parametrize(
    ("one", "other"),
    [("3 + 4", "3 * 4"), ("(a) b", "a (b)"), ("🙂", "🙃"), ("1.5", "15"), ("not", "hot")],
)
def test_what_tells_texts_apart_stays(one, other):
    hashes = made([(one, ""), (other, "")], STRICT)[0].texts()
    assert hashes[0, 0] != hashes[1, 0]


def test_long_words_differ_wherever_they_differ():
    base = "abcdefghijklmnopqrstuvwxyz"
    others = [base[:i] + "0" + base[i + 1 :] for i in range(len(base))]
    words = made([(text, "") for text in (base, *others, base[:-1], base + "a")], PROSE)[0]
    assert len({*words.hashes.tolist()}) == len(others) + 3
