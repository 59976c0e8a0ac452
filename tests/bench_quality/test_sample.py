"""The draw of the evidence's rows: what is asked is in no pool, and what is wrong is no answer."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sentence_transformers")

from quality.corpora import Rows, folds_of
from quality.sample import HELD, OPTION, OTHER, POOL, Sizes, draw, open_sample
from quality.texts import PROMPT, PROMPT_HEAD, TARGET, Chat, tokens_of

CHAT = Chat((1, 2), (3, 4), 5)


def tokenize(texts):
    return [[10 + ord(letter) for letter in text] for text in texts]


def made(tasks=6, templates=4, rows=12, name="task"):
    keys = [(t, m, r) for t in range(tasks) for m in range(templates) for r in range(rows)]
    return Rows(
        np.arange(len(keys)) * 2,
        [f"{t} {m} asks {r}" for t, m, r in keys],
        [f"answer {(r * 7 + m) % 5}" for t, m, r in keys],
        [f"{name} {t}" for t, _, _ in keys],
        [f"template {m}" for _, m, _ in keys],
        np.random.default_rng(0).integers(-9, 9, (len(keys), 3)).astype(np.int16),
        {"task 0": "both", "task 1": "both"},
    )


SIZES = Sizes(templates=0.5, held=8, ranked=3, options=2, other=5, folds=3)


def test_parts_are_what_they_are_called():
    rows, others = made(), made(2, name="other")
    sample = draw("made", rows, others, SIZES, tokenize, CHAT)
    names, parts = np.array(sample.tasks), sample.parts
    own = {source: row for row, source in enumerate(rows.source.tolist())}
    for task in sorted(set(rows.tasks)):
        pool, held = (np.flatnonzero((names == task) & (parts == p)) for p in (POOL, HELD))
        templates = {sample.templates[row] for row in pool}
        assert len(templates) == 2
        assert len(pool) == 2 * 12
        assert len(held) == 8
        assert not templates & {sample.templates[row] for row in held}
        ranked = [row for row in held if int(row) in sample.options]
        assert len(ranked) == 3
    for option in np.flatnonzero(parts == OPTION):
        held = int(sample.of[option])
        assert parts[held] == HELD
        assert sample.source[option] == sample.source[held]
        answers = {tuple(ids_of(sample, o)[-3:]) for o in [held, *sample.options[held]]}
        assert len(answers) == 1 + len(sample.options[held])
    assert (parts == OTHER).sum() == 2 * 5
    assert sample.folds["task 0"] == sample.folds["task 1"]
    assert set(sample.folds.values()) == {0, 1, 2}
    for row in np.flatnonzero((parts == POOL) | (parts == HELD)):
        vector = rows.vectors[own[int(sample.source[row])]]
        np.testing.assert_array_equal(sample.vectors[row], vector)


def test_a_saved_sample_is_the_same(tmp_path):
    sample = draw("made", made(), made(2, name="other"), SIZES, tokenize, CHAT)
    sample.save(tmp_path)
    again = open_sample(tmp_path)
    assert again.digest == sample.digest
    assert again.facts == sample.facts
    assert (again.tasks, again.templates) == (sample.tasks, sample.templates)
    np.testing.assert_array_equal(again.whole, sample.whole)
    np.testing.assert_array_equal(again.row_folds, sample.row_folds)
    assert draw("made", made(), made(2, name="other"), SIZES, tokenize, CHAT).digest == again.digest


def test_a_small_corpus_still_gives_held_rows():
    sample = draw("made", made(2, 1, 5), None, Sizes(held=2, folds=2), tokenize, CHAT)
    assert (sample.parts == HELD).sum() == 4
    assert (sample.parts == POOL).sum() == 6


def test_long_prompts_lose_their_middle_and_long_answers_their_end():
    prompts, answers = ["a" * 30 + "b" * 100 + "c" * 30, "short"], ["yes", "n" * (TARGET + 1)]
    tokens, whole = tokens_of(prompts, answers, tokenize, CHAT)
    a, b, c = (10 + ord(letter) for letter in "abc")
    first = tokens.ids[: tokens.lengths[0]].tolist()
    tail = PROMPT - PROMPT_HEAD
    assert first[:PROMPT] == [a] * PROMPT_HEAD + [b] * (tail - 30) + [c] * 30
    assert first[PROMPT:] == [3, 4, *tokenize(["yes"])[0], 5]
    assert tokens.targets.tolist() == [4, TARGET]
    assert tokens.ends.tolist() == [True, False]
    assert whole.tolist() == [[160, 3], [5, TARGET + 1]]
    assert tokens.costs(2).sum(axis=1).tolist() == [2 + PROMPT + 2 + 4, 2 + 5 + 2 + TARGET]


def test_folds_are_about_alike():
    assert folds_of({"a": 9, "b": 5, "c": 4, "d": 1}, 2) == {"a": 0, "b": 1, "c": 1, "d": 0}


def ids_of(sample, row):
    start = sample.tokens.starts[row]
    return sample.tokens.ids[start : start + sample.tokens.lengths[row]].tolist()
