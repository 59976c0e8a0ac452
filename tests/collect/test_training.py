"""Fine-tuning in segments: what is trained on, that it is the published rule, and that a training
which was killed gives the bytes of one that was not.
"""

from __future__ import annotations

import math
import weakref
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from small_causal import causal_folder  # noqa: E402
from smartx.causal import Tokens, load_causal  # noqa: E402
from smartx.collect.training import (  # noqa: E402
    Examples,
    Recipe,
    States,
    Training,
    checkpoint_steps,
    trained_to,
    weights_from,
)
from smartx.collect.training.examples import UNLABELLED, collated  # noqa: E402
from smartx.errors import InputError, ModelError, StoreError  # noqa: E402
from smartx.progress import Silent  # noqa: E402

ROWS = [
    Tokens(tuple(np.random.default_rng(seed).integers(0, 250, 4 + seed % 9).tolist()), 1 + seed % 3)
    for seed in range(22)
]
RECIPE = Recipe(epochs=1.5, rate=2e-3, batch=6, warm_up=0.3, seed=4)
STEPS = 6  # 33 examples


class Killed(BaseException):
    """What ends a process that is killed."""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return causal_folder(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def dropping(tmp_path_factory):
    """A model whose training draws numbers."""
    return causal_folder(tmp_path_factory.mktemp("dropping"), dropout=0.2)


def training(model, folder, **more):
    states = States(folder, "a key")
    states.begin()
    examples = Examples.of(ROWS, RECIPE.order(np.arange(len(ROWS))))
    loaded = lambda: load_causal(model, device="cpu").model  # noqa: E731
    return Training(RECIPE, examples, states, loaded, **more)


def weights(state):
    return (state / "model.safetensors").read_bytes()


# ---- the recipe ----


@given(st.integers(1, 400), st.integers(1, 40))
def test_checkpoints_are_evenly_spread_and_the_last_is_the_end(steps, checkpoints):
    if checkpoints > steps:
        with pytest.raises(InputError, match=f"has {steps} steps"):
            checkpoint_steps(steps, checkpoints)
        return
    found = checkpoint_steps(steps, checkpoints)
    assert found == [math.ceil(steps * place / checkpoints) for place in range(1, checkpoints + 1)]
    assert found[-1] == steps
    assert len(set(found)) == checkpoints


def test_the_defaults_are_those_published():
    recipe = Recipe()
    assert (recipe.epochs, recipe.rate, recipe.warm_up) == (3.0, 2e-5, 0.03)
    assert recipe.batch == 32
    assert recipe.at_once == 4
    assert [Recipe(batch=size).at_once for size in (1, 2, 3, 6, 7, 9)] == [1, 2, 3, 3, 1, 3]


def test_each_pass_has_every_row_once_in_an_order_of_its_own():
    ids = np.array([3, 8, 9, 20, 21, 40, 41])
    order = Recipe(epochs=2.5, seed=1).order(ids)
    assert len(order) == round(2.5 * 7)
    assert sorted(order[:7]) == sorted(order[7:14]) == list(range(7))
    assert order[:7].tolist() != order[7:14].tolist()
    assert Recipe(epochs=2, seed=1).order(ids).tolist() == order[:14].tolist()
    assert Recipe(epochs=2, seed=2).order(ids).tolist() != order[:14].tolist()
    for rows, epochs, batch in ((22, 1.5, 6), (7, 0.01, 32), (300, 1.0, 32)):
        recipe = Recipe(epochs=epochs, batch=batch)
        assert recipe.steps(rows) == math.ceil(len(recipe.order(np.arange(rows))) / batch)


@pytest.mark.parametrize("wrong", [{"epochs": 0.0}, {"rate": -1e-5}, {"epochs": math.nan}])
def test_a_recipe_that_trains_nothing_is_refused(wrong):
    with pytest.raises(InputError, match="above 0"):
        Recipe(**wrong)


# ---- what is trained on ----


def test_only_tokens_of_the_response_are_learned_and_padding_is_not():
    examples = Examples.of(ROWS[:3], np.array([2, 0, 2]))
    assert len(examples) == 3
    for place, row in enumerate((2, 0, 2)):
        own, tokens = examples[place], ROWS[row]
        assert own["input_ids"].tolist() == list(tokens.ids)
        learned = own["labels"] != UNLABELLED
        assert learned.tolist() == [i >= tokens.response_from for i in range(len(tokens))]
        assert own["labels"][learned].tolist() == list(tokens.ids[tokens.response_from :])
    batch = collated([examples[0], examples[1]])
    short, long = sorted((len(ROWS[0]), len(ROWS[2])))
    assert batch["input_ids"].shape == (2, long)
    assert batch["attention_mask"].sum(dim=1).tolist() == [len(ROWS[2]), len(ROWS[0])]
    assert (batch["labels"][1, short:] == UNLABELLED).all()


def plain_training(folder, steps):
    """The published rule in plain torch: AdamW, warm-up then cosine, the mean over the response
    tokens of a batch, gradients clipped at 1.
    """
    model = load_causal(folder, device="cpu").model
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=RECIPE.rate, weight_decay=0.0)
    order = RECIPE.order(np.arange(len(ROWS)))
    in_all = math.ceil(len(order) / RECIPE.batch)
    warm = math.ceil(RECIPE.warm_up * in_all)
    for number in range(steps):
        part = number / warm if number < warm else (number - warm) / (in_all - warm)
        factor = part if number < warm else 0.5 * (1 + math.cos(math.pi * part))
        batch = [ROWS[row] for row in order[number * RECIPE.batch : (number + 1) * RECIPE.batch]]
        losses, tokens = torch.zeros(()), 0
        for row in batch:
            ids = torch.tensor([row.ids])
            logits = model(input_ids=ids).logits[0, row.response_from - 1 : -1]
            asked = ids[0, row.response_from :]
            losses = losses + torch.nn.functional.cross_entropy(logits, asked, reduction="sum")
            tokens += len(asked)
        optimizer.zero_grad()
        (losses / tokens).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.param_groups[0]["lr"] = RECIPE.rate * factor
        optimizer.step()
    return model.state_dict()


@pytest.mark.parametrize("steps", [3, STEPS])
def test_the_trainer_does_what_the_rule_says(model, tmp_path, steps):
    own = training(model, tmp_path / "t")
    assert own.steps == STEPS
    state = trained_to(own, steps, Silent(), "train")
    found = load_causal(model, device="cpu").model
    weights_from(state, found)
    before = load_causal(model, device="cpu").model.state_dict()
    for name, expected in plain_training(model, steps).items():
        torch.testing.assert_close(found.state_dict()[name], expected, atol=2e-5, rtol=0)
    moved = max(float((found.state_dict()[n] - before[n]).abs().max()) for n in before)
    assert moved > 2e-3


# ---- states ----


def test_a_training_that_was_killed_gives_the_bytes_of_one_that_was_not(
    dropping, tmp_path, monkeypatch
):
    """Killed right after each state, also within a segment; begun again, on other threads."""
    whole = training(dropping, tmp_path / "whole")
    at = {step: weights(trained_to(whole, step, Silent(), "train")) for step in (3, STEPS)}
    assert at[3] != at[STEPS]
    once = training(dropping, tmp_path / "once")
    assert weights(trained_to(once, STEPS, Silent(), "train")) == at[STEPS]

    vouch, kills = States.vouch, []

    def killed_after(states, step):
        vouch(states, step)
        kills.append(step)
        torch.rand(3)
        if step < STEPS:
            raise Killed

    monkeypatch.setattr(States, "vouch", killed_after)
    for _ in range(STEPS - 1):
        with pytest.raises(Killed):
            trained_to(
                training(dropping, tmp_path / "killed", save_seconds=0.0), STEPS, Silent(), "train"
            )
    torch.set_num_threads(1)
    last = training(dropping, tmp_path / "killed", save_seconds=0.0)
    assert weights(trained_to(last, STEPS, Silent(), "train")) == at[STEPS]
    assert kills == list(range(1, STEPS + 1))


def test_training_leaves_draws_and_threads_of_the_caller_as_they_were(dropping, tmp_path):
    torch.manual_seed(11)
    expected = torch.rand(2)
    torch.manual_seed(11)
    torch.set_num_threads(2)
    np.random.seed(3)
    drawn = np.random.get_state()[1].tolist()
    trained_to(training(dropping, tmp_path / "t"), 1, Silent(), "train")
    assert torch.rand(2).tolist() == expected.tolist()
    assert torch.get_num_threads() == 2
    assert not torch.are_deterministic_algorithms_enabled()
    assert np.random.get_state()[1].tolist() == drawn


def test_what_a_segment_took_of_the_memory_is_given_back(model, tmp_path):
    made = []

    def loaded():
        found = load_causal(model, device="cpu").model
        made.append(weakref.ref(found))
        return found

    own = training(model, tmp_path / "t")
    trained_to(replace(own, model=loaded), 2, Silent(), "train")
    assert [one() for one in made] == [None]


def state_of(states, step, content=b"w"):
    folder = states.path(step)
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(content)
    (folder / "optimizer.pt").write_bytes(content)
    return folder


def test_a_torn_or_foreign_state_is_no_state_and_goes(tmp_path):
    states = States(tmp_path / "t", "one key")
    states.begin()
    state_of(states, 3)
    states.vouch(3)
    state_of(states, 5)  # killed before it was vouched for
    assert states.newest(9) == 3
    assert states.newest(2) is None
    states.begin()
    assert not states.path(5).exists()
    assert states.newest(9) == 3

    (states.path(3) / "model.safetensors").write_bytes(b"x")
    assert states.newest(9) is None
    (states.path(3) / "model.safetensors").write_bytes(b"w")
    assert states.newest(9) == 3
    other = States(states.folder, "another key")
    other.begin()
    assert not states.path(3).exists()


def test_one_state_stands_and_only_what_the_trainer_wrote_is_deleted(tmp_path):
    states = States(tmp_path / "t", "key")
    states.begin()
    state_of(states, 1)
    states.vouch(1)
    mine = states.path(1) / "notes of mine.txt"
    mine.write_text("kept")
    state_of(states, 2)
    states.vouch(2)
    assert not states.is_whole(1)
    assert sorted(path.name for path in states.path(1).iterdir()) == [mine.name]
    states.remove()
    assert mine.read_text() == "kept"
    assert not states.path(2).exists()

    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "letter.txt").write_text("mine")
    with pytest.raises(StoreError, match="did not write"):
        States(foreign, "key").begin()


def test_weights_of_another_model_are_refused_and_a_dtype_that_is_not_offered(model, tmp_path):
    from safetensors.torch import save_file

    loaded = load_causal(model, device="cpu").model
    kept = {n: t.contiguous() for n, t in loaded.state_dict().items() if "norm" not in n}
    kept.pop("lm_head.weight")
    save_file(kept, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match="no weights"):
        weights_from(tmp_path, loaded)
    with pytest.raises(InputError, match="float16 is not offered"):
        training(model, tmp_path / "t", dtype="float16")
