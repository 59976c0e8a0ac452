"""Typical words of clusters of texts, and the names made of them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartx.tasks.words import WordCounts, names_of, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("What is 7 + 15, Anna?", {"what", "is", "anna"}),
        ("snake_case x1 über ÜBER", {"snake", "case", "x1", "über"}),
        ("हिन्दी में लिखो", {"हिन्दी", "में", "लिखो"}),
        ("东京都 ok", {"东京", "京都", "ok"}),
        ("ﬁne", {"fine"}),
        ("a", set()),
        ("", set()),
        ("w" * 25, set()),
    ],
)
def test_words_are_runs_of_letters_in_lower_case(text, words):
    assert words_of(text) == words


def counts_of(clusters):
    counts = WordCounts(len(clusters))
    for cluster, texts in enumerate(clusters):
        counts.add([cluster] * len(texts), texts)
    return counts


def plain_score(clusters, cluster, word):
    """The log odds ratio with its prior over its deviation, one text at a time."""
    has = [[word in words_of(text) for text in texts] for texts in clusters]
    here, total = sum(has[cluster]), sum(map(sum, has))
    n, everywhere = len(has[cluster]), sum(map(len, has))
    prior, whole = 0.5 + 10 * total / everywhere, 11.0
    odds = (here + prior) / (n + whole - here - prior)
    rest = total - here
    others = (rest + prior) / (everywhere - n + whole - rest - prior)
    return math.log(odds / others) / math.sqrt(1 / (here + prior) + 1 / (rest + prior))


CLUSTERS = [
    ["the cat and the film", "the film was long", "a film review of the year", "film the end"],
    ["add the numbers 4 and 5", "the sum of the numbers", "numbers: add them", "the numbers add"],
    ["translate the line", "translate a sentence", "translate into french the word"],
]


def test_words_stand_in_the_order_of_their_scores():
    found = counts_of(CLUSTERS).typical()
    for cluster, words in enumerate(found):
        scores = [plain_score(CLUSTERS, cluster, word) for word in words]
        shared = [sum(word in other for other in found) for word in words]
        assert max(shared) == 1
        assert scores == sorted(scores, reverse=True)
    assert [words[0] for words in found] == ["film", "numbers", "translate"]
    assert found[1][1] == "add"


def test_words_that_all_texts_have_are_typical_of_none():
    assert not any("the" in words for words in counts_of(CLUSTERS).typical())


def test_words_of_a_list_are_left_out_unless_there_are_no_others():
    found = counts_of(CLUSTERS).typical(frozenset({"film"}))
    assert "film" not in found[0]
    only = counts_of([["so so", "so"], ["other words", "words"]]).typical(frozenset({"so"}))
    assert only[0] == ["so"]


def test_a_word_that_is_typical_of_many_clusters_gives_way():
    """Half of the clusters are about films; what each is about besides tells them apart."""
    about = ["whale", "robot", "piano", "train", "ghost"]
    clusters = [[f"movie {word}", f"movie {word} scene"] * 4 for word in about]
    clusters += [[f"sum {n}x", f"sum {n}x plus"] * 4 for n in range(5)]
    found = counts_of(clusters).typical()
    assert [words[0] for words in found[:5]] == about
    assert all("movie" in words for words in found[:5])


def test_languages_need_no_list():
    french = ["quelle est la capitale de la France", "quelle est la monnaie de la Suisse"] * 5
    cooking = ["la recette de la soupe", "la cuisson de la soupe", "la recette de la tarte"] * 5
    found = counts_of([french, cooking]).typical()
    assert found[0][:2] == ["est", "quelle"]
    assert {"la", "de"}.isdisjoint(found[0] + found[1])


words = st.lists(st.sampled_from(["cat", "cats", "dog", "dogma", "sum", "sums", "été"]), max_size=5)


@given(st.lists(st.tuples(words, st.integers(0, 9)), max_size=9))
def test_names_are_different_safe_and_the_same_again(clusters):
    found = [list(dict.fromkeys(words)) for words, _ in clusters]
    rows = [rows for _, rows in clusters]
    names = names_of(found, rows)
    assert len(set(names)) == len(names) == len(clusters)
    assert names == names_of(found, rows)
    for name, words in zip(names, found, strict=True):
        assert name
        assert all(part in words or part.isdigit() or part == "cluster" for part in name.split("-"))


def test_a_name_has_three_words_that_do_not_begin_alike():
    assert names_of([["question", "questions", "answer", "film", "year"]], [5]) == [
        "question-answer-film"
    ]


def test_the_larger_cluster_has_the_first_choice():
    words = ["film", "review", "good", "bad"]
    assert names_of([words, words, words], [3, 9, 3]) == [
        "film-review-bad",
        "film-review-good",
        "film-review-good-2",
    ]


def test_clusters_without_words_are_called_after_their_number():
    assert names_of([[], ["x1"], []], [1, 1, 1]) == ["cluster-1", "x1", "cluster-3"]
