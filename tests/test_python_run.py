"""`smartx.run` takes what a Python user holds: frames, tables, data sets, dicts, arrays."""

from __future__ import annotations

import gc
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import smartx
from conftest import tree_digest
from smartx.config import RunConfig
from smartx.errors import ConfigError, InputError
from smartx.frames import call_of, is_rows, write_rows
from smartx.frames.rows import ending_of, train_of
from smartx.progress import Silent

ROWS = [
    {"prompt": f"{a} {sign} {b} =", "response": str(a + b), "task": sign, "score": a / 9}
    for sign, count in (("+", 9), ("plus", 3))
    for a in range(count)
    for b in range(3)
]


def table(rows=ROWS) -> pa.Table:
    return pa.Table.from_pylist(rows)


class Stream:
    """Anybody's frame: all that is known of it is the Arrow interface."""

    def __init__(self, rows):
        self._table = table(rows)

    def __arrow_c_stream__(self, requested_schema=None):
        return self._table.__arrow_c_stream__(requested_schema)


def pandas_frame(rows):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(rows)
    return frame.set_index(np.arange(len(frame)) * 3 % 37)  # an index of its own is no column


def polars_frame(rows):
    return pytest.importorskip("polars").DataFrame(rows)


def polars_lazy(rows):
    return polars_frame(rows).lazy()


def dataset(rows):
    return pytest.importorskip("datasets").Dataset.from_list(rows)


def iterable_dataset(rows):
    streamed = pytest.importorskip("datasets").IterableDataset
    return streamed.from_generator(lambda: iter(rows))


def split(rows):
    both = {"test": dataset(rows[:2]), "train": dataset(rows)}
    return pytest.importorskip("datasets").DatasetDict(both)


HELD = {
    "list": list,
    "generator": iter,
    "arrow": table,
    "batches": lambda rows: pa.RecordBatchReader.from_batches(
        table(rows).schema, table(rows).to_batches(max_chunksize=5)
    ),
    "stream": Stream,
    "pandas": pandas_frame,
    "polars": polars_frame,
    "lazy": polars_lazy,
    "dataset": dataset,
    "iterable": iterable_dataset,
    "split": split,
}


def written(rows, folder: Path) -> list[dict]:
    """What a file holds that was written of rows."""
    rows = train_of(rows)
    assert is_rows(rows)
    path = folder / f"rows{ending_of(rows)}"
    write_rows(rows, path, "sources")
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    with pa.ipc.open_stream(path) as reader:
        return reader.read_all().to_pylist()


@pytest.mark.parametrize("kind", HELD)
def test_rows_of_every_kind_are_written_as_they_are(kind, tmp_path):
    assert written(HELD[kind](ROWS), tmp_path) == ROWS


def test_names_of_labels_travel_with_a_dataset(tmp_path):
    datasets = pytest.importorskip("datasets")
    numbers = [{**row, "task": int(row["task"] == "plus")} for row in ROWS]
    named = dataset(numbers).cast_column("task", datasets.ClassLabel(names=["+", "plus"]))
    mixture = smartx.run(named, rows=6, preset="equal")
    assert mixture.names == [("", "+"), ("", "plus")]


def test_in_memory_rows_and_their_file_give_the_same_rows_in_the_same_order(tmp_path):
    (tmp_path / "table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    fields = {"rows": 8, "preset": "equal"}
    of_file = smartx.run(sources=str(tmp_path / "table.jsonl"), **fields)
    of_memory = smartx.run(ROWS, **fields)
    of_table = smartx.run({"sources": table(), **fields})
    assert of_file.to_arrow() == of_memory.to_arrow() == of_table.to_arrow()
    assert of_file.manifest["sources"][0]["rows"] == len(ROWS)


def test_a_named_folder_is_used_again_and_nothing_of_the_data_stays_in_it(tmp_path):
    class Steps(Silent):
        def __init__(self):
            self.done = []

        def start(self, step, total, unit):
            self.done.append(step)

    first, second = Steps(), Steps()
    asked = {"run_dir": tmp_path / "work", "preset": "equal"}
    one = smartx.run(table(), rows=8, progress=first, **asked)
    two = smartx.run(table(), rows=8, progress=second, **asked)
    assert "ingest" in first.done
    assert "ingest" not in second.done
    assert one.to_arrow() == two.to_arrow()
    assert not (tmp_path / "work" / "given").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["work"]


def test_several_sources_have_the_names_that_they_are_given(tmp_path):
    (tmp_path / "more.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    sources = {"mine": ROWS, "theirs": table(ROWS[:5]), "file": tmp_path / "more.jsonl"}
    mixture = smartx.run(sources=sources, rows=12, preset="equal")
    assert {source for source, _ in mixture.names} == {"mine", "theirs", "file"}
    every = [*ROWS, *ROWS[:5], *ROWS]
    prompts = mixture.to_arrow(["prompt"])["prompt"].to_pylist()
    assert [every[place]["prompt"] for place in mixture.indices] == prompts


def test_vectors_features_and_row_numbers_are_taken_from_memory(tmp_path):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(len(ROWS), 8)).astype(np.float32)
    np.save(tmp_path / "vectors.npy", vectors)
    out = np.zeros(len(ROWS), dtype=bool)
    out[:5] = True
    fields = {"rows": 10, "preset": "smart-balanced", "include_rows": np.array([7, 30])}
    held = smartx.run(ROWS, vectors=vectors, exclude_rows=out, **fields)
    of_file = smartx.run(ROWS, vectors=tmp_path / "vectors.npy", exclude_rows=range(5), **fields)
    assert {7, 30} <= set(held.indices.tolist())
    assert held.indices.min() >= 5
    assert held.indices.tolist() == of_file.indices.tolist()


def test_what_was_trained_on_may_be_an_earlier_mixture():
    first = smartx.run(ROWS, rows=20, preset="equal")
    second = smartx.run(ROWS, rows=16, preset="equal", trained=first)
    assert not set(first.indices.tolist()) & set(second.indices.tolist())


def test_a_temporary_mixture_lives_as_long_as_its_object(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    mixture = smartx.run(ROWS, rows=6, preset="random")
    (folder,) = tmp_path.iterdir()
    assert mixture.folder.parent == folder
    assert [path.name for path in folder.iterdir()] == ["out"]  # the stages are gone
    del mixture
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_a_call_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(InputError, match="36 rows"):
        smartx.run(ROWS, rows=60, preset="random")
    with pytest.raises(ConfigError, match="no such field"):
        smartx.run(ROWS, row=6)
    with pytest.raises(InputError, match="row 1"):
        smartx.run([*ROWS[:1], {"prompt": object()}], rows=1)
    assert list(tmp_path.iterdir()) == []


def test_a_mixture_with_a_folder_stays(tmp_path):
    mixture = smartx.run(ROWS, rows=6, preset="random", out=tmp_path / "mix")
    digest = tree_digest(tmp_path / "mix")
    again = pickle.loads(pickle.dumps(mixture))
    del mixture
    gc.collect()
    assert tree_digest(tmp_path / "mix") == digest
    assert len(smartx.open_mixture(tmp_path / "mix").to_arrow()) == len(again) == 6


def test_keywords_go_before_a_mapping_a_file_or_a_configuration(tmp_path):
    (tmp_path / "run.yaml").write_text("sources: rows.jsonl\nrows: 5\nout: mix\n")
    named = {"sources": "rows.jsonl", "rows": 5, "out": tmp_path / "mix"}
    for config in (tmp_path / "run.yaml", named, RunConfig(**named)):
        asked = call_of(config, {"rows": 7}, makes=True).config
        assert (asked.rows, asked.out) == (7, tmp_path / "mix")


@pytest.mark.parametrize(
    ("given", "place", "told"),
    [
        ({"sources": 5}, "sources", "int is not rows"),
        ({"sources": ["a.jsonl", 5]}, "sources", "int is not rows"),
        ({"sources": {"a/b": ROWS}}, "sources", "cannot be called"),
        ({"sources": ROWS, "vectors": [[1.0], [1.0, 2.0]]}, "vectors", "equal length"),
        ({"sources": ROWS, "include_rows": [0.5]}, "include_rows", "numbers of rows"),
    ],
)
def test_what_is_no_rows_is_refused_by_name(given, place, told):
    with pytest.raises(InputError, match=told) as refusal:
        call_of(None, {"rows": 3, **given}, makes=True)
    assert refusal.value.place == place
    assert not [name for name in os.listdir() if name.startswith("smartx-")]


def test_errors_name_what_was_given_and_not_the_file_that_it_became():
    good, bad = [{"prompt": "a", "response": "b"}], [{"one": 1}]
    with pytest.raises(InputError) as first:
        smartx.run(bad, rows=1, preset="random")
    assert str(first.value).startswith("sources: no columns were recognised")
    with pytest.raises(InputError) as second:
        smartx.run([good, bad], rows=1, preset="random")
    assert (second.value.place, second.value.path) == ("sources[1]", "sources[1]")


def test_a_frame_without_rows_is_refused():
    with pytest.raises(InputError, match="no rows"):
        smartx.run(table()[:0], rows=3)


def test_a_path_of_data_is_rows_and_a_yaml_file_is_a_configuration(tmp_path):
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    assert len(smartx.run(tmp_path / "rows.jsonl", rows=4, preset="random")) == 4
    plan = smartx.plan(tmp_path / "rows.jsonl", rows=4, preset="random")
    assert plan.rows == len(ROWS)
