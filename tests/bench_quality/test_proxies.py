"""What is said of a choice without training: each number beside the formula in plain Python."""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from quality.arms import Choice, Pool, choose
from quality.proxies import (
    PROXIES,
    SHORT,
    Held,
    Unigrams,
    answers_of,
    held_of,
    proxies_of,
    with_answers,
)
from quality.sample import HELD as HELD_PART
from quality.sample import OPTION, OTHER, Sample
from quality.sample import POOL as POOL_PART
from quality.texts import Tokens

import smartx
from smartx.engine import SCALE, quantize

TASKS = ("ants", "bees", "cats", "dogs")
KINDS = {"unseen": "dogs", "seen": "ants bees cats"}


def drawn(rng: np.random.Generator, task: list[int]) -> np.ndarray:
    centres = np.random.default_rng(1).normal(size=(len(TASKS), 16))
    return quantize(centres[task] + 0.7 * rng.normal(size=(len(task), 16)))


def answers(rng: np.random.Generator, task: list[int]) -> list[tuple[int, ...]]:
    """Of one to six tokens, from ten that are the task's own."""
    return [tuple((10 * t + rng.integers(0, 10, rng.integers(1, 7))).tolist()) for t in task]


def small() -> tuple[Pool, Held]:
    rng = np.random.default_rng(8)
    of_pool = [0] * 60 + [1] * 50 + [2] * 40
    tokens = np.stack([rng.integers(5, 40, 150), rng.integers(1, 20, 150)], axis=1)
    vectors = drawn(rng, of_pool)
    vectors[1:150:7] = vectors[0:149:7]  # twins in another template, but for those at the seams
    pool = Pool(
        np.arange(150) * 2 + 5,
        vectors,
        [TASKS[t] for t in of_pool],
        [f"t{row % 2}" for row in range(150)],
        tokens,
        answers=answers(rng, of_pool),
    )
    of_held = [0] * 9 + [1] * 12 + [2] * 7 + [3] * 11
    names = [TASKS[t] for t in of_held]
    held = Held(
        drawn(rng, of_held), names, np.array([n == "dogs" for n in names]), answers(rng, of_held)
    )
    return pool, held


POOL, HELD = small()
CHOICE = choose("equal", POOL, tokens=1_500, seed=4)
FOUND = proxies_of(CHOICE, POOL, HELD)


def chosen(places: np.ndarray) -> Choice:
    tasks = [POOL.tasks[place] for place in places.tolist()]
    return Choice("mine", POOL.rows[places], places, tasks, POOL.tokens[places], 0.0, 0.0)


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return int(one.astype(np.int64) @ other.astype(np.int64)) / SCALE**2


def nearest(vector: np.ndarray) -> list[tuple[float, int]]:
    """(cosine, place in the pool) of the chosen rows, nearest first, ties to the lower row."""
    found = [(-cosine(vector, POOL.vectors[p]), p) for p in CHOICE.places.tolist()]
    return [(-c, p) for c, p in sorted(found)]


def rows_of(kind: str) -> dict[str, list[int]]:
    names = KINDS[kind].split()
    return {n: [r for r, task in enumerate(HELD.tasks) if task == n] for n in names}


def macro(kind: str, of: Callable[[list[int]], float]) -> float:
    return float(np.mean([of(rows) for rows in rows_of(kind).values()]))


def test_every_number_has_a_meaning_and_none_is_missing():
    assert FOUND.keys() == PROXIES.keys()
    assert {proxy.better for proxy in PROXIES.values()} == {1, -1}
    assert all(math.isfinite(value) for value in FOUND.values())


@pytest.mark.parametrize("kind", KINDS)
def test_coverage_is_the_mean_over_data_sets_of_the_cosine_with_the_nearest(kind):
    best = {row: nearest(HELD.vectors[row])[0][0] for row in range(len(HELD.tasks))}
    plain = macro(kind, lambda rows: np.mean([best[row] for row in rows]))
    assert FOUND[f"coverage, {kind}"] == pytest.approx(plain, rel=1e-9)
    if kind == "unseen":
        lowest = macro(kind, lambda rows: np.quantile([best[row] for row in rows], 0.1))
        assert FOUND["coverage p10, unseen"] == pytest.approx(lowest, rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_copied_is_the_part_of_short_answers_that_the_nearest_row_has(kind):
    def part(rows):
        short = [row for row in rows if len(HELD.answers[row]) <= SHORT]
        of = [POOL.answers[nearest(HELD.vectors[row])[0][1]] for row in short]
        return np.mean([HELD.answers[row] == answer for row, answer in zip(short, of, strict=True)])

    assert FOUND[f"copied, {kind}"] == pytest.approx(macro(kind, part))


def plain_nats(answer, seen, below):
    kinds = len(set(seen))
    return [
        -math.log((seen.count(token) + kinds * below(token)) / (len(seen) + kinds))
        for token in answer
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_unigrams_are_those_of_all_chosen_answers_and_of_the_eight_nearest(kind):
    seen = [token for place in CHOICE.places for token in POOL.answers[place]]

    def usual(token):
        return (seen.count(token) + len(set(seen)) / 49_152) / (len(seen) + len(set(seen)))

    def plain(rows):
        nats = [plain_nats(HELD.answers[row], seen, lambda _: 1 / 49_152) for row in rows]
        return np.mean(np.concatenate(nats))

    def local(rows):
        nats = []
        for row in rows:
            near = [p for _, p in nearest(HELD.vectors[row])[:8]]
            of = [token for place in near for token in POOL.answers[place]]
            nats.append(plain_nats(HELD.answers[row], of, usual))
        return np.mean(np.concatenate(nats))

    assert FOUND[f"unigrams, {kind}"] == pytest.approx(macro(kind, plain))
    assert FOUND[f"neighbours, {kind}"] == pytest.approx(macro(kind, local))


def test_a_unigram_model_is_a_distribution():
    wide = Unigrams(Counter([3, 3, 5]))
    near = Unigrams(Counter([5, 7]), wide)
    nothing = Unigrams(Counter(), wide)
    for model in (wide, near):
        assert sum(map(model.probability, range(49_152))) == pytest.approx(1.0)
    assert nothing.probability(3) == wide.probability(3)


def test_the_objective_is_facility_location_inside_tasks_and_greedy_has_all_of_it():
    best = []
    for place, task in enumerate(POOL.tasks):
        own = [p for p in CHOICE.places if POOL.tasks[p] == task]
        best.append(max(0.0, *(cosine(POOL.vectors[place], POOL.vectors[p]) for p in own)))
    assert FOUND["objective"] == pytest.approx(np.mean(best), rel=1e-9)
    assert 0 < FOUND["of greedy"] < 1
    greedy = smartx.select(
        POOL.vectors,
        budget=30,
        weights="equal",
        ranker="facility-location:per=task,balance=no",
        tasks=POOL.tasks,
        templates=POOL.templates,
    )
    of_greedy = proxies_of(chosen(greedy.indices), POOL, HELD)
    assert of_greedy["of greedy"] == pytest.approx(1.0, abs=1e-12)


def test_coverage_of_the_pool_is_of_rows_of_any_task():
    best = [max(cosine(v, POOL.vectors[p]) for p in CHOICE.places) for v in POOL.vectors]
    assert FOUND["coverage, pool"] == pytest.approx(np.mean(best), rel=1e-9)


def test_twins_stand_in_another_template_of_the_task_or_anywhere():
    other = anywhere = 0
    for place in CHOICE.places:
        near = [
            p
            for p in CHOICE.places
            if p != place and cosine(POOL.vectors[place], POOL.vectors[p]) >= 0.95
        ]
        anywhere += bool(near)
        other += any(
            POOL.tasks[p] == POOL.tasks[place] and POOL.templates[p] != POOL.templates[place]
            for p in near
        )
    assert other > 0
    assert FOUND["twins"] == pytest.approx(other / len(CHOICE))
    assert FOUND["twins, anywhere"] == pytest.approx(anywhere / len(CHOICE))


def test_what_is_said_of_the_mixture_is_counted_in_tokens():
    tokens = dict.fromkeys(TASKS[:3], 0)
    for place in CHOICE.places:
        tokens[POOL.tasks[place]] += int(POOL.tokens[place].sum())
    whole, targets = sum(tokens.values()), int(POOL.tokens[CHOICE.places, 1].sum())
    shares = [amount / whole for amount in tokens.values()]
    assert FOUND["effective tasks"] == pytest.approx(
        math.exp(-sum(s * math.log(s) for s in shares))
    )
    assert FOUND["largest share"] == pytest.approx(max(shares))
    assert FOUND["rows"] == len(CHOICE)
    assert FOUND["target tokens"] == targets
    assert FOUND["mean length"] == pytest.approx(whole / len(CHOICE))
    assert FOUND["mean target"] == pytest.approx(targets / len(CHOICE))


def test_the_probe_is_worse_after_fewer_tasks():
    bees = chosen(np.flatnonzero(np.array(POOL.tasks) == "bees"))
    assert proxies_of(bees, POOL, HELD)["probe"] < FOUND["probe"] <= 1


def test_the_order_of_a_choice_does_not_matter():
    backwards = chosen(CHOICE.places[::-1])
    assert proxies_of(backwards, POOL, HELD) == pytest.approx(FOUND, rel=1e-12)


def test_what_is_not_there_is_not_said():
    without = proxies_of(CHOICE, replace(POOL, answers=()), HELD)
    words = ("copied", "unigrams", "neighbours")
    assert without.keys() == {name for name in PROXIES if not name.startswith(words)}
    alone = replace(HELD, unseen=np.ones(len(HELD.tasks), dtype=bool))
    of_seen = {"probe", *(name for name in PROXIES if name.endswith(", seen"))}
    assert proxies_of(CHOICE, POOL, alone).keys() == PROXIES.keys() - of_seen


def test_answers_are_targets_without_the_end_of_the_turn():
    ids = np.array([1, 2, 3, 9, 4, 5, 6], dtype=np.int32)
    tokens = Tokens(ids, np.array([4, 3]), np.array([2, 2]), np.array([True, False]))
    assert answers_of(tokens, np.array([0, 1])) == [(3,), (5, 6)]
    assert answers_of(tokens, np.array([1])) == [(5, 6)]


def test_held_rows_are_told_apart_by_the_fold_of_their_task():
    count = 6
    ids = np.arange(count * 3, dtype=np.int32)
    lengths, targets = np.full(count, 3), np.full(count, 2)
    sample = Sample(
        tokens=Tokens(ids, lengths, targets, np.ones(count, dtype=bool)),
        tasks=["a", "a", "b", "b", "c", "other"],
        templates=["t"] * count,
        parts=np.array([POOL_PART, HELD_PART, HELD_PART, OPTION, HELD_PART, OTHER], dtype=np.int8),
        of=np.array([-1, -1, -1, 2, -1, -1]),
        source=np.arange(count),
        vectors=np.arange(count * 2, dtype=np.int16).reshape(count, 2),
        families={},
        folds={"a": 0, "b": 1, "c": 0},
        opening=(0,),
        facts={},
        whole=np.ones((count, 2), dtype=np.int64),
    )
    held = held_of(sample, 0)
    assert held.tasks == ["a", "b", "c"]
    assert held.unseen.tolist() == [True, False, True]
    assert held.vectors.tolist() == [[2, 3], [4, 5], [8, 9]]
    assert held.answers == [(4,), (7,), (13,)]
    pool = Pool(np.array([0]), sample.vectors[:1], ["a"], ["t"], np.ones((1, 2), dtype=np.int64))
    assert with_answers(pool, sample).answers == [(1,)]
