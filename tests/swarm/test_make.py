"""A swarm of a small corpus on disk: mixtures, ratios, and back from metrics to a mixture."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from small import row
from smartx import pipeline
from smartx.config import config_from
from smartx.errors import ConfigError, InputError, StoreError
from smartx.mixture import open_mixture
from smartx.progress import Silent
from smartx.runs import open_run
from smartx.swarm.fit import Asked
from smartx.swarm.from_files import Trained, fit_files
from smartx.swarm.make import Wanted, make_swarm, open_swarm
from smartx.swarm.tables import read_ratios, write_table
from smartx.swarm.told import fit_lines, mixture_rows, model_rows, share_rows, swarm_lines

SIZES = {("a", "qa"): 60, ("a", "sum*"): 30, ("b", "qa"): 50, ("b", "nli"): 40, ("c", "code"): 20}
ROWS = 50


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("swarm")
    rows = [
        row(f"{task} of {source}: question {i}", task, "t", source)
        for (source, task), count in SIZES.items()
        for i in range(count)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    config = config_from({"sources": [str(folder / "rows.jsonl")], "run_dir": folder / "run"})
    pipeline.ingest_step(config, Silent())
    return folder / "run"


def config_of(run_dir, out, **more):
    fields = {"run_dir": run_dir, "out": out, "rows": ROWS, "preset": "proportional", **more}
    return config_from(fields)


def rows_of(mixture):
    return pq.read_table(sorted((mixture / "data").glob("*.parquet")))["smartx_row"].to_pylist()


@pytest.fixture(scope="module")
def swarm(run_dir, tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "SWARM"
    return make_swarm(config_of(run_dir, out), Wanted(count=12))


def test_every_mixture_has_the_budget_and_ratios_say_what_was_taken(swarm):
    ratios = read_ratios(swarm.folder / "ratios.csv")
    assert ratios.runs == tuple(f"mix-{place:03d}" for place in range(12))
    assert ratios.units == ("a/qa", "sum*", "nli", "b/qa", "code")
    for run, shares in zip(ratios.runs, ratios.shares, strict=True):
        manifest = open_mixture(swarm.folder / run).manifest
        assert manifest["rows"] == ROWS
        taken = np.array([task["rows"] for task in manifest["tasks"]]) / ROWS
        assert shares == pytest.approx(taken, abs=1e-12)
        chosen = rows_of(swarm.folder / run)
        assert len(set(chosen)) == ROWS


def test_the_first_mixture_is_the_prior(run_dir, swarm, tmp_path):
    plain = pipeline.mix_step(config_of(run_dir, tmp_path / "plain"), Silent())
    assert rows_of(plain.folder) == rows_of(swarm.folder / "mix-000")
    assert swarm.manifest["mixtures"][0] == {
        "run": "mix-000",
        "kl": 0.0,
        "digest": plain.manifest["digest"],
    }
    assert swarm.manifest["prior_law"]["name"] == "proportional"


def test_mixtures_are_prefixes_of_the_same_rankings(swarm):
    """Of two mixtures the one with fewer rows of a task has only rows of the other's."""
    tables = [
        pq.read_table(sorted((swarm.folder / f"mix-{place:03d}" / "data").glob("*.parquet")))
        for place in (1, 2)
    ]
    for source, task in SIZES:
        first, second = (
            {
                one["smartx_row"]
                for one in table.select(["source", "task", "smartx_row"]).to_pylist()
                if (one["source"], one["task"]) == (source, task)
            }
            for table in tables
        )
        assert first <= second or second <= first


def test_row_ids_alone_are_those_of_the_mixtures(run_dir, swarm, tmp_path):
    made = make_swarm(config_of(run_dir, tmp_path / "S"), Wanted(count=12, rows_only=True))
    digests = [one["digest"] for one in swarm.manifest["mixtures"]]
    assert [one["digest"] for one in made.manifest["mixtures"]] == digests
    ids = np.load(made.folder / "mix-003.npy")
    assert ids.dtype == np.dtype("<i8")
    assert ids.tolist() == rows_of(swarm.folder / "mix-003")
    assert (made.folder / "ratios.csv").read_bytes() == (swarm.folder / "ratios.csv").read_bytes()


def test_the_same_command_again_changes_nothing_and_another_one_is_refused(run_dir, tmp_path):
    config = config_of(run_dir, tmp_path / "S")
    wanted = Wanted(count=9, rows_only=True)
    made = make_swarm(config, wanted)
    before = {path.name: path.read_bytes() for path in made.folder.iterdir()}
    make_swarm(config, wanted)
    assert {path.name: path.read_bytes() for path in made.folder.iterdir()} == before
    with pytest.raises(StoreError, match=r"differs in: ranker, seed\)"):
        make_swarm(config_of(run_dir, tmp_path / "S", seed=1), wanted)
    other = config_of(run_dir, tmp_path / "S", seed=1, overwrite=True)
    assert make_swarm(other, wanted).manifest["seed"] == 1


@pytest.mark.parametrize("rows_only", [True, False])
def test_a_smaller_swarm_in_the_place_of_another_leaves_none_of_its_mixtures(
    run_dir, tmp_path, rows_only
):
    out = tmp_path / "S"
    make_swarm(config_of(run_dir, out), Wanted(count=4, rows_only=True))
    make_swarm(config_of(run_dir, out, overwrite=True), Wanted(count=3))
    (out / "mix-002" / "mine.txt").write_text("mine")
    np.save(out / "mix-004.npy", np.arange(3))  # somebody else's
    wanted = Wanted(count=2, rows_only=rows_only)
    make_swarm(config_of(run_dir, out, overwrite=True), wanted)
    ending = ".npy" if rows_only else ""
    assert sorted(path.name for path in out.glob("mix-*")) == [
        f"mix-000{ending}", f"mix-001{ending}", "mix-002", "mix-004.npy",
    ]  # fmt: skip
    assert (out / "mix-002" / "mine.txt").read_text() == "mine"


def test_a_folder_with_something_else_is_left_alone(run_dir, tmp_path):
    (tmp_path / "S").mkdir()
    (tmp_path / "S" / "thesis.tex").write_text("mine")
    with pytest.raises(StoreError, match="did not write"):
        make_swarm(config_of(run_dir, tmp_path / "S"), Wanted(count=3, rows_only=True))
    assert [path.name for path in (tmp_path / "S").iterdir()] == ["thesis.tex"]


def test_sources_are_varied_with_their_tasks_in_the_priors_ratios(run_dir, tmp_path):
    made = make_swarm(
        config_of(run_dir, tmp_path / "S", rows=100),
        Wanted(level="source", design="leave-one-out", rows_only=True),
    )
    ratios = read_ratios(made.folder / "ratios.csv")
    assert ratios.units == ("a", "b", "c")
    assert ratios.shares[1:][[0, 1, 2], [0, 1, 2]].tolist() == [0, 0, 0]
    assert ratios.shares[3, :2] == pytest.approx([0.5, 0.5], abs=0.02)


def test_one_share_is_scaled_and_the_rest_keeps_its_ratios(run_dir, tmp_path):
    wanted = Wanted(design="scale-one", factor=0.5, rows_only=True, count=3)
    made = make_swarm(config_of(run_dir, tmp_path / "S", rows=100), wanted)
    shares = read_ratios(made.folder / "ratios.csv").shares
    assert len(shares) == 3
    assert shares[0] == pytest.approx([0.3, 0.15, 0.2, 0.25, 0.1], abs=1e-9)
    assert shares[1] == pytest.approx([0.15, 0.18, 0.24, 0.31, 0.12], abs=0.006)


def test_no_task_gives_a_row_twice_however_scarce(run_dir, tmp_path):
    """At 150 of 200 rows the caps are near the prior, and most draws break one."""
    config = config_of(run_dir, tmp_path / "S", rows=150)
    made = make_swarm(config, Wanted(count=8, concentration=60, rows_only=True))
    rows = np.round(read_ratios(made.folder / "ratios.csv").shares * 150)
    assert (rows <= [60, 30, 40, 50, 20]).all()
    with pytest.raises(InputError, match=r"broke a cap, most often that of") as told:
        make_swarm(
            config_of(run_dir, tmp_path / "T", rows=190),
            Wanted(count=8, concentration=1, rows_only=True),
        )
    assert told.value.place == "concentration"
    assert not (tmp_path / "T").exists()


def test_a_budget_in_tokens_has_shares_of_tokens(run_dir, tmp_path):
    config = config_from(
        {
            "run_dir": run_dir,
            "out": tmp_path / "S",
            "tokens": 400,
            "token_kind": "prompt",
            "preset": "equal",
        }
    )
    made = make_swarm(config, Wanted(count=6))
    corpus = open_run(run_dir).corpus()
    tokens = corpus.token_counts(0, corpus.num_rows)[:, 0]
    tasks = corpus.groups.tasks()
    ratios = read_ratios(made.folder / "ratios.csv")
    assert made.manifest["unit"] == "token"
    for run, shares in zip(ratios.runs, ratios.shares, strict=True):
        rows = np.array(rows_of(made.folder / run))
        assert abs(tokens[rows].sum() - 400) <= tokens.max()
        task = np.searchsorted(tasks.start, rows, side="right") - 1
        taken = np.bincount(task, tokens[rows], len(tasks.rows))
        assert shares == pytest.approx(taken / taken.sum(), abs=1e-9)
    sums = np.add.reduceat(tokens, tasks.start)
    assert made.manifest["most"] == pytest.approx(sums.tolist())


def test_rows_come_again_as_often_as_epochs_allow(run_dir, tmp_path):
    config = config_of(run_dir, tmp_path / "S", rows=150, epochs=2)
    made = make_swarm(config, Wanted(count=6, concentration=4, rows_only=True))
    assert made.manifest["most"] == [120, 60, 80, 100, 40]
    assert "no row more than 2 times" in "\n".join(swarm_lines(made))
    often = [int(np.bincount(np.load(path)).max()) for path in sorted(made.folder.glob("*.npy"))]
    assert max(often) == 2
    rows = np.round(read_ratios(made.folder / "ratios.csv").shares * 150)
    assert (rows <= [120, 60, 80, 100, 40]).all()
    assert (rows > [60, 30, 40, 50, 20]).any()


@pytest.mark.parametrize(
    ("wanted", "place"),
    [
        ({"design": "grid"}, "design"),
        ({"level": "template"}, "level"),
        ({"count": 0}, "count"),
        ({"concentration": 0.0}, "concentration"),
        ({"factor": float("inf")}, "factor"),
    ],
)
def test_what_cannot_be_wanted_is_said(wanted, place):
    with pytest.raises(ConfigError) as told:
        Wanted(**wanted)
    assert told.value.place == place


def test_more_mixtures_than_units_have_is_said(run_dir, tmp_path):
    wanted = Wanted(design="leave-one-out", count=7)
    with pytest.raises(ConfigError, match="6 mixtures"):
        make_swarm(config_of(run_dir, tmp_path / "S"), wanted)


def with_metrics(swarm, path, slope=(0.0, 2.0, 0.0, 0.0, -3.0)):
    """A log-linear accuracy of the shares, a little noise, mix-000 three times."""
    ratios = read_ratios(swarm.folder / "ratios.csv")
    rng = np.random.default_rng(0)
    place = np.r_[0, 0, np.arange(len(ratios.runs))]
    values = 0.9 - np.exp(ratios.shares[place] @ np.array(slope) - 1)
    values += 0.01 * rng.normal(size=len(place))
    rows = [[ratios.runs[i], float(value), "seed"] for i, value in zip(place, values, strict=True)]
    write_table(path, ["run", "accuracy", "comment"], rows)
    return path


def test_metrics_become_a_proposal_and_the_proposal_a_mixture(swarm, run_dir, tmp_path):
    metrics = with_metrics(swarm, tmp_path / "metrics.csv")
    fitted = fit_files(Trained(swarm.folder, metrics, "accuracy", asked=Asked(model="log-linear")))
    facts = json.loads(json.dumps(fitted.facts, allow_nan=False))
    assert (facts["runs"], facts["mixtures"], facts["metric"]) == (14, 12, "accuracy")
    assert facts["noise_floor"]["freedom"] == 2
    shares, prior = facts["proposal"]["shares"], facts["prior"]["shares"]
    assert shares["code"] > prior["code"]
    assert shares.get("sum*", 0) < prior["sum*"]
    assert facts["worst"]["shares"]["sum*"] > prior["sum*"]
    caps = dict(zip(["a/qa", "sum*", "nli", "b/qa", "code"], (60, 30, 40, 50, 20), strict=True))
    assert all(share <= caps[unit] / ROWS + 1e-8 for unit, share in shares.items())
    mixed = pipeline.mix_step(
        config_from(
            {"run_dir": run_dir, "out": tmp_path / "mix", "rows": ROWS, "ranker": "random"},
            file=fitted.proposal,
        ),
        Silent(),
    )
    taken = {f"{t['source']}/{t['task']}": t["rows"] for t in mixed.manifest["tasks"]}
    assert taken["c/code"] == pytest.approx(ROWS * shares["code"], abs=1)
    assert "interval" in fitted.proposal.read_text().splitlines()[0]
    assert yaml.safe_load(fitted.worst.read_text())["weights"]["name"] == "given"


def test_a_larger_run_has_a_tighter_cap(swarm, tmp_path):
    metrics = with_metrics(swarm, tmp_path / "metrics.csv")
    asked = Asked(model="log-linear", kl=1.0)
    loose = fit_files(Trained(swarm.folder, metrics, "accuracy", asked=asked)).facts
    tight = fit_files(Trained(swarm.folder, metrics, "accuracy", budget=150, asked=asked)).facts
    assert loose["proposal"]["shares"]["code"] > 20 / 150
    assert tight["proposal"]["shares"]["code"] == pytest.approx(20 / 150, abs=1e-6)


def test_files_of_others_are_fitted_too(tmp_path, swarm):
    """olmix's: run_id, domains; no swarm.json."""
    text = (swarm.folder / "ratios.csv").read_text().replace("run,", "run_id,", 1)
    (tmp_path / "ratios.csv").write_text(text)
    metrics = with_metrics(swarm, tmp_path / "metrics.csv")
    trained = Trained(tmp_path / "ratios.csv", metrics, "accuracy", asked=Asked(model="log-linear"))
    fitted = fit_files(trained)
    assert any("no swarm.json" in note for note in fitted.facts["notes"])
    assert fitted.proposal == tmp_path / "proposal.yaml"
    assert "sum[*]" in yaml.safe_load(fitted.proposal.read_text())["weights"]["parts"]
    with pytest.raises(InputError, match="how much a task holds"):
        fit_files(Trained(tmp_path / "ratios.csv", metrics, "accuracy", budget=9))


def test_faults_of_the_metrics_name_file_and_column(swarm, tmp_path):
    path = tmp_path / "metrics.csv"
    lines = [f"mix-{place:03d},0.5" for place in range(12)]
    path.write_text("run,accuracy\n" + "\n".join(lines) + "\n")
    with pytest.raises(InputError, match=r"0\.5 for every run") as told:
        fit_files(Trained(swarm.folder, path))
    assert told.value.place == f'{path}, column "accuracy"'
    path.write_text("run,accuracy\nmix-000,0.5\nmix-001,0.6\n")
    with pytest.raises(InputError, match="10 of 12 mixtures"):
        fit_files(Trained(swarm.folder, path))
    with pytest.raises(InputError, match="2 different mixtures"):
        fit_files(Trained(swarm.folder, path, allow_missing=True))


def test_a_damaged_swarm_json_is_said(swarm, tmp_path):
    (tmp_path / "swarm.json").write_text('{"schema": 1')
    with pytest.raises(StoreError, match="cannot be read"):
        open_swarm(tmp_path)
    assert open_swarm(tmp_path / "nowhere") is None


def test_what_a_person_is_told(swarm, tmp_path):
    metrics = with_metrics(swarm, tmp_path / "metrics.csv")
    fitted = fit_files(Trained(swarm.folder, metrics, "accuracy", asked=Asked(model="log-linear")))
    assert "12 mixtures of 50 rows over 5 tasks" in next(swarm_lines(swarm))
    heads, rows = model_rows(fitted.facts)
    assert len(heads) == len(rows[0])
    assert rows[0][0] == "log-linear (chosen)"
    heads, rows = mixture_rows(fitted.facts)
    assert [len(one) for one in rows] == [len(heads)] * 5
    heads, rows = share_rows(fitted.facts)
    assert {one[0] for one in rows} == {"a/qa", "sum*", "nli", "b/qa", "code"}
    told = "\n".join(fit_lines(fitted.facts, [fitted.proposal]))
    assert "noise floor" in told
    assert str(fitted.proposal) in told
