"""Floors, caps, pins and exclusions hold, or the error says which does not and by how much."""

from __future__ import annotations

import math
from collections import defaultdict
from fnmatch import fnmatchcase
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sized_groups import Fixed, FixedGroups, equal, groups_of
from smartx.amounts import Percent, amount, demands
from smartx.budget import Demands, allot, supply_of
from smartx.budget.tree import Tree
from smartx.errors import BudgetError, ConfigError

PATTERNS = ["a/", "b/", "*/", "one", "b/*", "*", "a/two", "*/x", "a/one/y", "c/three"]
amounts = st.integers(0, 40) | st.integers(0, 60).map(lambda n: amount(f"{n}%", low=0))
asked = st.dictionaries(st.sampled_from(PATTERNS), amounts, max_size=2)
ROUNDINGS = [None, "published", "largest-remainder", "monotone"]


@st.composite
def corpora(draw):
    """Sizes of groups in three sources, of tasks that are called alike in two."""
    names = [(s, t, p) for s in "abc" for t in ("one", "three", "two") for p in "xyz"]
    sizes = draw(st.dictionaries(st.sampled_from(names), st.integers(0, 25), min_size=1))
    groups = groups_of(sizes)
    of_groups = draw(st.booleans())
    units = len(groups) if of_groups else len(groups.tasks())
    order = draw(st.permutations(range(units)))[: draw(st.integers(1, units))]
    values = draw(st.lists(st.sampled_from([1.0, 2.0, 0.1, 7.5]), min_size=units, max_size=units))
    return groups, (FixedGroups if of_groups else Fixed)(order, values[: len(order)])


@st.composite
def wanted(draw):
    excludes = draw(st.lists(st.sampled_from(PATTERNS), max_size=1))
    few = [draw(asked) if draw(st.booleans()) else {} for _ in range(3)]
    return Demands(*few, tuple(excludes))


def fits(pattern, name, level):
    if level == 2:
        return fnmatchcase(f"{name[0]}/", pattern)
    if level == 1:
        return fnmatchcase(name[1], pattern) or fnmatchcase("/".join(name[:2]), pattern)
    return fnmatchcase("/".join(name), pattern)


def level_of(pattern, names):
    levels = [2] if pattern.endswith("/") else [1, 0]
    return next((x for x in levels if any(fits(pattern, n, x) for n in names)), None)


def plain_bounds(groups, names, demanded, total):
    """{(level, unit): (low, high)} of the demands alone, and the excluded groups.

    A floor of a pattern with signs for others is no more than what a unit has.
    """
    found, out = {}, set()
    for pattern in demanded.excludes:
        level = level_of(pattern, names)
        out |= {name for name in names if fits(pattern, name, level)}
    there = defaultdict(int)
    for name, rows in zip(names, groups.rows.tolist(), strict=True):
        for up in range(3):
            there[up, name[: 3 - up]] += 0 if name in out else rows
    for kind, of in (("pin", demanded.pins), ("floor", demanded.floors), ("cap", demanded.caps)):
        for pattern, value in of.items():
            level = level_of(pattern, names)
            part = value.of(total) if isinstance(value, Percent) else value
            low, high = math.floor(part), math.ceil(part)
            for unit in {name[: 3 - level] for name in names if fits(pattern, name, level)}:
                own = found.setdefault((level, unit), {})
                if kind == "pin" and "low" not in own:
                    own.update(low=low, high=high)
                elif kind == "floor":
                    own.setdefault("low", min(low, there[level, unit]) if "*" in pattern else low)
                elif kind == "cap":
                    own.setdefault("high", high)
    for pattern in demanded.excludes:
        level = level_of(pattern, names)
        for up, unit in list(found):
            if up <= level and fits(pattern, (*unit, "", "")[:3], level):
                del found[up, unit]
    return found, out


def is_possible(names, own, out, groups, fixed, chosen_level, chosen, total):
    """By the definition: bounds from below, and the total within them."""
    low = dict(zip(names, fixed.tolist(), strict=True))
    high = {n: 0 if n in out else int(r) for n, r in zip(names, groups.rows, strict=True)}
    for level in range(3):
        for unit in low:
            bound = own.get((level, unit), {})
            least, most = bound.get("low", 0), bound.get("high", 10**9)
            if max(least, low[unit]) > min(high[unit], most):
                return False
            low[unit], high[unit] = max(low[unit], least), min(high[unit], most)
            if level == chosen_level and unit not in chosen:
                high[unit] = low[unit]
        up_low, up_high = defaultdict(int), defaultdict(int)
        for unit in low:
            up_low[unit[: 2 - level]] += low[unit]
            up_high[unit[: 2 - level]] += high[unit]
        low, high = up_low, up_high
    return low[()] <= total <= high[()]


@given(corpora(), wanted(), st.sampled_from(ROUNDINGS), st.data())
def test_demands_hold_or_cannot_be_met(corpus, demanded, rounding, data):
    groups, law = corpus
    names = list(zip(groups.source, groups.task, groups.template, strict=True))
    used = [*demanded.floors, *demanded.caps, *demanded.pins, *demanded.excludes]
    total = data.draw(st.integers(1, max(1, int(groups.rows.sum()))))
    must = np.zeros(int(groups.rows.sum()), dtype=bool)
    if len(must):
        must[data.draw(st.lists(st.integers(0, len(must) - 1), max_size=3))] = True

    def found():
        supply = supply_of(groups, included=must)
        return allot(
            groups, law, means=None, total=total, seed=0,
            demands=demanded, rounding=rounding, supply=supply,
        )  # fmt: skip

    if any(level_of(pattern, names) is None for pattern in used):
        with pytest.raises(ConfigError, match="of the corpus is called so"):
            found()
        return
    own, out = plain_bounds(groups, names, demanded, total)
    fixed = supply_of(groups, included=must).fixed
    level = 0 if isinstance(law, FixedGroups) else 1
    units = list(dict.fromkeys(name[: 3 - level] for name in names))
    chosen = {units[place] for place in law.order}
    if not is_possible(names, own, out, groups, fixed, level, chosen, total):
        with pytest.raises(BudgetError):
            found()
        return
    given_out = found()
    assert given_out.groups.sum() == given_out.tasks.sum() == total
    sums = defaultdict(int)
    for name, rows, held, least in zip(names, given_out.groups, groups.rows, fixed, strict=True):
        assert least <= rows <= (0 if name in out else held)
        for up in range(3):
            sums[up, name[: 3 - up]] += int(rows)
    for unit, bound in own.items():
        assert bound.get("low", 0) <= sums[unit] <= bound.get("high", total)


@given(corpora(), asked, asked, st.data())
def test_monotone_budgets_with_demands_in_rows_are_those_of_one_row_at_a_time(
    corpus, floors, caps, data
):
    groups, law = corpus
    names = list(zip(groups.source, groups.task, groups.template, strict=True))
    floors, caps = (
        {p: v for p, v in of.items() if isinstance(v, int) and level_of(p, names) is not None}
        for of in (floors, caps)
    )
    demanded = Demands(floors, caps)
    own, out = plain_bounds(groups, names, demanded, 0)
    level = 0 if isinstance(law, FixedGroups) else 1
    units = list(dict.fromkeys(name[: 3 - level] for name in names))
    weights = {units[place]: value for place, value in zip(law.order, law.values, strict=True)}
    none = np.zeros(len(names), np.int64)
    total = data.draw(st.integers(1, max(1, int(groups.rows.sum()))))
    if not is_possible(names, own, out, groups, none, level, set(weights), total):
        return
    found = allot(
        groups, law, means=None, total=total, seed=0, demands=demanded, rounding="monotone"
    )
    values = found.groups if level == 0 else found.tasks
    assert values.tolist() == one_row_at_a_time(names, own, groups, level, weights, total)
    if not is_possible(names, own, out, groups, none, level, set(weights), total + 1):
        return
    larger = allot(
        groups, law, means=None, total=total + 1, seed=0, demands=demanded, rounding="monotone"
    )
    assert (found.groups <= larger.groups).all()
    assert (found.tasks <= larger.tasks).all()


def one_row_at_a_time(names, own, groups, level, weights, total):
    """Floors first, the innermost first; then whoever is next by (2 * has + 1) / weight and may."""
    units = list(dict.fromkeys(name[: 3 - level] for name in names))
    low, high = defaultdict(int), defaultdict(int)
    for name, rows in zip(names, groups.rows.tolist(), strict=True):
        bound = own.get((0, name), {})
        low[name[: 3 - level]] += bound.get("low", 0)
        high[name[: 3 - level]] += min(bound.get("high", rows), rows)
    for unit in units if level else []:
        bound = own.get((level, unit), {})
        low[unit] = max(low[unit], bound.get("low", 0))
        high[unit] = min(high[unit], bound.get("high", high[unit]))
    for unit in units:
        if unit not in weights:
            high[unit] = low[unit]
    has = {unit: low[unit] for unit in units}

    def held(up, of):
        return sum(rows for unit, rows in has.items() if unit[: 3 - up] == of)

    def may(unit, upto):
        return has[unit] < high[unit] and all(
            held(up, unit[: 3 - up]) < own.get((up, unit[: 3 - up]), {}).get("high", 10**9)
            for up in range(level + 1, upto)
        )

    def turn(unit):
        return Fraction(2 * has[unit] + 1) / Fraction(weights[unit]), list(weights).index(unit)

    for up in range(level + 1, 3):
        for parent in dict.fromkeys(unit[: 3 - up] for unit in units):
            while held(up, parent) < own.get((up, parent), {}).get("low", 0):
                mine = [u for u in units if u[: 3 - up] == parent and may(u, up)]
                has[min(mine, key=turn)] += 1
    while sum(has.values()) < total:
        has[min((unit for unit in units if may(unit, 3)), key=turn)] += 1
    return [has[unit] for unit in units]


MATH = {
    ("flan", "math", "x"): 300,
    ("flan", "math", "y"): 100,
    ("flan", "qa", "x"): 600,
    ("p3", "math", "x"): 200,
    ("p3", "toxic", "x"): 50,
}


def allotted(total, *, sizes=MATH, law=None, rounding=None, **wanted):
    """Rows by name of task of a corpus of equal weights; demands as people write them."""
    groups = groups_of(sizes)
    written = {kind: demands(of) for kind, of in wanted.items() if kind != "excludes"}
    found = allot(
        groups, law or equal(groups), means=None, total=total, seed=0, rounding=rounding,
        demands=Demands(**written, excludes=tuple(wanted.get("excludes", ()))),
    )  # fmt: skip
    tasks = groups.tasks()
    names = map("/".join, zip(tasks.source, tasks.task, strict=True))
    return dict(zip(names, found.tasks.tolist(), strict=True))


def test_every_unit_that_fits_has_the_demand_for_itself():
    assert allotted(200, floors=["math=80"]) == {
        "flan/math": 80, "flan/qa": 20, "p3/math": 80, "p3/toxic": 20,
    }  # fmt: skip
    assert allotted(200, floors=["p3/math=80"]) == {
        "flan/math": 40, "flan/qa": 40, "p3/math": 80, "p3/toxic": 40,
    }  # fmt: skip
    assert allotted(200, pins=["flan/=150"]) == {
        "flan/math": 75, "flan/qa": 75, "p3/math": 25, "p3/toxic": 25,
    }  # fmt: skip
    assert allotted(200, excludes=["toxic*"])["p3/toxic"] == 0
    assert allotted(200, caps=["*=60"], floors=["p3/=20%"])["flan/qa"] == 50


def test_the_first_demand_of_a_kind_counts_and_a_pin_before_floors_and_caps():
    assert allotted(200, caps=["p3/math=90", "*=40%"], floors=["p3/math=90"])["p3/math"] == 90
    assert allotted(200, floors=["*=40"], excludes=["flan/qa"])["flan/qa"] == 0
    assert allotted(200, caps=["*=30%"], pins=["flan/qa=50%"])["flan/qa"] == 100


def test_a_percentage_is_met_within_a_row():
    assert allotted(101, pins=["flan/=50%", "p3/=50%"])["flan/math"] in (25, 26)
    assert sum(allotted(101, floors=["flan/=50%", "p3/=50%"]).values()) == 101
    assert allotted(7, caps=["flan/qa=1%"])["flan/qa"] == 1


def test_templates_have_demands_of_their_own():
    groups = groups_of(MATH)
    found = allot(
        groups, equal(groups), means=None, total=200, seed=0,
        demands=Demands(pins={"flan/math/y": 49}),
    )  # fmt: skip
    assert found.groups.tolist()[:3] == [1, 49, 50]
    assert found.for_templates


def test_demands_that_change_nothing_leave_the_published_rounding_as_it_is():
    groups = groups_of(MATH)
    for law in (equal(groups, rounding="greedy"), equal(groups)):
        plain = allot(groups, law, means=None, total=199, seed=0)
        within = allot(
            groups, law, means=None, total=199, seed=0, demands=Demands(caps={"*": 199, "*/": 199})
        )
        assert plain.groups.tolist() == within.groups.tolist()
        assert plain.tasks.tolist() == [50, 50, 50, 49]


@pytest.mark.parametrize(
    ("wanted", "words", "by"),
    [
        ({"floors": ["p3/math=500"]}, "floor p3/math=500 asks for 500 rows of the task p3/math, "
         "which has 200", 300),
        ({"floors": ["math=150"], "caps": ["p3/=100"]}, "cap p3/=100 leaves 100 rows to the source "
         "p3, where floors of its tasks need 150", 50),
        ({"floors": ["qa=70"], "caps": ["*=60"]}, "floor qa=70 asks for 70 rows of the task "
         "flan/qa, which has 60 under the cap", 10),
        ({"floors": ["math=80", "qa=70"]}, r"floor math=80 \(160\), floor qa=70 \(70\) ask for "
         "230 rows together, 30 more than the budget of 200", 30),
        ({"caps": ["*=20%"], "excludes": ["toxic*"]}, r"cap \*=20% \(1,080\) leave 120 rows to be "
         "taken, 80 fewer", 80),
        ({"pins": ["qa=120%"]}, "pin qa=120%", 40),
    ],
)  # fmt: skip
def test_a_demand_that_cannot_be_met_is_named_and_by_how_much(wanted, words, by):
    with pytest.raises(BudgetError, match=words) as caught:
        allotted(200, **wanted)
    assert caught.value.asked - caught.value.available == by
    assert caught.value.fix


def test_a_pattern_that_fits_nothing_is_named_with_what_is_meant():
    with pytest.raises(ConfigError, match="did you mean flan/math") as caught:
        allotted(200, floors=["flan/maths=5"])
    assert caught.value.place == "floor flan/maths"
    with pytest.raises(ConfigError, match="no source of the corpus"):
        allotted(200, excludes=["flam/"])


def test_what_a_law_did_not_choose_gets_its_floor_and_no_more():
    law = Fixed([1, 2], [1.0, 1.0])
    assert allotted(200, law=law, floors=["p3/toxic=10"]) == {
        "flan/math": 0, "flan/qa": 95, "p3/math": 95, "p3/toxic": 10,
    }  # fmt: skip
    with pytest.raises(BudgetError, match="what the weight law did not choose"):
        allotted(900, law=law, floors=["p3/toxic=10"])


def test_a_task_without_a_source_is_named_without_one():
    tree = Tree(
        ([("", "maths", "t")], [("", "maths")], [("",)]),
        (np.zeros(1, np.int64), np.zeros(1, np.int64)),
    )
    assert tree.called(1, 0) == "the task maths"
    assert tree.called(0, 0) == "the template maths/t"
