"""Whole runs: what is left out is in no mixture, and manifest, report and plan say so."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import smartx
from smartx.cli import app
from smartx.config import config_from
from smartx.errors import BudgetError, ConfigError, InputError
from smartx.pipeline import mix_step, plan
from smartx.progress import Silent
from smartx.verify import verify_folder


def sentence(i):
    rng = np.random.default_rng(i)
    return " ".join(f"word{n}" for n in rng.integers(500, size=20))


@pytest.fixture
def files(tmp_path):
    """60 rows of two tasks with vectors, and an evaluation set that five of them stand in."""
    rows = [
        {"inputs": sentence(i), "targets": f"answer {i}", "task_name": f"t{i % 2}"}
        for i in range(60)
    ]
    questions = [{"question": sentence(i).upper()} for i in (0, 7, 21, 22, 40)]
    for name, content in (("rows", rows), ("math", questions)):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(one) + "\n" for one in content))
    vectors = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    np.save(tmp_path / "rows.npy", vectors)
    np.save(tmp_path / "math.npy", vectors[[0, 7, 21, 22, 41]])
    return tmp_path


def asked(files, **more):
    return {
        "sources": [files / "rows.jsonl"],
        "vectors": files / "rows.npy",
        "rows": 20,
        "out": files / "mix",
        "run_dir": files / "run",
        "leave_out": [files / "math.jsonl"],
        **more,
    }


def prompts(mixture):
    files = sorted(mixture.folder.glob("data/*.parquet"))
    return [text for file in files for text in pq.read_table(file)["prompt"].to_pylist()]


GONE = {sentence(i) for i in (0, 7, 21, 22, 40)}


def test_rows_of_an_evaluation_set_are_in_no_mixture_of_any_size(files):
    mixture = smartx.run(asked(files, rows=55))
    assert len(set(prompts(mixture))) == 55
    assert not GONE & set(prompts(mixture))
    told = mixture.manifest
    assert (told["left_out"]["contaminated"], told["left_out"]["trained"]) == (5, 0)
    assert told["leave_out"] == {
        "sets": ["math"], "trained": [], "by": ["exact", "ngrams"],
        "words": 8, "share": 0.5, "least": 8, "common": 10,
    }  # fmt: skip
    assert sum(task["left_out"] for task in told["tasks"]) == 5
    assert all(task["near_duplicates"] == 0 for task in told["tasks"])
    assert "stand in evaluation sets" in (mixture.folder / "report.html").read_text()
    assert "stand in evaluation sets" in (mixture.folder / "README.md").read_text()
    assert verify_folder(files / "run").faults == ()
    with pytest.raises(BudgetError):
        smartx.run(asked(files, rows=56, overwrite=True))


def test_near_rows_are_left_out_too(files):
    near = {"leave_out_by": "near,exact", "leave_out_vectors": files / "math.npy"}
    mixture = smartx.run(asked(files, rows=54, **near))
    assert not (GONE | {sentence(41)}) & set(prompts(mixture))
    by = {(one["reason"], one["rows"]) for one in mixture.manifest["left_out"]["counts"]}
    assert by == {("exact", 5), ("near", 5)}
    with pytest.raises(ConfigError, match="leave_out_vectors"):
        smartx.run(asked(files, leave_out_by=["near"]))
    with pytest.raises(ConfigError, match="2 files of vectors"):
        smartx.run(asked(files, leave_out_vectors=[files / "math.npy", files / "rows.npy"]))


def test_another_set_makes_another_mixture(files):
    first = smartx.run(asked(files))
    assert smartx.run(asked(files)).folder == first.folder
    with pytest.raises(InputError, match="differs in: leave_out"):
        smartx.run(asked(files, leave_out_words=9))
    with pytest.raises(InputError, match="differs in: leave_out"):
        smartx.run(asked(files, leave_out=[]))
    plain = smartx.run(asked(files, leave_out=[], rows=60, overwrite=True))
    assert set(prompts(plain)) >= GONE
    assert plain.manifest["left_out"] is None


def test_what_was_trained_on_is_left_out_and_the_rest_ranked_by_what_it_adds(files):
    before = smartx.run(asked(files, leave_out=[]))
    more = {"out": files / "more", "leave_out": [], "trained": [files / "mix"]}
    after = smartx.run(asked(files, rows=40, **more))
    assert not set(prompts(before)) & set(prompts(after))
    assert after.manifest["left_out"]["trained"] == 20
    assert after.manifest["leave_out"] == {"sets": [], "trained": ["mix"]}
    with pytest.raises(ConfigError, match="would replace"):
        smartx.run(asked(files, **{**more, "out": files / "mix", "overwrite": True}))


def test_the_plan_knows_what_stands_there_and_steps_go_one_by_one(files):
    config = asked(files)
    assert not next(s for s in plan(config).stages if s.name == "rank").done
    smartx.run(config)
    assert next(s for s in plan(config).stages if s.name == "rank").done
    fields = {**asked(files, out=files / "again", rows=10), "sources": []}
    del fields["sources"], fields["vectors"]
    mixture = mix_step(config_from(fields), Silent())
    assert not GONE & set(prompts(mixture))
    assert len(list((files / "run" / "leave_out").iterdir())) == 1


def test_flags_say_the_same(files):
    flags = [
        "run", str(files / "rows.jsonl"), "--vectors", str(files / "rows.npy"), "--rows", "20",
        "--out", str(files / "mix"), "--leave-out", f"bench={files / 'math.jsonl'}",
        "--leave-out-by", "exact,ngrams", "--leave-out-words", "6",
    ]  # fmt: skip
    result = CliRunner().invoke(app, flags)
    assert result.exit_code == 0, result.output
    assert "5 ngrams bench" in result.output.replace("\n", " ")
    missing = CliRunner().invoke(app, [*flags[:-6], "--leave-out", "nowhere.jsonl"])
    assert missing.exit_code != 0
    assert "nowhere.jsonl" in missing.output
    wrong = CliRunner().invoke(app, [*flags[:-4], "--leave-out-by", "ngram"])
    assert wrong.exit_code != 0
    assert "exact" in wrong.output


@pytest.mark.parametrize("ranker", ["facility-location:per=task", "facility-location", "random"])
def test_arrays_in_memory_give_the_rows_of_the_run(files, ranker):
    """Evaluation rows are excluded, an earlier mixture is trained on, twins of tasks are apart."""
    vectors = np.load(files / "rows.npy")
    vectors[50], vectors[31] = vectors[10], vectors[12]  # of one task, and of two
    np.save(files / "rows.npy", vectors)
    shared = {"ranker": ranker, "weights": "equal"}
    before = smartx.run(asked(files, rows=12, leave_out=[], out=files / "before", **shared))
    more = {**shared, "near_duplicates": 0.999, "near_duplicates_within": "corpus"}
    mixture = smartx.run(asked(files, rows=30, trained=[files / "before"], **more))
    places = {sentence(i): i for i in range(60)}
    chosen = smartx.select(
        vectors,
        budget=30,
        tasks=[f"t{i % 2}" for i in range(60)],
        exclude=[places[text] for text in GONE],
        trained=[places[text] for text in prompts(before)],
        **more,
    )
    assert chosen.indices.tolist() == [places[text] for text in prompts(mixture)]
    assert not {*chosen.indices.tolist()} & {places[text] for text in prompts(before)}


def test_a_column_that_no_evaluation_set_has_is_refused(files):
    with pytest.raises(ConfigError, match='no evaluation set has a column "promt"'):
        smartx.run(asked(files, leave_out_column="promt"))


def test_mix_knows_that_the_rows_have_ready_vectors(files):
    smartx.run(asked(files, leave_out=[]))
    later = {"run_dir": asked(files)["run_dir"], "out": files / "later", "rows": 5}
    later |= {"leave_out": [str(files / "math.jsonl")], "leave_out_by": "near"}
    with pytest.raises(ConfigError, match="leave_out_vectors: the rows have ready vectors"):
        mix_step(config_from(later), Silent())


def test_the_plan_has_a_stage_for_it_that_grows_with_sets_and_vectors(files):
    config = asked(files, leave_out_vectors=[files / "math.npy"])
    stages = {
        by: {s.name: s for s in plan({**config, "leave_out_by": by}).stages}
        for by in ("exact", "near")
    }
    assert [s.name for s in plan({**config, "leave_out": [], "leave_out_vectors": []}).stages] == [
        "embed",
        "rank",
        "mix",
    ]
    exact, near = stages["exact"]["leave out"], stages["near"]["leave out"]
    assert not exact.done
    assert 0 < exact.seconds < near.seconds
    assert exact.memory > 0
    smartx.run({**config, "leave_out_by": "near"})
    assert next(
        s for s in plan({**config, "leave_out_by": "near"}).stages if s.name == "leave out"
    ).done


def test_tasks_that_are_found_first_lose_the_same_rows(files):
    config = asked(files, tasks="auto", weights="equal", rows=50)
    assert "leave out" in [stage.name for stage in plan(config).stages]
    mixture = smartx.run(config)
    assert len(set(prompts(mixture))) == 50
    assert not GONE & set(prompts(mixture))
    assert next(s for s in plan(config).stages if s.name == "leave out").done


@pytest.mark.encoder
def test_evaluation_rows_are_embedded_by_the_encoder_of_the_rows(files):
    config = asked(files, leave_out_by="near", leave_out_cosine=0.99, rows=50)
    del config["vectors"]
    config["encoder"] = "all-MiniLM-L6-v2"
    mixture = smartx.run(config)
    assert not GONE & set(prompts(mixture))  # upper case is the same to this encoder
    assert mixture.manifest["left_out"]["contaminated"] == 5
    again = {**config, "out": files / "again", "rows": 10, "max_length": 8}
    del again["sources"]
    with pytest.raises(ConfigError, match="differ in: max_length"):
        mix_step(config_from(again), Silent())
