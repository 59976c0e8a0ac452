"""Batches drawn by a policy: rows of a task in turn, the same after a kill and with workers."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from made_mixtures import PAIRS, mixture_of
from smartx.errors import InputError
from smartx.online import MixtureRows, OnlineMixing, TaskBatches, loader_of, mixing_of, tasks_of

TASKS = np.repeat([0, 1, 2], [5, 40, 11])[np.random.default_rng(0).permutation(56)]


def batches(**more):
    mixing = OnlineMixing(["a", "b", "c"], seed=5, lag=more.pop("lag", 0))
    return TaskBatches(mixing, TASKS, **{"batch_rows": 4, "batches_per_turn": 2, **more})


def trained(made, turns, stream=None):
    """So many turns of training whose losses depend on the rows: the rows of each."""
    seen = []
    for _ in range(turns):
        rows = []
        while len(rows) < made.batch_size * made.batches_per_turn:
            try:
                rows += next(stream)
            except (StopIteration, TypeError):
                stream = iter(made)
        seen.append(rows)
        losses = {
            int(t): 1.0 + sum(r for r in rows if TASKS[r] == t) / 99 for t in set(TASKS[rows])
        }
        made.mixing.update_all(losses)
    return seen


def test_a_task_gives_all_its_rows_before_any_again_in_another_order():
    made = batches()
    rows = [row for turn in trained(made, 60) for row in turn]
    for task in range(3):
        own = [row for row in rows if TASKS[row] == task]
        size = int(np.sum(task == TASKS))
        epochs = [own[i : i + size] for i in range(0, len(own) - size + 1, size)]
        assert epochs
        assert all(len(set(epoch)) == size for epoch in epochs)
        if len(epochs) > 1:
            assert epochs[0] != epochs[1]


def test_a_pass_is_whole_turns_and_as_long_as_the_rows():
    made = batches()
    assert len(made) == 14 == sum(1 for _ in _one_pass(made))


def _one_pass(made):
    for place, batch in enumerate(made):
        yield batch
        if place % 2:
            made.mixing.update_all({})


@pytest.mark.parametrize("stopped", [1, 6, 7, 40])
def test_resumed_is_uninterrupted(stopped, tmp_path):
    whole = batches()
    expected = trained(whole, 60)
    first = batches()
    rows = trained(first, stopped)
    first.save(tmp_path / "state.json")
    second = batches()
    second.load(tmp_path / "state.json")
    assert rows + trained(second, 60 - stopped) == expected
    assert second.state() == whole.state()


def test_what_was_fetched_ahead_is_drawn_again_after_a_kill():
    def ahead(made, turns):
        """Trains with two batches fetched ahead, as loaders do, within one pass."""
        stream, waiting, seen = iter(made), [], []
        for _ in range(turns):
            rows = []
            for _ in range(made.batches_per_turn):
                while len(waiting) < 3:
                    waiting.append(next(stream, None))
                rows += waiting.pop(0)
            seen.append(rows)
            made.mixing.update_all({int(TASKS[rows[0]]): float(sum(rows))})
        return seen

    expected = ahead(batches(lag=1), 6)
    first = batches(lag=1)
    rows = ahead(first, 2)
    assert first.batch > first.mixing.turn * first.batches_per_turn
    second = batches(lag=1)
    second.restore(first.state())
    assert rows + ahead(second, 4) == expected


def test_batches_that_a_resumed_trainer_passes_over_are_not_drawn():
    first = batches()
    trained(first, 3)
    second = batches()
    second.restore(first.state())
    second.skipped = 6
    passed = list(zip(range(6), second, strict=False))
    assert len(passed) == 6
    assert second.batch == 6


def test_a_state_of_other_rows_or_batches_is_refused():
    state = batches().state()
    for other in (batches(batch_rows=8), batches(batches_per_turn=1)):
        with pytest.raises(InputError, match="batch"):
            other.restore(state)
    mixing = OnlineMixing(["a", "b", "c"], seed=5)
    with pytest.raises(InputError, match="rows"):
        TaskBatches(mixing, TASKS[::-1], batch_rows=4, batches_per_turn=2).restore(state)


def test_a_turn_that_is_too_far_ahead_or_was_never_ended_is_told():
    made = batches()
    stream = iter(made)
    next(stream), next(stream)
    with pytest.raises(InputError, match="lag"):
        next(stream)
    made.mixing.update_all({})
    next(iter(made))
    made.mixing.update_all({})
    with pytest.raises(InputError, match="update once"):
        made.state()


def test_a_task_without_rows_is_refused():
    with pytest.raises(InputError, match="'d'"):
        TaskBatches(OnlineMixing(["a", "b", "c", "d"], seed=0), TASKS, batch_rows=2)


def test_rows_of_a_mixture_and_their_tasks(tmp_path):
    mixture = mixture_of(PAIRS, tmp_path)
    rows = MixtureRows(mixture.folder)
    mixing = mixing_of(mixture.folder, seed=1, prior="shares")
    table = mixture.to_arrow()
    tasks = tasks_of(mixing, table["source"].to_pylist(), table["task"].to_pylist())
    assert [rows[i]["prompt"] for i in range(len(rows))] == table["prompt"].to_pylist()
    named = [mixing.tasks[task] for task in tasks]
    assert named == table["task"].to_pylist()
    counts = Counter(named)
    assert mixing.probs() == pytest.approx([counts[name] / len(rows) for name in mixing.tasks])
    with pytest.raises(InputError, match="does not have"):
        tasks_of(mixing, None, ["nothing"])


def test_tasks_of_one_name_are_told_apart_by_their_source():
    mixing = OnlineMixing(["one/a", "two/a", "b"], seed=0)
    assert tasks_of(mixing, ["one", "two", "two"], ["a", "a", "b"]).tolist() == [0, 1, 2]


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # of a fork
@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.processes)])
def test_a_loader_with_workers_gives_what_the_sampler_draws(tmp_path, workers):
    pytest.importorskip("torch")
    mixture = mixture_of(PAIRS, tmp_path)
    table = mixture.to_arrow()

    def run(workers):
        mixing = mixing_of(mixture, seed=1, lag=4)
        tasks = tasks_of(mixing, table["source"].to_pylist(), table["task"].to_pylist())
        loader = loader_of(
            mixing, MixtureRows(mixture, ["prompt"]), tasks, batch_rows=2, workers=workers,
            collate=list,
        )  # fmt: skip
        seen = []
        for batch in loader:
            seen.append([row["prompt"] for row in batch])
            mixing.update_all({0: float(len(seen[-1][0])), 1: 2.0})
        return seen

    assert run(workers) == run(0)
    assert len(run(0)) == 10
