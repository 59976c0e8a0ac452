"""The commands swarm and fit: from a run to a mixture, and what is said of faults."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from small import row
from smartx import pipeline
from smartx.cli import app
from smartx.config import config_from
from smartx.progress import Silent
from smartx.swarm.tables import read_ratios, write_table


def smartx(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    rows = [row(f"{task} {i}", task, "t", "s") for task in "abcd" for i in range(40)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    config = config_from({"sources": [str(folder / "rows.jsonl")], "run_dir": folder / "work"})
    pipeline.ingest_step(config, Silent())
    return folder / "work"


def test_from_a_run_to_the_mixture_that_a_fit_proposes(run_dir, tmp_path):
    out = tmp_path / "swarm"
    run = ("--run-dir", run_dir, "--rows", 40, "--preset", "equal", "-q")
    made = smartx("swarm", *run, "--count", 10, "--rows-only", "--out", out)
    assert made.exit_code == 0, made.output
    assert "10 mixtures of 40 rows over 4 tasks" in made.output
    ratios = read_ratios(out / "ratios.csv")
    losses = 1 + np.exp(ratios.shares @ np.array([2.0, 0, 0, -2.0]))
    losses += 0.01 * np.random.default_rng(0).normal(size=10)
    metrics = tmp_path / "metrics.csv"
    write_table(metrics, ["run", "loss"], zip(ratios.runs, losses.tolist(), strict=True))
    facts = tmp_path / "fit.json"
    fitted = smartx(
        "fit",
        out,
        "--metrics",
        metrics,
        "--lower-is-better",
        "--model",
        "log-linear",
        "--json",
        facts,
    )
    assert fitted.exit_code == 0, fitted.output
    for words in ("log-linear (chosen)", "proposal", "better than the prior by", str(facts)):
        assert words in fitted.output
    shares = json.loads(facts.read_bytes())["proposal"]["shares"]
    assert shares["d"] > 0.3 > 0.2 > shares["a"]
    mixed = smartx("mix", "--config", out / "proposal.yaml", *run, "--out", tmp_path / "mix")
    assert mixed.exit_code == 0, mixed.output
    taken = json.loads((tmp_path / "mix" / "manifest.json").read_bytes())["tasks"]
    assert [task["rows"] for task in taken] == pytest.approx(
        [40 * shares[task] for task in "abcd"], abs=1
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("swarm", "--rows", 40, "--out", "OUT", "--design", "grid"), "design: it must be one of"),
        (("swarm", "--rows", 999, "--out", "OUT"), "fewer than the 999 asked"),
        (("swarm", "--rows", 40), "--out: it is needed"),
        (("fit", "OUT", "--metrics", "none.csv"), "ratios.csv: it cannot be read"),
        (("fit", "OUT", "--metrics", "none.csv", "--model", "tree"), "model: it must be one of"),
    ],
)
def test_a_fault_is_said_with_its_place(run_dir, tmp_path, arguments, words):
    given = [tmp_path / "out" if one == "OUT" else one for one in arguments]
    (tmp_path / "out").mkdir()
    if arguments[0] == "swarm":
        given += ["--run-dir", run_dir, "--preset", "equal", "-q"]
    done = smartx(*given)
    assert done.exit_code == 2
    assert words in done.output
