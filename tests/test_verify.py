"""verify finds every file that is missing, damaged or foreign; doctor says what is there."""

from __future__ import annotations

import json
import shutil

import pytest
from typer.testing import CliRunner

import smartx
from embed_fakes import FakeEncoder
from smartx.cli import app
from smartx.corpus import ingest
from smartx.doctor import findings
from smartx.embed import embed_corpus
from smartx.engine import default_threads, simd_level
from smartx.errors import StoreError
from smartx.files import MARK, canonical_json, own, temporary_path
from smartx.progress import Silent
from smartx.store import sealed
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


def results(folder):
    """Files that are results: what notes who works, or what is meant, is none."""
    beside = {"run.json", "current.json", ".lock", MARK}
    return [path for path in files(folder) if path.name not in beside]


def stage_of(run, name):
    """The folder of the only stage of its kind."""
    (folder,) = (run / name).iterdir()
    return folder


def faults(folder):
    return {f.path.relative_to(folder).as_posix(): f.fault for f in verify_folder(folder).faults}


class Counted(Silent):
    done = total = 0

    def start(self, step, total, unit):
        self.total = total

    def advance(self, amount):
        self.done += amount


@pytest.mark.parametrize("name", ["work", "mix", "work/corpus", "work/embeddings", "one stage"])
def test_what_a_run_left_is_whole_and_all_of_it_is_hashed(made, name):
    progress = Counted()
    folder = stage_of(made / "work", "corpus") if name == "one stage" else made / name
    found = verify_folder(folder, progress)
    assert found.faults == found.notes == ()
    hashed = [path for path in results(folder) if path.name != "manifest.json"]
    assert found.files == len(hashed)
    assert found.bytes == progress.done == progress.total == sum(p.stat().st_size for p in hashed)


@pytest.mark.parametrize("name", ["work", "mix"])
def test_every_flipped_bit_and_every_cut_and_missing_file_is_found(copy, name):
    folder = copy / name
    for path in results(folder):
        whole, inside = path.read_bytes(), path.relative_to(folder).as_posix()
        place = len(whole) // 2
        for damaged in (
            whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :],
            whole[:-2],
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
    work = copy / "work"
    corpus, vectors = stage_of(work, "corpus"), stage_of(work, "embeddings")
    (corpus / "notes.txt").write_text("mine")
    left = temporary_path(vectors / "q12-00001.npy")
    left.write_text("half")
    assert faults(work) == {
        (corpus / "notes.txt").relative_to(work).as_posix(): "foreign",
        left.relative_to(work).as_posix(): "half-written, left by a killed run",
    }


def test_a_changed_number_in_a_manifest_is_found_even_where_it_is_json(copy):
    path = stage_of(copy / "work", "corpus") / "manifest.json"
    path.write_bytes(canonical_json({**json.loads(path.read_bytes()), "num_rows": 397}))
    assert path.relative_to(copy / "work").as_posix() in faults(copy / "work")


def test_a_manifest_that_names_files_elsewhere_is_not_followed(copy):
    path = stage_of(copy / "work", "corpus") / "manifest.json"
    content = {n: v for n, v in json.loads(path.read_bytes()).items() if n != "seal"}
    content["files"][0]["name"] = "../../../../etc/passwd"
    path.write_bytes(canonical_json(sealed(content)))
    (fault,) = [f for f in verify_folder(copy / "work").faults if f.path == path]
    assert "not inside the folder" in fault.fault


def test_parts_of_vectors_are_hashed_with_their_sidecars(small_corpus, tmp_path):
    own(tmp_path / "run", "run folder")
    corpus = ingest([small_corpus.file], tmp_path / "run" / "corpus" / "0123")
    embed_corpus(corpus, FakeEncoder(), tmp_path / "run", part_rows=100)
    assert faults(tmp_path / "run") == {}
    hashed = [path for path in results(tmp_path / "run") if path.name != "manifest.json"]
    assert verify_folder(tmp_path / "run").files == len(hashed)
    part = next((tmp_path / "run" / "vectors").glob("*/part-00001.npy"))
    content = bytearray(part.read_bytes())
    content[-3] ^= 1
    part.write_bytes(content)
    assert [fault.path for fault in verify_folder(tmp_path / "run").faults] == [part]


@pytest.fixture
def encoded(small_corpus, tmp_path):
    """A run folder with a corpus and the embeddings of an encoder."""
    own(tmp_path / "run", "run folder")
    corpus = ingest([small_corpus.file], tmp_path / "run" / "corpus" / "0123")
    embed_corpus(corpus, FakeEncoder(), tmp_path / "run", part_rows=100)
    return tmp_path / "run"


def test_parts_that_are_gone_or_others_are_found(encoded):
    (vectors,) = (encoded / "vectors").iterdir()
    for path in vectors.glob("part-00001.*"):
        path.unlink()
    name = f"vectors/{vectors.name}/part-00001.npy"
    assert faults(encoded) == {name: "missing"}
    assert [found.fault for found in verify_folder(encoded / "embeddings").faults] == ["missing"]
    shutil.move(vectors, encoded / "moved")
    assert set(faults(encoded).values()) == {"missing"}
    assert len(faults(encoded)) > 3
    shutil.move(encoded / "moved", vectors)
    for path in vectors.glob("part-00002.*"):
        content = path.read_bytes().replace(b"part-00002", b"part-00001")
        path.with_name(path.name.replace("00002", "00001")).write_bytes(content)
    assert "not the part that" in faults(encoded)[name]


@pytest.mark.parametrize(
    "sidecar",
    [
        {"name": "../../../../../../../../etc/passwd", "bytes": 1, "sha256": "0"},
        {"name": "/etc/passwd", "bytes": 1, "sha256": "0"},
        {"name": "part-00002.npy", "bytes": 1, "sha256": "0"},
        {"name": "part-00001.npy", "bytes": float("inf"), "sha256": "0"},
        {"name": "part-00001.npy", "bytes": "many", "sha256": "0"},
        {"name": 5, "bytes": 1},
        [],
    ],
)
def test_a_sidecar_that_is_not_of_its_part_is_damage(encoded, sidecar):
    path = next((encoded / "vectors").glob("*/part-00001.npy.json"))
    path.write_text(json.dumps(sidecar).replace("Infinity", "1e999"))
    name = path.relative_to(encoded).as_posix()
    assert faults(encoded)[name] == "part-00001.npy.json is damaged"
    assert not any("passwd" in name for name in faults(encoded))


@pytest.mark.parametrize("stage", ["corpus", "embeddings", "rankings"])
def test_what_the_last_command_meant_is_missed(copy, stage):
    folder = stage_of(copy / "work", stage)
    name = folder.relative_to(copy / "work").as_posix()
    (folder / "manifest.json").unlink()
    assert faults(copy / "work")[name] == "missing"
    shutil.rmtree(folder)
    assert faults(copy / "work")[name] == "missing"


@pytest.mark.parametrize(
    "content",
    [
        '{"corpus": 5}', '{"corpus": ["a"], "embeddings": {}}', '{"corpus": "../../../etc"}',
        '{"a": 1e999}', '{"corpus": NaN}', "[1e999]", "[" * 100_000, "\xff",
    ],
)  # fmt: skip
def test_hostile_notes_of_a_run_folder_stop_nothing(made, copy, small_corpus, content):
    for name in ("current.json", "run.json"):
        (copy / "work" / name).write_text(content, encoding="latin-1")
    assert verify_folder(copy / "work").faults == ()
    again = smartx.run(
        {
            "sources": [str(small_corpus.file)],
            "vectors": small_corpus.vectors,
            "run_dir": copy / "work",
            "out": copy / "again",
            "rows": 120,
        }
    )
    assert (again.folder / "manifest.json").read_bytes() == (
        made / "mix" / "manifest.json"
    ).read_bytes()


@pytest.mark.parametrize("field", ["stage", "key", "inputs", "parameters", "files", "vectors"])
def test_a_manifest_of_wrong_types_is_a_fault_and_no_traceback(copy, field):
    path = stage_of(copy / "work", "embeddings") / "manifest.json"
    content = {n: v for n, v in json.loads(path.read_bytes()).items() if n != "seal"}
    for value in (None, 5, "x", [1], {"a": 1}):
        path.write_bytes(canonical_json(sealed({**content, field: value})))
        assert faults(copy / "work")


def test_unfinished_stages_and_those_of_a_corpus_that_is_gone_are_notes(copy, made):
    work = copy / "work"
    (work / "rankings" / "0123").mkdir()
    (work / "rankings" / "0123" / "ranks-00000.parquet").write_text("begun")
    first, vectors = stage_of(work, "corpus"), stage_of(work, "embeddings")
    smartx.run(
        {
            "sources": [str(p) for p in files(made / "mix" / "data")],
            "preset": "random",
            "run_dir": work,
            "out": copy / "other",
            "rows": 10,
        }
    )
    shutil.rmtree(first)
    found = verify_folder(work)
    assert found.faults == ()
    told = {note.path.name: note.fault for note in found.notes}
    assert told["0123"] == "not finished"
    assert told[vectors.name] == "made from a corpus that stands here no more"


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


def test_the_mixtures_of_a_swarm_are_looked_at_and_row_numbers_alone_are_not(copy):
    swarm = copy / "swarm"
    own(swarm, "swarm")
    (swarm / "swarm.json").write_text("{}")
    with pytest.raises(StoreError, match="nothing in it has a manifest"):
        verify_folder(swarm)
    shutil.copytree(copy / "mix", swarm / "mix-000")
    assert verify_folder(swarm).files == verify_folder(copy / "mix").files
    table = next((swarm / "mix-000" / "data").glob("*.parquet"))
    table.write_bytes(table.read_bytes()[:-1])
    assert list(faults(swarm)) == [table.relative_to(swarm).as_posix()]
