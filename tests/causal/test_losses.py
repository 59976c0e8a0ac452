"""Rows through a causal model: tokens by its template, batches by the data alone, losses as
transformers has them.
"""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from small_causal import causal_folder  # noqa: E402
from smartx.causal import (  # noqa: E402
    Row,
    Tokens,
    batches_of,
    load_causal,
    response_losses,
    tokens_of,
)
from smartx.causal.model import digest_of_folder  # noqa: E402
from smartx.causal.rows import chat_tokens  # noqa: E402
from smartx.errors import InputError, ModelError  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return causal_folder(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def model(folder):
    return load_causal(folder, device="cpu")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return load_causal(causal_folder(tmp_path_factory.mktemp("plain"), template=None), device="cpu")


def row(prompt, response, *turns):
    return Row(turns or ({"role": "user", "content": prompt},), prompt, response)


ROWS = [row("p" * length, "r" * (1 + length % 7)) for length in (3, 40, 11, 11, 90, 2, 25, 40)]


def text(model, ids):
    return model.tokenizer.decode(list(ids))


def test_a_row_is_laid_out_by_the_template_up_to_the_end_of_its_answer(model):
    (own,) = tokens_of(model, [row("2 + 2", "four")])
    assert text(model, own.ids[: own.response_from]) == "<user>2 + 2<end><assistant>"
    assert text(model, own.ids[own.response_from :]) == "four<end>"
    assert not own.cut


def test_turns_of_a_chat_keep_their_roles(model):
    turns = (
        {"role": "system", "content": "be short"},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "yes?"},
        {"role": "user", "content": "2 + 2"},
    )
    (own,) = tokens_of(model, [row("as one text", "four", *turns)])
    told = "<system>be short<end><user>hi<end><assistant>yes?<end><user>2 + 2<end><assistant>"
    assert text(model, own.ids) == told + "four<end>"


def test_without_the_prompt_the_same_response_stands_behind_what_opens_an_answer(model):
    (own,) = tokens_of(model, [row("2 + 2", "four")], with_prompt=False)
    assert text(model, own.ids[: own.response_from]) == "<assistant>"
    assert text(model, own.ids[own.response_from :]) == "four<end>"


def test_a_model_without_a_template_reads_prompt_and_response_as_they_are(plain):
    (own,) = tokens_of(plain, [row("2 + 2 =", " 4")])
    assert text(plain, own.ids[1:]) == "2 + 2 = 4<end>"
    assert text(plain, own.ids[own.response_from :]) == " 4<end>"
    (alone,) = tokens_of(plain, [row("2 + 2 =", " 4")], with_prompt=False)
    assert alone.response_from == 1
    assert alone.ids[1:] == own.ids[own.response_from :]


@pytest.mark.parametrize(
    ("prompt", "response", "kept"),
    [
        (50, 5, (24, 6)),  # the beginning of the prompt goes
        (50, 50, (15, 15)),  # half is left to the prompt, then the end of the response goes
        (1, 50, (12, 18)),  # a prompt shorter than half stays whole
        (1, 3, (12, 4)),
    ],
)
def test_a_long_row_loses_the_beginning_of_its_prompt_first(plain, prompt, response, kept):
    """Without a template: one token before the prompt, one behind the response."""
    texts = ("p" * (prompt if prompt > 1 else 11), "r" * response)
    (own,) = tokens_of(plain, [row(*texts)], max_length=30)
    assert (own.response_from, len(own) - own.response_from) == kept
    assert own.cut == (kept != (12, 4))
    whole = tokens_of(plain, [row(*texts)])[0].ids
    assert own.ids[own.response_from :] == whole[len(texts[0]) + 1 :][: kept[1]]
    assert own.ids[: own.response_from] == whole[: len(texts[0]) + 1][-kept[0] :]


def test_more_than_the_model_was_made_for_is_refused(model):
    with pytest.raises(InputError, match=r"257 .* reads 2 to 256") as caught:
        tokens_of(model, ROWS, max_length=257)
    assert caught.value.place == "max_length"


def test_a_template_that_refuses_turns_gets_the_prompt_as_one(tmp_path):
    strict = (
        "{% if messages[0]['role'] != 'user' %}{{ raise_exception('no') }}{% endif %}"
        "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}<end>{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    model = load_causal(causal_folder(tmp_path / "strict", template=strict), device="cpu")
    turns = ({"role": "system", "content": "s"}, {"role": "user", "content": "u"})
    (own,) = tokens_of(model, [row("s\n\nu", "r", *turns)])
    assert text(model, own.ids) == "<user>s\n\nu<end><assistant>r<end>"


def test_a_question_keeps_its_end_whatever_the_length_of_the_row(model):
    own, long = chat_tokens(model, ["abc", "d" * 99], 40, before="see ", after=" good?")
    assert text(model, own.ids) == "<user>see abc good?<end><assistant>"
    assert text(model, long.ids).endswith("d good?<end><assistant>")
    assert (len(long), long.cut, own.cut, own.response_from) == (40, True, False, len(own))


@given(st.lists(st.integers(1, 60), max_size=40), st.integers(1, 100))
def test_batches_hold_every_row_once_and_keep_to_their_budget(lengths, budget):
    lengths = np.array(lengths, dtype=np.int64)
    batches = batches_of(lengths, budget)
    assert sorted(np.concatenate([*batches, np.empty(0, int)]).tolist()) == list(
        range(len(lengths))
    )
    for batch in batches:
        assert len(batch) == 1 or len(batch) * lengths[batch].max() <= budget
    in_order = [(-lengths[i], i) for batch in batches for i in batch]
    assert in_order == sorted(in_order)


def reference_loss(folder, tokens):
    """One row at a time by transformers' own loss: (summed, tokens)."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    totals, counts = [], []
    for own in tokens:
        labels = torch.tensor([own.ids])
        labels[0, : own.response_from] = -100
        with torch.no_grad():
            loss = model(input_ids=torch.tensor([own.ids]), labels=labels).loss
        counts.append(len(own) - own.response_from)
        totals.append(float(loss) * counts[-1])
    return np.array(totals), np.array(counts)


@pytest.mark.parametrize("budget", [1, 64, 10_000])
def test_losses_are_those_of_a_plain_loop(folder, model, budget):
    tokens = tokens_of(model, ROWS)
    totals, counts = response_losses(model, tokens, budget_tokens=budget)
    wanted, sizes = reference_loss(folder, tokens)
    assert counts.tolist() == sizes.tolist()
    np.testing.assert_allclose(totals / counts, wanted / sizes, atol=1e-5, rtol=0)


def test_no_bit_depends_on_the_threads(model):
    tokens = tokens_of(model, ROWS * 4)
    before = torch.get_num_threads()
    one, _ = response_losses(model, tokens, threads=1, budget_tokens=128)
    four, _ = response_losses(model, tokens, threads=4, budget_tokens=128)
    assert one.tobytes() == four.tobytes()
    assert torch.get_num_threads() == before


def test_a_loss_that_is_not_finite_is_an_error(tmp_path):
    model = load_causal(causal_folder(tmp_path / "broken"), device="cpu")
    with torch.no_grad():
        next(model.model.parameters()).fill_(float("nan"))
    with pytest.raises(ModelError, match="not finite"):
        response_losses(model, tokens_of(model, ROWS[:1]))


def test_a_digest_names_weights_and_tokenizer(folder, tmp_path):
    same, other = causal_folder(tmp_path / "same"), causal_folder(tmp_path / "other", seed=1)
    assert digest_of_folder(folder) == digest_of_folder(same) != digest_of_folder(other)
    (same / "README.md").write_text("for people")
    assert digest_of_folder(folder) == digest_of_folder(same)
    (same / "chat_template.jinja").write_text("{{ messages }}")
    assert digest_of_folder(folder) != digest_of_folder(same)


def test_pickled_weights_and_code_of_their_own_are_refused(folder, tmp_path):
    pickled = causal_folder(tmp_path / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(ModelError, match="safetensors"):
        load_causal(pickled, device="cpu")
    coded = causal_folder(tmp_path / "coded")
    told = (coded / "config.json").read_text()
    code = '"auto_map": {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.OwnModel"}, '
    told = told.replace("{", "{" + code, 1).replace('"llama"', '"own"')
    (coded / "config.json").write_text(told)
    (coded / "own.py").write_text("raise SystemExit('it ran')")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_causal(coded, device="cpu")
    with pytest.raises(ModelError, match="no such folder"):
        load_causal(tmp_path / "nowhere", device="cpu")


def test_tokens_have_a_length():
    assert len(Tokens((1, 2, 3), 1)) == 3
