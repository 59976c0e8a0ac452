"""Scores by a causal language model, each against a plain loop over transformers."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from small_causal import asked_folder, causal_folder  # noqa: E402
from smartx.causal import load_causal, rows_of, tokens_of  # noqa: E402
from smartx.collect.llm import Asked, asked_for, collect_llm, passes  # noqa: E402
from smartx.collect.llm.ask_llm import QUESTION  # noqa: E402
from smartx.collect.llm.derived import band  # noqa: E402
from smartx.collect.llm.run import passes_of, query_sets  # noqa: E402
from smartx.config import config_from  # noqa: E402
from smartx.corpus import ingest  # noqa: E402
from smartx.errors import ConfigError, InputError, ModelError  # noqa: E402
from smartx.pipeline import features_step, rank_step  # noqa: E402
from smartx.progress import Silent  # noqa: E402

ROWS, MOST = 19, 520
ALL = ("loss", "perplexity", "ifd", "learnability", "ask-llm", "difficulty", "rds")
COLUMNS = {
    *("loss", "perplexity", "ifd", "loss_alone", "loss_before", "loss_after", "ask_llm"),
    *("difficulty_understanding", "difficulty_confidence", "difficulty_correctness"),
    "difficulty_band",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return asked_folder(tmp_path_factory.mktemp("model"), positions=MOST)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    return asked_folder(tmp_path_factory.mktemp("tuned"), seed=1, positions=MOST)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    texts = [("p" * (1 + 7 * i % 40) + f"{i}", f"r{i}" * (1 + i % 3)) for i in range(ROWS)]
    lines = [{"prompt": p, "response": r, "task": f"t{len(p) % 2}"} for p, r in texts]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture(scope="module", autouse=True)
def _parts_of_eight_rows():
    before, passes.PART_ROWS = passes.PART_ROWS, 8
    yield
    passes.PART_ROWS = before


def asked(folder, **more):
    usual = {"max_length": MOST, "device": "cpu", "answer_tokens": 6}
    return Asked(**{"model": folder, **usual, **more})


def collected(run, wanted, source, progress=None, threads=2):
    config = config_from({"sources": [str(source)], "run_dir": run, "threads": threads})
    return features_step(
        config, progress or Silent(), lambda *where: collect_llm(wanted, config, *where)
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory, folder, tuned, source):
    run = tmp_path_factory.mktemp("made") / "run"
    wanted = asked(folder, reference=tuned, scores=ALL, queries=("dev=" + str(source),))
    return run, collected(run, wanted, source)


@pytest.fixture(scope="module")
def corpus(made, source, tmp_path_factory):
    return ingest([source], tmp_path_factory.mktemp("same") / "corpus")


@pytest.fixture(scope="module")
def model(folder):
    return load_causal(folder, device="cpu", attention="eager")


@cache
def loaded(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(
        folder, attn_implementation="eager"
    ).eval()


def plain(folder, ids, **more):
    """One row through transformers, (losses of tokens 1.., output)."""
    with torch.no_grad():
        output = loaded(folder)(input_ids=torch.tensor([list(ids)]), **more)
    logits, target = output.logits[0, :-1], torch.tensor(list(ids)[1:])
    return torch.nn.functional.cross_entropy(logits, target, reduction="none"), output


def column(made, name):
    return made[1][name].rows(0, ROWS)


def test_every_score_is_a_feature_of_its_kind(made):
    kinds = {name: one.manifest["parameters"]["kind"] for name, one in made[1].items()}
    assert kinds == {**dict.fromkeys(COLUMNS, "column"), "rds": "vectors", "dev": "table"}
    assert all(np.isfinite(column(made, name)).all() for name in COLUMNS)
    assert [name for name in COLUMNS if len(set(column(made, name))) < ROWS // 2] == []


def test_perplexity_and_ifd_are_those_of_a_plain_loop(made, corpus, model, folder):
    rows = rows_of(corpus, 0, ROWS)
    for place, (row, own) in enumerate(zip(rows, tokens_of(model, rows), strict=True)):
        told = f"<user>{row.prompt}<end><assistant>", f"{row.response}<end>"
        before, after = (model.tokenizer(one)["input_ids"] for one in told)
        assert own.ids == (*before, *after)
        with_it = plain(folder, [*before, *after])[0][len(before) - 1 :].mean().item()
        header = model.tokenizer("<assistant>")["input_ids"]
        alone = plain(folder, [*header, *after])[0][len(header) - 1 :].mean().item()
        assert column(made, "loss")[place] == pytest.approx(with_it, abs=1e-5)
        assert column(made, "perplexity")[place] == pytest.approx(np.exp(with_it), rel=1e-5)
        assert column(made, "loss_alone")[place] == pytest.approx(alone, abs=1e-5)
        assert column(made, "ifd")[place] == pytest.approx(with_it / alone, abs=1e-5)


def test_learnability_reads_both_models(made, corpus, model, folder, tuned):
    rows = rows_of(corpus, 0, ROWS)
    assert np.array_equal(column(made, "loss_before"), column(made, "loss"))
    other = transformers.AutoTokenizer.from_pretrained(tuned)
    for place, own in enumerate(tokens_of(model, rows)):
        told = model.tokenizer.decode(own.ids[own.response_from :])
        before, after = (
            other(text)["input_ids"]
            for text in (f"<user>{rows[place].prompt}<end><assistant>", told)
        )
        wanted = plain(tuned, [*before, *after])[0][len(before) - 1 :].mean().item()
        assert column(made, "loss_after")[place] == pytest.approx(wanted, abs=1e-5)


def test_difficulty_weighs_losses_with_the_attention_that_tokens_get(made, corpus, model, folder):
    rows = rows_of(corpus, 0, ROWS)
    for place, own in enumerate(tokens_of(model, rows)):
        losses, output = plain(folder, own.ids, output_attentions=True)
        asked_for_it = losses[: own.response_from - 1].mean().exp().item()
        assert column(made, "difficulty_understanding")[place] == pytest.approx(
            asked_for_it, rel=1e-5
        )
        wanted = weighed(losses, output.attentions[-1][0], own)
        assert column(made, "difficulty_correctness")[place] == pytest.approx(wanted, abs=1e-5)


def weighed(losses, attention, own):
    """As step2/calculate_attention.py (mean) and weighted_selection_by_kcenter.py have it, with no
    word left out."""
    got = attention.sum(dim=1).mean(dim=0)
    for place in range(len(got)):
        got[place] /= len(got) - place
    weights = got[own.response_from :] / got[own.response_from :].sum()
    return float((losses[own.response_from - 1 :] * weights).sum())


def test_confidence_is_the_same_of_the_models_own_answer(made, corpus, model, folder):
    rows = rows_of(corpus, 0, ROWS)
    for place, own in enumerate(tokens_of(model, rows)):
        ids = list(own.ids[: own.response_from])
        for _ in range(6):
            _, output = plain(folder, ids)
            ids.append(int(output.logits[0, -1].argmax()))
            if ids[-1] == model.tokenizer.eos_token_id:
                break
        losses, output = plain(folder, ids, output_attentions=True)
        wanted = weighed(losses, output.attentions[-1][0], replace(own, ids=tuple(ids)))
        assert column(made, "difficulty_confidence")[place] == pytest.approx(wanted, abs=1e-4)


def test_ask_llm_is_how_likely_a_yes_follows(made, corpus, model, folder):
    yes = model.tokenizer.convert_tokens_to_ids(["yes", "Yes"])
    for place, row in enumerate(rows_of(corpus, 0, ROWS)):
        told = f"{row.prompt}\n{row.response}"
        text = QUESTION.replace("{row}", "{}")
        before, after = f"<user>{text}<end><assistant>".split("{}")
        first, own, last = (model.tokenizer(part)["input_ids"] for part in (before, told, after))
        ids = [*first, *own[: MOST - len(first) - len(last)], *last]
        _, output = plain(folder, ids)
        wanted = output.logits[0, -1].softmax(dim=-1)[yes].sum().item()
        assert column(made, "ask_llm")[place] == pytest.approx(wanted, abs=1e-5)


def test_rds_is_the_mean_of_last_states_by_position(made, corpus, model, folder):
    from smartx import quantize

    rows = rows_of(corpus, 0, ROWS)
    wanted = []
    for own in tokens_of(model, rows):
        _, output = plain(folder, own.ids, output_hidden_states=True)
        states = output.hidden_states[-1][0].numpy()
        weights = np.arange(1, len(states) + 1) / np.arange(1, len(states) + 1).sum()
        wanted.append((states * weights[:, None]).sum(axis=0))
    wanted = np.stack(wanted).astype(np.float32)
    found = made[1]["rds"].rows(0, ROWS)
    assert np.abs(found.astype(int) - quantize(wanted).astype(int)).max() <= 1
    queries = made[1]["dev"].rows(0, ROWS)  # one task, in the order of their source
    np.testing.assert_allclose(queries[corpus.source_positions(0, ROWS)], wanted, atol=1e-5)


@pytest.mark.parametrize(
    "ranker",
    [
        "score:column=ifd", "score:column=difficulty_band,best=lowest", "lobass:normalised=no",
        "rds:vectors=rds,queries=dev", "deita:complexity=ifd,quality=ask_llm,vectors=rds",
        "qdit:quality=perplexity,vectors=rds", "facility-location:vectors=rds",
    ],
)  # fmt: skip
def test_rankers_take_them_by_name(made, ranker):
    run, features = made
    ranked = rank_step(config_from({"run_dir": run, "ranker": f"{ranker},per=corpus"}), Silent())
    named = ranked.manifest["features"]
    assert named
    assert all(features[name].folder.name == folder for name, folder in named.items())
    if ranker.startswith("score:column=ifd"):
        order = ranked.prefix(0, ROWS)[0]
        assert order.tolist() == np.argsort(-features["ifd"].rows(0, ROWS), kind="stable").tolist()


def test_killed_anywhere_the_same_command_ends_in_the_same_bytes(
    made, folder, tuned, source, tmp_path, monkeypatch
):
    """Stopped in each part of each pass, and with other numbers of threads."""
    monkeypatch.setattr(passes, "load_causal", cache(load_causal))

    class Stops(Silent):
        def __init__(self, after):
            self.left, self.reads = after, False

        def start(self, step, total, unit):
            self.reads = "loss" in step or "difficulty" in step or step in ("ask_llm", "dev")

        def advance(self, amount):
            self.left -= amount if self.reads else 0
            if self.left < 0:
                raise KeyboardInterrupt

    run = tmp_path / "run"
    wanted = asked(folder, reference=tuned, scores=ALL, queries=("dev=" + str(source),))
    stops = 0
    while True:
        try:
            found = collected(run, wanted, source, Stops(ROWS // 2), threads=1 + stops % 3)
            break
        except KeyboardInterrupt:
            stops += 1
    assert stops >= 10
    first_run, first = made
    assert {name: one.folder.name for name, one in found.items()} == {
        name: one.folder.name for name, one in first.items()
    }
    for name, one in found.items():
        for file in one.folder.iterdir():
            assert file.read_bytes() == (first[name].folder / file.name).read_bytes(), (name, file)
    assert (run / "current.json").read_bytes() != b""
    assert first_run != run


def test_what_is_there_is_not_made_again_and_no_model_is_loaded(
    made, folder, tuned, source, monkeypatch
):
    run, features = made

    def never(*_, **__):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(passes, "load_causal", never)
    wanted = asked(folder, reference=tuned, scores=ALL, queries=("dev=" + str(source),))
    again = collected(run, wanted, source)
    assert {n: one.digest for n, one in again.items()} == {
        n: one.digest for n, one in features.items()
    }


def test_one_pass_gives_all_that_it_shows():
    def names(*scores, **more):
        return [one.names for one in passes_of(asked(Path("m"), scores=scores, **more))]

    assert names("perplexity") == [("perplexity",)]
    assert names("loss", "perplexity", "rds") == [("loss", "perplexity", "rds")]
    assert names("perplexity", "ifd") == [("loss", "perplexity"), ("loss_alone",)]
    assert names("difficulty", answer_tokens=0) == [
        ("difficulty_understanding", "difficulty_correctness")
    ]
    assert names("ask-llm") == [("ask_llm",)]
    assert names("learnability", reference=Path("t")) == [("loss_before",), ("loss_after",)]


def test_the_band_is_how_far_a_row_is_from_the_middle_in_any_difficulty():
    ladder = np.arange(8.0)
    assert band([ladder]).tolist() == [43.75, 31.25, 18.75, 6.25, 6.25, 18.75, 31.25, 43.75]
    turned = band([ladder, np.roll(ladder, 4)])
    assert turned.tolist() == np.maximum(band([ladder]), band([np.roll(ladder, 4)])).tolist()
    within = band([ladder]) <= 25
    low, high = np.percentile(ladder, [25, 75])
    assert within.tolist() == ((ladder >= low) & (ladder <= high)).tolist()
    assert np.isnan(band([np.array([1.0, np.nan, 2.0])])).tolist() == [False, True, False]
    assert band([np.ones(5)]).tolist() == [0.0] * 5


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ({"scores": ("perplexty",)}, "scores"),
        ({"scores": ("learnability",)}, "reference"),
        ({"reference": Path("tuned")}, "reference"),
        ({"queries": ("dev=dev.jsonl",)}, "queries"),
    ],
)
def test_what_does_not_go_together_is_known_at_the_start(more, place):
    with pytest.raises(ConfigError) as caught:
        Asked(Path("m"), **more)
    assert caught.value.place == place


def test_options_of_the_command():
    made = asked_for(model=Path("m"), scores="perplexity, rds", queries=["a=b"])
    assert (made.scores, made.queries) == (("perplexity", "rds"), ("a=b",))
    assert query_sets(["a=b.jsonl", "c=d=e"]) == {"a": "b.jsonl", "c": "d=e"}
    for wrong in (["a"], ["=b"], ["a="], ["a=b", "a=c"]):
        with pytest.raises(ConfigError):
            query_sets(wrong)


def test_a_model_without_a_yes_cannot_be_asked(tmp_path, source):
    without = causal_folder(tmp_path / "without")
    with pytest.raises(ModelError, match="no token for yes"):
        collected(tmp_path / "run", asked(without, scores=("ask-llm",), max_length=250), source)


def test_a_question_that_leaves_no_room_for_a_row_is_refused(tmp_path, folder, source):
    with pytest.raises(InputError, match="tokens without the row") as caught:
        collected(tmp_path / "run", asked(folder, scores=("ask-llm",), max_length=300), source)
    assert caught.value.place == "max_length"
