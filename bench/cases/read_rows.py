"""One case: the rows of one file read by smartx (into a corpus), pyarrow or datasets.

data: "made" (rows of FLAN-like lengths, from a seed, in `format`) or the name of a real corpus.
"""

import gzip
import hashlib
import json
import os
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq
from measure import answer, arguments, measured
from vectors import real_folder

BATCH = 10_000
TEMPLATES = ("zs_opt", "zs_noopt", "fs_opt", "fs_noopt")


def made(n):
    """n rows: 1,836 tasks of very unequal sizes, prompts of 430 and responses of 40 characters, on
    the mean, from a vocabulary of 2,000 words."""
    rng = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = np.array(["".join(rng.choice(letters, k)) for k in rng.integers(2, 11, 2_000)])
    text = " ".join(words[rng.zipf(1.3, 1_000_000) % len(words)])
    for start in range(0, n, BATCH):
        rows = min(BATCH, n - start)
        lengths = np.exp(rng.normal((5.8, 3.2), (0.8, 1.0), (rows, 2))).astype(np.int64) + 1
        begins = rng.integers(0, len(text) - 10_000, (rows, 2))
        ends = begins + np.minimum(lengths, 10_000)
        tasks = (1_836 * rng.random(rows) ** 2.5).astype(np.int64)
        templates = rng.integers(0, len(TEMPLATES), rows)
        yield [
            {
                "inputs": f"{start + i} {text[begins[i, 0] : ends[i, 0]]}",
                "targets": text[begins[i, 1] : ends[i, 1]].strip() or "yes",
                "task_source": f"source-{tasks[i] % 5}",
                "task_name": f"task-{tasks[i]}",
                "template_type": TEMPLATES[templates[i]],
            }
            for i in range(rows)
        ]


def write(n, path):
    """Made rows in the format of the name's ending."""
    name = path.name
    if ".jsonl" in name:
        plain = b"".join(json.dumps(row).encode() + b"\n" for rows in made(n) for row in rows)
        if name.endswith(".gz"):
            plain = gzip.compress(plain, 6, mtime=0)
        elif name.endswith(".zst"):
            plain = pa.compress(plain, "zstd", asbytes=True)
        path.write_bytes(plain)
        return
    table = pa.concat_tables([pa.Table.from_pylist(rows) for rows in made(n)])
    if name.endswith(".csv"):
        pa.csv.write_csv(table, path)
    elif name.endswith(".arrow"):
        with pa.ipc.new_file(str(path), table.schema) as writer:
            writer.write_table(table, max_chunksize=BATCH)
    else:
        pq.write_table(table, path, compression="zstd")


def by_smartx(path, folder):
    from smartx.corpus import ingest

    corpus = ingest([path], folder)
    files = sorted(folder.iterdir())
    return corpus.num_source_rows, [hashlib.sha256(f.read_bytes()).hexdigest() for f in files]


def by_pyarrow(path, _):
    name = path.name
    if ".jsonl" in name:
        with pa.input_stream(str(path)) as stream:  # unpacks by the ending
            table = pa.json.read_json(stream)
    elif name.endswith(".csv"):
        options = pa.csv.ParseOptions(newlines_in_values=True)
        table = pa.csv.read_csv(path, parse_options=options)
    elif name.endswith(".arrow"):
        with pa.OSFile(str(path)) as file:
            table = pa.ipc.open_file(file).read_all()
    else:
        table = pq.read_table(path)
    return table.num_rows, []


def by_datasets(path, folder):
    import datasets

    kinds = {".csv": "csv", ".arrow": "arrow", ".parquet": "parquet"}
    kind = kinds.get(path.suffix, "json")
    datasets.disable_progress_bars()
    found = datasets.load_dataset(kind, data_files=str(path), split="train", cache_dir=str(folder))
    return found.num_rows, []


READERS = {"smartx": by_smartx, "pyarrow": by_pyarrow, "datasets": by_datasets}


def main():
    asked = arguments()
    os.environ["HF_HUB_OFFLINE"] = "1"
    pa.set_cpu_count(asked["threads"])
    needed = ["datasets"] + ["zstandard"] * asked["format"].endswith(".zst")
    missing = [name for name in needed if find_spec(name) is None]
    if asked["reader"] == "datasets" and missing:
        answer(absent=f"{' and '.join(missing)} not installed")
        return
    read = READERS[asked["reader"]]
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / f"rows{asked['format']}"
        if asked["data"] == "made":
            write(asked["n"], path)
        else:
            path = real_folder() / f"{asked['data']}.parquet"
        small = Path(place) / f"small{asked['format']}"
        write(10, small)
        read(small, Path(place) / "small")  # imports, first calls

        def job(_):
            shutil.rmtree(Path(place) / "out", ignore_errors=True)
            return read(path, Path(place) / "out")

        (rows, digests), record = measured(job)
        answer(runs=[record | {"rows": rows, "bytes": path.stat().st_size, "digests": digests}])


main()
