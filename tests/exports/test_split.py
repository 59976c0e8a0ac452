"""Rows that are set aside to validate on."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_mixtures import CHATS, PAIRS, mixture_of
from smartx.amounts import amount
from smartx.errors import InputError
from smartx.exports.rows import Rows
from smartx.exports.split import _drawn, validation_rows

drawn_rows = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2)), min_size=1, max_size=30)


@given(drawn_rows, st.lists(st.integers(0, 5), min_size=3, max_size=3), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_no_task_gives_more_than_its_quota_and_rows_of_a_text_stay_together(rows, quota, seed):
    texts = np.array([text for text, _ in rows], np.uint64)
    task = np.array([which for _, which in rows], np.int64)
    taken = _drawn(texts, task, list(quota), seed)
    given_by = Counter(task[taken].tolist())
    assert all(count <= quota[which] for which, count in given_by.items())
    assert not set(texts[taken].tolist()) & set(texts[~taken].tolist())


@given(drawn_rows, st.integers(0, 9), st.randoms())
@settings(max_examples=40, deadline=None)
def test_what_is_drawn_does_not_depend_on_the_order_of_the_rows(rows, seed, random):
    quota, shuffled = [2, 2, 2], list(range(len(rows)))
    random.shuffle(shuffled)

    def drawn(places):
        texts = np.array([rows[i][0] for i in places], np.uint64)
        task = np.array([rows[i][1] for i in places], np.int64)
        return _drawn(texts, task, list(quota), seed)

    assert drawn(shuffled).tolist() == drawn(range(len(rows)))[shuffled].tolist()


def test_different_texts_fill_the_quota_exactly():
    """Against the plain way: in each task, the texts with the lowest draws."""
    from smartx.draws import VALIDATION, draws_at

    texts, task = np.arange(20, dtype=np.uint64), np.repeat([0, 1], 10)
    taken = _drawn(texts, task, [3, 4], 5)
    draws = draws_at(5, VALIDATION, texts)
    for which, count in ((0, 3), (1, 4)):
        own = np.flatnonzero(task == which)
        assert set(np.flatnonzero(taken & (task == which))) == set(
            own[np.argsort(draws[own])][:count]
        )


@pytest.fixture
def rows(tmp_path):
    return Rows(mixture_of([*PAIRS, *CHATS], tmp_path))


def test_every_task_gives_in_proportion_and_another_seed_draws_others(rows):
    names, task = rows.tasks
    aside = validation_rows(rows, amount("20%"), 0)
    assert aside.sum() == 6
    sizes = np.bincount(task, minlength=len(names))
    share = np.bincount(task[aside], minlength=len(names)) / sizes
    assert (np.abs(share - 0.2) * sizes < 1).all()
    assert (validation_rows(rows, amount("20%"), 0) == aside).all()
    assert (validation_rows(rows, amount("20%"), 1) != aside).any()


def test_equal_prompts_of_several_tasks_are_on_one_side(tmp_path):
    twice = [{**row, "task_name": "copy", "targets": "other"} for row in PAIRS[:8]]
    rows = Rows(mixture_of([*PAIRS, *twice], tmp_path))
    aside = validation_rows(rows, 8, 3)
    prompts = np.array(rows.columns(["prompt"])["prompt"].to_pylist())
    assert 0 < aside.sum() <= 8
    assert not set(prompts[aside]) & set(prompts[~aside])


@pytest.mark.parametrize("asked", ["0.1%", "100%", "28"])
def test_what_cannot_be_set_aside_is_said_with_how_much_can(rows, asked):
    with pytest.raises(InputError, match="1 to 27 can be set aside"):
        validation_rows(rows, amount(asked), 0)
