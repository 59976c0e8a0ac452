"""What `run` and `select` return: the same names, every kind of frame, a look that is safe."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

import smartx
from smartx.errors import InputError, MissingPackageError, StoreError
from smartx.mixture import Mixture

HOSTILE = "<img src=x onerror=alert(1)>\n\u202eevil"
ROWS = [
    {"prompt": f"{task} {n}", "response": "yes", "task": task}
    for task, count in (("sums", 12), ("odes", 4), (HOSTILE, 3))
    for n in range(count)
]


@pytest.fixture(scope="module")
def mixture():
    return smartx.run(ROWS, rows=9, preset="equal")


@pytest.fixture(scope="module")
def selection():
    return smartx.select(tasks=[row["task"] for row in ROWS], budget=9, preset="equal")


@pytest.fixture(params=["mixture", "selection"])
def result(request):
    return request.getfixturevalue(request.param)


def test_both_take_the_same_rows_and_say_it_by_the_same_names(mixture, selection):
    assert mixture.indices.tolist() == selection.indices.tolist()
    assert mixture.names == selection.names
    for name in ("budgets", "capacities", "weights", "tasks", "ranks", "gains"):
        np.testing.assert_array_equal(getattr(mixture, name), getattr(selection, name))
    assert len(mixture) == len(selection) == 9


def test_what_they_say_fits_together(result):
    taken = [ROWS[place]["task"] for place in result.indices]
    assert [result.names[place][1] for place in result.tasks] == taken
    for (_, task), budget, capacity in zip(
        result.names, result.budgets, result.capacities, strict=True
    ):
        assert taken.count(task) == budget <= capacity
        assert [row["task"] for row in ROWS].count(task) == capacity
    assert result.weights.sum() == pytest.approx(1)


def test_every_frame_holds_the_same(result):
    table = result.to_arrow()
    assert table.num_rows == 9
    pandas = pytest.importorskip("pandas")
    assert isinstance(result.to_pandas(), pandas.DataFrame)
    assert result.to_pandas()["task"].tolist() == table["task"].to_pylist()
    datasets = pytest.importorskip("datasets")
    assert isinstance(result.to_dataset(), datasets.Dataset)
    assert result.to_dataset().to_list() == table.to_pylist()
    assert pa.table(result) == table  # by the Arrow interface


def test_a_polars_frame_holds_the_same(result):
    polars = pytest.importorskip("polars")
    assert result.to_polars().to_dicts() == result.to_arrow().to_pylist()
    assert polars.DataFrame(result).height == 9


def test_columns_are_chosen_in_the_order_asked_for(result):
    assert result.to_arrow(["task", "source"]).column_names == ["task", "source"]
    with pytest.raises(InputError, match="there is no column 'nothing'"):
        result.to_arrow(["task", "nothing"])


def test_what_is_seen_of_them_is_short_and_runs_nothing(result):
    text, html = repr(result), result._repr_html_()
    assert text.splitlines()[0].endswith("of 9 rows of 19, in 3 tasks")
    assert "\u202e" not in text + html
    assert "<img" not in html
    assert "&lt;img" in html


def test_a_thousand_tasks_are_shown_on_one_screen():
    names = [f"task {n % 1000}" for n in range(5000)]
    chosen = smartx.select(tasks=names, budget=2000, preset="equal")
    assert len(repr(chosen).splitlines()) == 13
    assert len(repr(chosen)) < 1000
    assert len(chosen._repr_html_()) < 20_000


def test_a_comparison_counts_tasks_and_rows(mixture, selection):
    other = smartx.run(ROWS, rows=6, preset="proportional")
    found = mixture.compare(other)
    assert found.shared == len(set(mixture.indices.tolist()) & set(other.indices.tolist()))
    table = found.to_arrow()
    assert table["here"].to_pylist() == mixture.budgets.tolist()
    assert table["there"].to_pylist() == other.budgets.tolist()
    assert mixture.compare(selection).shared == 9
    assert "<img" not in found._repr_html_()
    assert repr(found).splitlines()[0].startswith("9 rows here and 6 rows there")


def test_rows_of_other_sources_are_not_counted_as_the_same(mixture):
    other = smartx.run(ROWS[:-1], rows=6, preset="equal")
    assert mixture.compare(other).shared is None
    with pytest.raises(InputError, match="neither a mixture nor a selection"):
        mixture.compare([1, 2])


def test_a_mixture_whose_files_are_gone_says_so(tmp_path):
    made = smartx.run(ROWS, rows=4, preset="random", out=tmp_path / "mix")
    for path in (tmp_path / "mix" / "data").iterdir():
        path.write_bytes(b"no Parquet")
    with pytest.raises(StoreError, match="cannot be read"):
        Mixture(made.folder, made.manifest).to_arrow()


def test_a_package_that_is_missing_is_named(selection, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingPackageError, match="pandas"):
        selection.to_pandas()


def test_naming_what_runs_loads_no_frame_library():
    """Pyarrow loads pandas where it makes an array: so no array is made at the top of a module."""
    code = (
        "import sys, smartx, smartx.frames.rows, smartx.mixture.frames;"
        "smartx.run, smartx.select, smartx.maximize;"
        "heavy = {'torch', 'pandas', 'polars', 'datasets'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600
    )
    assert done.stdout.strip() == "[]"
