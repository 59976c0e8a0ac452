"""`smartx.SmartSelector` is an estimator of scikit-learn, and chooses what `smartx.select` does."""

from __future__ import annotations

import numpy as np
import pytest

import smartx
from smartx.errors import InputError

pytest.importorskip("sklearn")
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator

from smartx.selector import SmartSelector

rng = np.random.default_rng(3)
X = rng.normal(size=(60, 5))
TASKS = np.array(["a", "b", "c"])[rng.choice(3, size=60, p=[0.6, 0.3, 0.1])]


DO_NOT_APPLY = {
    "check_estimators_dtypes": "numbers cut to whole ones leave a row of zeros: no direction",
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_it_passes_every_check_of_scikit_learn_that_applies():
    """Those for what neither predicts nor transforms; what fails, fails for the reason given."""
    chooser = SmartSelector(budget=2, preset="smart-balanced", n_jobs=1)
    found = check_estimator(chooser, expected_failed_checks=DO_NOT_APPLY, on_fail=None)
    assert len(found) > 30
    assert [one for one in found if one["status"] == "failed"] == []
    failing = {one["check_name"]: str(one["exception"]) for one in found if one["exception"]}
    failing = {name: fault for name, fault in failing.items() if name in DO_NOT_APPLY}
    assert failing.keys() == DO_NOT_APPLY.keys()
    assert "has zero length" in failing["check_estimators_dtypes"]


@pytest.mark.parametrize("preset", ["smart-acl2024", "smart-balanced", "equal", "random"])
def test_it_chooses_what_select_chooses(preset):
    chooser = SmartSelector(budget=12, preset=preset, random_state=4).fit(X, TASKS)
    found = smartx.select(X, tasks=TASKS, budget=12, preset=preset, seed=4)
    assert chooser.indices_.tolist() == found.indices.tolist()
    assert chooser.tasks_.tolist() == ["a", "b", "c"]
    assert chooser.budgets_.sum() == len(chooser.ranks_) == len(chooser.gains_) == 12


def test_a_clone_gives_the_same_rows_of_arrays_lists_and_frames():
    pandas = pytest.importorskip("pandas")
    chooser = SmartSelector(budget="20%")
    rows, tasks = chooser.fit_resample(X, TASKS)
    assert (rows == X[chooser.indices_]).all()
    assert (tasks == TASKS[chooser.indices_]).all()
    assert clone(chooser).fit_resample(X.tolist())[1] is None
    frame, names = clone(chooser).fit_resample(
        pandas.DataFrame(X, columns=list("vwxyz")), pandas.Series(TASKS)
    )
    assert frame.index.tolist() == names.index.tolist() == chooser.indices_.tolist()
    assert list(frame.columns) == list("vwxyz")


def test_random_states_of_every_kind_are_seeds():
    of = {
        name: SmartSelector(budget=5, preset="random", random_state=state).fit(X).indices_.tolist()
        for name, state in {"none": None, "0": 0, "np": np.int64(0), "7": 7}.items()
    }
    assert of["none"] == of["0"] == of["np"] != of["7"]
    one, two = (
        SmartSelector(budget=5, preset="random", random_state=np.random.RandomState(1)).fit(X)
        for _ in range(2)
    )
    assert one.indices_.tolist() == two.indices_.tolist()


def test_more_rows_than_there_are_is_a_value_error_that_says_how_many():
    with pytest.raises(InputError, match="60"):
        SmartSelector(budget=61).fit(X)
