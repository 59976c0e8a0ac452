"""One case: what can be shown of embedding only on a graphics card, on any machine that has one.

    python bench/cases/gpu_embed.py '{"device": "cuda:0", "threads": 4}'

device: with "cpu" torch's CPU stands in for a card: then only what needs none is shown. encoder,
rows, seed: as in the code. Real prompts are taken where SMARTX_DATA names them, else made-up words.
A line a check, and last the answer; status 1 where anything is not as it must be, 0 where there is
no such card.
"""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
from measure import answer, arguments

from smartx.embed import EncoderSpec
from smartx.embed.batches import batches, rows_of
from smartx.engine import quantize
from smartx.progress import Silent

NEAR = {"float32": 0.9999, "bfloat16": 0.99}  # least cosine of a row by card and CPU, same dtype
PADDING = 0.05


def texts_of(count, seed):
    """Prompts of T0, or words of the same lengths."""
    rng = np.random.default_rng(seed)
    if os.environ.get("SMARTX_DATA"):
        import pyarrow.parquet as pq
        from vectors import real_folder

        column = pq.read_table(real_folder() / "t0.parquet", columns=["inputs"]).column("inputs")
        count = min(count, len(column))
        return column.take(np.sort(rng.choice(len(column), count, replace=False))).to_pylist()
    words = [f"{a}{b}" for a in ("sea", "town", "book", "boat", "old") for b in ("", "s", "like")]
    sizes = np.exp(rng.normal(4.5, 0.7, count)).astype(np.int64) + 1
    return [f"{row} " + " ".join(rng.choice(words, size)) for row, size in enumerate(sizes)]


@contextmanager
def encoder_on(asked, dtype):
    """The encoder, on the card or on what stands in for one."""
    from smartx.embed.card import Card
    from smartx.embed.sentence_transformer import SentenceEncoder, loaded

    name, device, threads = asked["encoder"], asked["device"], asked["threads"]
    rows = 4 if device == "cpu" else None  # a full batch is much for a CPU
    spec = EncoderSpec(name, device=device, dtype=dtype, threads=threads, batch_size=rows)
    with loaded(spec, Silent()) as encoder:
        if device == "cpu":
            model, card = encoder._model, Card(device)
            encoder = SentenceEncoder(model, spec, dtype, device, threads, card=card)
        yield encoder


def encoded(encoder, texts):
    """(n, d) Q12, what was read, and the seconds of reading and of encoding."""
    began = time.perf_counter()
    read = encoder.read(texts)
    between = time.perf_counter()

    def encode(batch):
        items = [read.texts[row] for row in batch.tolist()]
        return encoder.encode(items, int(read.lengths[batch[0]]))

    made = list(batches(read.lengths, encoder.batch_tokens, encoder.batch_rows))
    with ThreadPoolExecutor(encoder.workers) as pool:
        vectors = list(pool.map(encode, made))
    took = between - began, time.perf_counter() - between
    rows = np.empty((len(texts), vectors[0].shape[1]), dtype=np.float32)
    for batch, own in zip(made, vectors, strict=True):
        rows[batch] = own
    return quantize(rows), read, took


def compared(ours, theirs):
    """How two matrices of Q12 rows differ."""
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    cosine = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    return {
        "rows_equal": float((ours == theirs).all(axis=1).mean()),
        "largest_units": int(np.abs(a - b).max()),
        "cosine_mean": float(cosine.mean()), "cosine_min": float(cosine.min()),
    }  # fmt: skip


def padding_of(encoder, read):
    """Share of what is computed that is no token: padding, and repeats that fill up batches."""
    computed = 0
    for batch in batches(read.lengths, encoder.batch_tokens, encoder.batch_rows):
        length = int(read.lengths[batch[0]])
        computed += length * rows_of(length, encoder.batch_tokens, encoder.batch_rows)
    return 1 - sum(map(len, read.texts)) / computed


@contextmanager
def short_of_memory(encoder, calls):
    """The first tries of these calls find no memory, as if another process had taken it."""
    import torch

    card, real = encoder._card.card, encoder._card.card.put
    count = iter(range(1 << 62))

    def put(features):
        if next(count) in calls:
            raise torch.OutOfMemoryError("as asked for by gpu_embed.py")
        return real(features)

    card.put = put
    try:
        yield
    finally:
        card.put = real


@contextmanager
def memory_taken(device, left):
    """Only so many bytes of the card are left for this process."""
    import torch

    if device == "cpu":
        yield
        return
    torch.cuda.empty_cache()
    total = torch.cuda.mem_get_info(device)[1]
    taken = torch.cuda.memory_allocated(device)
    torch.cuda.set_per_process_memory_fraction(min(1.0, (taken + left) / total), device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)


def checks(asked, dtype, texts, figures):
    """(what, whether it is as it must be, figures)."""
    with encoder_on(asked, dtype) as encoder:
        encoded(encoder, texts[:64])  # first calls are slow
        whole, read, (reading, encoding) = encoded(encoder, texts)
        figures[dtype] = {
            "rows_per_second": len(texts) / (reading + encoding), "reading": reading,
            "encoding": encoding, "tokens_per_second": sum(map(len, read.texts)) / encoding,
        }  # fmt: skip
        again = encoded(encoder, texts)[0]
        yield "the same bits once more", (again == whole).all(), {}
        backwards = encoded(encoder, texts[::-1])[0][::-1]
        yield "the same bits in any order", (backwards == whole).all(), {}
        some = encoded(encoder, texts[::37])[0]
        yield "the same bits beside other texts", (some == whole[::37]).all(), {}
        share = padding_of(encoder, read)
        enough = len(texts) >= 20_000
        yield "padding", share < PADDING or not enough, {"share": share, "rows": len(texts)}
        shapes = encoder._card.shapes
        with short_of_memory(encoder, {2, 3, 7, 8, 11}):
            small = encoded(encoder, texts)[0]
        told = compared(small, whole) | {"halved": shapes.halved, "batches": shapes.small}
        near = told["cosine_min"] > NEAR[dtype]
        yield "rows of batches that were halved", near and shapes.halved == 2, told
        if asked["device"] != "cpu":
            before = shapes.halved
            with memory_taken(asked["device"], asked["left"]):
                small = encoded(encoder, texts[:2_000])[0]
            told = compared(small, whole[:2_000]) | {"halved": shapes.halved - before}
            yield "rows made while memory is short", told["cosine_min"] > NEAR[dtype], told
    cpu = {**asked, "device": "cpu"}
    with encoder_on(cpu, dtype) as encoder:
        few = texts[:: max(1, len(texts) // 500)]
        told = compared(whole[:: max(1, len(texts) // 500)], encoded(encoder, few)[0])
        yield "rows as a CPU makes them", told["cosine_min"] > NEAR[dtype], told


def main():
    asked = {"encoder": "all-MiniLM-L6-v2", "rows": 20_000, "seed": 0, "left": 64 << 20}
    asked |= {"threads": 1} | arguments()
    try:
        import torch
    except ImportError:
        answer(absent="torch is not installed")
        return 0
    kind = asked["device"].partition(":")[0]
    if kind != "cpu" and not (kind == "cuda" and torch.cuda.is_available()):
        answer(absent="no CUDA device")
        return 0
    if kind == "cpu":
        asked["rows"] = min(asked["rows"], 60)
    texts = texts_of(asked["rows"], asked["seed"])
    told, figures = [], {}
    settings = torch.backends.cuda.matmul.allow_tf32
    for dtype in ("float32", "bfloat16"):
        for what, right, more in checks(asked, dtype, texts, figures):
            told.append({"what": f"{dtype}: {what}", "same": bool(right), **more})
            print(f"  {'ok   ' if right else 'WRONG'} {dtype}: {what} {more or ''}", flush=True)
    restored = torch.backends.cuda.matmul.allow_tf32 == settings
    told.append({"what": "settings of torch are as before", "same": restored})
    name = torch.cuda.get_device_name(asked["device"]) if kind == "cuda" else "torch on the CPU"
    answer(device=name, rows=len(texts), checks=told, figures=figures)
    return 0 if all(check["same"] for check in told) else 1


sys.exit(main())
