"""The decoder of the evidence: transformers' logits, whole or cut in two, at some places or all."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from quality.batches import asked_of, cut  # noqa: E402
from quality.model import Decoder  # noqa: E402
from quality.states import Maker, States, StatesFolder  # noqa: E402

from small_decoder import OPENING, SHAPE, llama, small_sample, weights_in  # noqa: E402


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return weights_in(tmp_path_factory.mktemp("weights"))


def by_transformers(sample, rows):
    """Losses of the answers' tokens, row by row, one row at a time."""
    model, found = llama(), []
    starts = sample.tokens.starts
    for row in rows.tolist():
        own = sample.tokens.ids[starts[row] : starts[row] + sample.tokens.lengths[row]]
        ids = torch.tensor([[*OPENING, *own.tolist()]])
        with torch.no_grad():
            logits = model(ids).logits[0]
        losses = torch.nn.functional.cross_entropy(logits[:-1], ids[0, 1:], reduction="none")
        found.append(losses[-int(sample.tokens.targets[row]) :])
    return torch.cat(found)


@pytest.mark.parametrize("first", [0, 1, 3])
def test_losses_are_those_of_transformers(weights, first):
    sample = small_sample()
    rows = np.array([0, 5, 31, 40, 77])
    if first:
        maker = Maker(weights, SHAPE, first, torch.float32)
        states = maker.of_others(sample, maker.opening(OPENING))
    else:
        states = States(sample)
    asked = asked_of(sample.tokens, rows, len(OPENING))
    model = Decoder(weights, SHAPE, first).eval()
    with torch.no_grad():
        found = model(states.padded(rows), *asked.to("cpu"))
    expected = by_transformers(sample, rows)
    assert float(expected.std()) > 0.1
    torch.testing.assert_close(found, expected, atol=0.02 if first else 1e-4, rtol=0)


def test_the_lower_blocks_and_the_head_stay_as_they_are(weights):
    part = Decoder(weights, SHAPE, 2)
    assert len(part.blocks) == 2
    assert not part.head.requires_grad
    assert Decoder(weights, SHAPE, 0).head.requires_grad


def test_states_made_by_shards_are_those_made_at_once(weights, tmp_path, monkeypatch):
    monkeypatch.setattr("quality.states.SHARD", 50)
    sample = small_sample()
    maker = Maker(weights, SHAPE, 2, torch.float32)
    folder = StatesFolder(sample, tmp_path / "states", SHAPE.width)
    folder.create()
    shards = folder.missing()
    assert len(shards) == -(-len(sample) // 50)
    assert folder.make(maker, shards[-1]) == len(sample) - 50 * shards[-1]
    assert folder.missing() == shards[:-1]
    for shard in folder.missing():
        folder.make(maker, shard)
    found, whole = folder.states(), maker.of_others(sample, maker.opening(OPENING))
    np.testing.assert_allclose(found.kept, whole.kept, atol=0.02)
    np.testing.assert_array_equal(found.opening, whole.opening)


def test_asked_places_are_those_before_each_token_of_the_answer():
    sample = small_sample()
    rows = np.array([3, 30, 34])
    asked = asked_of(sample.tokens, rows, 3)
    for at, row in enumerate(rows.tolist()):
        start, length = sample.tokens.starts[row], sample.tokens.lengths[row]
        own = sample.tokens.ids[start : start + length].tolist()
        size = int(sample.tokens.targets[row])
        real = asked.real[at].numpy()
        assert real.tolist() == [True] * size + [False] * (len(real) - size)
        places = asked.places[at][asked.real[at]].tolist()
        assert places == [3 + length - size - 1 + k for k in range(size)]
        assert asked.targets[at][asked.real[at]].tolist() == own[-size:]


def test_batches_hold_every_row_once_and_about_as_many_tokens():
    lengths = np.random.default_rng(0).integers(1, 40, size=500)
    rows = np.random.default_rng(1).permutation(500)
    batches = list(cut(rows, lengths, 200))
    np.testing.assert_array_equal(np.concatenate(batches), rows)
    sizes = [int(lengths[batch].sum()) for batch in batches]
    assert max(sizes) < 240
    assert min(sizes[:-1]) > 160
