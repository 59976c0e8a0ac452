"""Features of the rows: from files and from columns of the sources, in the order of the corpus."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import smartx
from smartx import features
from smartx.config import config_from
from smartx.corpus import ingest
from smartx.corpus.numbers import numbers_of
from smartx.errors import ConfigError, InputError, SmartxError
from smartx.features import FeatureFile, feature_files, feature_there, in_memory, kept_feature
from smartx.needs import Need, names_of_features
from smartx.options import one_of
from smartx.rankers import Ranker

ROWS = 40


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Rows whose tasks come in turns, so that the corpus has another order than the source, and one
    that ingest drops.
    """
    folder = tmp_path_factory.mktemp("features")
    rows = [
        {"prompt": f"p{i}", "response": "r", "task": f"t{i % 3}", "quality": i / 8, "good": i > 5}
        for i in range(ROWS)
    ]
    rows[7]["response"] = ""
    rows[9]["quality"], rows[10]["quality"] = None, "2.5"
    source = folder / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ingest([source], folder / "corpus")


def positions(corpus):
    return corpus.source_positions(0, corpus.num_rows)


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize(
    ("kind", "dtype"), [("matrix", "f4"), ("matrix", "f8"), ("vectors", "f4"), ("column", "f8")]
)
def test_a_file_is_taken_row_by_row_in_the_order_of_the_corpus(
    corpus, tmp_path, monkeypatch, kind, dtype, small
):
    if small:
        monkeypatch.setattr(features, "SHARD_ROWS", 7)
    values = np.random.default_rng(0).normal(size=(ROWS, 5)).astype(dtype)
    if kind == "column":
        values = values[:, 0]
    np.save(tmp_path / "values.npy", values)
    need = Need("mine", kind)
    asked = (corpus, need, FeatureFile(tmp_path / "values.npy"), tmp_path / "run")
    assert feature_there(*asked) is None
    made = kept_feature(*asked)
    assert feature_there(*asked).digest == made.digest == kept_feature(*asked).digest
    wanted = values[positions(corpus)]
    wanted = smartx.quantize(wanted) if kind == "vectors" else wanted
    for start, stop in ((0, corpus.num_rows), (3, 20), (6, 7), (14, 14)):
        found = made.rows(start, stop)
        assert found.dtype == features.TYPES[kind]
        assert np.array_equal(found, wanted[start:stop].astype(found.dtype))
    with pytest.raises(InputError, match="not within"):
        made.rows(0, corpus.num_rows + 1)


@pytest.mark.parametrize("dtype", ["i8", "u1", "?"])
def test_a_matrix_may_hold_counts_or_labels(corpus, tmp_path, dtype):
    values = np.random.default_rng(0).integers(0, 2, size=(ROWS, 5)).astype(dtype)
    np.save(tmp_path / "labels.npy", values)
    file = FeatureFile(tmp_path / "labels.npy")
    made = kept_feature(corpus, Need("mine", "matrix"), file, tmp_path / "run")
    assert np.array_equal(made.rows(0, corpus.num_rows), values[positions(corpus)])
    np.save(tmp_path / "labels.npy", values[1:])
    with pytest.raises(InputError, match="39 rows, and the sources have 40"):
        kept_feature(corpus, Need("mine", "matrix"), file, tmp_path / "run")


def test_a_table_is_not_aligned(corpus, tmp_path):
    table = np.arange(12.0).reshape(4, 3)
    np.save(tmp_path / "table.npy", table)
    asked = (Need("mine", "table"), FeatureFile(tmp_path / "table.npy"), tmp_path / "run")
    made = kept_feature(corpus, *asked)
    assert np.array_equal(made.rows(2, 3), table)
    assert made.dimensions == 3


def test_parquet_columns_hold_numbers_or_lists(corpus, tmp_path):
    table = pa.table({"score": list(range(ROWS)), "pair": [[float(i), 1.0] for i in range(ROWS)]})
    pq.write_table(table, tmp_path / "f.parquet")
    at = positions(corpus)
    file = tmp_path / "f.parquet"
    score = kept_feature(corpus, Need("a", "column"), FeatureFile(file, "score"), tmp_path / "run")
    assert score.rows(0, len(at)).tolist() == at.astype(float).tolist()
    pair = kept_feature(corpus, Need("a", "matrix"), FeatureFile(file, "pair"), tmp_path / "run")
    assert pair.rows(0, len(at)).tolist() == [[float(i), 1.0] for i in at]
    rows = kept_feature(corpus, Need("a", "table"), FeatureFile(file, "pair"), tmp_path / "run")
    assert rows.rows(0, 0).shape == (ROWS, 2)
    assert len({score.folder, pair.folder, rows.folder}) == 3


def test_a_parquet_column_that_is_not_there_is_told_with_those_that_are(corpus, tmp_path):
    file = tmp_path / "f.parquet"
    pq.write_table(pa.table({"pair": [[0.0, 1.0]] * ROWS}), file)
    for kind in ("matrix", "column"):
        with pytest.raises(SmartxError, match="pair") as caught:
            kept_feature(corpus, Need("a", kind), FeatureFile(file, "pear"), tmp_path / "run")
        assert caught.value.fix == "write NAME=FILE.parquet:COLUMN"


def test_a_column_of_the_sources_is_numbers_by_row(corpus, tmp_path):
    quality = numbers_of(corpus, "quality")
    wanted = [2.5 if i == 10 else np.nan if i == 9 else i / 8 for i in positions(corpus)]
    assert np.array_equal(quality, wanted, equal_nan=True)
    assert numbers_of(corpus, "good").tolist() == [float(i > 5) for i in positions(corpus)]
    kept = kept_feature(corpus, Need("quality", "column"), None, tmp_path)
    assert np.array_equal(kept.rows(0, corpus.num_rows), wanted, equal_nan=True)
    with pytest.raises(InputError, match='did you mean "quality"'):
        numbers_of(corpus, "qualty")


def test_a_word_in_a_column_of_numbers_is_named_with_its_place(tmp_path):
    rows = [{"prompt": "p", "response": "r", "n": n} for n in (1, "much", 3)]
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InputError, match=r"rows.jsonl:2: .*'much', and a number is needed"):
        numbers_of(ingest([source], tmp_path / "corpus"), "n")
    table = tmp_path / "rows.csv"
    table.write_text("prompt,response,n\np,r,1.5\nq,r,\ns,r,2\n")
    found = numbers_of(ingest([table], tmp_path / "other"), "n")
    assert np.array_equal(found, [1.5, np.nan, 2], equal_nan=True)


@pytest.mark.parametrize(
    ("kind", "values", "fault"),
    [
        ("matrix", np.zeros((3, 2), np.float32), "3 rows, and the sources have 40"),
        ("column", np.zeros(3), "3 rows, and the sources have 40"),
        ("column", np.zeros((ROWS, 2)), "one number a row is needed, and it has 2"),
        ("matrix", np.full((ROWS, 2), np.inf, np.float32), "not finite"),
        ("table", np.full((2, 2), np.nan), "not finite"),
        (
            "matrix",
            np.where(np.arange(2 * ROWS).reshape(ROWS, 2) == 23, np.nan, 1),
            r"row 11 holds .*\(1 such rows",
        ),
        ("matrix", np.where(np.arange(2 * ROWS).reshape(ROWS, 2) == 9, 1e300, 1), "too large"),
        ("table", np.array(["a"]), "numbers are needed"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(corpus, tmp_path, kind, values, fault):
    np.save(tmp_path / "values.npy", values)
    file = FeatureFile(tmp_path / "values.npy")
    with pytest.raises(InputError, match=fault):
        kept_feature(corpus, Need("mine", kind), file, tmp_path / "run")


def test_objects_are_never_loaded(corpus, tmp_path):
    np.save(tmp_path / "values.npy", np.array([{}] * ROWS, dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="cannot be read"):
        kept_feature(
            corpus, Need("m", "column"), FeatureFile(tmp_path / "values.npy"), tmp_path / "run"
        )


def test_files_are_named_with_their_column(tmp_path):
    there = tmp_path / "a:b.npy"
    there.touch()
    found = feature_files([f"x={there}", "y=f.parquet:score"])
    assert found["x"] == FeatureFile(there)
    assert found["y"].column == "score"
    for wrong in ("scores.npy", "=f", "x="):
        with pytest.raises(ConfigError, match="NAME=FILE"):
            feature_files([wrong])
    with pytest.raises(ConfigError, match="twice"):
        feature_files(["x=a", "x=b"])


def test_yaml_holds_a_mapping_of_files_beside_it(tmp_path):
    (tmp_path / "mix.yaml").write_text("feature: {quality: scores.npy}\n")
    assert config_from({}, file=tmp_path / "mix.yaml").feature == [
        f"quality={tmp_path / 'scores.npy'}"
    ]


def test_arrays_in_memory_have_the_type_of_their_kind():
    assert in_memory(Need("a", "column"), [1, 2], 2).rows(1, 2).dtype == np.float64
    assert in_memory(Need("a", "vectors"), np.eye(3), 3).rows(0, 3).dtype == np.int16
    assert in_memory(Need("a", "table"), np.eye(3), 9).rows(0, 1).shape == (3, 3)
    for kind, values in (("column", np.eye(2)), ("matrix", np.eye(3)), ("column", ["a", "b"])):
        with pytest.raises(InputError, match="features"):
            in_memory(Need("a", kind), values, 2)


def test_names_of_features_are_joined_by_plus():
    read = names_of_features().read
    assert read("a+b") == read(["a", "b"]) == ("a", "b")
    for wrong in ("", "a+", [1]):
        with pytest.raises(ValueError):  # noqa: PT011
            read(wrong)


@dataclass(frozen=True)
class Best(Ranker):
    """The best of a column first."""

    of: Annotated[str, one_of("quality", "other")] = "quality"

    name: ClassVar[str] = "best"

    @property
    def needs(self):
        return (Need(self.of, "column"),)

    def rank(self, pool, *, threads):
        values = np.nan_to_num(pool.feature(self.of), nan=-1.0)
        orders = [np.argsort(-values[part], kind="stable") for part in pool.parts()]
        order = np.concatenate(orders).astype(np.int32)
        return order, values[pool.begins() + order]


def settings(tmp_path, **more):
    rows = [
        {"prompt": f"p{i}", "response": "r", "task": f"t{i % 3}", "quality": (i * 7) % 30}
        for i in range(30)
    ]
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    usual = {"sources": [source], "rows": 6, "weights": "equal", "out": tmp_path / "mix"}
    return {**usual, **more}


def test_a_run_reads_a_column_of_the_sources_or_a_file(tmp_path):
    mixed = smartx.run(settings(tmp_path, ranker=Best()))
    taken = pq.read_table(sorted((mixed.folder / "data").glob("*.parquet")))["quality"]
    best = sorted(sorted((i * 7) % 30 for i in range(t, 30, 3))[-2:] for t in range(3))
    assert sorted(taken.to_pylist()) == sorted(sum(best, []))  # noqa: RUF017
    np.save(tmp_path / "other.npy", -np.array([(i * 7) % 30 for i in range(30)], dtype=float))
    other = [f"other={tmp_path / 'other.npy'}"]
    asked = settings(tmp_path, ranker=Best("other"), feature=other, out=tmp_path / "worst")
    worst = smartx.run(asked)
    taken = pq.read_table(sorted((worst.folder / "data").glob("*.parquet")))["quality"]
    assert max(taken.to_pylist()) < 10


def test_what_is_missing_is_said_before_any_work(tmp_path):
    with pytest.raises(SmartxError, match='no other column "other"; there are: quality'):
        smartx.run(settings(tmp_path, ranker=Best("other")))
    with pytest.raises(SmartxError, match=r"feature: .*cannot be read"):
        smartx.run(settings(tmp_path, ranker=Best(), feature=[f"quality={tmp_path / 'no.npy'}"]))
