"""ratios.csv and metrics.csv: what is wrong is said with file, line and column."""

import numpy as np
import pytest

from smartx.errors import InputError
from smartx.swarm.tables import joined, read_metric, read_ratios, write_table

RATIOS = "run,name,index,math,code\na,first,0,0.25,0.75\nb,second,1,0.5,0.5\n"


def file(tmp_path, text, name="table.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def refused(read, path, place, *words):
    with pytest.raises(InputError) as told:
        read(path)
    assert told.value.place == place.format(path)
    assert all(word in str(told.value) for word in words), str(told.value)


def test_what_is_no_share_is_not_read(tmp_path):
    found = read_ratios(file(tmp_path, RATIOS))
    assert (found.runs, found.units) == (("a", "b"), ("math", "code"))
    assert found.shares.tolist() == [[0.25, 0.75], [0.5, 0.5]]


@pytest.mark.parametrize("head", ["run_id,math,code", "mixture,math,code", ",run,math,code"])
def test_olmix_files_and_those_of_pandas_are_read(tmp_path, head):
    index = "0," if head.startswith(",") else ""
    found = read_ratios(file(tmp_path, f"\ufeff{head}\r\n{index}a,0.25,0.75\r\n"))
    assert found.units == ("math", "code")


def test_shares_that_people_rounded_are_made_to_sum_to_1(tmp_path):
    found = read_ratios(file(tmp_path, "run,x,y,z\na,0.333,0.333,0.333\n"))
    assert found.shares.sum() == pytest.approx(1, abs=1e-15)


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("run,x,y\na,0.5,0.4\n", "{}:2", ["sum to 0.9"]),
        ("run,x,y\na,1,0\na,0,1\n", "{}:3", ["'a'", "line 2"]),
        ("run,x,y\na,1,0\nb,,1\n", "{}:3", ['column "x"', "empty"]),
        ("run,x,y\na,nan,0\n", "{}:2", ['column "x"', "'nan'"]),
        ("run,x,y\na,1.5,-0.5\n", "{}:2", ['column "y"', "below 0"]),
        ("run,x,y\na,1\n", "{}:2", ["2 cells", "3"]),
        ("run,x,y\n", "{}", ["no line"]),
        ("name,x,y\na,1,0\n", "{}:1", ["'run'"]),
        ("run,x,x\na,1,0\n", "{}:1", ['"x"']),
        ("run,x\na,1\n", "{}:1", ["fewer than two"]),
        ("run,x,y\n ,1,0\n", "{}:2", ['column "run" is empty']),
        ('run,x,y\n"a,1,0\n', "{}", ["CSV"]),
    ],
)
def test_shares_that_are_none_are_refused(tmp_path, text, place, words):
    refused(read_ratios, file(tmp_path, text), place, *words)


def test_a_file_that_is_not_there_is_said(tmp_path):
    refused(read_ratios, tmp_path / "none.csv", "{}", "No such file")


def test_the_only_metric_needs_no_name_and_of_several_one_is_named(tmp_path):
    one = file(tmp_path, "run,loss\na,1.5\nb,2\n")
    assert read_metric(one).name == "loss"
    two = file(tmp_path, "run,loss,note,accuracy\na,1.5,ok,0.1\nb,2,late,0.2\n")
    assert read_metric(two, "accuracy").values.tolist() == [0.1, 0.2]
    refused(read_metric, two, "metric", "several", "loss, note, accuracy")
    refused(lambda path: read_metric(path, "f1"), two, "metric", '"f1"', "accuracy")


@pytest.mark.parametrize("cell", ["", "nan", "inf", "n/a"])
def test_a_metric_that_is_no_number_is_said_with_line_and_column(tmp_path, cell):
    refused(read_metric, file(tmp_path, f"run,loss\na,1\nb,{cell}\n"), "{}:3", 'column "loss"')


def test_runs_are_joined_by_name_in_the_order_of_the_mixtures(tmp_path):
    ratios = read_ratios(file(tmp_path, RATIOS, "ratios.csv"))
    metrics = read_metric(file(tmp_path, "run,loss\nb,2\na,1\nb,3\n", "metrics.csv"))
    shares, values, runs = joined(ratios, metrics, tmp_path / "ratios.csv")
    assert (values.tolist(), runs) == ([1, 2, 3], ["a", "b", "b"])
    assert shares[:, 0].tolist() == [0.25, 0.5, 0.5]


def test_a_run_without_ratios_and_a_mixture_without_metrics_are_said(tmp_path):
    place = file(tmp_path, RATIOS, "ratios.csv")
    ratios = read_ratios(place)
    foreign = read_metric(file(tmp_path, "run,loss\na,1\nzz,2\n", "foreign.csv"))
    with pytest.raises(InputError, match="'zz' has no line in") as told:
        joined(ratios, foreign, place)
    assert told.value.place == f"{tmp_path / 'foreign.csv'}:3"
    some = read_metric(file(tmp_path, "run,loss\na,1\n", "some.csv"))
    with pytest.raises(InputError, match="1 of 2 mixtures have no line: b"):
        joined(ratios, some, place)
    assert joined(ratios, some, place, allow_missing=True)[1].tolist() == [1]


def test_what_is_written_is_read_back_to_the_bit(tmp_path):
    shares = np.array([[1 / 3, 2 / 3], [0.1, 0.9]])
    names = ['a "quoted", name', "x"]
    rows = [[name, *row] for name, row in zip(names, shares, strict=True)]
    write_table(tmp_path / "r.csv", ["run", "t,1", "t2"], rows)
    found = read_ratios(tmp_path / "r.csv")
    assert (found.runs, found.units) == (tuple(names), ("t,1", "t2"))
    assert found.shares == pytest.approx(shares, abs=1e-16)
