"""What names an encoder: its files and all that shapes the vectors, resolved, and no accident."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from embed_fakes import FakeEncoder, corpus_of
from smartx.embed import EncoderSpec, default_encoder, embed_corpus, embedding_key, embeddings_there
from smartx.embed.encoders import PACKAGED, PUBLISHED, folder_digest, identity_of, local_folder
from smartx.errors import EncoderError, MissingPackageError

pytest.importorskip("sentence_transformers")  # whose version is part of the name


def encoder_in(folder: Path, **files: str) -> EncoderSpec:
    """A folder that looks like an encoder's. files: content by name, "." as "_dot_"."""
    (folder / "2_Dense").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "2_Dense" / "pytorch_model.bin").write_bytes(b"more weights")
    (folder / "vocab.txt").write_text("a\nb\n")
    for name, content in files.items():
        (folder / name.replace("_dot_", ".")).write_text(content)
    return EncoderSpec(str(folder), device="cpu", dtype="float32")


def named(spec: EncoderSpec) -> tuple:
    found = identity_of(spec)
    return found.parameters, found.inputs, found.turns


def test_an_encoder_is_known_by_its_files_and_not_by_its_place(tmp_path):
    one = encoder_in(tmp_path / "a" / "model")
    two = EncoderSpec(str(shutil.copytree(tmp_path / "a", tmp_path / "b") / "model"), device="cpu",
                      dtype="float32")  # fmt: skip
    assert named(one) == named(two)
    (tmp_path / "b" / "model" / "README.md").write_text("other words")
    (tmp_path / "b" / "model" / "onnx").mkdir()
    (tmp_path / "b" / "model" / "onnx" / "model.onnx").write_bytes(b"never read")
    assert named(one) == named(two)


@pytest.mark.parametrize("file", ["model.safetensors", "2_Dense/pytorch_model.bin", "vocab.txt"])
def test_a_change_of_any_file_that_is_read_is_another_encoder(tmp_path, file):
    """Changed weights in `2_Dense/pytorch_model.bin` were "up to date"."""
    spec = encoder_in(tmp_path / "model")
    before = named(spec)
    (tmp_path / "model" / file).write_bytes(b"others")
    assert named(spec) != before


def test_batch_threads_and_number_of_devices_do_not_change_what_is_asked_for(tmp_path):
    plain = encoder_in(tmp_path / "model")
    name = plain.name
    run = EncoderSpec(name, batch_size=3, device="cpu,cpu", dtype="float32", threads=2)
    assert named(run) == named(plain)
    for other in (
        {"dtype": "bfloat16"},
        {"max_length": 9},
        {"prompt_prefix": "q: "},
        {"turns": "all"},
    ):
        spec = EncoderSpec(name, **{"device": "cpu", "dtype": "float32", **other})
        assert named(spec) != named(plain)


@pytest.mark.parametrize(
    ("flags", "dtype"), [("avx2", "float32"), ("avx2 avx512_bf16", "bfloat16")]
)
def test_auto_is_resolved_before_it_is_named(tmp_path, monkeypatch, flags, dtype):
    """ "auto" was in the key, so two machines had one key for two results."""
    read_text = Path.read_text
    monkeypatch.setattr(Path, "read_text", lambda path, **options: (
        f"flags : {flags}" if str(path) == "/proc/cpuinfo" else read_text(path, **options)
    ))  # fmt: skip
    monkeypatch.setattr("smartx.embed.devices._GPU_FILES", ())
    folder = encoder_in(tmp_path / "model").name
    found = identity_of(EncoderSpec(folder)).parameters
    assert (found["device"], found["dtype"]) == ("cpu", dtype)
    plain = EncoderSpec(folder, device="cpu", dtype=dtype)
    assert named(EncoderSpec(folder)) == named(plain)


@pytest.mark.parametrize("value", ["", "0", "1"])
def test_the_default_encoder_is_the_published_one_whatever_the_environment(monkeypatch, value):
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    assert default_encoder() == PUBLISHED


def test_a_name_that_is_neither_a_folder_nor_packaged_has_no_local_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert local_folder("some/encoder") is None
    monkeypatch.setattr("smartx.embed.encoders.find_spec", lambda name: None)
    assert local_folder(PACKAGED) is None


def test_a_key_is_known_without_torch_and_without_the_network(tmp_path):
    spec = encoder_in(tmp_path / "model")
    corpus_of(tmp_path, ["a"])
    code = (
        "import sys, socket; from pathlib import Path\n"
        "socket.socket.connect = None\n"
        "from smartx.corpus import open_corpus; from smartx.embed import *\n"
        "corpus = open_corpus(Path(sys.argv[1]))\n"
        "assert embedding_key(corpus, EncoderSpec(sys.argv[2], device='cpu'))\n"
        "assert embedding_key(corpus, EncoderSpec('nobody/has-this', device='cpu')) is None\n"
        "print([name for name in ('torch', 'transformers', 'sentence_transformers') "
        "if name in sys.modules])"
    )
    arguments = [str(tmp_path / "corpus"), spec.name]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr[-2_000:]


def test_the_key_names_the_folder_of_the_embeddings(tmp_path):
    corpus = corpus_of(tmp_path, ["a", "b"])
    assert embeddings_there(corpus, FakeEncoder(), tmp_path / "run") is None
    made = embed_corpus(corpus, FakeEncoder(), tmp_path / "run")
    assert made.folder.name == embedding_key(corpus, FakeEncoder())[:16]
    assert embeddings_there(corpus, FakeEncoder(), tmp_path / "run").digest == made.digest
    assert embeddings_there(corpus, FakeEncoder(dtype="b"), tmp_path / "run") is None


@pytest.mark.parametrize(
    "modules",
    [
        [{"path": "", "type": "evil.Evil"}],
        [{"path": "", "type": "sentence_transformers.models.Transformer"}, {"type": "os.system"}],
        [{"path": ""}],
        {"type": 3},
        "x",
    ],
)
def test_an_encoder_with_code_of_its_own_is_refused_before_anything_of_it_runs(tmp_path, modules):
    spec = encoder_in(tmp_path / "model", modules_dot_json=json.dumps(modules))
    (tmp_path / "model" / "evil.py").write_text("raise SystemExit('it ran')")
    with pytest.raises(EncoderError, match=r"modules.json names"):
        identity_of(spec)


def test_a_folder_without_weights_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(EncoderError, match="holds no encoder"):
        embed_corpus(
            corpus_of(tmp_path, ["a"]), EncoderSpec(str(tmp_path / "empty")), tmp_path / "r"
        )


def test_an_unknown_dtype_is_refused(tmp_path):
    spec = encoder_in(tmp_path / "model")
    with pytest.raises(EncoderError, match="int4"):
        identity_of(EncoderSpec(spec.name, device="cpu", dtype="int4"))


def test_a_library_that_is_missing_is_named(tmp_path, monkeypatch):
    def version(name):
        raise __import__("importlib.metadata").metadata.PackageNotFoundError(name)

    monkeypatch.setattr("smartx.embed.encoders.metadata.version", version)
    corpus, spec = corpus_of(tmp_path, ["a"]), encoder_in(tmp_path / "model")
    assert embedding_key(corpus, spec)  # what is finished can be used without the library
    with pytest.raises(MissingPackageError, match=r"smartx-mix\[embed\]"):
        embed_corpus(corpus, spec, tmp_path / "run")


def test_the_digest_does_not_depend_on_the_order_of_the_files(tmp_path):
    one, two = encoder_in(tmp_path / "a"), encoder_in(tmp_path / "b")
    (tmp_path / "b" / "vocab.txt").unlink()
    (tmp_path / "b" / "vocab.txt").write_text("a\nb\n")
    assert folder_digest(Path(one.name)) == folder_digest(Path(two.name))
