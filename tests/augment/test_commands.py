"""The commands of docs/recipes/llm2llm.md, as they stand there, with a tiny model."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import smartx
from conftest import REPOSITORY
from page_blocks import blocks_of
from small_causal import causal_folder
from smartx.cli import application

pytest.importorskip("torch")
pytest.importorskip("transformers")


def test_a_round_from_wrong_rows_to_the_next_mixture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [{"prompt": f"say {n}", "response": f"r{n}", "task": "ab"[n % 2]} for n in range(50)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    np.save("vectors.npy", np.random.default_rng(0).normal(size=(50, 8)))
    smartx.run(
        sources=["rows.jsonl"], vectors="vectors.npy", rows=40, weights="proportional",
        ranker="facility-location", out="mix", run_dir="work",
    )  # fmt: skip
    causal_folder(tmp_path / "tuned")
    page = REPOSITORY / "docs" / "recipes" / "llm2llm.md"
    ask, take = [one.source for one in blocks_of(page) if one.kind == "elsewhere"]
    printed = run(ask.strip() + " --max-length 200 --max-new-tokens 3 --device cpu")
    prompts = [json.loads(line) for line in Path("round1/prompts.jsonl").read_text().splitlines()]
    assert f"{len(prompts)} prompts in round1/prompts.jsonl" in printed
    answers = [
        {"id": p["id"], "answer": json.dumps({"prompt": f"new {n}", "response": "x"})}
        for n, p in enumerate(prompts)
    ]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(a) + "\n" for a in answers))
    first, second = take.strip().splitlines()
    assert f"{len(prompts)} new rows in new.jsonl" in run(first)
    run(second)
    made = smartx.open_mixture("mix2").to_arrow().to_pylist()
    assert len(made) == 60
    known = {p["id"] for p in prompts}
    assert {row["llm2llm_of"] for row in made if row["template"] == "llm2llm"} <= known


def test_what_cannot_be_asked_is_said_in_flags(tmp_path):
    causal_folder(tmp_path / "tuned")
    told = run(f"smartx augment ask --run-dir {tmp_path}/no --model {tmp_path}/tuned --out o", 1)
    assert "run `smartx ingest`" in told
    told = run(f"smartx augment ask --model {tmp_path}/tuned --out o --judge vibes", 2)
    assert "--judge" in told
    assert "exact, number, loss" in told


def run(line, status=0):
    done = CliRunner().invoke(application(), shlex.split(line)[1:])
    assert done.exit_code == status, done.output
    return done.output
