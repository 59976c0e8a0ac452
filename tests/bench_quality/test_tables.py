"""What the tables say is what a plain count of the runs says."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from quality import sentences, tables, trusted
from quality.cells import NONE, markdown
from quality.effects import findings
from quality.outcomes import OUTCOMES
from quality.suites import Suite, read, suites
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
    assert row[-2:] == [f"{sum(d < 0 for d in differences.values())}/{len(own)}", "4 × 3"]
    low, high = map(float, re.findall(r"[-+]\d+\.\d+", row[3]))
    assert low < float(row[2]) < high


def test_known_effects_are_seen_and_nothing_is_made_of_nothing(found):
    main = {effect.arm: effect for effect in found["held"].main}
    assert [*main] == ["proportional", "equal", "smart-acl2024"]
    assert main["equal"].these[1] < 0 < main["smart-acl2024"].these[0]
    assert main["equal"].holm < 0.05 > main["smart-acl2024"].holm
    assert main["proportional"].these[0] < 0 < main["proportional"].these[1]
    text = " ".join(sentences.in_short(found["held"]))
    assert "Of 3 selections, 1 are better" in text
    assert "(equal), 1 worse (smart-acl2024), and 1 cannot be told" in text
    assert "below zero for 1 (equal) and above for 1 (smart-acl2024)" in text
    for name in ("seen", "other", "end", "worst"):
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
    assert "have: equal: without seed 1, 2." in "\n".join(sentences.setting(suite))
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
    for make in (tables.main, tables.further, sentences.in_short, tables.controls):
        assert make(nothing) == [NONE]
    assert set(cells(tables.costs(suite, nothing))) >= {"random a", "random b"}


def test_a_proxy_that_orders_arms_as_training_does_has_a_correlation_of_one(suite):
    arms = ("random a", "random b", "equal", "smart-acl2024", "proportional", "no tasks")
    measured = {
        (arm, fold, seed): {"probe": -EFFECTS[arm], "twins": -EFFECTS[arm], "rows": 7.0}
        for arm in arms
        for fold in range(4)
        for seed in range(3)
    }
    held = beside(suite, measured, outcome=BY_NAME["held"])
    lines = trusted.proxies({"T0": held, "other": "Not measured: why."})
    assert lines[0] == "other: Not measured: why."
    assert "6 arms, 4 folds, 3 seeds" in lines[1]
    assert "every column of 1 of 2 proxies (probe)" in lines[3]
    rows = cells(lines[lines.index("", 3) + 1 :])
    assert re.match(r"\+0.9\d \[\+0.\d\d, \+0.9\d\], Holm 0.0", rows["probe"][1])
    assert rows["twins"][1].startswith("-")
    assert "rows" not in rows  # the same for all arms
    assert [rows[name][2] for name in ("probe", "twins")] == ["1 of 1", "0 of 1"]
    assert trusted.proxies({}) == [NONE]


def only(lines, **wanted):
    """The lines whose seed is one of those that are named for its arm."""
    return [x for x in lines if (s := x["setting"])["seed"] in wanted.get(s["arm"], range(9))]


def test_arms_of_fewer_seeds_are_compared_on_theirs_with_their_own_chance(tmp_path):
    lines = only(LINES, equal=(2,), half=(0, 1))
    (suite,) = suites(*read(write(tmp_path, lines)))
    found = findings(suite)
    main, controls = cells(tables.main(found)), cells(tables.controls(found))
    assert (main["equal"][-1], main["smart-acl2024"][-1]) == ("4 × 1", "4 × 3")
    assert main["equal"][3] == main["equal"][4] == "-"
    same = [x for x in LINES if x["setting"]["seed"] == 2]
    (alone,) = suites(*read(write(tmp_path / "alone", same)))
    assert main["equal"][:3] == cells(tables.main(findings(alone)))["equal"][:3]
    chance = [float(main[arm][5].removeprefix("± ")) for arm in ("equal", "smart-acl2024")]
    assert chance[0] == pytest.approx(chance[1] * 3**0.5, abs=0.02)
    half = next(row for name, row in controls.items() if name.startswith("more rows"))
    assert half[4:] == ["4 × 2", "seen"]
    low, high = map(float, re.findall(r"[-+]\d+\.\d+", half[2]))
    assert low < float(half[1]) < high
    text = " ".join(sentences.in_short(found))
    assert "without intervals: equal." in text
    assert "Best: equal" not in text
    told = " ".join(sentences.setting(suite))
    assert "equal: without seed 0, 1. half: without seed 2." in told
    assert tables.power([found])[2].split("|")[3].strip() == "**3, as run**"


def test_a_second_random_draw_of_few_runs_is_no_base_and_yet_shows_chance(tmp_path):
    lines = only(LINES, **{"random b": (1,)})
    (suite,) = suites(*read(write(tmp_path, lines)))
    assert suite.base == ("random a",)
    found = findings(suite)
    assert {effect.seeds for effect in found.main} == {(0, 1, 2)}
    own, base = plain_losses("equal"), plain_losses("random a")
    mean = sum(own[task] - base[task] for task in own) / len(own)
    row = cells(tables.main(found))["equal"]
    assert row[1] == f"{mean:+.4f}"
    assert found.twice.seeds == (1,)
    assert row[5] == f"± {100 * found.twice.chance / 3**0.5 / (sum(base.values()) / len(base)):.2f}"
    assert "compared with random a, on the folds" in " ".join(sentences.setting(suite))
    without = [line for line in LINES if line["setting"]["arm"] != "random b"]
    (suite,) = suites(*read(write(tmp_path / "none", without)))
    assert cells(tables.main(findings(suite)))["equal"][5] == "not run"
    assert "A/A" in "\n".join(tables.secondary([findings(suite)]))


def test_two_thirds_of_both_draws_are_better_than_all_of_one_only_where_few_are_lost(tmp_path):
    for count, lost, base in ((4, 1, 2), (3, 1, 1), (5, 1, 2), (2, 1, 1)):
        made = Made({"random a": 0, "random b": 0, "equal": 0}, seeds=range(count)).lines()
        kept = only(made, **{"random b": range(count - lost)})
        (suite,) = suites(*read(write(tmp_path / f"{count}", kept)))
        assert len(suite.base) == base, count


def test_arms_matched_in_target_tokens_stand_beside_the_same_runs_matched_in_all(tmp_path):
    """The effect of equal shares is one of target tokens alone; SMART's stays."""
    effects = {"random a": 0, "equal": -0.01, "smart-acl2024": 0.2}
    matched = Made(effects, seeds=(1, 2), setting={"matched": "response"}).lines()
    for line in matched:
        line["chosen"]["target_tokens"] = 5_000
    both = suites(*read(write(tmp_path, LINES + matched)))
    first = next(one for one in both if one.setting["matched"] == "all")
    lines = tables.matched(first, [one for one in both if one is not first])
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]]
    assert [row[:3] for row in rows] == [
        ["equal", "all tokens", "100"], ["equal", "target tokens", "100"],
        ["smart-acl2024", "all tokens", "100"], ["smart-acl2024", "target tokens", "100"],
    ]  # fmt: skip
    assert {row[-1] for row in rows} == {"4 × 2"}

    def plain(lines, arm):
        found = {}
        for line in lines:
            if line["setting"]["arm"] == arm and line["setting"]["seed"] in (1, 2):
                for task, kept in line["evaluated"]["held"].items():
                    found.setdefault(task, []).append(kept[0] / kept[1])
        return np.mean([np.mean(values) for values in found.values()])

    for row in rows:
        lines = LINES if row[1] == "all tokens" else matched
        base = plain(lines, "random a")
        assert row[3] == f"{100 * (plain(lines, row[0]) - base) / base:+.2f}"
    assert tables.matched(first, []) == [NONE]


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
    lines = markdown(["a|b", "c"], [["x | y\n z", "1"], ["back\\slash", "2"]])
    assert list(cells(lines)) == ["a\\|b", "---", "x \\| y z", "back\\\\slash"]
