"""Loss trajectories: as a plain loop gives them, the same after a kill, found by the ranker s2l."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from sklearn.metrics import adjusted_rand_score  # noqa: E402

import smartx  # noqa: E402
from conftest import tree_digest  # noqa: E402
from small_causal import causal_folder  # noqa: E402
from smartx.causal import load_causal, rows_of, tokens_of  # noqa: E402
from smartx.cli import app  # noqa: E402
from smartx.collect import collected_feature, trajectories  # noqa: E402
from smartx.collect.trajectories import (  # noqa: E402
    Asked,
    Recipe,
    asked_for,
    collect_trajectories,
    training_rows,
)
from smartx.config import RunConfig  # noqa: E402
from smartx.errors import InputError, StoreError  # noqa: E402
from smartx.needs import Need  # noqa: E402
from smartx.pipeline import features_step, ingest_step  # noqa: E402
from smartx.progress import Silent  # noqa: E402
from smartx.rankers.clusters import clusters_of  # noqa: E402
from smartx.store import Sidecar  # noqa: E402

ROWS = 300  # more than one part
KINDS = ("seen", "noise", "short")  # what the responses are


class Killed(BaseException):
    """What ends a process that is killed."""


def responses(rng, kind):
    """seen: always the same, soon learned. noise: never. short: the end alone, in effect."""
    letters = "".join(rng.choice(list("bcdfghjklmnpqrstvwxz"), 9).tolist())
    return {"seen": "aaaaaaaaa", "noise": letters, "short": "."}[kind]


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    lines = []
    for number in range(ROWS):
        kind = KINDS[number % 3]
        asked = "".join(rng.choice(list("etaoin "), 3 + number % 8).tolist())
        task = f"task {number % 2}"
        lines.append({"prompt": f"{asked}?", "response": responses(rng, kind), "task": task})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return causal_folder(tmp_path_factory.mktemp("model"))


def asked(model, **more):
    recipe = Recipe(epochs=6.0, rate=1e-2, batch=8)
    return Asked(
        model, **{"train_rows": 90, "checkpoints": 4, "max_length": 64, **more}, recipe=recipe
    )


def collected(sources, run, wanted, threads=2):
    config = RunConfig(sources=[str(sources)], run_dir=run, threads=threads)
    work = lambda *where: collect_trajectories(wanted, config, *where)  # noqa: E731
    return features_step(config, Silent(), work)["losses"]


@pytest.fixture(scope="module")
def whole(sources, model, tmp_path_factory):
    """A run that nobody disturbed, and its feature."""
    run = tmp_path_factory.mktemp("whole") / "run"
    return run, collected(sources, run, asked(model))


# ---- what is recorded ----


def test_losses_at_every_checkpoint_are_those_of_a_plain_loop(
    sources, model, tmp_path, monkeypatch
):
    """Of transformers: the mean cross-entropy of a row's labels, one row at a time."""
    states, weights_from = [], trajectories.weights_from

    def kept(state, into):
        weights_from(state, into)
        states.append({name: weight.clone() for name, weight in into.state_dict().items()})

    monkeypatch.setattr(trajectories, "weights_from", kept)
    feature = collected(sources, tmp_path / "run", asked(model))
    losses = feature.rows(0, ROWS)
    assert losses.shape == (ROWS, 4)
    assert losses.dtype == np.float32
    assert len(states) == 4
    corpus = smartx.open_run(tmp_path / "run").corpus()
    loaded = load_causal(model, device="cpu")
    tokens = tokens_of(loaded, rows_of(corpus, 0, ROWS), 64)
    for place, state in enumerate(states):
        loaded.model.load_state_dict(state)
        for row in range(0, ROWS, 7):
            ids = torch.tensor([tokens[row].ids])
            labels = ids.clone()
            labels[0, : tokens[row].response_from] = -100
            with torch.no_grad():
                expected = float(loaded.model(input_ids=ids, labels=labels).loss)
            assert losses[row, place] == pytest.approx(expected, abs=1e-5)
    assert losses[:, -1].mean() < losses[:, 0].mean() - 0.1  # it was trained


def test_the_manifest_says_how_and_nothing_else_is_left(whole):
    run, feature = whole
    left = sorted(path.name for path in feature.folder.iterdir())
    assert left == [".smartx", "manifest.json", "values-00000.npy"]
    told = feature.manifest
    assert told["collected"]["steps"] == [17, 34, 51, 68]
    assert told["collected"]["trained_on"] == 90
    assert told["parameters"]["recipe"]["rate"] == 1e-2
    assert "torch" in told["collected"]["made_by"]
    corpus = smartx.open_run(run).corpus()
    found = collected_feature(run, corpus, Need("losses", "matrix"))
    assert found.digest == feature.digest


def test_rows_to_train_on_are_drawn_by_the_seed():
    assert training_rows(10, None, 0).tolist() == list(range(10))
    assert training_rows(10, 99, 0).tolist() == list(range(10))
    few, more = training_rows(1000, 50, 3), training_rows(1000, 90, 3)
    assert len(few) == 50
    assert (np.diff(few) > 0).all()
    assert set(few) < set(more)
    assert set(few) != set(training_rows(1000, 50, 4))
    times = np.bincount(
        np.concatenate([training_rows(20, 5, s) for s in range(2000)]), minlength=20
    )
    np.testing.assert_allclose(times / 2000, 0.25, atol=0.05)


def test_another_model_or_recipe_is_another_feature_and_the_same_is_made_once(
    whole, sources, model, monkeypatch
):
    run, feature = whole

    def never(*_, **__):
        raise AssertionError("it was trained again")

    monkeypatch.setattr(trajectories, "trained_to", never)
    assert collected(sources, run, asked(model)).folder == feature.folder
    for other in ({"train_rows": 91}, {"checkpoints": 5}, {"max_length": 63}):
        with pytest.raises(AssertionError, match="trained again"):
            collected(sources, run, asked(model, **other))


# ---- killed ----


def test_killed_anywhere_it_goes_on_to_the_same_bytes(whole, sources, model, tmp_path, monkeypatch):
    """Killed after each file that is finished: parts of losses, columns, the matrix (and states:
    test_training.py). On another number of threads.
    """
    commit, trained_to = Sidecar.commit, trajectories.trained_to
    here, kills, rounds = tmp_path / "run", [], []
    config = RunConfig(sources=[str(sources)], run_dir=here)
    ingest_step(config, Silent())

    def killed_after(sidecar, rows, write):
        commit(sidecar, rows, write)
        kills.append(sidecar.part.name)
        raise Killed

    def noted(training, until, progress, name):
        rounds.append((training.states.newest(until), until))
        return trained_to(training, until, progress, name)

    monkeypatch.setattr(Sidecar, "commit", killed_after)
    monkeypatch.setattr(trajectories, "trained_to", noted)
    for _ in range(60):
        try:
            feature = collected(sources, here, asked(model), threads=1)
            break
        except Killed:
            continue
    assert len(kills) == len(set(kills))  # nothing was made twice
    assert sum(name.startswith("scratch-loss") for name in kills) == 4 * (2 + 1)
    assert sum(name.startswith("part-") for name in kills) == 2
    # Training went on from the state at the checkpoint whose losses were being recorded.
    trained = [(begun, until) for begun, until in rounds if begun != until]
    assert trained == [(None, 17), (17, 34), (34, 51), (51, 68)]
    assert feature.digest == whole[1].digest
    assert tree_digest(feature.folder) == tree_digest(whole[1].folder)


def test_a_disk_without_room_for_the_states_is_said_before_anything_is_trained(
    sources, model, tmp_path, monkeypatch
):
    full = trajectories.shutil._ntuple_diskusage(100, 99, 1)
    monkeypatch.setattr(trajectories.shutil, "disk_usage", lambda _: full)
    monkeypatch.setattr(trajectories, "trained_to", None)
    with pytest.raises(StoreError, match="1 B left"):
        collected(sources, tmp_path / "run", asked(model))


# ---- what is asked, and what comes of it ----


def test_options_become_what_is_asked_for(model):
    common = {"model": model, "epochs": 2.0, "lr": 1e-4, "batch": 16, "seed": 5, "checkpoints": 3}
    found = asked_for(train_rows="1,000", **common)
    assert found.train_rows == 1000
    assert found.recipe == Recipe(epochs=2.0, rate=1e-4, batch=16, seed=5)
    assert asked_for(train_rows="all", **common).train_rows is None
    with pytest.raises(InputError, match="a number or all"):
        asked_for(train_rows="most", **common)


def test_trajectories_tell_kinds_of_rows_apart_and_s2l_takes_of_each(whole, sources):
    """Rows that are learned soon, never, and those of which only the end is learned."""
    run, feature = whole
    corpus = smartx.open_run(run).corpus()
    said = corpus.rows(np.arange(ROWS))["response"].to_pylist()
    kinds = [{"a": 0, ".": 2}.get(one[0], 1) for one in said]
    found = clusters_of(feature.rows(0, ROWS).astype(np.float64), 3, np.arange(ROWS), seed=0)
    assert adjusted_rand_score(kinds, found) > 0.9
    done = CliRunner().invoke(
        app,
        ["mix", "--run-dir", str(run), "--rows", "60",
         "--ranker", "s2l:clusters=3,per=corpus", "--weights", "as-ranked",
         "--out", str(run.parent / "mix")],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    table = smartx.open_mixture(run.parent / "mix").to_arrow()
    chosen = [{"a": 0, ".": 2}.get(one[0], 1) for one in table["completion"].to_pylist()]
    counts = np.bincount(chosen, minlength=3)
    assert counts.min() >= 15


def test_the_command_collects_and_says_where(sources, model, tmp_path):
    done = CliRunner().invoke(
        app,
        ["features", "trajectories", str(sources), "--run-dir", str(tmp_path / "run"),
         "--model", str(model), "--max-length", "64", "--train-rows", "8", "--checkpoints", "2",
         "--epochs", "1", "--batch", "4", "--lr", "0.001", "--threads", "1"],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert f"losses: {ROWS} rows of 2 values in" in done.output.replace("\n", "")
    assert "8 rows to train on in 2 steps" in done.output
    refused = CliRunner().invoke(
        app,
        ["features", "trajectories", "--run-dir", str(tmp_path / "run"), "--model", str(model),
         "--max-length", "64", "--train-rows", "8", "--epochs", "1"],
    )  # fmt: skip
    assert refused.exit_code != 0
    assert "12 checkpoints were asked for, and training has 1 step" in refused.output


def test_only_the_first_gpu_is_trained_on(model):
    loaded = load_causal(model, device="cpu")
    other = type(loaded)(**{**vars(loaded), "device": torch.device("cuda:1")})
    with pytest.raises(InputError, match="CUDA_VISIBLE_DEVICES"):
        trajectories._check_device(other)


def test_a_model_whose_losses_are_not_finite_is_an_error(sources, tmp_path, monkeypatch, model):
    def lost(own, tokens, **_):
        return np.full(len(tokens), np.nan), np.ones(len(tokens), dtype=np.int64)

    monkeypatch.setattr(trajectories, "response_losses", lost)
    with pytest.raises(smartx.SmartxError, match="not finite"):
        collected(sources, tmp_path / "run", asked(model, checkpoints=1))
