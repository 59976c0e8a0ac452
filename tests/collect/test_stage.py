"""Collected features on disk: parts in any order, kills, damage, and how rankers find them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from smartx import collect, features
from smartx.collect import Collected, collected_feature, forms, needed_feature, stage
from smartx.config import config_from
from smartx.corpus import ingest
from smartx.corpus.regroup import regrouped
from smartx.errors import ConfigError, InputError, ModelError, StoreError
from smartx.features import FeatureFile
from smartx.needs import Need
from smartx.progress import Silent
from smartx.rankers.score import ScoreRanker
from smartx.run_folder import collected, mean
from smartx.verify import verify_folder

ROWS = 30


@pytest.fixture
def small(monkeypatch):
    """Shards of 8 rows, parts of 4."""
    for module in (features, stage, forms):
        monkeypatch.setattr(module, "SHARD_ROWS", 8)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    source = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    lines = [
        {"prompt": f"p{i}", "response": "r", "task": f"t{i % 3}", "quality": i} for i in range(ROWS)
    ]
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return source


@pytest.fixture
def corpus(rows, tmp_path):
    return ingest([rows], tmp_path / "run" / "corpus" / "0123456789abcdef")


def opened(corpus, tmp_path, kind="matrix", name="mine", value=0, **more):
    parameters = {"by": "test", "value": value}
    run = tmp_path / "run"
    return Collected.open_or_begin(
        run, corpus, kind, name, parameters, {"model": "m"}, part_rows=4, **more
    )


def values(kind="matrix", seed=0):
    shape = (ROWS,) if kind == "column" else (ROWS, 3)
    return np.random.default_rng(seed).normal(size=shape)


def fill(made, whole, numbers=None):
    for number in made.missing() if numbers is None else numbers:
        made.commit_part(number, whole[slice(*made.bounds(number))])


@pytest.mark.parametrize("kind", ["matrix", "column", "vectors"])
def test_parts_in_any_order_become_the_feature_in_the_order_of_the_rows(
    corpus, tmp_path, small, kind
):
    made, whole = opened(corpus, tmp_path, kind), values(kind)
    assert made.missing() == list(range(8))
    fill(made, whole, [5, 0, 7, 1])
    again = opened(corpus, tmp_path, kind)
    assert again.missing() == [2, 3, 4, 6]
    with pytest.raises(InputError, match="4 parts"):
        again.finish()
    fill(again, whole)
    found = again.finish({"more": 1})
    wanted = features.quantize(whole) if kind == "vectors" else whole.astype(features.TYPES[kind])
    assert np.array_equal(found.rows(0, ROWS), wanted)
    assert np.array_equal(found.take(np.array([29, 3, 3, 11])).squeeze(), wanted[[29, 3, 3, 11]])
    names = sorted(path.name for path in found.folder.iterdir())
    assert names == [".smartx", "manifest.json", *(f"values-0000{i}.npy" for i in range(4))]
    assert verify_folder(found.folder).faults == ()
    assert opened(corpus, tmp_path, kind).missing() == []


def test_what_a_kill_leaves_behind_ends_in_the_same_bytes(corpus, tmp_path, small, monkeypatch):
    whole = values()
    fill(opened(corpus, tmp_path), whole)
    before = {p.name: p.read_bytes() for p in opened(corpus, tmp_path).finish().folder.iterdir()}
    other = tmp_path / "other"
    kept = stage.Stage.finish

    class Killed(BaseException):
        pass

    def killed(*_, **__):
        raise Killed

    made = opened(corpus, other)
    fill(made, whole, [0, 1, 2])
    (made.stage.folder / "part-000001.npy").write_bytes(b"torn")
    made = opened(corpus, other)
    assert made.missing() == [1, 3, 4, 5, 6, 7]
    fill(made, whole)
    monkeypatch.setattr(stage.Stage, "finish", killed)
    with pytest.raises(Killed):  # the files are whole, the manifest is not there
        made.finish()
    monkeypatch.setattr(stage.Stage, "finish", kept)
    monkeypatch.setattr(Collected, "_tidy", killed)
    with pytest.raises(Killed):  # the manifest is there, the parts are not gone
        opened(corpus, other).finish()
    monkeypatch.undo()
    for module in (features, stage, forms):
        monkeypatch.setattr(module, "SHARD_ROWS", 8)
    made = opened(corpus, other)
    assert made.done
    found = made.finish()
    assert {p.name: p.read_bytes() for p in found.folder.iterdir()} == before


def test_a_damaged_file_costs_its_parts_alone(corpus, tmp_path, small):
    whole = values()
    fill(opened(corpus, tmp_path), whole)
    found = opened(corpus, tmp_path).finish()
    (found.folder / "values-00001.npy").write_bytes(b"damage")
    made = opened(corpus, tmp_path)
    assert made.missing() == [2, 3]
    fill(made, whole)
    assert made.finish().digest == found.digest


def test_values_that_do_not_fit_are_refused(corpus, tmp_path, small):
    made = opened(corpus, tmp_path)
    with pytest.raises(InputError, match="part 0 of 4 rows"):
        made.commit_part(0, np.zeros((3, 2)))
    with pytest.raises(ModelError, match="rows 4 to 7 is not finite"):
        made.commit_part(1, np.full((4, 2), np.nan))
    made.commit_part(0, np.zeros((4, 2)))
    fill(made, np.zeros((ROWS, 3)))
    with pytest.raises(StoreError, match="have 3 values, and others 2"):
        made.finish()
    with pytest.raises(InputError, match="do not fill"):
        Collected.open_or_begin(
            tmp_path / "run", corpus, "column", "x", {"by": "t"}, {}, part_rows=3
        )


def test_a_column_may_lack_numbers(corpus, tmp_path, small):
    made, whole = opened(corpus, tmp_path, "column"), np.full(ROWS, np.nan)
    fill(made, whole)
    assert np.isnan(made.finish().rows(0, ROWS)).all()


def test_the_one_collected_last_is_found_and_earlier_ones_stay(corpus, tmp_path, small):
    run, need = tmp_path / "run", Need("mine", "matrix")
    assert collected_feature(run, corpus, need) is None
    for value in (1, 2):
        made = opened(corpus, tmp_path, value=value)
        fill(made, values(seed=value))
        made.finish()
        mean(run, corpus=corpus.folder)  # what other commands note does not forget it
        assert collected_feature(run, corpus, need).folder == made.stage.folder
    assert opened(corpus, tmp_path, value=1).done
    opened(corpus, tmp_path, value=1).finish()
    found = needed_feature(corpus, need, {}, run)
    assert np.array_equal(found.rows(0, ROWS), values(seed=1).astype(np.float32))
    assert collected(run, corpus.digest) == {"mine": found.folder}


def test_a_file_goes_before_what_was_collected_and_other_kinds_are_refused(corpus, tmp_path, small):
    run = tmp_path / "run"
    made = opened(corpus, tmp_path)
    fill(made, values())
    made.finish()
    np.save(tmp_path / "given.npy", np.ones((ROWS, 2), np.float32))
    given = {"mine": FeatureFile(tmp_path / "given.npy")}
    assert needed_feature(corpus, Need("mine", "matrix"), given, run).dimensions == 2
    with pytest.raises(ConfigError, match="as a matrix, and a column is needed"):
        needed_feature(corpus, Need("mine", "column"), {}, run)
    with pytest.raises(ConfigError, match="not given"):
        needed_feature(corpus, Need("other", "matrix"), {}, run)


def test_a_column_of_the_sources_and_a_collected_one_together_are_refused(corpus, tmp_path, small):
    made, run = opened(corpus, tmp_path, "column", "quality"), tmp_path / "run"
    need = Need("quality", "column")
    assert needed_feature(corpus, need, {}, run).rows(0, 1)[0] == 0
    fill(made, values("column"))
    made.finish()
    with pytest.raises(ConfigError, match="a column of the sources, and was collected too"):
        needed_feature(corpus, need, {}, run)


def test_a_matrix_is_found_where_vectors_are_needed(corpus, tmp_path, small):
    made, run, need = opened(corpus, tmp_path), tmp_path / "run", Need("mine", "vectors")
    fill(made, values())
    made.finish()
    assert needed_feature(corpus, need, {}, run, make=False) is None
    found = needed_feature(corpus, need, {}, run)
    assert np.array_equal(found.rows(0, ROWS), features.quantize(values().astype(np.float32)))
    assert needed_feature(corpus, need, {}, run, make=False).digest == found.digest
    assert collected_feature(run, corpus, Need("mine", "matrix")).folder == made.stage.folder


@pytest.mark.parametrize("kind", ["matrix", "column"])
def test_rows_that_were_put_under_found_tasks_keep_what_was_collected(
    corpus, tmp_path, small, kind
):
    made, run, whole = opened(corpus, tmp_path, kind), tmp_path / "run", values(kind)
    fill(made, whole)
    made.finish()
    labels = np.array([i % 2 for i in range(ROWS)], dtype=np.int32)
    other = regrouped(corpus, labels, ["a", "b"], "digest", run / "corpus")
    found = needed_feature(other, Need("mine", kind), {}, run)
    first = corpus.source_positions(0, ROWS)
    at = [first.tolist().index(p) for p in other.source_positions(0, ROWS).tolist()]
    assert at != list(range(ROWS))
    assert np.array_equal(found.rows(0, ROWS), whole[at].astype(found.rows(0, 1).dtype))


def test_what_was_collected_of_other_rows_is_said(corpus, rows, tmp_path, small):
    made = opened(corpus, tmp_path)
    fill(made, values())
    made.finish()
    other = tmp_path / "other.jsonl"
    other.write_text(rows.read_text().splitlines()[0] + "\n")
    less = ingest([other], tmp_path / "run" / "corpus" / "fedcba9876543210")
    with pytest.raises(ConfigError, match="is one of other rows"):
        needed_feature(less, Need("mine", "matrix"), {}, tmp_path / "run")


def test_a_table_is_not_aligned_with_the_rows(corpus, tmp_path, small):
    made = opened(corpus, tmp_path, "table", "targets", rows=5)
    assert made.missing() == [0, 1]
    fill(made, np.arange(15.0).reshape(5, 3))
    made.finish()
    found = needed_feature(corpus, Need("targets", "table"), {}, tmp_path / "run")
    assert np.array_equal(found.rows(0, ROWS), np.arange(15.0).reshape(5, 3))


def test_a_file_of_ones_own_goes_with_the_parts(corpus, tmp_path, small):
    made = opened(corpus, tmp_path)
    scratch = made.scratch("checkpoint-1")
    assert scratch.whole_part() is None
    scratch.commit(1, lambda path: path.write_bytes(b"state"))
    assert opened(corpus, tmp_path).scratch("checkpoint-1").whole_part().rows == 1
    fill(made, values())
    assert [p for p in made.finish().folder.iterdir() if "scratch" in p.name] == []


def test_damage_to_what_was_collected_is_said_by_who_needs_it(corpus, tmp_path, small):
    made = opened(corpus, tmp_path)
    fill(made, values())
    (made.finish().folder / "values-00000.npy").write_bytes(b"short")
    with pytest.raises(StoreError, match="not what its manifest says"):
        needed_feature(corpus, Need("mine", "matrix"), {}, tmp_path / "run")


def test_a_ranking_reads_it_by_name_and_says_which(rows, tmp_path, small):
    from smartx import pipeline

    run = tmp_path / "run"
    told = []

    class Told(Silent):
        def note(self, message):
            told.append(message)

    config = config_from({"sources": [str(rows)], "run_dir": run})
    scores = np.random.default_rng(0).permutation(ROWS).astype(float)

    def work(corpus, folder, progress):
        assert folder == run
        made = Collected.open_or_begin(
            run, corpus, "column", "score", {"by": "test"}, {}, part_rows=4
        )
        fill(made, scores)
        return made.finish()

    found = pipeline.features_step(config, Silent(), work)
    ranked = pipeline.rank_step(
        config_from({"run_dir": run, "ranker": ScoreRanker(per="corpus")}), Told()
    )
    order = ranked.prefix(0, ROWS)[0]
    assert f"feature score: {found.folder.name}, by smartx features test" in told
    assert ranked.manifest["inputs"]["feature score"] == found.digest
    assert ranked.manifest["features"] == {"score": found.folder.name}
    assert order.tolist() == np.argsort(-scores).tolist()
    assert collect.is_collected(run, "score")
