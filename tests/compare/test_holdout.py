"""What is held out is never in a pool, and every task is held out once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartx.compare.holdout import (
    TEMPLATE_QUERIES,
    deal,
    families_of,
    held_templates,
    some_rows,
    split_of,
)
from smartx.corpus.corpus import Groups
from smartx.errors import ConfigError


def groups_of(sizes):
    """{task: [rows of each template]} -> Groups."""
    names = [(task, i, n) for task, rows in sorted(sizes.items()) for i, n in enumerate(rows)]
    rows = np.array([n for _, _, n in names], dtype=np.int64)
    return Groups(
        ["s"] * len(names),
        [task for task, _, _ in names],
        [f"t{i:03}" for _, i, _ in names],
        np.cumsum(rows) - rows,
        rows,
    )


SIZES = st.dictionaries(
    st.sampled_from([f"{word}_{i}" for word in "abcdef" for i in range(3)]),
    st.lists(st.integers(1, 5), min_size=1, max_size=9),
    min_size=1,
)


@given(SIZES, st.integers(1, 5), st.integers(0, 3))
def test_pools_are_without_what_is_held_out_and_every_task_is_held_out_once(sizes, folds, seed):
    groups = groups_of(sizes)
    tasks = groups.tasks()
    split = split_of(groups, folds=folds, seed=seed)
    task_of_group = np.repeat(np.arange(len(tasks)), np.diff(tasks.first_group))
    task_of_row = np.repeat(task_of_group, groups.rows)
    group_of_row = np.repeat(np.arange(len(groups)), groups.rows)
    held = np.concatenate([fold.tasks for fold in split.folds])
    assert sorted(held.tolist()) == (list(range(len(tasks))) if len(split.folds) > 1 else [])
    for fold in split.folds:
        in_pool = fold.groups[group_of_row]
        assert not in_pool[fold.task_rows].any()
        assert not in_pool[fold.template_rows].any()
        assert set(task_of_row[fold.task_rows].tolist()) == set(fold.tasks.tolist())
        assert split.templates[group_of_row[fold.template_rows]].all()
        assert not np.isin(task_of_row[fold.template_rows], fold.tasks).any()
        assert (fold.groups == ~(split.templates | np.isin(task_of_group, fold.tasks))).all()


@given(SIZES, st.integers(0, 3))
def test_a_fifth_of_the_templates_of_tasks_that_have_four(sizes, seed):
    groups = groups_of(sizes)
    held = held_templates(groups.tasks(), seed)
    for _, rows in sorted(sizes.items()):
        own, held = held[: len(rows)], held[len(rows) :]
        wanted = max(1, round(len(rows) / 5)) if len(rows) >= 4 else 0
        assert own.sum() == wanted


def test_which_templates_are_held_out_depends_on_the_seed():
    groups = groups_of({"a": [1] * 20})
    found = {tuple(held_templates(groups.tasks(), seed).tolist()) for seed in range(4)}
    assert len(found) == 4


def test_tasks_whose_names_begin_alike_are_a_family():
    names = ["glue_mrpc", "glue_qqp", "imdb", "task001_a", "task002_a", "wiki-bio", "wiki_qa"]
    found = families_of(groups_of({name: [1] for name in names}).tasks())
    assert found.tolist() == [0, 0, 1, 2, 3, 4, 4]


def test_a_first_word_of_most_tasks_says_nothing():
    names = [f"task_{i}" for i in range(5)] + ["other"]
    found = families_of(groups_of({name: [1] for name in names}).tasks())
    assert len(set(found.tolist())) == 6


@given(st.lists(st.integers(0, 6), min_size=8), st.integers(2, 4), st.integers(0, 3))
def test_families_are_dealt_whole_and_evenly(families, folds, seed):
    numbers = np.unique(families, return_inverse=True)[1].reshape(-1)
    dealt = deal(numbers, folds, seed)
    assert sorted(np.concatenate(dealt).tolist()) == list(range(len(families)))
    for one in range(numbers.max() + 1):
        assert sum((numbers[tasks] == one).any() for tasks in dealt) == 1
    sizes = [len(tasks) for tasks in dealt]
    assert max(sizes) - min(sizes) <= np.bincount(numbers).max()


def test_patterns_name_what_is_held_out():
    groups = groups_of({"glue_a": [2], "glue_b": [2], "imdb": [2]})
    (fold,) = split_of(groups, patterns=["glue_*"]).folds
    assert fold.tasks.tolist() == [0, 1]
    (fold,) = split_of(groups, patterns=["s/imdb"]).folds
    assert fold.tasks.tolist() == [2]
    with pytest.raises(ConfigError, match='no task is named "x\\*"'):
        split_of(groups, patterns=["glue_*", "x*"])
    with pytest.raises(ConfigError, match="all tasks are held out"):
        split_of(groups, patterns=["*"])


@given(st.lists(st.integers(1, 6), min_size=1, max_size=8), st.integers(1, 20), st.integers(1, 4))
def test_rows_are_taken_alike_of_each_run_and_within_bounds(sizes, at_most, each):
    sizes = np.array(sizes)
    starts = np.cumsum(sizes) - sizes
    found = some_rows(starts, sizes, at_most, each, seed=1)
    assert len(set(found.tolist())) == len(found) <= at_most
    counts = np.array(
        [((found >= a) & (found < a + n)).sum() for a, n in zip(starts, sizes, strict=True)]
    )
    if at_most >= len(sizes):
        share = max(1, min(each, at_most // len(sizes)))
        assert (counts == np.minimum(sizes, share)).all()
    else:
        assert counts.max() == 1


def test_very_many_templates_are_looked_at_by_a_row_each_of_some():
    groups = groups_of({f"{i:05}x": [1] * 5 for i in range(TEMPLATE_QUERIES + 10)})
    (fold,) = split_of(groups, patterns=["00000x"]).folds
    assert len(fold.template_rows) == TEMPLATE_QUERIES
