"""The rows that budgets take of rankings, against the rule in plain Python."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sized_groups import Fixed, equal, groups_of
from smartx.amounts import amount
from smartx.budget import Demands, allot, chosen_rows, supply_of, take, tokens_of
from smartx.budget.take import Limit
from smartx.errors import BudgetError, InputError
from smartx.weights import Power, Proportional, RandomRows


@st.composite
def ranked_units(draw):
    """(unit of each row, tokens, included, takeable) of ranked rows, some of no tokens."""
    sizes = draw(st.lists(st.integers(0, 7), min_size=1, max_size=5))
    rows = sum(sizes)
    tokens = draw(st.lists(st.sampled_from([0, 1, 2, 3, 9, 40]), min_size=rows, max_size=rows))
    flags = st.lists(st.sampled_from([True, False, False, False]), min_size=rows, max_size=rows)
    included, out = np.array(draw(flags), bool), np.array(draw(flags), bool)
    return np.array(sizes), np.array(tokens, np.int64), included & ~out, ~out


def lines(sizes, included, takeable):
    """The places of each unit in the order in which they are taken."""
    ends = np.cumsum(sizes).tolist()
    for start, stop in zip([0, *ends], ends, strict=False):
        may = [place for place in range(start, stop) if takeable[place]]
        yield [p for p in may if included[p]] + [p for p in may if not included[p]]


@given(ranked_units(), st.integers(1, 3), st.data())
def test_rows_are_the_first_of_each_unit_and_begin_anew_where_they_end(units, epochs, data):
    sizes, _, included, takeable = units
    each = list(lines(sizes, included, takeable))
    budgets = [data.draw(st.integers(0, epochs * len(line))) for line in each]
    found = take(sizes, np.array(budgets), included=included, takeable=takeable, epochs=epochs)
    wanted = [
        (line[at % len(line)], at // len(line))
        for line, budget in zip(each, budgets, strict=True)
        for at in range(budget)
    ]
    assert list(zip(found.places.tolist(), found.copies.tolist(), strict=True)) == wanted
    assert found.units.tolist() == found.amounts.tolist() == budgets


def plainly_in_tokens(each, tokens, budgets, epochs, high, limits, tasks):
    """How many rows each unit takes."""
    endless = [line * epochs for line in each]
    counts, used = [], []
    for line, budget in zip(endless, budgets, strict=True):
        count = total = 0
        while budget and count < len(line) and total + tokens[line[count]] <= budget:
            total += tokens[line[count]]
            count += 1
        counts.append(count)
        used.append(int(total))
    left = sum(budgets) - sum(used)

    def fits(unit):
        if counts[unit] == len(endless[unit]) or not high[unit]:
            return False
        more = tokens[endless[unit][counts[unit]]]
        within = all(
            sum(u for u, at in zip(used, of, strict=True) if at == of[unit]) + more <= cap[of[unit]]
            for of, cap in limits
        )
        return more <= left and used[unit] + more <= high[unit] and within

    while fitting := [unit for unit in range(len(each)) if fits(unit)]:
        behind = [budget - u for budget, u in zip(budgets, used, strict=True)]
        of_task = {
            task: sum(b for b, t in zip(behind, tasks, strict=True) if t == task) for task in tasks
        }
        unit = max(fitting, key=lambda u: (of_task[tasks[u]], -tasks[u], behind[u], -u))
        more = int(tokens[endless[unit][counts[unit]]])
        counts[unit] += 1
        used[unit] += more
        left -= more
    return counts, used


@given(ranked_units(), st.integers(1, 2), st.data())
def test_tokens_are_taken_by_prefixes_and_then_a_row_at_a_time(units, epochs, data):
    sizes, tokens, _, takeable = units
    none = np.zeros(len(tokens), bool)
    each = list(lines(sizes, none, takeable))
    held = [epochs * int(tokens[line].sum()) for line in each]
    budgets = [data.draw(st.integers(0, most)) for most in held]
    high = [data.draw(st.integers(low, most)) for low, most in zip(budgets, held, strict=True)]
    of = np.array([data.draw(st.integers(0, 1)) for _ in each])
    least = np.bincount(of, budgets, minlength=2).astype(np.int64)
    caps = least + data.draw(st.lists(st.integers(0, 30), min_size=2, max_size=2))
    tasks = data.draw(
        st.none() | st.lists(st.integers(0, 2), min_size=len(each), max_size=len(each))
    )
    found = take(
        sizes, np.array(budgets), tokens=tokens, takeable=takeable, epochs=epochs,
        high=np.array(high), limits=[Limit(of, caps)],
        tasks=None if tasks is None else np.array(tasks),
    )  # fmt: skip
    own = list(range(len(each))) if tasks is None else tasks
    limits = [(of.tolist(), caps.tolist())]
    plain = plainly_in_tokens(each, tokens, budgets, epochs, high, limits, own)
    assert [found.amounts.tolist(), tokens[found.places].sum()] == [plain[1], sum(plain[1])]
    # Rows without tokens are free, so a unit may have more of them, never fewer of the others.
    nonzero = [
        sum(1 for p in (line * epochs)[:count] if tokens[p])
        for line, count in zip(each, plain[0], strict=True)
    ]
    unit = np.repeat(np.arange(len(sizes)), found.units)
    assert np.bincount(unit[tokens[found.places] > 0], minlength=len(sizes)).tolist() == nonzero


def test_a_budget_in_tokens_is_met_within_one_row():
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 400, 60)
    tokens = rng.integers(1, 900, int(sizes.sum()))
    ends = np.cumsum(sizes)
    held = np.add.reduceat(tokens, ends - sizes)
    budgets = held // 3
    found = take(sizes, budgets, tokens=tokens, high=held)
    next_rows = tokens[(ends - sizes + found.units)[found.units < sizes]]
    left = int(budgets.sum() - found.amounts.sum())
    assert 0 <= left < next_rows.min()


def test_a_task_of_many_templates_gets_its_tokens_though_no_template_has_a_row_for_its_share():
    """40 templates of 5 tokens each, rows of 20, beside a task of one template."""
    sizes, tasks = np.array([*[10] * 40, 400]), np.array([*[0] * 40, 1])
    tokens = np.full(int(sizes.sum()), 20, dtype=np.int64)
    budgets = np.array([*[5] * 40, 210])
    high = np.full(41, 10_000)
    found = take(sizes, budgets, tokens=tokens, high=high, tasks=tasks)
    assert np.bincount(tasks, found.amounts).tolist() == [200, 200]
    assert found.units[:40].tolist() == [*[1] * 10, *[0] * 30]
    alone = take(sizes, budgets, tokens=tokens, high=high)
    assert np.bincount(tasks, alone.amounts).tolist() == [180, 220]


def test_rows_without_tokens_are_taken_for_free_and_included_ones_come_first():
    sizes, tokens = np.array([5]), np.array([3, 0, 5, 0, 2])
    assert take(sizes, np.array([3]), tokens=tokens).places.tolist() == [0, 1]
    assert take(sizes, np.array([8]), tokens=tokens).places.tolist() == [0, 1, 2, 3]
    first = np.array([False, False, False, True, True])
    assert take(sizes, np.array([5]), tokens=tokens, included=first).places.tolist() == [3, 4, 0, 1]
    assert take(sizes, np.array([0]), tokens=tokens).places.tolist() == []
    free = np.array([False, True, False, False, False])
    assert take(sizes, np.array([0]), tokens=tokens, included=free).places.tolist() == [1]


def test_more_than_there_is_is_an_error():
    with pytest.raises(BudgetError, match="unit 1 has 2 rows to be taken and 3 are asked"):
        take(np.array([4, 2]), np.array([4, 3]))
    with pytest.raises(BudgetError, match="unit 0 has 7 tokens"):
        take(np.array([2]), np.array([8]), tokens=np.array([3, 4]))


NAMES = [(s, t, p) for s in "ab" for t in ("one", "two") for p in "xy"]
few = st.dictionaries(
    st.sampled_from(["a/", "one", "b/two", "*", "a/one/x"]),
    st.integers(0, 60) | st.integers(0, 70).map(lambda n: amount(f"{n}%", low=0)),
    max_size=2,
)


@given(
    st.lists(st.integers(0, 9), min_size=8, max_size=8), few, few, st.booleans(),
    st.sampled_from(["template", "task", "corpus"]), st.integers(1, 3),
    st.sampled_from([None, "published", "monotone"]), st.randoms(use_true_random=False),
    st.data(),
)  # fmt: skip
def test_floors_caps_includes_and_excludes_hold_in_the_rows_that_are_taken(
    sizes, floors, caps, of_tokens, ranked, epochs, rounding, random, data
):
    groups = groups_of(dict(zip(NAMES, sizes, strict=True)))
    n = sum(sizes)
    tokens = np.array([random.choice([1, 2, 5, 11]) for _ in range(n)], np.int64)
    included = np.array([random.random() < 0.1 for _ in range(n)], bool)
    out = np.array([random.random() < 0.2 for _ in range(n)], bool) & ~included
    limits = {
        "tokens": tokens if of_tokens else None,
        "included": included,
        "takeable": ~out,
        "epochs": epochs,
    }
    supply = supply_of(groups, **limits)
    total = data.draw(st.integers(0, int(supply.held.sum())))
    demanded = Demands(floors, caps, excludes=data.draw(st.sampled_from([(), ("b/one",)])))
    try:
        found = allot(
            groups, equal(groups), means=None, total=total, seed=0,
            demands=demanded, rounding=rounding, supply=supply,
        )  # fmt: skip
    except BudgetError:
        return
    order = in_order(groups, ranked, random)
    taken = chosen_rows(order, groups, found, ranked=ranked, **limits)
    rows = order[taken.places]
    cost = tokens[rows] if of_tokens else np.ones(len(rows), np.int64)
    slack = int(tokens.max(initial=1)) if of_tokens else 1  # a row's tokens: fewer are lacking
    assert not out[rows].any()
    assert set(np.flatnonzero(included)) <= set(rows.tolist())
    assert np.bincount(rows, minlength=n).max(initial=0) <= epochs
    assert len({*zip(rows.tolist(), taken.copies.tolist(), strict=True)}) == len(rows)
    own = np.repeat(np.arange(8), groups.rows)[rows]
    groups_got = np.bincount(own, cost, minlength=8).astype(int)
    assert groups_got.sum() <= total
    for level, bounds in enumerate(zip(found.bounds.low, found.bounds.high, strict=True)):
        if level == 0 and ranked != "template" and not found.for_templates:
            continue  # the ranking says which templates the rows of a task are of
        keys = [name[: 3 - level] for name in NAMES]
        for unit, low, high in zip(dict.fromkeys(keys), *bounds, strict=True):
            got = sum(g for g, key in zip(groups_got.tolist(), keys, strict=True) if key == unit)
            parts = sum(key == unit for key in keys)
            assert low - (slack - 1) * parts <= got <= high
    if not of_tokens:
        assert len(rows) == total
    if not caps and of_tokens:
        assert total - groups_got.sum() < slack


def in_order(groups, ranked, random):
    """A ranking of all rows, best first in each unit."""
    key = {"template": lambda g: g, "task": lambda g: g // 2, "corpus": lambda g: 0}[ranked]
    unit = [key(g) for g, rows in enumerate(groups.rows.tolist()) for _ in range(rows)]
    shuffled = random.sample(range(len(unit)), len(unit))
    return np.array(sorted(shuffled, key=lambda row: unit[row]), dtype=np.int64)


def test_mixtures_of_growing_budgets_are_nested():
    rng = np.random.default_rng(3)
    groups = groups_of(
        {("s", f"t{i:02d}", p): int(rng.integers(1, 60)) for i in range(9) for p in "xyz"}
    )
    law = Fixed(list(range(9)), rng.lognormal(size=9).tolist())
    demanded = Demands({"t01": 12, "t0[2-4]": 5}, {"t05": 30, "*/x": 10})
    order, before = in_order(groups, "template", Random(1)), set()
    for total in range(40, 488, 7):
        found = allot(
            groups, law, means=None, total=total, seed=0, demands=demanded, rounding="monotone"
        )
        rows = set(order[chosen_rows(order, groups, found).places].tolist())
        assert before <= rows
        assert len(rows) == total
        before = rows


def test_a_row_that_must_be_taken_and_may_not_be_is_an_error():
    groups = groups_of({("s", "t", "x"): 3})
    with pytest.raises(
        InputError, match="1 row must be included and may not be taken, such as row 2"
    ):
        supply_of(groups, included=np.array([0, 0, 1], bool), takeable=np.array([1, 1, 0], bool))


def test_included_rows_over_a_cap_or_the_budget_are_an_error():
    groups = groups_of({("s", "t", "x"): 3, ("s", "u", "x"): 9})
    supply = supply_of(groups, included=np.arange(12) < 3)
    asked = {"means": None, "seed": 0, "supply": supply}
    with pytest.raises(BudgetError, match="cap t=2 leaves 2 rows to the task s/t, where the rows "
                       "that must be included need 3: 1 too many"):  # fmt: skip
        allot(groups, equal(groups), total=6, demands=Demands(caps={"t": 2}), **asked)
    with pytest.raises(BudgetError, match=r"included \(3\) ask for 3 rows together, 1 more than"):
        allot(groups, equal(groups), total=2, **asked)
    with pytest.raises(BudgetError, match="exclude t takes out the template s/t/x"):
        allot(groups, equal(groups), total=6, demands=Demands(excludes=("t",)), **asked)


def test_percentages_of_a_budget_are_of_what_may_be_taken():
    groups = groups_of({("s", "t", "x"): 30})
    supply = supply_of(groups, takeable=np.arange(30) >= 10, epochs=3)
    assert supply.total(amount("10%")) == 2
    assert supply.total(amount("250%")) == 50
    assert supply.total(7) == 7
    with pytest.raises(BudgetError, match="1% of 20 rows is less than one"):
        supply.total(amount("1%"))


def test_kinds_of_tokens():
    counts = np.array([[3, 1], [0, 9]], np.int32)
    assert tokens_of(counts, "all").tolist() == [4, 9]
    assert tokens_of(counts, "prompt").tolist() == [3, 0]
    assert tokens_of(counts, "response").tolist() == tokens_of(counts, "supervised").tolist()


def test_laws_that_sample_rows_give_each_row_the_same_chance_in_tokens_too():
    groups = groups_of({("s", "long", "x"): 1_000, ("s", "short", "x"): 1_000})
    tokens = np.repeat([90, 10], 1_000)
    supply = supply_of(groups, tokens=tokens)
    for law, wanted in ((Proportional(), [9_000, 1_000]), (Power(), [5_000, 5_000])):
        found = allot(groups, law, means=None, total=10_000, seed=0, supply=supply)
        assert found.tasks.tolist() == wanted
    found = allot(groups, RandomRows(), means=None, total=10_000, seed=0, supply=supply)
    rows = chosen_rows(np.arange(2_000), groups, found, tokens=tokens).units
    assert abs(int(rows[0]) - int(rows[1])) < 40  # of about 100 each: a sample
    assert 10_000 - 90 < tokens[: rows[0]].sum() + 10 * rows[1] <= 10_000
