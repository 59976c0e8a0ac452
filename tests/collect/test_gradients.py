"""Gradients of rows and targets: as a plain loop gives them, the same after a kill, and what the
rankers make of them."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
peft = pytest.importorskip("peft")

import smartx  # noqa: E402
from conftest import tree_digest  # noqa: E402
from small_causal import causal_folder  # noqa: E402
from smartx.causal import load_causal, rows_of, tokens_of  # noqa: E402
from smartx.cli import app  # noqa: E402
from smartx.collect import collected_feature  # noqa: E402
from smartx.collect.gradients import Asked, asked_for, collect_gradients, collecting, warm_up  # noqa: E402  # noqa: E402
from smartx.collect.gradients.asked import Lora, Recipe  # noqa: E402
from smartx.collect.gradients.lora import adapted  # noqa: E402
from smartx.collect.gradients.sketch import Sketch  # noqa: E402
from smartx.config import RunConfig  # noqa: E402
from smartx.errors import InputError, MissingPackageError, ModelError, StoreError  # noqa: E402
from smartx.needs import Need  # noqa: E402
from smartx.pipeline import features_step  # noqa: E402
from smartx.progress import Silent  # noqa: E402
from smartx.store import Sidecar  # noqa: E402

ROWS, DIMENSIONS, LENGTH = 200, 48, 64
TARGETS = {"sums": 3, "words": 2}  # rows of each subtask
MOST = 0.25  # length of a gradient in the plain loop: such that some are longer


class Killed(BaseException):
    """What ends a process that is killed."""


def line_of(number, task):
    asked = f"{number} and {number % 7}?" if task == "sums" else f"say {number % 11}"
    answer = str(number + number % 7) if task == "sums" else "a word " * (1 + number % 3)
    return {"prompt": asked, "response": answer.strip(), "task": task}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """(rows, targets)."""
    folder = tmp_path_factory.mktemp("rows")
    rows = [line_of(number, ("sums", "words")[number % 2]) for number in range(ROWS)]
    few = [line_of(500 + n, task) for task, count in TARGETS.items() for n in range(count)]
    for name, lines in {"rows": rows, "few": few}.items():
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / f"{name}.jsonl").write_text(text)
    return folder / "rows.jsonl", folder / "few.jsonl"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return causal_folder(tmp_path_factory.mktemp("model"), seed=1)


def asked(model, files, **more):
    recipe = Recipe(rows=40, epochs=2, rate=1e-2, batch=8, lora=Lora(rank=2), seed=3)
    given = {"dimensions": DIMENSIONS, "max_length": LENGTH, "device": "cpu", "recipe": recipe}
    return Asked(model, files[1], **{**given, **more})


def collected(files, run, wanted, threads=2):
    config = RunConfig(sources=[str(files[0])], run_dir=run, threads=threads)
    work = lambda *where: collect_gradients(wanted, config, *where)  # noqa: E731
    return features_step(config, Silent(), work)


@pytest.fixture(scope="module")
def whole(files, model, tmp_path_factory):
    """A run that nobody disturbed, and its features."""
    run = tmp_path_factory.mktemp("whole") / "run"
    return run, collected(files, run, asked(model, files))


# ---- what is kept ----


def test_the_learning_rates_are_those_of_the_schedule_of_transformers():
    recipe = Recipe(rows=100, epochs=3, rate=0.5, batch=7)
    vector = torch.nn.Parameter(torch.zeros(1))
    adam = torch.optim.SGD([vector], lr=0.5)
    rates, total = recipe.rates(100), 3 * 15
    theirs = transformers.get_linear_schedule_with_warmup(adam, 2, total)  # 3 % of 45, rounded up
    for rate in rates.ravel().tolist():
        assert rate == pytest.approx(theirs.get_last_lr()[0])
        adam.step()
        theirs.step()
    assert rates.shape == (3, 15)
    with pytest.raises(InputError, match="too little"):
        Recipe(rows=4, epochs=1, batch=8).rates(4)


def plain_checkpoints(model, corpus, recipe):
    """The warm-up as a plain loop of peft and torch: (model, weights and Adam of each epoch)."""
    loaded = load_causal(model, device="cpu")
    made = adapted(loaded, recipe.lora, recipe.torch_seed(0))
    tokens = tokens_of(made.model, rows_of(corpus, 0, corpus.num_rows), LENGTH)
    sample = recipe.sample(corpus.num_rows)
    weights = [module.weight for module, _, _ in made.places]
    for weight in weights:
        weight.requires_grad_(True)
    adam = torch.optim.AdamW(weights, weight_decay=0.0)
    rates, kept, norms, step = recipe.rates(len(sample)).ravel(), [], [], 0
    for epoch in range(recipe.epochs):
        for places in recipe.batches(sample, epoch):
            adam.zero_grad()
            for row in sample[places].tolist():
                (loss_of(made, tokens[row]) / len(places)).backward()
            norms.append(float(torch.nn.utils.clip_grad_norm_(weights, MOST)))
            adam.param_groups[0]["lr"] = float(rates[step])
            adam.step()
            step += 1
        flat = [w.detach().clone() for w in weights]
        state = [adam.state[w] for w in weights]
        moments = [[s[name].clone() for s in state] for name in ("exp_avg", "exp_avg_sq")]
        kept.append((flat, *moments, step))
    assert min(norms) < MOST < max(norms)  # some were shortened, some were not
    return made, weights, kept, tokens


def loss_of(made, row):
    """As the model itself gives it for labels."""
    labels = [-100] * row.response_from + list(row.ids[row.response_from :])
    return made.model.model(input_ids=torch.tensor([row.ids]), labels=torch.tensor([labels])).loss


def gradient_of(made, weights, row):
    return torch.autograd.grad(loss_of(made, row), weights)


def test_gradients_are_those_of_a_plain_loop(files, model, tmp_path, monkeypatch):
    """Warm-up, Adam's moments, autograd of each row alone, signs, lengths and rates: all of it
    written out again, without dropout, whose draws go by batches.
    """
    monkeypatch.setattr(warm_up, "MOST_LENGTH", MOST)
    recipe = Recipe(rows=40, epochs=2, rate=1e-2, batch=8, lora=Lora(rank=2, dropout=0.0), seed=3)
    features = collected(files, tmp_path / "run", asked(model, files, recipe=recipe))
    corpus = smartx.open_run(tmp_path / "run").corpus()
    made, weights, kept, tokens = plain_checkpoints(model, corpus, recipe)
    found = features["gradients"].rows(0, ROWS)
    assert found.shape == (ROWS, 2 * DIMENSIONS)
    shares = recipe.rates(40).mean(axis=1)
    shares = shares / shares.sum()
    signs = Sketch(DIMENSIONS, 3).signs(slice(0, made.parameters), slice(0, DIMENSIONS))
    for epoch, (flat, first, second, steps) in enumerate(kept):
        for weight, value in zip(weights, flat, strict=True):
            weight.data.copy_(value)
        part = slice(epoch * DIMENSIONS, (epoch + 1) * DIMENSIONS)
        for row in (0, 1, 77, ROWS - 1):
            taken = []
            for g, m, v in zip(gradient_of(made, weights, tokens[row]), first, second, strict=True):
                m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
                m, v = m / (1 - 0.9 ** (steps + 1)), v / (1 - 0.999 ** (steps + 1))
                taken.append((m / (v.sqrt() + 1e-8)).flatten())
            expected = torch.cat(taken) @ signs
            expected = expected / expected.norm() * shares[epoch] ** 0.5
            np.testing.assert_allclose(found[row, part], expected, atol=2e-4)
        targets = smartx.corpus.open_corpus(_targets_folder(tmp_path / "run", corpus))
        theirs = tokens_of(made.model, rows_of(targets, 0, targets.num_rows), LENGTH)
        table = features["target_gradients"].rows(0, 0)
        tasks = targets.groups.tasks()
        for subtask, (start, rows) in enumerate(zip(tasks.start, tasks.rows, strict=True)):
            own = [gradient_of(made, weights, theirs[row]) for row in range(start, start + rows)]
            mean = torch.stack([torch.cat([g.flatten() for g in one]) for one in own]).mean(dim=0)
            expected = mean @ signs
            expected = expected / expected.norm() * shares[epoch] ** 0.5
            np.testing.assert_allclose(table[subtask, part], expected, atol=2e-4)


def _targets_folder(run, corpus):
    return next(path for path in (run / "corpus").iterdir() if path != corpus.folder)


def test_rows_have_length_one_and_the_manifest_says_how(whole):
    _, features = whole
    for feature in features.values():
        lengths = np.linalg.norm(feature.rows(0, len(feature.rows(0, 1))), axis=1)
        np.testing.assert_allclose(lengths, 1.0, atol=1e-5)
    told = features["target_gradients"].manifest["collected"]
    assert told["subtasks"] == ["sums", "words"]
    assert told["trained_on"] == 40
    assert len(told["rates"]) == 2
    assert {"torch", "transformers"} <= set(told["made_by"])
    left = sorted(path.name for path in features["gradients"].folder.iterdir())
    assert left == [".smartx", "manifest.json", "values-00000.npy"]


def test_a_product_is_the_mean_by_rate_of_the_cosines_at_the_checkpoints(whole):
    _, features = whole
    rows = features["gradients"].rows(0, ROWS).astype(np.float64)
    table = features["target_gradients"].rows(0, 0).astype(np.float64)
    rates = np.array(features["gradients"].manifest["collected"]["rates"])
    assert rates[0] > rates[1] > 0
    expected = np.zeros((ROWS, 2))
    for epoch, rate in enumerate(rates):
        part = slice(epoch * DIMENSIONS, (epoch + 1) * DIMENSIONS)
        own, theirs = rows[:, part], table[:, part]
        own = own / np.linalg.norm(own, axis=1, keepdims=True)
        theirs = theirs / np.linalg.norm(theirs, axis=1, keepdims=True)
        expected += rate / rates.sum() * own @ theirs.T
    np.testing.assert_allclose(rows @ table.T, expected, atol=1e-6)


def test_with_the_formulas_of_the_code_a_target_is_the_mean_of_directions(files, model, tmp_path):
    features = collected(files, tmp_path / "run", asked(model, files, formulas="code"))
    table = features["target_gradients"].rows(0, 0)
    lengths = np.linalg.norm(table, axis=1)
    assert (lengths < 0.999).all()
    assert (lengths > 0.1).all()


# ---- killed, and done again ----


def test_killed_anywhere_it_goes_on_to_the_same_bytes(whole, files, model, tmp_path, monkeypatch):
    """After each file that is finished: epochs of the warm-up, parts, features. On another number
    of threads.
    """
    commit, kills = Sidecar.commit, []
    run, features = whole

    def killed_after(sidecar, rows, write):
        made = commit(sidecar, rows, write)
        if "corpus" in sidecar.part.parts:
            return made
        kills.append(sidecar.part.name)
        raise Killed

    monkeypatch.setattr(Sidecar, "commit", killed_after)
    for _ in range(40):
        try:
            again = collected(files, tmp_path / "run", asked(model, files), threads=1)
            break
        except Killed:
            continue
    parts = [f"part-{number:06d}.npy" for number in range(2)]
    assert sorted(kills) == sorted(
        ["epoch-00.safetensors", "epoch-01.safetensors", *parts * 2, *["values-00000.npy"] * 2]
    )
    for name, feature in features.items():
        assert tree_digest(again[name].folder) == tree_digest(feature.folder)
    assert tree_digest(tmp_path / "run" / "adapters") == tree_digest(run / "adapters")


def test_other_targets_or_dimensions_use_the_warm_up_again(whole, files, model, monkeypatch):
    run, features = whole
    monkeypatch.setattr(warm_up, "mean_gradient", None)
    other = collected(files, run, asked(model, files, dimensions=16))
    more, fewer = features["gradients"].rows(0, ROWS), other["gradients"].rows(0, ROWS)
    first = more[:, :16] / np.linalg.norm(more[:, :16], axis=1, keepdims=True)
    second = fewer[:, :16] / np.linalg.norm(fewer[:, :16], axis=1, keepdims=True)
    np.testing.assert_allclose(first, second, atol=1e-5)  # a shorter sketch begins the longer
    monkeypatch.setattr(collecting._Work, "_sketched", None)
    again = collected(files, run, asked(model, files))
    assert again["gradients"].folder == features["gradients"].folder


# ---- what comes of it ----


def command(*words):
    answer = CliRunner().invoke(app, [*map(str, words)])
    assert answer.exit_code == 0, answer.output
    return answer.output


def test_rankers_find_them_by_their_names(whole, files, model, tmp_path):
    run = tmp_path / "run"
    shape = ("--lora-rank", 2, "--dimensions", 96, "--max-length", LENGTH, "--epochs", 2)
    warm = ("--warmup-rows", "20%", "--lr", "1e-2", "--batch", 8, "--device", "cpu")
    shown = command(
        *("features", "gradients", files[0], "--run-dir", run, "--model", model),
        *("--targets", files[1], *shape, *warm),
    )
    assert "gradients: 200 rows of 192 values" in shown
    assert "target_gradients: 2 rows of 192 values" in shown
    command("rank", "--run-dir", run, "--ranker", "influence:per=corpus")
    opened = smartx.open_run(run)
    corpus = opened.corpus()
    (ranking,) = opened.rankings()
    rows, table = (
        collected_feature(run, corpus, need)
        for need in (Need("gradients", "matrix"), Need("target_gradients", "table"))
    )
    scores = (rows.rows(0, ROWS).astype(np.float64) @ table.rows(0, 0).T).max(axis=1)
    first = ranking.prefix(0, 40)[0]
    np.testing.assert_allclose(scores[first], np.sort(scores)[::-1][:40], atol=1e-6)
    command("rank", "--run-dir", run, "--ranker", "facility-location:vectors=gradients,per=corpus")
    vectors = collected_feature(run, corpus, Need("gradients", "vectors")).rows(0, ROWS)
    cosines = vectors.astype(np.float64) @ vectors.T / (0.998 * 4096) ** 2
    exact = rows.rows(0, ROWS) @ rows.rows(0, ROWS).T
    np.testing.assert_allclose(cosines, exact, atol=2e-3)
    assert len(opened.rankings()) == 2


def test_influence_prefers_rows_like_the_targets(files, model, tmp_path):
    """Targets that ask for sums alone: sums come first."""
    sums = tmp_path / "sums.jsonl"
    sums.write_text("".join(json.dumps(line_of(700 + n, "sums")) + "\n" for n in range(6)))
    features = collected(files, tmp_path / "run", asked(model, (files[0], sums), dimensions=1024))
    scores = features["gradients"].rows(0, ROWS) @ features["target_gradients"].rows(0, 0)[0]
    tasks = smartx.open_run(tmp_path / "run").corpus().groups.tasks()
    own = dict(zip(tasks.task, zip(tasks.start, tasks.rows, strict=True), strict=True))
    mean = {task: scores[start : start + rows].mean() for task, (start, rows) in own.items()}
    assert mean["sums"] > mean["words"] + 0.05


def test_options_become_what_is_asked_for(model):
    given = {"epochs": 3, "lr": 1e-4, "batch": 16, "lora_rank": 8, "seed": 5, "formulas": "code"}
    found = asked_for(model=model, warmup_rows="2.5%", **given)
    assert found.recipe == Recipe(found.recipe.rows, 3, 1e-4, 16, Lora(8), 5)
    assert len(found.recipe.sample(1001)) == 26
    assert len(asked_for(model=model, warmup_rows="1k", **given).recipe.sample(300)) == 300
    for wrong in (
        {"warmup_rows": "some"},
        {"lr": 0.0},
        {"formulas": "mine"},
        {"dimensions": 0},
        {"dimensions": 1 << 19},
    ):
        with pytest.raises(InputError):
            asked_for(**{"model": model, "warmup_rows": "5%", **given, **wrong})


def test_a_disk_without_room_is_said_before_anything_is_made(files, model, tmp_path, monkeypatch):
    full = collecting.shutil._ntuple_diskusage(100, 99, 1)
    monkeypatch.setattr(collecting.shutil, "disk_usage", lambda _: full)
    monkeypatch.setattr(warm_up, "mean_gradient", None)
    with pytest.raises(StoreError, match="1 B left"):
        collected(files, tmp_path / "run", asked(model, files))


def test_without_peft_its_extra_is_named(files, model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingPackageError, match="llm"):
        collected(files, tmp_path / "run", asked(model, files))


def test_numbers_that_are_not_finite_are_said(files, model, tmp_path):
    recipe = Recipe(rows=40, epochs=1, rate=1e20, batch=8, lora=Lora(rank=2))
    with pytest.raises(ModelError, match="not finite"):
        collected(files, tmp_path / "run", asked(model, files, recipe=recipe))
