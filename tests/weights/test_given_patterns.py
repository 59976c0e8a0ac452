"""Which pattern a task belongs to: many plain names are looked up, and that changes nothing."""

from hypothesis import given
from hypothesis import strategies as st

from smartx.weights.given import _first_fit, _fits

names = st.text(st.sampled_from("ab*?[]/"), max_size=3)


@given(st.lists(names, unique=True, max_size=5), st.lists(st.tuples(names, names), max_size=5))
def test_a_task_belongs_to_the_first_pattern_that_fits_it(patterns, tasks):
    slow = [
        next((place for place, one in enumerate(patterns) if _fits(one, task)), -1)
        for task in tasks
    ]
    assert _first_fit(patterns, tasks).tolist() == slow
