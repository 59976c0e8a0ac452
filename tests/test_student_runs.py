"""Students and hybrids as a person meets them: plan, run, evaluation rows, mistakes, YAML."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from embed_fakes import write_rows
from embed_tokenizers import WORDS, model2vec_folder
from smartx.cli import app
from smartx.config import RunConfig, config_from
from smartx.embed import rate
from smartx.errors import ConfigError
from smartx.from_config import vectors_of
from smartx.preflight import check

pytest.importorskip("tokenizers", reason="students need tokenizers")
pytest.importorskip("safetensors", reason="static encoders need safetensors")


def smartx(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with rows.jsonl, and a static encoder in `enc`."""
    folder = tmp_path_factory.mktemp("place")
    rng = np.random.default_rng(1)
    prompts = [" ".join(rng.choice(WORDS, rng.integers(4, 30))) for _ in range(700)]
    write_rows(folder / "rows.jsonl", prompts)
    model2vec_folder(folder / "enc")
    return folder


def fields(place: Path, out: Path, encoder: str) -> list[object]:
    return [place / "rows.jsonl", "--encoder", encoder, "--rows", 60, "--out", out]


def test_a_run_by_a_student_says_what_is_lost(place, tmp_path):
    asked = fields(place, tmp_path / "mix", f"student:{place / 'enc'}")
    told = smartx("run", *asked, "--student-rows", 200)
    assert "held-out rows: cosine" in told
    made = json.loads((tmp_path / "mix" / "manifest.json").read_bytes())["embedding"]
    assert made["encoder"] == "student:enc"
    assert made["student"]["cosine"] > 0.9
    assert 100 < made["student"]["learnt_from"] <= 206
    assert "learnt_from" in (tmp_path / "mix" / "report.html").read_text()
    card = (tmp_path / "mix" / "README.md").read_text()
    assert f"cosine {made['student']['cosine']:.3f} to its teacher" in card
    assert "as they were written" in smartx("verify", tmp_path / "mix.run")
    again = smartx("run", *asked[:-1], tmp_path / "more", "--run-dir", tmp_path / "mix.run",
                   "--student-rows", 200)  # fmt: skip
    assert "used again" in again


def test_a_hybrid_says_who_embedded_what(place, tmp_path):
    asked = fields(place, tmp_path / "mix", f"hybrid:{place / 'enc'}")
    told = smartx("run", *asked, "--student-rows", 200, "--teacher-rows", "40%")
    assert "enc embedded 1 task of 3" in told
    made = json.loads((tmp_path / "mix" / "manifest.json").read_bytes())["embedding"]
    assert made["encoder"] == "hybrid:enc"
    assert sum(made["made"].values()) == 700
    assert list(made["made"]) == ["enc", "student:enc"]
    assert "rows by student:enc" in (tmp_path / "mix" / "README.md").read_text()


def test_what_a_hybrids_teacher_cannot_be_given_is_said_before_it_works(place, tmp_path):
    asked = fields(place, tmp_path / "mix", f"hybrid:{place / 'enc'}")
    for amount, said in (("5000", "at most 700 rows"), ("0.1%", "fewer than the")):
        done = CliRunner().invoke(app, [str(x) for x in ["run", *asked, "--teacher-rows", amount]])
        assert done.exit_code == 2
        assert said in " ".join(done.output.split())
        assert "teacher gives" not in done.output
        assert not (tmp_path / "mix.run" / "students").exists()


def test_a_plan_lays_the_ways_side_by_side(place, tmp_path, monkeypatch):
    encoder = place / "enc"
    told = smartx("plan", *fields(place, tmp_path / "mix", str(encoder)))
    assert "student:" not in told  # the teacher is as quick
    monkeypatch.setattr(rate, "_measured", lambda *_: 7_200.0)
    monkeypatch.setattr(rate, "sample_size", lambda rows, spec: rows // 10)
    told = smartx("plan", *fields(place, tmp_path / "mix", str(encoder)))
    for words in ("hybrid:", "student:", "measured when it is fitted", "2h00m", "nothing"):
        assert words in told
    asked = fields(place, tmp_path / "mix", f"student:{encoder}")
    smartx("embed", *asked[1:3], "--student-rows", 200, "--run-dir", ingested(place, tmp_path))
    told = smartx("plan", *asked, "--student-rows", 200, "--run-dir", tmp_path / "run")
    assert "done" in told
    assert "learnt from" in told
    assert "greedy's gain" in told


def ingested(place: Path, tmp_path: Path) -> Path:
    smartx("ingest", place / "rows.jsonl", "--run-dir", tmp_path / "run")
    return tmp_path / "run"


def test_evaluation_rows_are_embedded_by_the_student_of_the_corpus(place, tmp_path):
    rows = [json.loads(line) for line in (place / "rows.jsonl").read_text().splitlines()]
    evaluation = tmp_path / "eval.jsonl"
    evaluation.write_text("".join(json.dumps(row) + "\n" for row in rows[100:105]))
    for kind in ("student", "hybrid"):
        asked = fields(place, tmp_path / kind, f"{kind}:{place / 'enc'}")
        more = ["--student-rows", 200, "--leave-out", evaluation, "--leave-out-by", "near"]
        more += ["--leave-out-cosine", 0.999] + ["--teacher-rows", "40%"] * (kind == "hybrid")
        assert "5 rows" in smartx("run", *asked, *more)


@pytest.mark.parametrize("kind", ["", "student:"])
def test_rank_and_mix_embed_evaluation_rows_as_the_corpus_was(place, tmp_path, monkeypatch, kind):
    evaluation, work = tmp_path / "eval.jsonl", tmp_path / "work"
    rows = (place / "rows.jsonl").read_text().splitlines()
    evaluation.write_text("".join(f"{row}\n" for row in rows[100:105]))
    student = ["--student-rows", 200] if kind else []
    encoder = ["--encoder", f"{kind}{place / 'enc'}", *student, "--max-length", 40]
    smartx("run", place / "rows.jsonl", *encoder, "--rows", 60, "--out", tmp_path / "mix",
           "--run-dir", work)  # fmt: skip
    near = ["--leave-out", evaluation, "--leave-out-by", "near", "--leave-out-cosine", 0.999]
    near += ["--run-dir", work]
    monkeypatch.chdir(tmp_path)
    for command in (["rank"], ["mix", "--rows", 60, "--out", tmp_path / "clean"]):
        done = CliRunner().invoke(app, [str(word) for word in [*command, *near]])
        assert done.exit_code == 2
        assert "--encoder: more texts are to be embedded" in done.output
        assert "by" in done.output
        assert "5 rows" in smartx(*command, *near, *encoder)
    monkeypatch.chdir(place)  # where the name is that of the folder
    notes = smartx("rank", *near, "--leave-out-cosine", 0.998)
    assert "leave out: 5 rows" in notes or "5 rows" in notes


def test_a_small_corpus_can_have_the_least_student_that_can_be_asked_for(place, tmp_path):
    few = tmp_path / "few.jsonl"
    rows = (place / "rows.jsonl").read_text().splitlines()
    few.write_text("".join(f"{row}\n" for row in rows[:150]))
    told = smartx("run", few, "--encoder", f"student:{place / 'enc'}", "--student-rows", 64,
                  "--rows", 30, "--out", tmp_path / "mix")  # fmt: skip
    assert "held-out rows: cosine" in told
    for step in ("embed to judge it by:", "embed to learn from:", "embed by the student:"):
        assert step in told


@pytest.mark.parametrize(
    ("changed", "place_of_fault", "said"),
    [
        ({"student_rows": 500}, "student_rows", "no effect"),
        ({"teacher_rows": "10%"}, "teacher_rows", "no effect"),
        ({"encoder": "student:enc", "teacher_rows": "10%"}, "teacher_rows", "hybrid:"),
        ({"encoder": "student:/no/such/folder"}, "encoder", "no folder"),
        ({"encoder": "hybrid:enc", "tasks": "auto"}, "encoder", "one encoder"),
        ({"encoder": "student:"}, "encoder", "no encoder is named"),
        ({"encoder": "student:student:enc"}, "encoder", "give student:enc"),
        ({"encoder": "hybrid:student:enc"}, "encoder", "give hybrid:enc"),
        ({"encoder": "Student:enc"}, "encoder", "student:NAME"),
        ({"encoder": "hybrid:enc", "teacher_rows": "150%"}, "teacher_rows", "100%"),
    ],
)
def test_what_has_no_effect_or_cannot_be_is_said_at_the_start(
    place, tmp_path, monkeypatch, changed, place_of_fault, said
):
    monkeypatch.chdir(place)
    asked = {"sources": ["rows.jsonl"], "rows": 5, "out": tmp_path / "mix", "encoder": "enc"}
    with pytest.raises(ConfigError) as caught:
        check(RunConfig(**{**asked, **changed}), command="run")
    assert caught.value.place == place_of_fault
    assert said in f"{caught.value.fault} {caught.value.fix}"


def test_in_a_yaml_file_a_teachers_folder_is_seen_from_the_file(place, monkeypatch):
    monkeypatch.chdir("/")
    for kind, encoder in (("student", "enc"), ("hybrid", "./enc"), ("student", "org/name")):
        (place / "run.yaml").write_text(f"encoder: {kind}:{encoder}\nstudent_rows: 300\nseed: 3\n")
        config = config_from({}, file=place / "run.yaml")
        spec = vectors_of(config)
        student = spec.student if kind == "hybrid" else spec
        assert (student.rows, student.seed) == (300, 0)  # the mixture's seed is not its own
        there = encoder == "org/name"
        assert student.teacher.name == (encoder if there else str(place / encoder))
