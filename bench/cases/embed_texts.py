"""One case: the same rows of T0 embedded by smartx and by `SentenceTransformer.encode` as it is.

encoder: a name that smartx takes.  rows, threads, seed.  dtype: of smartx; the library always
computes in float32 with 32 texts a batch, its defaults.  Both take turns over blocks of the rows,
so that they meet the same minutes of the machine.
"""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow.parquet as pq
from measure import answer, arguments
from vectors import real_folder

BLOCK = 1_000


def main():
    asked = {"encoder": "all-MiniLM-L6-v2", "rows": 2_000, "seed": 0} | arguments()
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    import torch
    from sentence_transformers import SentenceTransformer

    from smartx.embed import EncoderSpec
    from smartx.embed.batches import batches
    from smartx.embed.encoders import encoder_folder
    from smartx.embed.sentence_transformer import loaded
    from smartx.progress import Silent

    column = pq.read_table(real_folder() / "t0.parquet", columns=["inputs"]).column("inputs")
    rng = np.random.default_rng(asked["seed"])
    rows = np.sort(rng.choice(len(column), asked["rows"], replace=False))
    texts = [column[row].as_py() for row in rows.tolist()]
    torch.set_num_threads(asked["threads"])
    spec = EncoderSpec(
        asked["encoder"], device="cpu", dtype=asked["dtype"], threads=asked["threads"]
    )
    library = SentenceTransformer(
        str(encoder_folder(spec, fetch=False)), device="cpu", local_files_only=True
    )

    def by_library(own):
        torch.set_num_threads(asked["threads"])
        return library.encode(own, show_progress_bar=False)

    with loaded(spec, Silent()) as encoder:

        def by_smartx(own):
            read = encoder.read(own)
            made = list(batches(read.lengths, encoder.batch_tokens, encoder.batch_rows))

            def one(batch):
                return encoder.encode([read.texts[row] for row in batch], read.lengths[batch[0]])

            with ThreadPoolExecutor(encoder.workers) as pool:
                vectors = list(pool.map(one, made))
            out = np.empty((len(own), vectors[0].shape[1]), dtype=np.float32)
            for batch, rows in zip(made, vectors, strict=True):
                out[batch] = rows
            return out

        ways = {"smartx": by_smartx, "library": by_library}
        seconds = {way: {"cpu": 0.0, "wall": 0.0} for way in ways}
        found = {way: [] for way in ways}
        for encode in ways.values():
            encode(texts[:16])  # first calls are slow
        for start in range(0, len(texts), BLOCK):
            for way, encode in ways.items():
                wall, cpu = time.perf_counter(), time.process_time()
                found[way].append(encode(texts[start : start + BLOCK]))
                seconds[way]["cpu"] += time.process_time() - cpu
                seconds[way]["wall"] += time.perf_counter() - wall
        tokens = sum(len(ids) for ids in encoder.read(texts).texts)
        dtype = encoder.made_by["dtype"]
    a, b = (np.concatenate(found[way]).astype(np.float64) for way in ways)
    cosine = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    ratio = {kind: seconds["library"][kind] / seconds["smartx"][kind] for kind in ("cpu", "wall")}
    answer(
        rows=len(texts), tokens=tokens, dtype=dtype, seconds=seconds, ratio=ratio,
        rows_per_second={way: len(texts) / took["wall"] for way, took in seconds.items()},
        cosine={"mean": float(cosine.mean()), "min": float(cosine.min())},
    )  # fmt: skip


main()
