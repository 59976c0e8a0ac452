"""What the tables say is what a plain count of the runs says."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from quality import tables
from quality.effects import findings
from quality.outcomes import OUTCOMES, Suite, read, suites
from quality.trust import beside

from made_runs import PLACES, Made, write

EFFECTS = {
    "untuned": 0.9, "random a": 0.0, "random b": 0.0, "equal": -0.15, "smart-acl2024": 0.15,
    "proportional": 0.0, "no tasks": -0.05, "half": 0.1, "shuffled targets": 0.4,
}  # fmt: skip
LINES = Made(EFFECTS).lines()
T_975_OF_12 = 2.178813  # Student's t, of 4 folds x 3 seeds
BY_NAME = {outcome.name: outcome for outcome in OUTCOMES}


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    (suite,) = suites(*read(write(tmp_path_factory.mktemp("runs"), LINES)))
    return suite


@pytest.fixture(scope="module")
def found(suite: Suite):
    return {outcome.name: findings(suite, outcome) for outcome in OUTCOMES}


def cells(lines: list[str]) -> dict[str, list[str]]:
    """The rows of a table by their first cell."""
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    assert len({len(row) for row in rows}) == 1
    return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows}


def plain_losses(arm: str, part: str = "held") -> dict[str, float]:
    """Mean over runs of each data set's loss, by plain loops."""
    found: dict[str, list[float]] = {}
    for line in LINES:
        if line["setting"]["arm"] == arm:
            for task, kept in line["evaluated"][part].items():
                found.setdefault(task, []).append(kept[0] / kept[1])
    return {task: sum(values) / len(values) for task, values in found.items()}


def plain_base(part: str = "held") -> dict[str, float]:
    a, b = plain_losses("random a", part), plain_losses("random b", part)
    return {task: (a[task] + b[task]) / 2 for task in a}


@pytest.mark.parametrize("arm", ["equal", "smart-acl2024", "proportional"])
def test_the_main_table_says_what_a_plain_count_says(found, arm):
    row = cells(tables.main(found["held"]))[arm]
    own, base = plain_losses(arm), plain_base()
    loss = sum(own.values()) / len(own)
    differences = {task: own[task] - base[task] for task in own}
    mean = sum(differences.values()) / len(own)
    assert row[0] == f"{loss:.4f}"
    assert row[1] == f"{mean:+.4f}"
    assert row[2] == f"{100 * mean / (sum(base.values()) / len(base)):+.2f}"
    assert row[-1] == f"{sum(d < 0 for d in differences.values())}/{len(own)}"
    low, high = map(float, re.findall(r"[-+]\d+\.\d+", row[3]))
    assert low < float(row[2]) < high


def test_known_effects_are_seen_and_nothing_is_made_of_nothing(found):
    main = {effect.arm: effect for effect in found["held"].main}
    assert [*main] == ["proportional", "equal", "smart-acl2024"]
    assert main["equal"].these[1] < 0 < main["smart-acl2024"].these[0]
    assert main["equal"].holm < 0.05 > main["smart-acl2024"].holm
    assert main["proportional"].these[0] < 0 < main["proportional"].these[1]
    text = " ".join(tables.in_short(found["held"]))
    assert "Of 3 selections, 1 are better" in text
    assert "(equal), 1 worse (smart-acl2024), and 1 cannot be told" in text
    assert "below zero for 1 (equal) and above for 1 (smart-acl2024)" in text
    for name in ("seen", "bigbench", "end", "worst"):
        by_arm = {effect.arm: effect.difference for effect in found[name].main}
        assert by_arm["equal"] < 0 < by_arm["smart-acl2024"], name
    ranked = {effect.arm: effect for effect in found["ranked"].main}
    assert ranked["equal"].difference > 0 > ranked["smart-acl2024"].difference
    assert ranked["equal"].better > ranked["equal"].tasks / 2 > ranked["smart-acl2024"].better


def plain_noise() -> float:
    """What chance keeps A/A below, of the base's loss in per cent, by plain loops: each run of
    24 data sets and 3 seeds gives its sum of differences, whose mean is known to be zero.
    """
    found = {(x["setting"]["arm"], x["setting"]["fold"], x["setting"]["seed"]): x for x in LINES}
    squares = 0.0
    for fold in range(4):
        for seed in range(3):
            a, b = (found[arm, fold, seed]["evaluated"]["held"] for arm in ("random a", "random b"))
            of_run = sum(b[task][0] / b[task][1] - a[task][0] / a[task][1] for task in a)
            squares += (of_run / (24 * 3)) ** 2
    base = plain_losses("random a")
    return 100 * T_975_OF_12 * squares**0.5 / (sum(base.values()) / len(base))


def test_a_a_stands_first_in_every_table_of_contrasts_and_its_noise_beside_every_difference(found):
    for lines in (tables.main(found["held"]), tables.further(found["held"])):
        rows = cells(lines)
        name = list(rows)[2]
        assert "A/A" in name
        a, b = plain_losses("random a"), plain_losses("random b")
        assert rows[name][1] == f"{sum(b[task] - a[task] for task in a) / len(a):+.4f}"
        assert len(rows) > 3
        for row in list(rows.values())[2:]:
            assert row[5] == f"± {plain_noise():.2f}"
    assert "A/A" in "\n".join(tables.secondary(list(found.values())))


def test_folds_are_those_of_the_data_sets(found):
    row = cells(tables.by_fold(found["held"]))["smart-acl2024"]
    own, base = plain_losses("smart-acl2024"), plain_base()
    level = sum(base.values()) / len(base)
    for fold in range(4):
        tasks = [task for task in own if PLACES[task] == fold]
        mean = np.mean([own[task] - base[task] for task in tasks])
        assert row[fold] == f"{100 * mean / level:+.2f}"


def test_costs_are_means_over_runs(suite, found):
    row = cells(tables.costs(suite, found["held"]))["smart-acl2024"]
    assert row[0] == "1.8 s"
    assert row[3:] == ["1,443", "99,990", "13,013", "18.0", "16.5", "60 s"]
    assert row[1] == cells(tables.main(found["held"]))["smart-acl2024"][2]


def test_controls_are_seen_when_they_are_worse_and_only_then(tmp_path, found):
    rows = cells(tables.controls(found["held"]))
    assert [row[-1] for row in list(rows.values())[2:]] == ["seen"] * 3
    lines = Made({"random a": 0, "random b": 0, "half": -0.1}).lines()
    (suite,) = suites(*read(write(tmp_path, lines)))
    rows = cells(tables.controls(findings(suite)))
    assert [row[-1] for row in list(rows.values())[2:]] == ["not run", "**not seen**", "not run"]


def test_what_is_missing_is_said(tmp_path):
    lines = [
        line for line in LINES if line["setting"]["arm"] != "equal" or line["setting"]["seed"] == 0
    ]
    (suite,) = suites(*read(write(tmp_path, lines)))
    assert "equal: 0/1, 0/2, 1/1, 1/2, 2/1, 2/2, 3/1, 3/2" in "\n".join(tables.setting(suite))
    (effect,) = (e for e in findings(suite).main if e.arm == "equal")
    assert (effect.seeds, effect.tasks) == ((0,), 24)
    assert tables.main(findings(suite))


def test_one_fold_two_arms_and_one_seed_give_a_table(tmp_path):
    lines = Made({"random a": 0, "smart-acl2024": 0.1}, seeds=(0,), folds=(0,)).lines()
    suite = suites(*read(write(Path(tmp_path), lines)))[0]
    row = cells(tables.main(findings(suite)))["smart-acl2024"]
    assert row[3:8] == ["-", "-", "not run", "-", "-"]


def test_nothing_but_random_rows_gives_tables_that_say_so(tmp_path):
    suite = suites(*read(write(tmp_path, Made({"random a": 0, "random b": 0}).lines())))[0]
    nothing = findings(suite)
    for make in (tables.main, tables.further, tables.in_short, tables.controls):
        assert make(nothing) == [tables.NONE]
    assert set(cells(tables.costs(suite, nothing))) >= {"random a", "random b"}


def test_a_proxy_that_orders_arms_as_training_does_has_a_correlation_of_one(suite):
    arms = ("random a", "equal", "smart-acl2024", "no tasks")
    measured = {
        (arm, fold, seed): {"probe": -EFFECTS[arm], "twins": -EFFECTS[arm], "rows": 7.0}
        for arm in arms
        for fold in range(4)
        for seed in range(3)
    }
    held = beside(suite, measured, outcome=BY_NAME["held"])
    lines = tables.proxies(held, beside(suite, measured, outcome=BY_NAME["seen"]))
    rows = cells(lines[lines.index("") + 1 :])
    assert (rows["probe"][1], rows["twins"][1], rows["rows"][1]) == ("+1.00", "-1.00", "-")
    assert tables.proxies("Not measured: why.", held) == ["Not measured: why."]


def test_power_needs_two_seeds_and_grows_with_them(found, tmp_path):
    lines = tables.power([found["held"], found["ranked"]])
    by_seeds = {}
    for row in lines[2:]:
        outcome, sets, seeds, these, corrected, *_ = [x.strip() for x in row.split("|")[1:-1]]
        assert (outcome, sets) == ("held-out data sets", "24")  # points have no per cent
        assert float(these) < float(corrected)
        by_seeds[seeds] = float(these)
    assert list(by_seeds) == ["**3, as run**", "5", "10"]
    assert by_seeds["**3, as run**"] > by_seeds["5"] > by_seeds["10"] > 0
    few = Made({"random a": 0, "random b": 0, "equal": 0}, seeds=(0,)).lines()
    suite = suites(*read(write(tmp_path, few)))[0]
    assert "two seeds" in tables.power([findings(suite)])[0]


def test_a_cell_cannot_break_its_table():
    lines = tables.markdown(["a|b", "c"], [["x | y\n z", "1"], ["back\\slash", "2"]])
    assert list(cells(lines)) == ["a\\|b", "---", "x \\| y z", "back\\\\slash"]
