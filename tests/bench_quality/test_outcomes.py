"""Arms are compared on the same folds, seeds and rows, or not at all."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from quality.outcomes import OUTCOMES, PRIMARY, paired
from quality.suites import Suite, read, suites

from made_runs import PLACES, TASKS, Made, write
from smartx.errors import InputError

EFFECTS = {
    "untuned": 0.9, "random a": 0.0, "random b": 0.0, "equal": -0.1, "half": 0.2,
}  # fmt: skip
BY_NAME = {outcome.name: outcome for outcome in OUTCOMES}


def suite_of(folder: Path, lines) -> Suite:
    (suite,) = suites(*read(write(folder, lines)))
    return suite


def test_a_value_is_the_quotient_of_its_run(tmp_path):
    lines = Made(EFFECTS).lines()
    suite = suite_of(tmp_path, lines)
    places = {"held": (0, 1), "end": (2, 3), "ranked": (4, 5)}
    for name, (above, below) in places.items():
        pair = paired(suite, "equal", BY_NAME[name])
        assert pair.tasks == tuple(sorted(TASKS))
        assert pair.seeds == (0, 1, 2)
        for t, task in enumerate(pair.tasks):
            assert pair.places[t] == PLACES[task]
            assert pair.families[t] == TASKS[task]
            for s, seed in enumerate(pair.seeds):
                of = {
                    line["setting"]["arm"]: line["evaluated"]["held"][task]
                    for line in lines
                    if line["setting"]["fold"] == PLACES[task] and line["setting"]["seed"] == seed
                }
                own, a, b = (of[x][above] / of[x][below] for x in ("equal", "random a", "random b"))
                fold = PLACES[task]
                assert pair.values[fold, s, t] == pytest.approx(own, rel=1e-12)
                assert pair.against[fold, s, t] == pytest.approx((a + b) / 2, rel=1e-12)
                assert np.isnan(np.delete(pair.values[:, s, t], fold)).all()


def test_what_several_folds_looked_at_stands_in_each_of_them(tmp_path):
    lines = Made(EFFECTS).lines()
    suite = suite_of(tmp_path, lines)
    pair = paired(suite, "equal", BY_NAME["seen"])
    task = pair.tasks[5]
    for line in lines:
        setting, seen = line["setting"], line["evaluated"]["seen"]
        if setting["arm"] == "equal" and task in seen:
            value = pair.values[setting["fold"], setting["seed"], 5]
            assert value == pytest.approx(seen[task][0] / seen[task][1], rel=1e-12)
    assert np.isnan(pair.values[PLACES[task], :, 5]).all()
    assert np.isnan(pair.values[:, :, 5]).sum() == 3
    parents = paired(suite, "equal", BY_NAME["other"])
    assert len(parents.tasks) == len(set(parents.families)) == 10
    assert (parents.places == -1).all()
    assert not np.isnan(parents.values).any()


def test_the_order_of_lines_changes_nothing(tmp_path):
    lines = Made(EFFECTS).lines()
    before = paired(suite_of(tmp_path / "a", lines), "equal")
    random.Random(3).shuffle(lines)
    after = paired(suite_of(tmp_path / "b", lines), "equal")
    assert before.tasks == after.tasks
    np.testing.assert_array_equal(before.values, after.values)
    np.testing.assert_array_equal(before.against, after.against)


def test_only_whole_blocks_are_used_and_what_is_missing_is_named(tmp_path):
    lines = [
        line
        for line in Made(EFFECTS).lines()
        if (s := line["setting"])["arm"] != "equal" or (s["fold"], s["seed"]) != (2, 1)
    ]
    suite = suite_of(tmp_path, lines)
    assert suite.missing() == [("equal", 2, 1)]
    pair = paired(suite, "equal")
    assert (pair.folds, pair.seeds) == ((0, 1, 3), (0, 1, 2))  # 9 runs rather than 4 folds x 2
    assert {PLACES[task] for task in pair.tasks} == {0, 1, 3}
    assert (~np.isnan(pair.values)).sum() == 3 * len(pair.tasks)
    whole = paired(suite, "half")
    assert (whole.folds, whole.seeds) == ((0, 1, 2, 3), (0, 1, 2))


def test_differences_are_those_that_a_plain_mean_makes(tmp_path):
    pair = paired(suite_of(tmp_path, Made(EFFECTS).lines()), "equal")
    by_task = [
        np.mean([pair.values[f, s, t] - pair.against[f, s, t] for s in range(3)])
        for t, f in enumerate(pair.places)
    ]
    assert pair.differences.mean == pytest.approx(np.mean(by_task), rel=1e-12)
    families = [pair.families.index(family) for family in pair.families]
    assert len(set(families)) == pair.differences.families.max() + 1


def test_an_arm_without_a_seed_in_common_has_no_pair(tmp_path):
    lines = Made({"random a": 0.0, "random b": 0.0}, seeds=(0, 1)).lines()
    lines += Made({"equal": 0.0}, seeds=(2,)).lines()
    assert paired(suite_of(tmp_path, lines), "equal") is None


def test_without_a_second_random_arm_the_first_is_the_base(tmp_path):
    lines = Made({"random a": 0.0, "equal": -0.1}, folds=(1,)).lines()
    pair = paired(suite_of(tmp_path, lines), "equal")
    assert (pair.base, pair.folds) == (("random a",), (1,))


def test_the_untuned_model_stands_beside_every_seed(tmp_path):
    pair = paired(suite_of(tmp_path, Made(EFFECTS).lines()), "untuned")
    assert pair.seeds == (0, 1, 2)
    np.testing.assert_array_equal(pair.values[:, 0], pair.values[:, 2])


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("precision", {"setting": {"precision": "float32"}}),
        ("tokens", {"setting": {"tokens": 50_000}}),
        ("sample", {"sample": "another"}),
    ],
)
def test_settings_are_not_mixed(tmp_path, name, others):
    lines = Made(EFFECTS).lines()
    lines += Made({"random a": 0, "equal": 0}, **others).lines()
    runs, sample = read(write(tmp_path, lines))
    with pytest.raises(InputError, match=name):
        Suite(runs, sample)
    first, second = suites(runs, sample)
    assert first.setting[name] != second.setting[name]
    assert {arm for arm, _, _ in second.runs} >= {"random a", "equal"}
    assert len(first.runs) == 52


def test_half_the_tokens_and_no_training_stand_beside_the_rest(tmp_path):
    lines = Made({k: v for k, v in EFFECTS.items() if k not in ("untuned", "half")}).lines()
    lines += Made({"half": 0.2}, setting={"tokens": 50_000}).lines()
    lines += Made({"untuned": 0.9}, setting={"tokens": 0, "rate": 0, "matched": ""}).lines()
    suite = suite_of(tmp_path, lines)
    assert suite.arms == ("untuned", "random a", "random b", "equal", "half")
    assert suite.setting["tokens"] == 100_000


def test_the_same_run_twice_is_one_and_other_results_of_it_are_refused(tmp_path):
    lines = Made(EFFECTS).lines()
    assert not suite_of(tmp_path, [*lines, lines[3]]).missing()
    other = Made(EFFECTS, noise=0.5).lines()[3]
    with pytest.raises(InputError, match="twice"):
        suite_of(tmp_path, [*lines, other])


def test_other_evaluation_rows_are_refused(tmp_path):
    lines = Made(EFFECTS).lines()
    line = next(x for x in lines if x["setting"]["arm"] == "equal" and x["setting"]["fold"] == 1)
    task = next(iter(line["evaluated"]["held"]))
    line["evaluated"]["held"][task][1] += 1
    with pytest.raises(InputError, match=f"other rows .*held/{task}"):
        paired(suite_of(tmp_path, lines), "equal")


def test_a_sample_of_other_folds_is_refused(tmp_path):
    lines = Made(EFFECTS).lines()
    task = next(iter(lines[0]["evaluated"]["held"]))
    lines[0]["evaluated"]["seen"][task] = lines[0]["evaluated"]["held"].pop(task)
    with pytest.raises(InputError, match=f'"{task}" stands under "seen"'):
        suite_of(tmp_path, lines)


def test_a_line_that_was_cut_off_is_no_run_and_a_broken_one_is_named(tmp_path):
    lines = Made(EFFECTS).lines()
    path = write(tmp_path, lines) / "runs.jsonl"
    text = path.read_text()
    path.write_text(text[:-30])
    assert len(read(tmp_path)[0]) == len(lines) - 1
    path.write_text(text.replace('"setting"', '"set"', 1))
    with pytest.raises(InputError, match=r"runs.jsonl:1: no run"):
        read(tmp_path)


def test_the_worst_quarter_is_that_of_all_trained_arms(tmp_path):
    lines = Made(EFFECTS).lines()
    suite = suite_of(tmp_path, lines)
    loss: dict[str, list[float]] = {}
    for line in lines:
        if line["setting"]["arm"] in ("random a", "random b", "equal"):
            for task, (total, tokens, *_) in line["evaluated"]["held"].items():
                loss.setdefault(task, []).append(total / tokens)
    expected = sorted(loss, key=lambda task: -np.mean(loss[task]))[:6]
    assert suite.worst == frozenset(expected)
    assert set(paired(suite, "equal", BY_NAME["worst"]).tasks) == suite.worst
    assert set(paired(suite, "equal", PRIMARY).tasks) > suite.worst
