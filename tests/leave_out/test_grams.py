"""N-grams of evaluation texts met by rows, against sets of tuples of words."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from smartx.leave_out.grams import GramIndex
from smartx.leave_out.words import PROSE, words_of

TEXT = st.lists(st.sampled_from("abcd"), max_size=14).map(tuple)


def words(texts):
    prompts = pa.array([" ".join(text) for text in texts], pa.large_string())
    return words_of(prompts, pa.array([""] * len(texts), pa.large_string()), PROSE)


def runs(text, n):
    return [text[i : i + n] for i in range(len(text) - n + 1)]


def under(places, n):
    return len({place + i for place in places for i in range(n)})


def by_hand(texts, rows, n, least, common, share):
    lengths = [n if len(t) >= n else len(t) if len(t) >= min(least, n) else 0 for t in texts]
    hits = []
    for number, (text, length) in enumerate(zip(texts, lengths, strict=True)):
        if not length:
            continue
        held = [
            {*runs(t, length)} for t, other in zip(texts, lengths, strict=True) if other == length
        ]
        own = [
            i for i, run in enumerate(runs(text, length)) if sum(run in h for h in held) <= common
        ]
        for row, words_of_row in enumerate(rows):
            there = {*runs(words_of_row, length)}
            met = [i for i in own if runs(text, length)[i] in there]
            if met and under(met, length) / under(own, length) >= share:
                hits.append((row, number, under(met, length) / under(own, length)))
    return sorted(hits)


@given(
    st.lists(TEXT, max_size=8, unique=True),
    st.lists(TEXT, max_size=8),
    st.integers(2, 5),
    st.integers(1, 5),
    st.integers(1, 3),
    st.sampled_from([0.01, 0.3, 0.5, 1.0]),
)
def test_hits_and_scores_are_those_of_sets_of_tuples(texts, rows, n, least, common, share):
    index = GramIndex(words(texts), n=n, least=least, common=common, share=share)
    found = index.hits(words(rows))
    pairs = zip(found.rows.tolist(), found.texts.tolist(), found.scores.tolist(), strict=True)
    assert list(pairs) == by_hand(texts, rows, n, least, common, share)


def test_what_many_texts_say_is_nobodys_own_and_is_counted():
    start = tuple("abcabc")
    texts = [(*start, f"x{i}", f"y{i}", f"z{i}") for i in range(5)]
    rows = [start, texts[3]]
    index = GramIndex(words(texts), n=3, least=3, common=4, share=0.5)
    found = index.hits(words(rows))
    assert found.rows.tolist() == [1]
    assert found.texts.tolist() == [3]
    all_own = GramIndex(words(texts), n=3, least=3, common=5, share=0.5).hits(words(rows))
    assert all_own.rows.tolist() == [0] * 5 + [1] * 5
    same = GramIndex(words([*texts, start, ("a",)]), n=3, least=3, common=4, share=0.5)
    assert (same.without, same.short) == (1, 1)


def test_the_filter_lets_every_ngram_through(monkeypatch):
    """With the smallest table most n-grams share a place in it."""
    rng = np.random.default_rng(0)
    texts = [tuple(f"w{i}" for i in rng.integers(400, size=30)) for _ in range(300)]
    expected = GramIndex(words(texts), n=4, least=4, common=10, share=0.5).hits(words(texts))
    monkeypatch.setattr("smartx.leave_out.grams._FILTER_BITS", (4, 4))
    found = GramIndex(words(texts), n=4, least=4, common=10, share=0.5).hits(words(texts))
    assert found.texts.tolist() == expected.texts.tolist()
    assert (found.rows == found.texts).sum() == 300
