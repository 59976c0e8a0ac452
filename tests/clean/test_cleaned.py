"""The stage: same bytes whoever works and whatever is killed, reused, and loud where damaged."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest
from planted_defects import planted, sound_rows

from smartx.clean.measuring import Parts
from smartx.errors import MissingPackageError, StoreError
from smartx.store import file_entries


@pytest.fixture
def rows():
    made, _ = planted(sound_rows(random.Random(3), 120), random.Random(4), 3)
    return made


def files_of(run):
    """Digest of every file of the stages of cleaning and of the features."""
    kinds = ("clean", "features")
    return {
        (kind, folder.name, entry["name"]): entry["sha256"]
        for kind in kinds
        for folder in sorted((run / kind).iterdir())
        for entry in file_entries(folder)
    }


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr("smartx.clean.measuring.PART_ROWS", 32)


def test_every_dropped_row_has_reason_file_and_line(cleaned, rows):
    corpus, made = cleaned(rows)
    table = made.table.to_pylist()
    assert made.rows.tolist() == [row["row_id"] for row in table] == sorted(made.rows.tolist())
    for row in table:
        assert row["file"] == "rows.jsonl"
        assert row["line"] == row["source_position"] + 1
        assert row["reason"] in row["rules"]
        held = corpus.rows(made.rows[[table.index(row)]])
        assert held["prompt"][0].as_py() == rows[row["source_position"]]["prompt"]
    counted = {one["reason"]: one["rows"] for one in made.counts}
    assert sum(counted.values()) == len(table) == made.manifest["dropped"]
    assert made.manifest["kept"] == len(rows) - len(table)
    for one in made.sheet:
        assert one["dropped"] == counted.get(one["rule"], 0)
        assert one["after"] == 0 or not one["drops"]


def test_scores_are_in_the_order_of_the_sources(cleaned, tmp_path):
    rows = [
        {"prompt": "b", "response": "x", "task": "b"},
        {"prompt": "a", "response": "", "task": "a"},  # dropped by ingest
        {"prompt": "green garden", "response": "garden", "task": "a"},
    ]
    _, made = cleaned(rows)
    table = pq.read_table(made.folder / "scores.parquet").to_pylist()
    assert [row["row_id"] for row in table] == [1, None, 0]
    assert [row["kept"] for row in table] == [True, None, True]
    assert table[2]["similarity"] == pytest.approx(2**-0.5)


@pytest.mark.processes
def test_any_number_of_processes_gives_the_same_bytes(cleaned, rows, tmp_path, small_parts):
    cleaned(rows, run=tmp_path / "one", threads=1)
    cleaned(rows, run=tmp_path / "three", threads=3)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "three")


def test_parts_that_are_whole_are_kept_and_end_in_the_same_bytes(
    cleaned, rows, tmp_path, small_parts, monkeypatch
):
    cleaned(rows, run=tmp_path / "whole")
    made, most = [], [2]

    def make(self, number):
        if len(made) == most[0]:
            raise KeyboardInterrupt
        made.append(number)
        usual(self, number)

    usual = Parts.make
    monkeypatch.setattr(Parts, "make", make)
    with pytest.raises(KeyboardInterrupt):
        cleaned(rows, run=tmp_path / "killed")
    most[0] = 1_000
    cleaned(rows, run=tmp_path / "killed")
    assert made == list(range(-(-len(rows) // 32)))  # the first two were not made again
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "whole")


@pytest.mark.processes
def test_a_command_killed_at_any_moment_goes_on_to_the_same_bytes(cleaned, rows, tmp_path):
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def start(run):
        words = ["clean", str(source), "--run-dir", str(run), "--threads", "2", "-q"]
        return subprocess.Popen(
            [sys.executable, "-m", "smartx", *words, "--out", str(run / "out")],
            stdout=subprocess.DEVNULL,
        )

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    begun = time.monotonic()
    assert start(whole).wait() == 0
    took = time.monotonic() - begun
    for part in (0.5, 0.75, 0.9):
        process = start(killed)
        time.sleep(took * part)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert start(killed).wait() == 0
    assert files_of(killed) == files_of(whole)
    assert file_entries(killed / "out") == file_entries(whole / "out")


def test_other_thresholds_measure_nothing_again(cleaned, rows, tmp_path, monkeypatch):
    _, first = cleaned(rows, run=tmp_path / "run")
    monkeypatch.setattr(Parts, "make", None)
    _, again = cleaned(rows, run=tmp_path / "run")
    assert again.folder == first.folder
    _, other = cleaned(rows, {"echo": {"from_words": None}}, run=tmp_path / "run")
    assert other.folder != first.folder
    assert len(other.rows) < len(first.rows)


def test_a_damaged_file_is_told_or_made_again(cleaned, rows, tmp_path):
    _, made = cleaned(rows, run=tmp_path / "run")
    before = files_of(tmp_path / "run")
    path = made.folder / "dropped.parquet"
    content = path.read_bytes()
    path.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
    with pytest.raises(StoreError, match="not those that were written"):
        _ = made.table
    cleaned(rows, run=tmp_path / "run")
    assert files_of(tmp_path / "run") == before


def test_a_package_that_is_missing_is_named_with_the_extra(monkeypatch):
    from smartx.clean.signs import check_packages

    monkeypatch.setattr("smartx.clean.signs.find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"smartx-mix\[clean\]"):
        check_packages()


def test_what_rows_hold_is_shown_as_text(cleaned):
    hostile = '<script>alert("x")</script> \u202e\ufffd'
    rows = [
        {"prompt": hostile, "response": hostile, "task": "<b>"},
        {"prompt": "a", "response": "b"},
    ]
    _, made = cleaned(rows)
    page = (made.folder / "report.html").read_text()
    assert "<script" not in page
    assert "<b>" not in page.replace('<b class="why">', "")
    assert "&lt;script&gt;" in page
    assert "\u202e" not in page
    assert "default-src 'none'" in page.replace("&#39;", "'")


def test_the_sample_is_drawn_from_every_reason_in_turn(cleaned, rows):
    from smartx.clean.page import sampled_dropped
    from smartx.clean.sift import Sifted

    _, made = cleaned(rows)
    sifted = Sifted(made.table, [], {})
    few = sampled_dropped(sifted, 0, 14)
    reason = dict(zip(made.rows.tolist(), made.table["reason"].to_pylist(), strict=True))
    assert len({reason[row] for row in few.tolist()}) == min(14, len(made.counts))
    assert sampled_dropped(sifted, 0, 14).tolist() == few.tolist()
    assert sampled_dropped(sifted, 1, 14).tolist() != few.tolist()
    assert len(sampled_dropped(sifted, 0, 10_000)) == len(made.rows)
