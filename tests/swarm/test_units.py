"""Units: tasks, or sources with their tasks in fixed ratios; and the law that gives them shares."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartx.errors import InputError
from smartx.swarm.units import Units, called, units_of
from smartx.weights import Ground

TASKS = (("a", "qa"), ("a", "sum"), ("b", "qa"), ("c", "x"))


def test_tasks_of_one_name_are_told_apart_by_their_source():
    assert called(TASKS) == ["a/qa", "sum", "b/qa", "x"]


def test_a_sources_tasks_keep_their_ratios():
    units = units_of(TASKS, np.array([30, 10, 60, 0]), "source")
    assert units.names == ("a", "b", "c")
    assert units.spread(np.array([0.8, 0.2, 0.0])) == pytest.approx([0.6, 0.2, 0.2, 0])
    assert units.gathered(np.array([30, 10, 60, 0])).tolist() == [40, 60, 0]


def test_a_unit_may_have_as_much_as_its_scarcest_task_allows():
    units = units_of(TASKS, np.array([30, 10, 60, 0]), "source")
    assert units.most(np.array([300, 20, 100, 50])).tolist() == [80, 100, 0]
    tasks = units_of(TASKS, np.array([30, 10, 60, 0]), "task")
    assert tasks.most(np.array([300, 20, 100, 50])).tolist() == [300, 20, 100, 50]


def test_what_swarm_json_says_of_units_is_read_back():
    units = units_of(TASKS, np.array([30, 10, 60, 5]), "source")
    found = Units.of_facts(units.facts())
    assert (found.tasks, found.names) == (units.tasks, units.names)
    assert np.array_equal(found.of_task, units.of_task)
    assert np.array_equal(found.inside, units.inside)


names = st.text(st.sampled_from("ab*?[]!-/ "), min_size=1, max_size=4)


@given(
    st.lists(st.tuples(st.sampled_from(["s", "t*"]), names), min_size=2, max_size=6, unique=True)
)
def test_the_law_gives_each_task_just_its_share_whatever_it_is_called(tasks):
    """Or says that names cannot be told apart."""
    tasks = tuple(sorted(tasks))
    amounts = np.arange(1.0, len(tasks) + 1)
    shares = amounts / amounts.sum()
    try:
        law = units_of(tasks, amounts, "task").law(shares)
    except InputError:  # a task is called as the source and name of another
        assert {name for _, name in tasks} & {f"{source}/{name}" for source, name in tasks}
        return
    rows = np.full(len(tasks), 7)
    ground = Ground(tasks, np.arange(len(tasks)) * 7, rows, None, 0)
    found = law.shares(ground, 100)
    assert found.order.tolist() == list(range(len(tasks)))
    assert found.weights == pytest.approx(shares)


def test_one_source_cannot_be_varied():
    with pytest.raises(InputError, match="1 sources have rows"):
        units_of((("a", "x"), ("a", "y")), np.array([3, 4]), "source")
