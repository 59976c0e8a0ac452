"""The same rows, embedded, ranked and mixed in each way there is: byte-identical run folders and
mixtures. By the command line, each command a process of its own.
"""

from __future__ import annotations

import shutil

import pyarrow.parquet as pq
import pytest

from clusters import NO_RAY, cluster_of
from embed_fakes import some_prompts, write_rows
from embed_tokenizers import model2vec_folder
from smartx.embed.encoders import PACKAGED
from ways import WAYS, differing, made, tree_of

pytestmark = [
    pytest.mark.processes,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # Ray's own
]


@pytest.fixture(scope="module")
def ray_address():
    """Of a cluster of a head without processors and two nodes."""
    pytest.importorskip("ray", reason=NO_RAY)
    with cluster_of(2, joined=False) as cluster:
        yield cluster.address


def sampled(file, folder, every):
    """Every so-manyth row of a Parquet file."""
    rows = pq.read_table(file)
    path = folder / file.name
    pq.write_table(rows.take(list(range(0, rows.num_rows, every))), path)
    return path


def same(sources, embedding, folder, address, rows):
    """Trees of all ways, and the units that the pool made of each stage."""
    trees = {}
    for way in WAYS:
        environment = {"RAY_ADDRESS": address}
        made(way, folder / way, sources, embedding, rows=rows, environment=environment)
        trees[way] = tree_of(folder / way)
        shutil.rmtree(folder / way)
    assert differing(trees) == []
    return trees["one"]


@pytest.mark.corpus
def test_t0_and_big_bench_by_a_static_encoder_and_its_student(real_data, ray_address, tmp_path):
    """A half of T0 and a tenth of BIG-bench; `python tests/ways.py` takes whole ones."""
    pytest.importorskip("tokenizers")
    teacher = model2vec_folder(tmp_path / "teacher")
    embedding = ("--encoder", f"hybrid:{teacher}", "--student-rows", "200", "--teacher-rows", "30%")
    kept = {"t0": 2, "bigbench": 10}
    sources = [sampled(real_data / f"{name}.parquet", tmp_path, n) for name, n in kept.items()]
    tree = same(sources, embedding, tmp_path, ray_address, rows=2000)
    assert sum("/vectors/" in name and name.endswith(".npy") for name in tree) > 8


@pytest.mark.encoder
def test_texts_by_a_transformer(ray_address, tmp_path):
    pytest.importorskip("torch")
    source = write_rows(tmp_path / "rows.jsonl", some_prompts(1500))
    embedding = ("--encoder", PACKAGED, "--device", "cpu", "--max-length", "16")
    tree = same([source], embedding, tmp_path, ray_address, rows=200)
    assert sum("/vectors/" in name and name.endswith(".texts.npy") for name in tree) == 2
