"""A decoder of two heads and four blocks with random weights, and rows for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from quality.model import Shape  # noqa: E402
from quality.sample import HELD, OPTION, OTHER, POOL, Sample  # noqa: E402
from quality.texts import Tokens  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

SHAPE = Shape(width=16, heads=4, key_heads=2, mlp=24, blocks=4, vocabulary=50)
OPENING = (1, 2, 3)


def llama():
    """The same decoder by transformers."""
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=SHAPE.vocabulary,
        hidden_size=SHAPE.width,
        intermediate_size=SHAPE.mlp,
        num_hidden_layers=SHAPE.blocks,
        num_attention_heads=SHAPE.heads,
        num_key_value_heads=SHAPE.key_heads,
        rms_norm_eps=SHAPE.epsilon,
        rope_parameters={"rope_type": "default", "rope_theta": SHAPE.theta},
        tie_word_embeddings=True,
    )
    model = transformers.LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(4.0)  # far enough from nothing that a wrong sign shows
    return model


def weights_in(folder: Path) -> Path:
    path = folder / "weights.safetensors"
    tensors = {n: t.contiguous() for n, t in llama().state_dict().items() if n != "lm_head.weight"}
    save_file(tensors, path)
    return path


def small_sample(seed: int = 0) -> Sample:
    """Four tasks of two folds, each with 30 rows of the pool, 4 held rows and their options, and
    three others. A task's answer is one token of its own, so that training shows."""
    rng = np.random.default_rng(seed)
    ids, answers, ends, tasks, parts, of = [], [], [], [], [], []

    def add(task: int, part: int, answer: list[int], end: bool = True, own: int = -1) -> int:
        prompt = rng.integers(10, 50, size=rng.integers(3, 9)).tolist()
        row = [*prompt, 4 + task % 4, *answer, *([0] if end else [])]
        ids.append(row)
        answers.append(len(answer) + end)
        ends.append(end)
        tasks.append(f"task {task}")
        parts.append(part)
        of.append(own)
        return len(ids) - 1

    for task in range(4):
        for row in range(30):
            add(task, POOL, [20 + task], end=row % 5 > 0)
        held = [add(task, HELD, [20 + task, 9]) for _ in range(4)]
        for row in held[:2]:
            add(task, OPTION, [30 + task], own=row)
    for task in range(4, 7):
        add(task, OTHER, [20])
    lengths = np.array([len(row) for row in ids])
    vectors = rng.integers(-2000, 2000, size=(len(ids), 8)).astype(np.int16)
    tokens = Tokens(
        np.concatenate(ids).astype(np.int32), lengths, np.array(answers), np.array(ends)
    )
    return Sample(
        tokens,
        tasks,
        ["t"] * len(ids),
        np.array(parts, dtype=np.int8),
        np.array(of),
        np.arange(len(ids)),
        vectors,
        {f"task {task}": f"task {task}" for task in range(4)},
        {f"task {task}": task % 2 for task in range(4)},
        OPENING,
        {"corpus": "small"},
        np.stack([lengths, lengths], axis=1),
    )
