"""Rows that a model gets wrong: judged as a plain loop does, asked for, never asked twice."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

import smartx
from small_causal import causal_folder
from smartx.augment import Asked, ask
from smartx.augment.judge import greedy
from smartx.augment.run import BATCH, JUDGED, PROMPTS
from smartx.errors import InputError

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from smartx.causal import load_causal, rows_of, tokens_of  # noqa: E402

ROWS = 150


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    return causal_folder(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run folder with vectors, and a mixture of half of its rows."""
    folder = tmp_path_factory.mktemp("made")
    rows = [
        {"prompt": f"say {n % 70}", "response": f"r{n % 70}", "task": "ab"[n % 2]}
        for n in range(ROWS)
    ]
    return run_of(folder, rows)


def run_of(folder, rows):
    source = folder / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    np.save(folder / "vectors.npy", np.random.default_rng(0).normal(size=(len(rows), 8)))
    smartx.run(
        sources=[source], vectors=folder / "vectors.npy", rows=len(rows) // 2,
        weights="proportional", ranker="facility-location", out=folder / "mix",
        run_dir=folder / "work", duplicates="keep",
    )  # fmt: skip
    return folder


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def plain_answer(model, tokens, most):
    """Greedy decoding by hand: a token at a time, without a cache and without neighbours."""
    ids = list(tokens.ids[: tokens.response_from])
    for _ in range(most):
        with torch.no_grad():
            logits = model.model(torch.tensor([ids])).logits[0, -1]
        ids.append(int(logits.argmax()))
        if ids[-1] == model.tokenizer.eos_token_id:
            break
    written = ids[tokens.response_from :]
    return model.tokenizer.decode(written, skip_special_tokens=True).strip()


def test_answers_are_those_of_a_plain_loop(model_folder, made):
    model = load_causal(model_folder, device="cpu")
    corpus = smartx.open_run(made / "work").corpus()
    tokens = tokens_of(model, rows_of(corpus, 0, 12), 64)
    assert len({row.response_from for row in tokens}) > 1
    answers = greedy(model, tokens, 6, threads=2)
    assert answers == [plain_answer(model, row, 6) for row in tokens]


def test_wrong_rows_are_asked_for_once_with_their_place_and_neighbours(
    model_folder, made, tmp_path
):
    asked = Asked(model_folder, device="cpu", max_length=200, max_new_tokens=4, neighbours=2)
    found = ask(made / "work", tmp_path / "out", asked, generator="some/model")
    judged, prompts = lines(tmp_path / "out" / JUDGED), lines(tmp_path / "out" / PROMPTS)
    corpus = smartx.open_run(made / "work").corpus()
    assert [one["row"] for one in judged] == list(range(ROWS))
    assert found.facts["rows"] == ROWS
    assert found.facts["wrong"] == sum(one["wrong"] for one in judged) > 0
    assert len({line["id"] for line in prompts}) == len(prompts) == found.facts["prompts"] == 70
    table = corpus.rows(np.array([line["row"] for line in prompts]))
    assert [line["prompt"] for line in prompts] == table["prompt"].to_pylist()
    for line in prompts[:5]:
        assert [turn["role"] for turn in line["messages"]] == ["system", "user"]
        assert json.dumps(line["prompt"]) in line["messages"][1]["content"]
        assert len(line["neighbours"]) == 2
        assert line["origin"].startswith("rows.jsonl:")
    requests = lines(tmp_path / "out" / BATCH)
    assert [one["custom_id"] for one in requests] == [line["id"] for line in prompts]
    assert requests[0]["body"] == {"model": "some/model", "messages": prompts[0]["messages"]}


def test_neighbours_are_the_nearest_rows_that_say_something_else(model_folder, made, tmp_path):
    asked = Asked(model_folder, device="cpu", max_length=200, max_new_tokens=1, neighbours=3)
    ask(made / "work", tmp_path / "out", asked)
    run = smartx.open_run(made / "work")
    vectors = run.embeddings().rows(0, ROWS).astype(np.int64)
    table = run.corpus().rows(np.arange(ROWS))
    texts = list(zip(table["prompt"].to_pylist(), table["response"].to_pylist(), strict=True))
    for line in lines(tmp_path / "out" / PROMPTS)[::17]:
        products = vectors @ vectors[line["row"]]
        seen, expected = {texts[line["row"]]}, []
        for row in np.lexsort((np.arange(ROWS), -products)).tolist():
            if texts[row] not in seen:
                seen.add(texts[row])
                expected.append(row)
        assert [one["row"] for one in line["neighbours"]] == expected[:3]


def test_by_loss_the_rows_above_the_quantile_are_wrong(model_folder, made, tmp_path):
    asked = Asked(
        model_folder, device="cpu", max_length=200, judge="loss", quantile=0.8, neighbours=0
    )
    found = ask(made / "work", tmp_path / "out", asked, mixture=made / "mix")
    judged = lines(tmp_path / "out" / JUDGED)
    mixture = smartx.open_mixture(made / "mix")
    assert [one["row"] for one in judged] == sorted(mixture.row_ids.tolist())
    losses = np.array([one["loss"] for one in judged])
    expected = {one["row"] for one in judged if one["loss"] > np.quantile(losses, 0.8)}
    prompts = lines(tmp_path / "out" / PROMPTS)
    assert {line["row"] for line in prompts} <= expected
    assert found.facts["wrong"] == len(expected)
    assert not any(line["neighbours"] for line in prompts)


def test_other_neighbours_are_shown_without_judging_again(model_folder, made, tmp_path):
    asked = Asked(model_folder, device="cpu", max_length=200, max_new_tokens=2, neighbours=0)
    ask(made / "work", tmp_path / "out", asked)
    before = (tmp_path / "out" / JUDGED).stat().st_ino
    other = Asked(model_folder, device="cpu", max_length=200, max_new_tokens=2, neighbours=1)
    ask(made / "work", tmp_path / "out", other)
    assert (tmp_path / "out" / JUDGED).stat().st_ino == before
    assert lines(tmp_path / "out" / PROMPTS)[0]["neighbours"]
    with pytest.raises(InputError, match="other rows, another model or judge"):
        ask(made / "work", tmp_path / "out", Asked(model_folder, judge="loss", device="cpu"))


def test_rows_that_were_generated_are_left_aside(model_folder, tmp_path):
    rows = [
        {"prompt": f"p{n}", "response": f"r{n}", "task": "a", "llm2llm_round": 2 * (n % 3 == 0)}
        for n in range(30)
    ]
    run_of(tmp_path, rows)
    asked = Asked(model_folder, device="cpu", max_length=200, max_new_tokens=2, neighbours=1)
    found = ask(tmp_path / "work", tmp_path / "out", asked)
    prompts = lines(tmp_path / "out" / PROMPTS)
    assert {line["prompt"] for line in prompts} <= {f"p{n}" for n in range(30) if n % 3}
    assert found.facts["generated"] == 10
    assert {line["round"] for line in prompts} == {3}


KILLED = """
import os, signal, sys
from pathlib import Path
from smartx.augment import Asked, ask
from smartx.store import Sidecar
parts = 0
commit = Sidecar.commit
def killed(self, rows, write):
    global parts
    made = commit(self, rows, write)
    parts += 1
    if parts == int(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)
    return made
Sidecar.commit = killed
asked = Asked(Path(sys.argv[1]), device="cpu", max_length=200, max_new_tokens=3, neighbours=1)
ask(sys.argv[2], sys.argv[3], asked, generator="g")
"""


@pytest.mark.processes
def test_killed_anywhere_and_run_again_it_writes_the_same_bytes(model_folder, made, tmp_path):
    def run(stop):
        call = [
            sys.executable,
            "-c",
            KILLED,
            model_folder,
            made / "work",
            tmp_path / "killed",
            stop,
        ]
        return subprocess.run(list(map(str, call)), capture_output=True, timeout=300, check=False)

    asked = Asked(model_folder, device="cpu", max_length=200, max_new_tokens=3, neighbours=1)
    ask(made / "work", tmp_path / "whole", asked, generator="g", threads=2)
    for commits in (2, 2, 1):  # killed behind two parts of three, the judgments, the prompts
        assert run(commits).returncode == -9
    ask(made / "work", tmp_path / "killed", asked, generator="g", threads=1)
    names = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "killed").iterdir())
    assert names == [".smartx", BATCH, JUDGED, "manifest.json", PROMPTS]
    for name in names:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes()
