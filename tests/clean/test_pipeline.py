"""Cleaning before ranking: `clean` of run, rank and mix, and the command."""

import json
import random

import pyarrow.parquet as pq
import pytest
from planted_defects import planted, sound_rows
from typer.testing import CliRunner

import smartx
from smartx.cli import application
from smartx.errors import ConfigError, SmartxError
from smartx.verify import verify_folder

for package in ("ftfy", "py3langid", "rensa", "textstat"):
    pytest.importorskip(package, reason="cleaning needs the extra clean")


@pytest.fixture
def source(tmp_path):
    rows, places = planted(sound_rows(random.Random(3), 60), random.Random(4), 2)
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({**row, "task": "t"}) + "\n" for row in rows))
    return path, rows, places


def mixed(source, tmp_path, out, **fields):
    fields = {"preset": "random", "run_dir": tmp_path / "run", "rows": 40, **fields}
    return smartx.run([str(source[0])], out=tmp_path / out, **fields)


def test_rows_that_cleaning_drops_stay_out_and_are_counted(source, tmp_path):
    plain = mixed(source, tmp_path, "plain")
    mixture = mixed(source, tmp_path, "clean", clean="instructions", rows=60)
    facts = mixture.manifest["left_out"]
    assert facts["cleaned"] == 32
    assert sum(one["rows"] for one in facts["counts"]) == 32
    assert set(mixture.indices) == set(range(60))  # all that is sound
    assert plain.manifest["inputs"]["rankings"] != mixture.manifest["inputs"]["rankings"]
    assert "clean" not in plain.manifest["leave_out"]
    assert mixture.manifest["leave_out"]["clean"]["copies"]["near"] == 0.75
    assert sum(task["left_out"] for task in mixture.manifest["tasks"]) == 32
    told = "32 are dropped by cleaning"
    assert told in (tmp_path / "clean" / "report.html").read_text()
    assert told in (tmp_path / "clean" / "README.md").read_text()
    assert verify_folder(tmp_path / "run").faults == ()


def test_more_rows_than_stay_cannot_be_had(source, tmp_path):
    with pytest.raises(SmartxError, match="60"):
        mixed(source, tmp_path, "out", clean="instructions", rows=61)


def test_scores_are_columns_that_rankers_find_by_name(source, tmp_path):
    runner = CliRunner()
    run = str(tmp_path / "run")
    done = runner.invoke(application(), ["clean", str(source[0]), "--run-dir", run, "-q"])
    assert done.exit_code == 0, done.output
    assert "32 of 92 rows dropped, 60 stay" in done.output
    out = str(tmp_path / "out")
    words = ["--run-dir", run, "--clean", "instructions", "--rows", "10", "--out", out, "-q"]
    more = ["--weights", "proportional", "--ranker", "score:column=readability"]
    done = runner.invoke(application(), ["mix", *words, *more])
    assert done.exit_code == 0, done.output
    assert "32 are dropped by cleaning" in done.output.replace("\n", " ")
    gains = pq.read_table(f"{out}/data", columns=["smartx_gain"])["smartx_gain"].to_pylist()
    assert len(gains) == 10
    assert min(gains) > 20  # LIX of the hardest


def test_other_rules_are_another_ranking_and_the_same_ones_are_used_again(source, tmp_path):
    first = mixed(source, tmp_path, "a", clean="instructions")
    again = mixed(source, tmp_path, "b", clean="instructions")
    rules = tmp_path / "rules.yaml"
    rules.write_text("echo: {from_words: null}\n")
    other = mixed(source, tmp_path, "c", clean=str(rules))
    digests = [one.manifest["inputs"]["rankings"] for one in (first, again, other)]
    assert digests[0] == digests[1] != digests[2]


def test_a_faulty_rule_is_known_before_any_work(source, tmp_path):
    rules = tmp_path / "rules.yaml"
    rules.write_text("copies: {nera: 0.8}\n")
    with pytest.raises(ConfigError, match='did you mean "near"'):
        mixed(source, tmp_path, "out", clean=str(rules))
    assert not (tmp_path / "run").exists()


def test_the_command_says_what_is_wrong(source, tmp_path):
    runner, run = CliRunner(), str(tmp_path / "run")
    for words, told in (
        (["--rules", "nowhere.yaml"], "neither a file nor one of instructions, published"),
        (["--format", "csv", "--out", "x"], "parquet or jsonl"),
        (["--overwrite"], "--out"),
    ):
        done = runner.invoke(application(), ["clean", str(source[0]), "--run-dir", run, *words])
        assert done.exit_code == 2
        assert told in done.output.replace("\n", " ")
    done = runner.invoke(application(), ["clean", "--run-dir", str(tmp_path / "none")])
    assert done.exit_code != 0
    assert "there is no such run folder" in done.output


def test_rows_in_memory_are_cleaned_by_a_call(tmp_path):
    rows = [{"prompt": f"{n} + 1", "response": f"{n + 1}", "task": "sums"} for n in (1, 2, 1)]
    found = smartx.pipeline.clean(
        rows, run_dir=tmp_path / "run", rows_to=tmp_path / "out", format="jsonl"
    )
    assert found.cleaned.table["reason"].to_pylist() == ["copy: exact"]
    kept = next((found.out / "data").iterdir()).read_text().splitlines()
    assert [json.loads(line)["prompt"] for line in kept] == ["1 + 1", "2 + 1"]
    with pytest.raises(ConfigError, match="run_dir"):
        smartx.pipeline.clean(rows)
