"""`smartx export`, as people type it."""

from __future__ import annotations

import json
import re

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import smartx
from made_mixtures import CALLS, CHATS, PAIRS, mixture_of
from smartx import cli
from smartx.errors import InputError
from smartx.exports import FORMATS
from smartx.exports.map import MAP


def told(*words):
    done = CliRunner().invoke(cli.app, ["export", *map(str, words)], env={"COLUMNS": "200"})
    return done.exit_code, done.output


@pytest.fixture(scope="module")
def mixture(tmp_path_factory):
    return mixture_of([*CALLS, *CHATS, *PAIRS], tmp_path_factory.mktemp("made")).folder


def test_it_writes_says_what_and_what_to_do_next(mixture, tmp_path):
    out = tmp_path / "out"
    status, text = told(mixture, "--format", "messages", "--out", out, "--validation", "20%")
    assert status == 0
    rows = [
        len((out / f"{split}.jsonl").read_text().splitlines()) for split in ("train", "validation")
    ]
    assert sum(rows) == 40
    assert f"40 rows in {out} (train {rows[0]}, validation {rows[1]})" in text
    assert f'data_files="{out}/train.jsonl"' in text
    assert FORMATS["messages"].weight in text


def test_misfits_are_counted_or_left_out(mixture, tmp_path):
    status, text = told(mixture, "--format", "alpaca", "--out", tmp_path / "out")
    assert status == 2
    assert "--leave-out-misfits" in text
    assert not (tmp_path / "out").exists()
    status, text = told(
        mixture, "--format", "alpaca", "--out", tmp_path / "out", "--leave-out-misfits"
    )
    assert status == 0
    assert "left out: 10 rows with a system turn" in text
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["rows"] == len(PAIRS)


def test_without_a_format_all_are_explained():
    status, text = told()
    assert status == 0
    for kind in FORMATS.values():
        assert f"{kind.name}: {kind.holds}" in text
        assert kind.weight in text


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["--format", "messages", "--out", "x"], "the mixture to export is not given"),
        (["nowhere", "--format", "messages"], "--out: it is not given"),
        (["nowhere", "--out", "x"], "--format: it is not given"),
        (["nowhere", "--format", "messages", "--out", "x"], "it is not a mixture"),
        (["nowhere", "--format", "mesages", "--out", "x"], "did you mean messages?"),
    ],
)
def test_what_is_missing_is_said_with_a_fix(tmp_path, monkeypatch, words, fault):
    monkeypatch.chdir(tmp_path)
    status, text = told(*words)
    assert status in (1, 2)
    assert fault in text
    assert "fix:" in text
    assert list(tmp_path.iterdir()) == []


def test_help_names_every_format_and_its_examples_run(mixture, tmp_path, monkeypatch):
    status, text = told("--help")
    assert status == 0
    words = set(re.findall(r"[a-z]+(?:-[a-z]+)*", text))
    assert {*FORMATS, MAP} <= words
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mix").symlink_to(mixture)
    examples = re.findall(r"smartx export (mix .*?)\s*$", text, flags=re.MULTILINE)
    assert len(examples) >= 4
    for example in (example for example in examples if "--push" not in example):
        status, text = told(*example.split())
        assert status == (1 if "map" in example else 0), text  # it has no run folder


def test_a_map_is_one_file_with_exact_neighbours_and_nothing_of_other_formats(
    small_corpus, tmp_path
):
    mixed = {"vectors": small_corpus.vectors, "rows": 50, "out": tmp_path / "mix"}
    smartx.run(smartx.RunConfig(sources=[str(small_corpus.file)], **mixed))
    asked = (tmp_path / "mix", "--format", "map", "--out", tmp_path / "map.parquet")
    status, text = told(*asked, "--points", 60)
    assert status == 0, text
    assert f"60 rows in {tmp_path / 'map.parquet'}" in text
    assert "embedding-atlas" in text
    table = pq.read_table(tmp_path / "map.parquet")
    assert {"x", "y", "neighbors", "picked"} <= set(table.column_names)
    assert 0 < sum(table["picked"].to_pylist()) <= 50
    for other in (["--validation", "5%"], ["--push", "me/mix"], ["--leave-out-misfits"]):
        status, text = told(*asked, *other)
        assert (status, other[0] in text) == (2, True)
    for own in (["--points", 60], ["--run-dir", tmp_path / "mix.run"]):
        other = ("--format", "messages", "--out", tmp_path / "out")
        status, text = told(tmp_path / "mix", *other, *own)
        assert (status, f"{own[0]}: it is of the format map alone" in text) == (2, True)
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="a map is one file"):
        smartx.export(tmp_path / "mix", "map", tmp_path / "out")
