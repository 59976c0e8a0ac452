"""The real texts of bench/flan_shape.py: whose words they are, distinct, the same bytes again."""

import hashlib
import io
import json
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from flan import real
from flan.shape import flan
from flan.stages import Stage, run
from flan.table import page

ROWS = 70  # of each template of the small corpora, more than FEW_TEXTS


def _corpus(name, tasks, templates):
    """Rows whose words say where they are from; lengths from 5 to 60 words, some without answer."""
    rng = np.random.default_rng(len(name))
    rows = []
    for task in range(tasks):
        for template in range(templates):
            for row in range(ROWS):
                words = [f'{name}{task}."{rng.integers(1000)}"' for _ in range(rng.integers(9, 60))]
                rows.append(
                    {
                        "inputs": f"\tè{template} " + " ".join(words),
                        "targets": " " if row % 9 == 0 else f"answer \\ {task} {row}",
                        "task_source": name, "task_name": f"{name}{task}",
                        "template_type": f"way{template}",
                    }
                )  # fmt: skip
    return pa.Table.from_pylist(rows)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    pq.write_table(_corpus("t0", 3, 4), folder / "t0.parquet")
    pq.write_table(_corpus("bigbench", 5, 1), folder / "bigbench.parquet")
    return folder


@pytest.fixture(scope="module")
def shape():
    return flan(0.003, "groups", seed=0)


def _rows(paths):
    found = []
    for path in paths:
        with pa.input_stream(str(path)) as stream:
            found += [json.loads(line) for line in io.BytesIO(stream.read())]
    return found


def test_each_group_has_its_rows_and_no_two_texts_are_equal(shape, data, tmp_path):
    told = []
    rows = _rows(real.write_sources(shape, tmp_path, 0, data, told.append))
    assert sum(told) == shape.rows == len(rows)
    groups = {}
    for row in rows:
        key = (row["task_source"], row["task_name"], row["template_type"])
        groups[key] = groups.get(key, 0) + 1
    names = zip(shape.source, shape.task, shape.template, strict=True)
    assert groups == dict(zip(names, shape.sizes.tolist(), strict=True))
    assert len({row["inputs"] for row in rows}) == shape.rows
    assert all(row["targets"].startswith("answer \\ ") for row in rows)


def test_a_task_takes_the_words_of_one_real_task_but_for_a_few(shape, data, tmp_path):
    rows = _rows(real.write_sources(shape, tmp_path, 0, data, lambda count: None))
    seen = set()
    for task in dict.fromkeys(shape.task):
        words = [
            word.partition(".")[0]
            for row in rows
            if row["task_name"] == task
            for word in row["inputs"].split(" ")[1:]
        ]
        own, count = max(((word, words.count(word)) for word in set(words)), key=lambda x: x[1])
        assert count / len(words) > 0.93
        seen.add(own.rstrip("0123456789") if own[0] == "b" else own[:2])
    assert seen == {"t0", "bigbench"}


def test_lengths_are_those_of_the_real_rows(shape, data, tmp_path):
    rows = _rows(real.write_sources(shape, tmp_path, 0, data, lambda count: None))
    made = [len(row["inputs"].split(" ")) for row in rows]
    assert np.percentile(made, [5, 50, 95]) == pytest.approx([12, 35, 58], abs=3)


def test_a_few_rows_nearly_repeat_the_row_before(data):
    shape = flan(0.01, "groups", seed=0)
    pool = real.read_pool(shape, 0, data)
    numbers = np.arange(int(shape.starts[5]), int(shape.starts[5]) + 4_000)
    buffer = real.lines(shape, pool, numbers, np.zeros(len(numbers), dtype=np.uint64), 0)
    texts = [json.loads(line)["inputs"].split(" ") for line in io.BytesIO(buffer)]
    near = [
        len(one) == len(two) and sum(a != b for a, b in zip(one, two, strict=True)) <= 2
        for one, two in pairwise(texts)
    ]
    assert np.mean(near) == pytest.approx(real.REPEATS, abs=0.008)


def test_rows_do_not_depend_on_what_is_asked_beside_them(shape, data):
    pool = real.read_pool(shape, 0, data)
    numbers = np.random.default_rng(1).permutation(shape.rows)[:300]
    salt = (numbers % 3 == 0).astype(np.uint64)
    together = bytes(real.lines(shape, pool, numbers, salt, 0)).splitlines()
    for place in (0, 17, 299):
        alone = real.lines(shape, pool, numbers[place : place + 1], salt[place : place + 1], 0)
        assert bytes(alone).splitlines() == [together[place]]
    again = real.lines(shape, pool, numbers, np.uint64(1) - salt, 0)
    assert not any(a == b for a, b in zip(together, bytes(again).splitlines(), strict=True))


def test_the_same_seed_gives_the_same_bytes(shape, data, tmp_path):
    def digests(name, seed):
        paths = real.write_sources(shape, tmp_path / name, seed, data, lambda count: None)
        return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]

    first = digests("a", 0)
    assert first == digests("b", 0)
    assert not set(first) & set(digests("c", 1))


def test_rows_that_come_out_equal_are_drawn_again(data):
    shape = flan(0.003, "groups", seed=0)
    pool = real.read_pool(shape, 0, data)
    order = np.repeat(np.arange(50), 2)  # every row twice: equal until one of them is drawn anew
    salt = real._distinct(shape, pool, order, 0)
    rows = bytes(real.lines(shape, pool, order, salt, 0)).splitlines()
    assert len({json.loads(row)["inputs"] for row in rows}) == len(order)


def test_the_table_tells_the_teachers_part_of_embedding_from_the_students():
    spec = {"shape": "flan", "fraction": 1, "keep": "groups", "dimensions": 384}
    shape = {"rows": 100, "tasks": 2, "groups": 3, "largest_group": 50, "pairs": 4_000}
    row = {"memory": 10**8, "disk": 0, "disk_peak": 10**6, "load": [1, 1], "resumed": False}
    steps = [
        {"line": "embed: 30 rows in 9 s", "wall": 9, "cpu": 18},
        {"line": "fit the student: 30 steps in 1 s", "wall": 10, "cpu": 20},
        {"line": "embed: 100 rows in 4 s", "wall": 14, "cpu": 27},
    ]
    stages = {
        "texts": row | {"stage": "texts", "wall": 60, "cpu": 60},
        "embed": row | {"stage": "embed", "wall": 15, "cpu": 28, "steps": steps},
        "rank": row | {"stage": "rank", "wall": 5, "cpu": 9, "memory_all": 3 * 10**8},
    }
    shown = page([{"spec": spec, "shape": shape, "stages": stages, "encoder": "student:x"}])
    assert "| - teacher's sample, fit | 10 s | 20 s |" in shown
    assert "| - all rows by the student | 5 s | 8 s |" in shown
    assert "| **all by smartx** | 20 s | 37 s | 300 MB |" in shown


def test_a_stage_is_watched_with_its_children_and_told_what_it_finished(tmp_path):
    (tmp_path / "logs").mkdir()
    child = "import time; x = bytearray(200 << 20); time.sleep(5)"
    command = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {child!r}])
x = bytearray(200 << 20)
child.wait()
print("embed: 1,018 rows in 1m11s")
print("embed: 3 of 5 rows, 2 rows/s")
"""
    row = run(Stage("embed", ("-c", command)), tmp_path)
    # A fork of a large test process counts that process' memory until it becomes the stage.
    assert row["memory_all"] > 400 << 20
    assert row["memory"] > 200 << 20
    assert [step["line"] for step in row["steps"]] == ["embed: 1,018 rows in 1m11s"]
    assert row["steps"][0]["wall"] >= 5
