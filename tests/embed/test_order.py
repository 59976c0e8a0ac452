"""Vectors in another order than their rows are seen, whatever made them; those in order are not."""

from __future__ import annotations

import json
import zlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from smartx import cli
from smartx.corpus import ingest
from smartx.embed import VectorsSpec, embed_corpus, order, warnings_of
from smartx.errors import VectorsError

WORDS = [
    f"{a}{b}" for a in ("ba", "ko", "mi", "tu", "re", "so") for b in ("n", "rd", "lt", "x", "p")
]
SIGNS = [chr(0x4E00 + 37 * i) for i in range(40)]


def texts_of(count, seed, words=WORDS, joined=" "):
    rng = np.random.default_rng(seed)
    return [joined.join(rng.choice(words, rng.integers(5, 12))) for _ in range(count)]


def vectors_of(texts, joined=" ", noise=1.0):
    """A simple encoder: the mean of a random vector for each word, and noise as large as that."""
    rng = np.random.default_rng(0)
    rows = []
    for text in texts:
        words = text.split(joined) if joined else list(text)
        own = [np.random.default_rng(zlib.crc32(w.encode())).normal(size=24) for w in words]
        mean = np.mean(own, axis=0)
        rows.append(mean + noise * np.linalg.norm(mean) / 24**0.5 * rng.normal(size=24))
    return np.array(rows, dtype=np.float32)


def embedded(folder, sources, vectors):
    """The embeddings of texts by source and task, with these vectors, and the corpus."""
    folder.mkdir()
    files = []
    for name, tasks in sources.items():
        files.append(folder / f"{name}.jsonl")
        rows = [
            {"prompt": text, "response": "yes", "task": task, "source": name}
            for task, texts in tasks.items()
            for text in texts
        ]
        files[-1].write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    np.save(folder / "v.npy", vectors)
    corpus = ingest(files, folder / "corpus")
    return embed_corpus(corpus, VectorsSpec(folder / "v.npy"), folder / "run"), corpus


def warned(made):
    return [line for line in warnings_of(*made) if "do not follow the texts" in line]


ORDERS = {
    "as they are": lambda texts: np.arange(len(texts)),
    "at random": lambda texts: np.random.default_rng(3).permutation(len(texts)),
    "by length": lambda texts: np.argsort([len(text) for text in texts], kind="stable"),
    "reversed": lambda texts: np.arange(len(texts))[::-1],
    "slipped by a row": lambda texts: np.roll(np.arange(len(texts)), -1),
    "slipped by three": lambda texts: np.roll(np.arange(len(texts)), 3),
}


@pytest.mark.parametrize("tasks", [1, 3])
@pytest.mark.parametrize("name", ORDERS)
def test_every_order_but_that_of_the_rows_is_warned_of(tmp_path, name, tasks):
    by_task = {f"t{n}": texts_of(300 // tasks, n) for n in range(tasks)}
    texts = [text for own in by_task.values() for text in own]
    made = embedded(tmp_path / "a", {"s": by_task}, vectors_of(texts)[ORDERS[name](texts)])
    assert bool(warned(made)) is (name != "as they are"), made[0].manifest["order"]


def test_rows_that_repeat_are_not_taken_for_slipped_ones(tmp_path):
    texts = [text for text in texts_of(60, 1) for _ in range(10)]
    assert not warned(embedded(tmp_path / "a", {"s": {"t": texts}}, vectors_of(texts)))


def test_a_script_without_spaces_has_words_too(tmp_path):
    texts = texts_of(200, 1, SIGNS, "")
    vectors = vectors_of(texts, "")
    assert not warned(embedded(tmp_path / "a", {"s": {"t": texts}}, vectors))
    assert warned(embedded(tmp_path / "b", {"s": {"t": texts}}, vectors[::-1]))


def test_the_source_whose_vectors_are_elsewhere_is_named(tmp_path):
    sources = {name: {"t": texts_of(150, n)} for n, name in enumerate(("one", "two", "three"))}
    one, two, three = (vectors_of(tasks["t"]) for tasks in sources.values())
    assert not warned(embedded(tmp_path / "a", sources, np.concatenate([one, two, three])))
    (line,) = warned(embedded(tmp_path / "b", sources, np.concatenate([one, three, two])))
    assert line.startswith("WARNING: the ready vectors of three, two do not")


def test_many_small_tasks_are_looked_at_together(tmp_path):
    tasks = {f"t{n:03d}": texts_of(5, n) for n in range(60)}
    texts = [text for own in tasks.values() for text in own]
    vectors = vectors_of(texts)
    assert not warned(embedded(tmp_path / "a", {"s": tasks}, vectors))
    assert warned(embedded(tmp_path / "b", {"s": tasks}, vectors[::-1]))


def test_too_few_rows_say_nothing(tmp_path):
    texts = texts_of(20, 1)
    made = embedded(tmp_path / "a", {"s": {"t": texts}}, vectors_of(texts)[::-1])
    assert made[0].manifest["order"] == {}
    assert not warned(made)


def test_agreement_is_that_of_the_formula():
    rng = np.random.default_rng(1)
    a, b = (x + x.T for x in rng.normal(size=(2, 30, 30)))
    scores = order.above_chance(a, a + 0.1 * b, 0)
    assert scores[0] > 10
    assert max(map(abs, scores[1:])) < 5
    centred = order._centred(a)
    for i in range(30):
        for j in range(30):
            means = [sum(a[k][m] for m in range(30) if m != k) / 29 for k in (i, j)]
            whole = (a.sum() - np.trace(a)) / 30 / 29
            wanted = 0.0 if i == j else a[i][j] - sum(means) + whole
            assert centred[i][j] == pytest.approx(wanted)
    assert order.above_chance(np.ones((9, 9)), a[:9, :9], 0) == []


def test_the_command_warns_and_python_says_so_too(tmp_path):
    texts = texts_of(120, 1)
    embedded(tmp_path / "a", {"s": {"t": texts}}, vectors_of(texts)[::-1])
    fields = ["--vectors", tmp_path / "a" / "v.npy", "--rows", 20, "--out", tmp_path / "mix"]
    for _ in range(2):  # also where the vectors are there already
        words = ["run", tmp_path / "a" / "s.jsonl", *fields, "--overwrite", "--quiet"]
        done = CliRunner().invoke(cli.app, [str(word) for word in words])
        assert done.exit_code == 0
        assert "of s do not follow the texts" in " ".join(done.output.split())


class TestTextsBesideVectors:
    """A Parquet file that says in `prompt` what each vector is of is held to it."""

    @pytest.fixture
    def rows(self, tmp_path):
        turns = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hi"}]
        chat = {"messages": [*turns, {"role": "assistant", "content": "ho"}]}
        plain = [{"prompt": f"question {i}", "response": "yes"} for i in range(30)]
        plain[7]["response"] = ""  # dropped, its vector too
        lines = [*plain, chat, chat]
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
        return ingest([tmp_path / "rows.jsonl"], tmp_path / "corpus")

    def made(self, rows, folder, texts, name="prompt"):
        vectors = np.random.default_rng(0).normal(size=(32, 4)).tolist()
        pq.write_table(pa.table({name: texts, "v": vectors}), folder / "v.parquet")
        return embed_corpus(rows, VectorsSpec(folder / "v.parquet"), folder / "run")

    def test_the_texts_of_the_rows_pass(self, rows, tmp_path):
        texts = [f"question {i}" for i in range(30)]
        texts[7] = "whatever: this row was dropped"
        self.made(rows, tmp_path, [*texts, "hi", "hi"])  # what smartx would embed
        whole = rows.prompts(29, 30)
        assert whole != ["hi"]
        self.made(rows, tmp_path, [*texts, *whole, "hi"])  # or the prompt as it stands

    def test_another_order_is_an_error_that_names_the_row(self, rows, tmp_path):
        texts = [*(f"question {i}" for i in range(30)), "hi", "hi"]
        texts[3], texts[4] = texts[4], texts[3]
        with pytest.raises(VectorsError) as caught:
            self.made(rows, tmp_path, texts)
        assert caught.value.place.endswith("v.parquet: row 3 (from 0)")
        assert "rows.jsonl:4" in caught.value.fault
        assert "2 of 31 rows" in caught.value.fault
        self.made(rows, tmp_path, texts, name="other")  # nobody says what it is


def test_every_order_of_the_real_vectors_of_t0_but_their_own_is_warned_of(real_data, tmp_path):
    corpus = ingest([real_data / "t0.parquet"], tmp_path / "corpus")
    vectors = np.load(real_data / "t0_minilm_q12.npy", mmap_mode="r")
    n, sample = len(vectors), order.sample_of(corpus.groups)
    positions = corpus.source_positions(0, corpus.num_rows)[sample.rows]
    lengths = pc.utf8_length(pq.read_table(real_data / "t0.parquet")["inputs"]).to_numpy()
    half = np.arange(n)
    half[n // 2 :] = np.roll(half[n // 2 :], 1)
    orders = {
        "true": np.arange(n), "at random": np.random.default_rng(0).permutation(n),
        "by length": np.argsort(lengths, kind="stable"), "reversed": np.arange(n)[::-1],
        "slipped": np.roll(np.arange(n), -1), "by two": np.roll(np.arange(n), -2), "half": half,
    }  # fmt: skip
    found = {
        name: order.order_facts(corpus, sample, vectors[places[positions]])
        for name, places in orders.items()
    }
    assert found["true"]["P3"]["above_chance"] > 100
    assert [name for name in orders if not order.out_of_order(found[name])] == ["true"]
