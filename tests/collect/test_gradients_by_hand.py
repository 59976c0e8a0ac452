"""Sketches, Adam and gradients of single rows, each against a plain reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

from small_causal import causal_folder  # noqa: E402
from smartx.causal import Row, Tokens, load_causal, tokens_of  # noqa: E402
from smartx.collect.gradients.adam import Moments, precondition  # noqa: E402
from smartx.collect.gradients.asked import Lora  # noqa: E402
from smartx.collect.gradients.lora import adapted  # noqa: E402
from smartx.collect.gradients.sketch import COLUMNS, Sketch  # noqa: E402
from smartx.collect.gradients.warm_up import mean_gradient  # noqa: E402
from smartx.draws import GRADIENT_SIGNS, draws_at, draws_on  # noqa: E402

# ---- draws and sketches ----


@pytest.mark.parametrize("seed", [0, 7, -3, 1 << 63])
def test_draws_on_a_tensor_have_the_bits_of_those_of_numpy(seed):
    at = np.array([0, 1, 63, 1 << 20, (1 << 40) + 5, (1 << 62) + 1])
    theirs = draws_on(seed, 64, torch.from_numpy(at)).numpy().view(np.uint64)
    assert theirs.tolist() == draws_at(seed, 64, at).tolist()


def signs_by_hand(seed, parameters, dimensions):
    """Bit j % 64 of draw (p, j / 64), one at a time."""
    found = np.empty((parameters, dimensions))
    for p in range(parameters):
        for j in range(dimensions):
            word = draws_at(seed, GRADIENT_SIGNS, np.array([p * 4096 + j // 64]))[0]
            found[p, j] = 1.0 if int(word) >> (j % 64) & 1 else -1.0
    return found


def test_a_sketch_is_the_product_with_signs_drawn_one_by_one():
    rows = torch.from_numpy(np.random.default_rng(0).normal(size=(3, 40)).astype(np.float32))
    by_hand = rows.double().numpy() @ signs_by_hand(5, 40, 130) / np.sqrt(130)
    np.testing.assert_allclose(Sketch(130, 5).of(rows).numpy(), by_hand, atol=1e-5)
    assert (Sketch(130, 6).of(rows).numpy() != by_hand).any()


def test_neither_blocks_nor_threads_change_a_sketch(monkeypatch):
    rows = torch.from_numpy(np.random.default_rng(1).normal(size=(2, 50)).astype(np.float32))
    whole = Sketch(2 * COLUMNS + 9, 0).of(rows)
    assert Sketch(2 * COLUMNS + 9, 0).of(rows, threads=3).numpy().tobytes() == (
        whole.numpy().tobytes()
    )
    monkeypatch.setattr("smartx.collect.gradients.sketch.BLOCK_SIGNS", 7 * COLUMNS)
    np.testing.assert_allclose(Sketch(2 * COLUMNS + 9, 0).of(rows), whole, atol=1e-5)


def test_fewer_dimensions_are_the_first_of_more():
    rows = torch.ones((1, 30))
    more, fewer = Sketch(200, 0).of(rows) * 200**0.5, Sketch(70, 0).of(rows) * 70**0.5
    np.testing.assert_allclose(more[:, :70], fewer, rtol=1e-6)


@pytest.mark.parametrize(("dimensions", "seeds"), [(64, 300), (1024, 100)])
def test_products_of_sketches_are_exact_ones_within_the_error_of_a_sketch(dimensions, seeds):
    """For the pairs of 12 rows at all angles: the mean squared error is that of the theory within a
    fifth, no product is above or below on average, and no error is above six deviations.
    """
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(12, 500)) + rng.normal(size=500) * rng.uniform(-2, 2, size=(12, 1))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    exact = rows.astype(np.float64) @ rows.T.astype(np.float64)
    assert np.abs(exact[np.triu_indices(12, 1)]).max() > 0.5
    deviations, errors = np.sqrt((1 + exact**2) / dimensions), []
    for seed in range(seeds):
        made = Sketch(dimensions, seed).of(torch.from_numpy(rows)).double().numpy()
        errors.append(((made @ made.T - exact) / deviations)[np.triu_indices(12, 1)])
    assert np.abs(errors).max() < 6
    assert 0.8 < np.mean(np.square(errors)) < 1.2
    assert np.abs(np.mean(errors, axis=0)).max() < 5 / np.sqrt(seeds)


# ---- Adam ----


def stepped(weights, past, row):
    """(what AdamW of torch takes off the weights for this gradient, its moments before)."""
    vector = torch.nn.Parameter(weights.clone())
    adam = torch.optim.AdamW([vector], lr=1.0, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
    for one in past:
        vector.grad = one.clone()
        adam.step()
    own = adam.state[vector]
    moments = Moments(own["exp_avg"].clone(), own["exp_avg_sq"].clone(), len(past))
    before = vector.detach().clone()
    vector.grad = row.clone()
    adam.step()
    return (before - vector.detach()), moments


@pytest.mark.parametrize("scale", [1.0, 1e-6])
@pytest.mark.parametrize("steps", [1, 5])
def test_a_preconditioned_gradient_is_the_next_step_of_adam(scale, steps):
    torch.manual_seed(0)
    past, rows = torch.randn(steps, 30) * scale, torch.randn(3, 30) * scale
    for row in rows:
        taken, moments = stepped(torch.zeros(30), past, row)
        made = row.clone()[None]
        precondition(made, moments, "paper")
        np.testing.assert_allclose(made[0], taken, rtol=2e-5, atol=2e-6)


def test_the_formulas_of_the_code_are_those_of_its_lines():
    """avg = beta1 * avg + (1 - beta1) * g, and so on, as `obtain_gradients_with_adam` has them."""
    torch.manual_seed(1)
    first, second, rows = torch.randn(9) * 1e-4, torch.rand(9) * 1e-8, torch.randn(2, 9) * 1e-3
    made = rows.clone()
    precondition(made, Moments(first, second, 4), "code")
    for row, own in zip(rows, made, strict=True):
        average, squared = 0.9 * first + 0.1 * row, 0.999 * second + 0.001 * row**2
        np.testing.assert_allclose(own, average / torch.sqrt(squared + 1e-8), rtol=1e-5)
    other = rows.clone()
    precondition(other, Moments(first, second, 4), "paper")
    assert float((other / made - 1).abs().max()) > 0.1


# ---- gradients of rows ----


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A small model with adapters of which no weight is zero, and rows of several lengths."""
    model = load_causal(causal_folder(tmp_path_factory.mktemp("m"), seed=3), device="cpu")
    made = adapted(model, Lora(rank=3, scale=4, dropout=0.5), seed=1)
    torch.manual_seed(2)
    made.load(torch.randn(made.parameters) * 0.3)
    texts = [("what is it", "a cat"), ("and then?", "nothing more was said of it"), ("x", "y")]
    rows = [Row(({"role": "user", "content": a},), a, b) for a, b in texts]
    return made, tokens_of(made.model, rows, 64)


def by_autograd(made, row):
    """The gradient by autograd of the loss that the model itself gives, one row alone."""
    weights = [module.weight for module, _, _ in made.places]
    labels = [-100] * row.response_from + list(row.ids[row.response_from :])
    for weight in weights:
        weight.requires_grad_(True)
    loss = made.model.model(input_ids=torch.tensor([row.ids]), labels=torch.tensor([labels])).loss
    found = torch.autograd.grad(loss, weights)
    for weight in weights:
        weight.requires_grad_(False)
    return torch.cat([one.flatten() for one in found])


def test_gradients_in_a_batch_are_those_of_autograd_for_each_row_alone(small):
    made, rows = small
    found = made.gradients(rows)
    assert found.shape == (3, made.parameters)
    for own, row in zip(found, rows, strict=True):
        expected = by_autograd(made, row)
        assert float(expected.norm()) > 1e-3
        assert float((own - expected).norm() / expected.norm()) < 1e-4
        np.testing.assert_allclose(own, expected, atol=1e-4 * float(expected.abs().max()))


def test_a_model_whose_layers_have_other_names_is_adapted_at_all_linear_ones(small):
    """GPT-2: one layer for queries, keys and values, its weights the other way round."""
    shape = transformers.GPT2Config(vocab_size=300, n_positions=64, n_embd=12, n_layer=2, n_head=2)
    torch.manual_seed(4)
    inside = transformers.GPT2LMHeadModel(shape).eval()
    model = replace(small[0].model, model=inside)
    made = adapted(model, Lora(rank=2), seed=1)
    assert len(made.places) == 2 * 2 * 4  # two halves, two blocks, four layers in each
    made.load(torch.randn(made.parameters) * 0.3)
    rows = [Tokens((5, 6, 7, 8), 2), Tokens((1, 2, 3, 4, 9, 11, 250), 3)]
    for own, row in zip(made.gradients(rows), rows, strict=True):
        expected = by_autograd(made, row)
        assert float((own - expected).norm() / expected.norm()) < 1e-4


def test_a_row_without_a_response_has_no_gradient_and_disturbs_no_other(small):
    made, rows = small
    nothing = Tokens(rows[0].ids, len(rows[0].ids))
    found = made.gradients([rows[0], nothing])
    assert not found[1].any()
    np.testing.assert_allclose(found[0], made.gradients(rows[:1])[0], atol=1e-6)


def test_the_weights_are_one_vector_that_is_read_as_it_was_loaded(small):
    made, _ = small
    before = made.weights()
    made.load(before * 2)
    assert torch.equal(made.weights(), before * 2)
    made.load(before)
    inside = [p for n, p in made.model.model.named_parameters() if "lora_" in n]
    assert sum(p.numel() for p in inside) == made.parameters == len(before)


def test_the_mean_gradient_is_that_of_the_rows_and_dropout_goes_by_its_seed(small):
    made, rows = small
    mean = mean_gradient(made, rows, seed=0)
    expected = torch.stack([by_autograd(made, row) for row in rows]).mean(dim=0)
    np.testing.assert_allclose(mean, expected, atol=1e-4 * float(expected.abs().max()))
    made.model.model.train()
    try:
        first, again, other = (mean_gradient(made, rows, seed) for seed in (0, 0, 1))
    finally:
        made.model.model.eval()
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
    assert not torch.allclose(first, mean)
