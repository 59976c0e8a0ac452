"""The corpus that bench/flan_shape.py makes is as it says: sizes, vectors, repeats, same bytes."""

import hashlib

import numpy as np
import pyarrow.parquet as pq
import pytest
from flan.check import repeat_share
from flan.shape import FULL_ROWS, flan, one_group, tiny_tasks
from flan.texts import write_sources
from flan.vectors import BLOCK, REPEATS, Geometry, NumberedEncoder


@pytest.fixture(scope="module")
def small():
    return flan(0.001, "tasks", seed=0)


def test_the_whole_shape_is_that_of_flan_2022():
    shape = flan(1.0, "groups", seed=0)
    assert shape.rows == FULL_ROWS
    assert shape.tasks == 1_840
    assert 3_700 <= len(shape.sizes) <= 4_300
    assert shape.sizes.max() >= 150_000
    niv2 = shape.sizes[[source == "niv2" for source in shape.source]]
    assert niv2.sum() / shape.rows == pytest.approx(0.565, abs=0.001)


@pytest.mark.parametrize("keep", ["groups", "tasks"])
def test_a_fraction_holds_that_part_of_the_rows(keep):
    shape, whole = flan(0.1, keep, seed=0), flan(1.0, keep, seed=0)
    assert shape.rows == pytest.approx(0.1 * FULL_ROWS, rel=0.05)
    if keep == "tasks":
        assert shape.tasks == whole.tasks
    else:  # whole groups: each of them is one of the whole shape
        sizes = dict(zip(zip(whole.task, whole.template, strict=True), whole.sizes, strict=True))
        names = zip(shape.task, shape.template, strict=True)
        assert [sizes[name] for name in names] == pytest.approx(shape.sizes, abs=1)


def test_the_other_shapes_are_many_tasks_and_one_group():
    tiny = tiny_tasks(1_000, seed=0)
    assert (tiny.tasks, tiny.sizes.min(), tiny.sizes.max()) == (1_000, 1, 50)
    assert one_group(12_345).sizes.tolist() == [12_345]


def test_rows_come_in_the_order_of_their_groups(small):
    names = list(zip(small.source, small.task, small.template, strict=True))
    assert names == sorted(names)
    assert np.diff(small.starts).tolist() == small.sizes.tolist()


def test_vectors_do_not_depend_on_what_is_asked_beside_them(small):
    geometry = Geometry(small, 32, seed=0)
    numbers = np.random.default_rng(1).permutation(small.rows)[:500]
    together = geometry.rows(numbers)
    assert (together[7] == geometry.rows(numbers[7:8])[0]).all()
    assert (together == Geometry(small, 32, seed=0).rows(numbers)).all()
    assert not (together == Geometry(small, 32, seed=1).rows(numbers)).any(axis=1).any()


def test_a_few_rows_nearly_repeat_an_earlier_one_of_their_group():
    shape = flan(0.01, "groups", seed=0)
    geometry = Geometry(shape, 64, seed=0)
    assert repeat_share(geometry, 40) == pytest.approx(REPEATS, abs=0.004)
    for block in range(3):
        original = geometry.originals(block)
        group = np.searchsorted(shape.starts, block * BLOCK + np.arange(len(original)), "right")
        assert (original <= np.arange(len(original))).all()
        assert (group[original] == group).all()


def test_cosines_are_those_of_instruction_data():
    shape = flan(0.01, "groups", seed=0)
    rows = Geometry(shape, 384, seed=0).rows(np.arange(0, shape.rows, 60))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    group = np.searchsorted(shape.starts, np.arange(0, shape.rows, 60), "right")
    cosines = unit @ unit.T
    same = group[:, None] == group[None, :]
    assert cosines[~same].mean() == pytest.approx(0.8, abs=0.03)
    assert 0.87 < cosines[same].mean() < 0.95


def test_the_texts_say_which_row_they_are_and_are_the_same_again(small, tmp_path):
    geometry = Geometry(small, 16, seed=0)
    encoder = NumberedEncoder(geometry, {"name": "made-up"})
    told = []
    paths = write_sources(small, tmp_path / "a", 0, told.append)
    again = write_sources(small, tmp_path / "b", 0, lambda count: None)
    assert sum(told) == small.rows
    for path, other in zip(paths, again, strict=True):
        assert _digest(path) == _digest(other)
    rows = pq.read_table(paths[-1]).slice(0, 50).to_pylist()
    numbers = [int(row["inputs"].rpartition("#")[2]) for row in rows]
    groups = np.searchsorted(small.starts, numbers, "right") - 1
    assert [row["task_name"] for row in rows] == [small.task[group] for group in groups]
    encoded = encoder.encode([row["inputs"] for row in rows], 1)
    assert (encoded == geometry.rows(np.array(numbers))).all()


def _digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()
