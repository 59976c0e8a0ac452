"""A run of the evidence on a small decoder: trained on the choice, asked what it never saw."""

from __future__ import annotations

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from quality.evaluate import evaluated, losses  # noqa: E402
from quality.model import Decoder  # noqa: E402
from quality.one_run import Laboratory, Setting, choice_of, pool_of  # noqa: E402
from quality.sample import HELD, OPTION, OTHER, POOL  # noqa: E402
from quality.shuffled import shuffled  # noqa: E402
from quality.states import Maker, States  # noqa: E402
from quality.train import Recipe, train  # noqa: E402

from small_decoder import OPENING, SHAPE, small_sample, weights_in  # noqa: E402

CPU = {"device": torch.device("cpu"), "precision": torch.float32}


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory):
    weights, sample = weights_in(tmp_path_factory.mktemp("weights")), small_sample()
    maker = Maker(weights, SHAPE, 2, torch.float32)
    states = maker.of_others(sample, maker.opening(OPENING))
    return Laboratory(sample, states, weights, SHAPE, torch.device("cpu"))


def setting(arm, **more):
    given = {"fold": 0, "seed": 0, "tokens": 300, "blocks": 2, "rate": 3e-3, **more}
    return Setting("small", arm, precision="float32", **given)


def test_training_lowers_the_loss_of_what_it_trains_on(laboratory):
    rows = np.flatnonzero(laboratory.sample.parts == POOL)
    model = Decoder(laboratory.weights, SHAPE, 2)
    before = losses(model, laboratory.states, rows, **CPU)
    kept = copy.deepcopy(model.head)
    told = train(model, laboratory.states, rows, Recipe(rate=3e-3, batch=100), seed=1, **CPU)
    after = losses(model, laboratory.states, rows, **CPU)
    assert told["steps"] >= 10
    assert after.content.mean() < before.content.mean() - 0.5
    assert torch.equal(model.head, kept)


def test_a_run_is_the_same_again_and_another_seed_is_another(laboratory):
    def outcome(**more):
        line = laboratory.run(setting("random a", **more))
        return line["chosen"]["digest"], line["evaluated"]

    assert outcome() == outcome()
    assert outcome(seed=1) != outcome()
    assert outcome(seed=1)[0] != outcome()[0]


def test_sums_are_those_of_each_row_alone(laboratory):
    sample, states = laboratory.sample, laboratory.states
    model = Decoder(laboratory.weights, SHAPE, 2)
    found = evaluated(model, states, 0, **CPU)
    assert list(found["held"]) == ["task 0", "task 2"]
    assert list(found["seen"]) == ["task 1", "task 3"]
    assert list(found["bigbench"]) == ["task 4", "task 5", "task 6"]
    names = np.array(sample.tasks)
    for task, sums in found["held"].items():
        rows = np.flatnonzero((sample.parts == HELD) & (names == task))
        alone = [losses(model, states, np.array([row]), **CPU) for row in rows]
        assert sums[0] == pytest.approx(sum(one.content[0] for one in alone), abs=1e-3)
        assert sums[2] == pytest.approx(sum(one.end[0] for one in alone), abs=1e-3)
        assert (sums[1], sums[3]) == (2 * len(rows), len(rows))
        right = 0
        for row, one in zip(rows, alone, strict=True):
            options = sample.options.get(int(row), [])
            wrong = [losses(model, states, np.array([option]), **CPU) for option in options]
            right += bool(options) and all(one.means[0] < other.means[0] for other in wrong)
        assert sums[4:] == [right, 2]


def test_no_held_row_and_no_other_fold_s_is_in_a_pool(laboratory):
    sample = laboratory.sample
    pool = pool_of(sample, setting("equal"))
    assert set(pool.tasks) == {"task 1", "task 3"}
    assert (sample.parts[pool.rows] == POOL).all()
    assert len(pool) == round(0.8 * 60)
    other = pool_of(sample, setting("equal", seed=1))
    assert set(other.rows.tolist()) != set(pool.rows.tolist())


def test_shuffled_answers_are_those_of_other_rows_of_the_choice():
    sample = small_sample()
    rows = np.flatnonzero(sample.parts == POOL)[:40]
    mixed = shuffled(sample, rows, np.random.default_rng(0))
    given = sorted(tuple(answer_of(mixed, place)) for place in range(40))
    assert given == sorted(tuple(answer_of(sample, row)) for row in rows)
    for place, row in enumerate(rows):
        assert prompt_of(mixed, place) == prompt_of(sample, row)
    moved = [answer_of(mixed, p) != answer_of(sample, r) for p, r in enumerate(rows)]
    assert sum(moved) > 10


def test_the_control_trains_on_shuffled_answers(laboratory):
    asked = setting("shuffled targets")
    choice = choice_of(asked, pool_of(laboratory.sample, asked))
    states, rows = laboratory.training_rows(asked, choice)
    own = [answer_of(laboratory.sample, row) for row in choice.rows]
    mixed = [answer_of(states.sample, place) for place in rows]
    assert sorted(mixed) == sorted(own)
    assert mixed != own
    line = laboratory.run(asked)
    assert line["chosen"]["digest"] == choice.facts()["digest"]
    assert line["trained"]["steps"] > 0


def test_the_whole_model_trains_from_token_ids(laboratory):
    whole = Laboratory(
        laboratory.sample, States(laboratory.sample), laboratory.weights, SHAPE, CPU["device"]
    )
    plain = whole.run(setting("untuned", blocks=4))
    tuned = whole.run(setting("random a", blocks=4))
    part = laboratory.run(setting("untuned"))
    for task, sums in plain["evaluated"]["held"].items():
        assert part["evaluated"]["held"][task][0] == pytest.approx(sums[0], rel=0.02)
    assert tuned["evaluated"]["seen"] != plain["evaluated"]["seen"]
    assert plain["chosen"] is None


def answer_of(sample, row):
    end = sample.tokens.starts[row] + sample.tokens.lengths[row]
    return sample.tokens.ids[end - sample.tokens.targets[row] : end].tolist()


def prompt_of(sample, row):
    start, length = sample.tokens.starts[row], sample.tokens.lengths[row]
    return sample.tokens.ids[start : start + length - sample.tokens.targets[row]].tolist()


def test_options_and_others_are_asked_only_where_they_belong():
    sample = small_sample()
    assert sorted(sample.options) == sorted(set(sample.of[sample.parts == OPTION].tolist()))
    assert set(sample.row_folds[sample.parts == OTHER]) == {-1}
