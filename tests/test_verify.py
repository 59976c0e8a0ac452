"""verify finds every file that is missing, damaged or foreign; doctor says what is there."""

from __future__ import annotations

import json
import shutil

import pytest
from typer.testing import CliRunner

import smartx
from smartx.cli import app
from smartx.doctor import findings
from smartx.engine import default_threads, simd_level
from smartx.errors import StoreError
from smartx.progress import Silent
from smartx.store import canonical_json
from smartx.verify import verify_folder


@pytest.fixture(scope="module")
def made(small_corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("verify")
    smartx.run(
        {
            "sources": [str(small_corpus.file)],
            "vectors": small_corpus.vectors,
            "run_dir": folder / "work",
            "out": folder / "mix",
            "rows": 120,
        }
    )
    return folder


@pytest.fixture
def copy(made, tmp_path):
    for name in ("work", "mix"):
        shutil.copytree(made / name, tmp_path / name)
    return tmp_path


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def faults(folder):
    return {f.path.relative_to(folder).as_posix(): f.fault for f in verify_folder(folder).faults}


class Counted(Silent):
    done = total = 0

    def start(self, step, total, unit):
        self.total = total

    def advance(self, amount):
        self.done += amount


@pytest.mark.parametrize("name", ["work", "mix", "work/corpus", "work/embeddings"])
def test_what_a_run_left_is_whole_and_all_of_it_is_hashed(made, name):
    progress = Counted()
    found = verify_folder(made / name, progress)
    assert found.faults == found.notes == ()
    hashed = [p for p in files(made / name) if p.name not in ("manifest.json", "run.json", ".lock")]
    assert found.files == len(hashed)
    assert found.bytes == progress.done == progress.total == sum(p.stat().st_size for p in hashed)


@pytest.mark.parametrize("name", ["work", "mix"])
def test_every_flipped_bit_and_every_cut_and_missing_file_is_found(copy, name):
    folder = copy / name
    for path in files(folder):
        if path.name in ("run.json", ".lock"):
            continue
        whole, inside = path.read_bytes(), path.relative_to(folder).as_posix()
        place = len(whole) // 2
        for damaged in (
            whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :],
            whole[:-1],
            b"",
        ):
            path.write_bytes(damaged)
            assert inside in faults(folder)
        path.unlink()
        if path.name != "manifest.json":
            assert faults(folder) == {inside: "missing"}
        path.write_bytes(whole)
    assert faults(folder) == {}


def test_foreign_and_half_written_files_are_told_apart(copy):
    (copy / "work" / "corpus" / "notes.txt").write_text("mine")
    (copy / "work" / "embeddings" / ".q12-00001.tmp.0123.npy").write_text("half")
    assert faults(copy / "work") == {
        "corpus/notes.txt": "foreign",
        "embeddings/.q12-00001.tmp.0123.npy": "half-written, left by a killed run",
    }


def test_a_changed_number_in_a_manifest_is_found_even_where_it_is_json(copy):
    path = copy / "work" / "corpus" / "manifest.json"
    path.write_bytes(canonical_json({**json.loads(path.read_bytes()), "num_rows": 397}))
    assert list(faults(copy / "work")) == ["corpus/manifest.json"]


def test_unfinished_stages_and_those_of_another_corpus_are_notes(copy, made):
    (copy / "work" / "rankings" / "0123").mkdir()
    (copy / "work" / "rankings" / "0123" / "ranks-00000.parquet").write_text("begun")
    shutil.rmtree(copy / "work" / "corpus")
    smartx.run(
        {
            "sources": [str(p) for p in files(made / "mix" / "data")],
            "preset": "random",
            "run_dir": copy / "work",
            "out": copy / "other",
            "rows": 10,
        }
    )
    found = verify_folder(copy / "work")
    assert found.faults == ()
    told = {note.path.name: note.fault for note in found.notes}
    assert told["0123"] == "not finished"
    assert told["embeddings"] == "made from other corpus than stand there now"


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(StoreError, match="neither"):
        verify_folder(tmp_path)


def test_the_command_ends_with_0_or_1_and_names_the_file(copy):
    whole = CliRunner().invoke(app, ["verify", str(copy / "work")])
    assert whole.exit_code == 0, whole.output
    assert "all as they were written" in whole.output
    (copy / "mix" / "README.md").write_text("mine now")
    damaged = CliRunner().invoke(app, ["verify", str(copy / "mix"), "--quiet"])
    assert damaged.exit_code == 1
    assert "README.md: damaged" in damaged.output
    assert CliRunner().invoke(app, ["verify", str(copy)]).exit_code == 1


def test_doctor_says_what_the_engine_uses(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    found = dict(findings())
    assert found["smartx"] == smartx.__version__
    assert found["threads"].startswith(f"{default_threads()} ")
    assert "OMP_NUM_THREADS: 1" in found["threads"]
    assert found["instruction set"].startswith(simd_level())
    assert "gomp" in found["OpenMP runtimes"] or "omp" in found["OpenMP runtimes"]
    assert "GPUs" in found["torch"] or "not installed" in found["torch"]
    assert found["--device auto"].startswith(("cpu", "cuda:0", "none"))


def test_the_command_doctor_prints_every_finding():
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 0, done.output
    for word in ("Python", "threads", "instruction set", "memory", "torch", "OpenMP"):
        assert word in done.output
