"""Ways from texts to vectors: each gives a function of texts, ready to be timed on one core."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
from real_texts import KEPT, TEACHER, WINDOW, RealTexts, teacher_folder

Encode = Callable[[list[str]], np.ndarray]  # (n, d) float32, or int16 Q12
BATCH = 32  # rows that other packages get at once, those of like lengths together


def teacher(data: RealTexts) -> Encode:
    """By smartx, as `smartx embed` does it on one thread."""
    from dataclasses import replace

    from smartx.embed.batches import batches
    from smartx.embed.loading import loaded
    from smartx.progress import Silent

    context = loaded(replace(TEACHER, threads=1), Silent())
    encoder = context.__enter__()  # until the process ends

    def encode(texts: list[str]) -> np.ndarray:
        read = encoder.read(texts)
        made = None
        for rows in batches(read.lengths, encoder.batch_tokens, encoder.batch_rows):
            length = int(read.lengths[rows].max())
            vectors = encoder.encode([read.texts[row] for row in rows.tolist()], length)
            made = np.empty((len(texts), vectors.shape[1]), np.float32) if made is None else made
            made[rows] = vectors
        return made

    return encode


def sentence_transformers(data: RealTexts) -> Encode:
    """SentenceTransformer.encode with its defaults."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(teacher_folder()), device="cpu")
    return lambda texts: model.encode(texts, show_progress_bar=False)


def student(data: RealTexts) -> Encode:
    """smartx's student of 12,000 rows."""
    reader = data.reader()
    table = data.student(data.sample(), reader)

    def encode(texts: list[str]) -> np.ndarray:
        parts = []
        for start in range(0, len(texts), 4_096):
            ids = reader.read(texts[start : start + 4_096], WINDOW)
            parts.append(table.embed(ids.flat, ids.lengths, threads=1))
        return np.concatenate(parts)

    return encode


def model2vec(data: RealTexts) -> Encode:
    """Static vectors that model2vec distils from the teacher, with its defaults."""
    from model2vec.distill import distill

    return distill(model_name=str(teacher_folder()), device="cpu").encode


def wordllama(data: RealTexts) -> Encode:
    """The table that its wheel brings, 256 values."""
    import wordllama
    from wordllama import WordLlama

    # It looks for the tokenizer of its wheel in a folder that the wheel does not have.
    return WordLlama.load(cache_dir=Path(wordllama.__file__).parent).embed


def onnx(data: RealTexts, *, int8: bool = False) -> Encode:
    """The teacher as ONNX, float32 or dynamically quantised to int8."""
    import onnxruntime

    path = KEPT / "teacher.onnx"
    if not path.exists():
        _export(path)
    if int8:
        from onnxruntime.quantization import quantize_dynamic

        small = KEPT / "teacher-int8.onnx"
        if not small.exists():
            quantize_dynamic(path, small)
        path = small
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    return _pooled(lambda told: session.run(None, {name: told[name] for name in names})[0])


def onnx_int8(data: RealTexts) -> Encode:
    return onnx(data, int8=True)


def openvino(data: RealTexts) -> Encode:
    """The teacher as OpenVINO runs it by default: bfloat16 where the processor has it."""
    import openvino as ov
    import torch

    model, example = _torch_model()
    with torch.inference_mode():
        converted = ov.convert_model(model, example_input=example)
    threads = {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY"}
    compiled = ov.compile_model(converted, "CPU", threads)
    return _pooled(lambda told: compiled([told["input_ids"], told["attention_mask"]])[0])


def _torch_model():
    """The transformer of the teacher, of ids and mask, and an example of these."""
    import torch
    from transformers import AutoModel

    inner = AutoModel.from_pretrained(teacher_folder(), attn_implementation="eager").eval()

    class States(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, input_ids, attention_mask):
            return self.inner(input_ids=input_ids, attention_mask=attention_mask)[0]

    ids = torch.ones((2, 16), dtype=torch.int64)
    return States(), (ids, ids)


def _export(path) -> None:
    import torch

    model, example = _torch_model()
    names = ["input_ids", "attention_mask"]
    axes = {name: {0: "rows", 1: "tokens"} for name in (*names, "states")}
    part = path.with_suffix(".part")
    with torch.inference_mode():
        torch.onnx.export(
            model, example, str(part), input_names=names, output_names=["states"],
            dynamic_axes=axes, opset_version=17, dynamo=False,
        )  # fmt: skip
    os.replace(part, path)


def _pooled(run) -> Encode:
    """Mean of the states of a text's tokens, of unit length; texts in batches of like lengths."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(teacher_folder() / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(WINDOW + 2)

    def encode(texts: list[str]) -> np.ndarray:
        ids = [one.ids for one in tokenizer.encode_batch_fast(texts)]
        order = np.argsort([len(row) for row in ids], kind="stable")
        made = None
        for start, stop in pairwise([*range(0, len(ids), BATCH), len(ids)]):
            rows = order[start:stop].tolist()
            length = len(ids[rows[-1]])
            told = np.zeros((len(rows), length), dtype=np.int64)
            mask = np.zeros_like(told)
            for place, row in enumerate(rows):
                told[place, : len(ids[row])], mask[place, : len(ids[row])] = ids[row], 1
            states = np.asarray(run({"input_ids": told, "attention_mask": mask}))
            vectors = (states * mask[:, :, None]).sum(axis=1)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            made = np.empty((len(texts), vectors.shape[1]), np.float32) if made is None else made
            made[rows] = vectors
        return made

    return encode


ROUTES: dict[str, Callable[[RealTexts], Encode]] = {
    "teacher": teacher, "sentence-transformers": sentence_transformers, "student": student,
    "model2vec": model2vec, "wordllama": wordllama, "onnx": onnx, "onnx-int8": onnx_int8,
    "openvino": openvino,
}  # fmt: skip
NEEDED = {
    "sentence-transformers": "sentence_transformers", "model2vec": "model2vec",
    "wordllama": "wordllama", "onnx": "onnxruntime", "onnx-int8": "onnxruntime",
    "openvino": "openvino",
}  # fmt: skip


def absent(route: str) -> str | None:
    """What is missing for a route, or None."""
    name = NEEDED.get(route)
    return f"{name} is not installed" if name and find_spec(name) is None else None
