"""What the arms of the experiment take of a pool."""

from collections import Counter

import numpy as np
import pytest
from quality.arms import (
    CONTROLS,
    FURTHER,
    MAIN,
    RANDOM,
    SELECTIONS,
    TRAINED,
    Choice,
    Pool,
    arm_of,
    choose,
    seed_of,
    shares_of,
    targets_of,
)

from smartx.compare.candidates import DEFAULTS
from smartx.engine import quantize
from smartx.errors import BudgetError, ConfigError, InputError

BUDGET = 4_000


def small_pool(*, rows: int = 600, seed: int = 3, first: int = 0) -> Pool:
    """5 tasks of 300 to 30 rows, of which two have three templates; every fifth row has a twin."""
    rng = np.random.default_rng(seed)
    sizes = (np.array([0.5, 0.25, 0.12, 0.08, 0.05]) * rows).astype(int)
    task = np.repeat(np.arange(5), sizes)
    place = np.arange(len(task))
    vectors = rng.normal(size=(5, 24))[task] + rng.normal(size=(len(task), 24))
    vectors[4::5] = vectors[3::5][: len(vectors[4::5])]
    return Pool(
        rows=first + 3 * place,
        vectors=quantize(vectors),
        tasks=[f"task {number}" for number in task.tolist()],
        templates=[f"t{row % 3 if number < 2 else 0}" for row, number in enumerate(task.tolist())],
        tokens=np.stack([rng.integers(5, 65, len(task)), rng.integers(1, 25, len(task))], axis=1),
    )


POOL = small_pool()


def tokens_by_task(choice: Choice) -> dict[str, int]:
    found: Counter[str] = Counter()
    for task, tokens in zip(choice.tasks, choice.tokens.sum(axis=1).tolist(), strict=True):
        found[task] += tokens
    return dict(found)


def test_the_arms_are_those_of_the_protocol():
    named = (
        *("random a", "random b", "proportional", "equal", "smart-acl2024"),
        *("SMART shares, random rows", "equal, per template", "equal, balanced"),
        "square root, balanced",
    )
    assert named == MAIN
    assert sorted(TRAINED) == sorted((*MAIN, *FURTHER, *CONTROLS))
    assert (*RANDOM, *SELECTIONS) == MAIN


def test_strategies_are_those_of_the_same_name_in_compare_and_of_the_presets():
    names = {"square root, balanced": "smart-balanced", "half": "random"}
    names |= dict.fromkeys(("random a", "random b", "shuffled targets"), "random")
    for name in TRAINED:
        if name not in ("equal, longest", "no twins", "no tasks"):
            asked = arm_of(name)
            assert (asked.weights, asked.ranker) == DEFAULTS[names.get(name, name)], name


@pytest.mark.parametrize("arm", TRAINED)
def test_every_arm_takes_rows_of_the_pool_and_the_budget_but_for_less_than_a_row(arm):
    choice = choose(arm, POOL, tokens=BUDGET, seed=1)
    asked = BUDGET // 2 if arm == "half" else BUDGET
    counts = POOL.tokens.sum(axis=1)
    assert len(np.unique(choice.rows)) == len(choice)
    assert np.array_equal(POOL.rows[choice.places], choice.rows)
    assert choice.tasks == [POOL.tasks[place] for place in choice.places]
    assert np.array_equal(POOL.tokens[choice.places], choice.tokens)
    taken = int(counts[choice.places].sum())
    assert asked - counts.max() < taken <= asked


@pytest.mark.parametrize("arm", TRAINED)
def test_arms_matched_in_targets_differ_by_less_than_a_row_and_have_the_same_shares(arm):
    pool = uneven_pool()
    asked = targets_of(pool, BUDGET)
    choice = choose(arm, pool, tokens=asked, matched="response", seed=1)
    asked = asked // 2 if arm == "half" else asked
    assert abs(int(choice.tokens[:, 1].sum()) - asked) < pool.tokens[:, 1].max()
    same = choose(arm, pool, tokens=int(choice.tokens.sum() * (1 + (arm == "half"))), seed=1)
    assert len(set(same.rows.tolist()) ^ set(choice.rows.tolist())) <= 0.1 * len(choice)


def uneven_pool() -> Pool:
    """Tasks whose targets are of very different lengths."""
    tokens = POOL.tokens.copy()
    longer = np.array([name in ("task 1", "task 4") for name in POOL.tasks])
    tokens[longer, 1] += 15
    tokens[~longer, 1] = 1 + tokens[~longer, 1] // 8
    return Pool(POOL.rows, POOL.vectors, POOL.tasks, POOL.templates, tokens)


def test_targets_of_are_those_that_random_rows_have():
    pool = uneven_pool()
    chosen = [choose("random a", pool, tokens=20_000, seed=seed) for seed in range(20)]
    found = np.array([choice.tokens[:, 1].sum() for choice in chosen])
    assert abs(found.mean() - targets_of(pool, 20_000)) < 4 * found.std(ddof=1) / 20**0.5 + 12


@pytest.mark.parametrize("arm", TRAINED)
def test_threads_and_another_call_change_no_row_and_another_pool_does(arm):
    once = choose(arm, POOL, tokens=BUDGET, seed=2)
    again = choose(arm, POOL, tokens=BUDGET, seed=2, threads=2)
    assert np.array_equal(once.rows, again.rows)
    other = choose(arm, small_pool(seed=4), tokens=BUDGET, seed=2)
    assert set(other.rows.tolist()) != set(once.rows.tolist())


RANDOM_ARMS = ("random a", "random b", "shuffled targets")


def test_random_arms_share_what_chance_shares():
    """Of two uniform samples of parts p and q of n rows, n p q are common, with the deviation of
    the hypergeometric distribution; the sum over pairs and seeds is 5 deviations away at most.
    """
    pool, excess, variance = small_pool(rows=2_000), 0.0, 0.0
    total = len(pool)
    chosen = [
        {arm: set(choose(arm, pool, tokens=20_000, seed=seed).rows.tolist()) for arm in RANDOM_ARMS}
        for seed in range(6)
    ]
    samples = [rows for one in chosen for rows in one.values()]
    for place, one in enumerate(samples):
        for other in samples[:place]:
            p, q = len(one) / total, len(other) / total
            excess += len(one & other) - total * p * q
            variance += total * p * q * (1 - p) * (1 - q)
    assert abs(excess) < 5 * variance**0.5


def test_rows_of_smart_shares_at_random_have_nothing_to_do_with_those_of_equal_shares():
    """Both draw inside the same templates: with one permutation they would be nested."""
    one = choose("SMART shares, random rows", POOL, tokens=BUDGET, seed=0)
    other = choose("equal", POOL, tokens=BUDGET, seed=0)
    nested = set(one.rows.tolist()) & set(other.rows.tolist())
    assert len(nested) < 0.6 * min(len(one), len(other))


def test_seeds_differ_by_arm_run_and_pool():
    other = small_pool(first=1)
    seeds = [seed_of(a, p, s) for a in TRAINED for p in (POOL, other) for s in range(3)]
    assert len(set(seeds)) == len(seeds)


def test_equal_shares_are_equal_and_smart_shares_are_those_of_smart():
    """In tokens, but for a row of each unit that draws or ranks by itself."""
    slack = 4 * int(POOL.tokens.sum(axis=1).max())
    for arm in ("equal", "equal, per template", "equal, balanced", "equal, k-center"):
        found = tokens_by_task(choose(arm, POOL, tokens=BUDGET, seed=1))
        assert len(found) == 5
        assert max(found.values()) - min(found.values()) < slack
    smart = tokens_by_task(choose("smart-acl2024", POOL, tokens=BUDGET, seed=1))
    at_random = tokens_by_task(choose("SMART shares, random rows", POOL, tokens=BUDGET, seed=1))
    assert smart.keys() == at_random.keys()
    assert all(abs(smart[task] - at_random[task]) < slack for task in smart)


def test_longest_rows_have_more_tokens_than_random_ones_and_are_told_by_whole_texts():
    chosen = choose("equal, longest", POOL, tokens=BUDGET, seed=1)
    assert chosen.tokens.sum(axis=1).mean() > 1.2 * POOL.tokens.sum(axis=1).mean()
    whole = np.full_like(POOL.tokens, 1)
    whole[::4] = 900  # what the model does not see, a quarter of the rows
    longer = Pool(POOL.rows, POOL.vectors, POOL.tasks, POOL.templates, POOL.tokens, whole)
    chosen = choose("equal, longest", longer, tokens=BUDGET // 2, seed=1)
    assert (whole[chosen.places] == 900).mean() > 0.9


def test_no_twins_takes_one_row_of_each_pair():
    def pairs(arm):
        chosen = choose(arm, POOL, tokens=12_000, seed=1).places
        return sum(place in chosen and place + 1 in chosen for place in range(3, len(POOL), 5))

    assert pairs("random a") > 0
    assert pairs("no twins") == 0


def test_facts_say_what_was_chosen():
    choice = choose("equal", POOL, tokens=BUDGET, seed=1)
    facts, by_task = choice.facts(), tokens_by_task(choice)
    parts = np.array(list(by_task.values())) / sum(by_task.values())
    assert facts["rows"] == len(choice)
    assert facts["tokens"] == int(POOL.tokens[choice.places].sum())
    assert facts["target_tokens"] == int(POOL.tokens[choice.places, 1].sum())
    assert facts["tasks"] == 5
    assert facts["effective_tasks"] == pytest.approx(np.exp(-(parts * np.log(parts)).sum()), 1e-4)
    backwards = Choice(
        *("equal", choice.rows[::-1], choice.places[::-1], choice.tasks[::-1]),
        *(choice.tokens[::-1], 0.0, 0.0),
    )
    assert backwards.facts()["digest"] == facts["digest"]
    assert choose("equal", POOL, tokens=BUDGET, seed=2).facts()["digest"] != facts["digest"]


def test_shares_are_of_names_in_codepoint_order():
    shares = shares_of(["b", "a", "b", "é"], np.array([1, 2, 3, 2]))
    assert shares.tolist() == [0.25, 0.5, 0.25]


def test_what_cannot_be_done_is_refused():
    with pytest.raises(ConfigError, match="no arm"):
        choose("random c", POOL, tokens=BUDGET, seed=1)
    with pytest.raises(BudgetError):
        choose("equal", POOL, tokens=10**9, seed=1)
    with pytest.raises(InputError, match="rise"):
        Pool(POOL.rows[::-1], POOL.vectors, POOL.tasks, POOL.templates, POOL.tokens)
    with pytest.raises(InputError, match="prompt and response"):
        Pool(POOL.rows, POOL.vectors, POOL.tasks, POOL.templates, POOL.tokens[:, 0])
