"""A causal language model from a folder on this machine, with its tokenizer.

Weights are read from safetensors files alone, and no code that comes with a model is ever run.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from smartx.embed.devices import DTYPES, devices_of, kind_of
from smartx.embed.quiet import quiet
from smartx.errors import InputError, MissingPackageError, ModelError, first_line
from smartx.files import unchanged_digest

FILES = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt")  # that shape what it computes
LIBRARIES = ("torch", "transformers", "tokenizers")
EXTRA = "llm"  # of the package: what brings these


@dataclass(frozen=True, eq=False)
class CausalModel:
    """A loaded model, ready to be asked.

    digest: of its configuration, weights and tokenizer: part of every key.
    model: transformers.PreTrainedModel, in evaluation mode.  tokenizer: its tokenizer.
    device: torch.device.  dtype: of its weights: float32, bfloat16 or float16.
    """

    folder: Path
    digest: str
    model: Any
    tokenizer: Any
    device: Any
    dtype: str

    @property
    def on_cpu(self) -> bool:
        """Whether the processor computes."""
        return str(self.device.type) == "cpu"

    @property
    def positions(self) -> int:
        """Tokens that it was made for."""
        return int(getattr(self.model.config, "max_position_embeddings", None) or 1 << 30)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What besides the digest shapes the numbers it gives: for keys and manifests."""
        return {"dtype": self.dtype, "device": kind_of(str(self.device))}

    @property
    def made_by(self) -> Mapping[str, str]:
        """Versions of the libraries, for manifests."""
        return {name: metadata.version(name) for name in LIBRARIES}


def digest_of_folder(folder: Path) -> str:
    """Names the files of a model: SHA-256 over their names and digests.

    Raises ModelError where it is no folder of a model with safetensors weights.
    """
    paths = sorted({path for pattern in FILES for path in folder.glob(pattern) if path.is_file()})
    names = [path.name for path in paths]
    if "config.json" not in names or not any(name.endswith(".safetensors") for name in names):
        what = "there is no such folder" if not folder.is_dir() else (
            "it holds no config.json beside safetensors weights"
        )  # fmt: skip
        raise ModelError(
            what,
            place=os.fspath(folder),
            fix="name a folder that save_pretrained of transformers wrote, with its tokenizer",
        )
    told = "".join(f"{path.name}\0{unchanged_digest(path)}\n" for path in paths)
    return hashlib.sha256(told.encode()).hexdigest()


def parameters_of(device: str, dtype: str) -> dict[str, Any]:
    """What besides the digest shapes the numbers of a model that is loaded so, before it is."""
    return {"dtype": dtype, "device": kind_of(devices_of(device)[0])}


def load_causal(
    folder: Path, *, device: str = "auto", dtype: str = "float32", attention: str | None = None
) -> CausalModel:
    """A causal model and its tokenizer from a local folder, in evaluation mode.

    device: "auto" (the first GPU, or the CPU), "cpu", "cuda:1".  dtype: of weights and numbers.
    attention: how it is computed ("eager" where its weights are read); None: as the model has it.
    Raises MissingPackageError without torch and transformers, ModelError where loading fails,
    InputError for a dtype or device that is none.
    """
    if dtype not in DTYPES:
        raise InputError(
            f'there is no dtype "{dtype}"', place="dtype", fix=f"one of: {', '.join(DTYPES)}"
        )
    torch, transformers = libraries("a language model")
    digest = digest_of_folder(Path(folder))
    place = _checked_device(torch, devices_of(device)[0])
    more = {} if attention is None else {"attn_implementation": attention}
    safe = {"local_files_only": True, "trust_remote_code": False}
    try:
        with quiet():
            tokenizer = transformers.AutoTokenizer.from_pretrained(os.fspath(folder), **safe)
            model = transformers.AutoModelForCausalLM.from_pretrained(
                os.fspath(folder), dtype=getattr(torch, dtype), use_safetensors=True, **safe, **more
            )
            model = model.to(place).eval()
    except Exception as problem:
        raise ModelError(
            f"it cannot be loaded ({first_line(problem)})",
            place=os.fspath(folder),
            fix="name a folder of a causal language model that transformers knows without code "
            "of its own, with safetensors weights and a tokenizer",
        ) from problem
    return CausalModel(Path(folder), digest, model, tokenizer, place, dtype)


def libraries(needed_for: str) -> tuple[Any, Any]:
    """The modules torch and transformers. Raises MissingPackageError."""
    try:
        import torch
    except ImportError:
        raise MissingPackageError("torch", needed_for=needed_for, extra=EXTRA) from None
    try:
        import transformers
    except ImportError:
        raise MissingPackageError("transformers", needed_for=needed_for, extra=EXTRA) from None
    return torch, transformers


def _checked_device(torch: Any, asked: str) -> Any:
    try:
        torch.empty(1, device=asked)
        return torch.device(asked)
    except (RuntimeError, AssertionError) as problem:
        raise InputError(
            f'torch cannot use "{asked}" here ({first_line(problem)})',
            place="device",
            fix="pass `device` cpu",
        ) from None
