"""The encoders of the sentence-transformers library; the only file that loads torch."""

from __future__ import annotations

import copy
import logging
import queue
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx.embed.devices import devices_of, dtype_of, kind_of, torch_library
from smartx.embed.encoders import EncoderSpec, Read, encoder_folder, made_by
from smartx.errors import EncoderError, MissingPackageError
from smartx.progress import Progress

# Tokens a call, padding included. On a CPU small batches stay in the cache: 2,048 was the best of
# 1,024..8,192 at one and two threads (MiniLM, Zen 5); a GPU wants many.
_CPU_TOKENS, _GPU_TOKENS = 2_048, 16_384
_ROWS = 1_024
_TEXTS = 1_024  # tokenised at once to learn their lengths
_STEP = 8  # tokens: texts are padded to a multiple of it, and encoded with others of that length
_CHARACTERS = 16  # of a text are tokenised for a token that is read, and more where those give less
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
        own = model.prompts.get(model.default_prompt_name) or ""
        self._prompt = own + spec.prompt_prefix  # the library puts its own one before
        self._on_cpu = kind_of(device) == "cpu"
        self.workers = min(threads, _WORKERS) if self._on_cpu else 1
        self._threads = threads // self.workers
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for twin in (model, *(_twin(model) for _ in range(self.workers - 1))):
            self._idle.put(twin)
        self.identity: Mapping[str, Any] = {}
        self.made_by: Mapping[str, str] = {
            "device": kind_of(device),
            "dtype": dtype,
            "max_length": str(model.max_seq_length),
            **made_by(spec),
        }
        self.batch_rows = spec.batch_size or _ROWS
        self.batch_tokens = _CPU_TOKENS if self._on_cpu else _GPU_TOKENS
        if spec.batch_size:
            self.batch_tokens = spec.batch_size * (model.max_seq_length or 1 << 20)

    def read(self, texts: list[str]) -> Read:
        """How far each text is read, and its tokens, padded; a text is tokenised from its head."""
        limit = self._model.max_seq_length
        tokenizer = self._model.tokenizer
        if not limit or not hasattr(tokenizer, "num_special_tokens_to_add"):
            return Read(texts, np.ones(len(texts), np.int64), np.zeros(len(texts), np.bool_))
        heads, most = list(texts), _CHARACTERS * limit
        lengths, cut = np.zeros(len(texts), np.int64), np.zeros(len(texts), np.bool_)
        waiting = list(range(len(texts)))
        while waiting:
            for row in waiting:
                heads[row] = texts[row][:most]
            for start in range(0, len(waiting), _TEXTS):
                rows = waiting[start : start + _TEXTS]
                lengths[rows], cut[rows] = self._tokens([heads[row] for row in rows], limit)
            whole = {row for row in waiting if len(texts[row]) <= most}
            cut[[row for row in waiting if row not in whole]] = True
            waiting = [row for row in waiting if row not in whole and lengths[row] < limit]
            most *= 4
        padded = np.minimum(-(-lengths // _STEP) * _STEP, limit)
        return Read(heads, np.maximum(padded, 1), cut)

    def _tokens(self, texts: list[str], limit: int) -> tuple[list[int], list[bool]]:
        """Tokens of each text that are read, and whether there are more."""
        encoded = self._model.tokenizer(
            [self._prompt + text for text in texts],
            padding=False,
            return_attention_mask=False,
            truncation=True,
            max_length=limit,
            return_overflowing_tokens=False,
        )
        lengths = [len(ids) for ids in encoded["input_ids"]]
        if encoded.encodings is None:  # of a tokenizer in Python
            return lengths, [length >= limit for length in lengths]
        return lengths, [bool(one.overflowing) for one in encoded.encodings]

    def _filled(self, texts: list[str], length: int) -> list[str]:
        """On a GPU every batch of one length has one number of rows: the libraries there choose how
        they compute by it.
        """
        if self._on_cpu:
            return texts
        rows = max(1, min(self.batch_rows, self.batch_tokens // length))
        return texts + texts[-1:] * (rows - len(texts))

    def _padded(self, length: int) -> dict[str, Any]:
        """Have the library pad all texts of a batch to one length."""
        if not hasattr(self._model.tokenizer, "num_special_tokens_to_add"):
            return {}
        text = {"padding": "max_length", "max_length": length, "truncation": True}
        return {"processing_kwargs": {"text": text}}

    def encode(self, texts: list[str], length: int) -> NDArray[np.float32]:
        """(n, d) float32; up to `workers` threads may call at once.

        Raises EncoderError where the batch does not fit the memory.
        """
        import torch

        torch.set_num_threads(self._threads)  # of this thread's own team
        filled = [self._prefix + text for text in self._filled(texts, length)]
        model = self._idle.get()
        try:
            with torch.inference_mode():
                vectors = model.encode(
                    filled,
                    batch_size=len(filled),
                    show_progress_bar=False,
                    convert_to_tensor=True,
                    **self._padded(length),
                )
                return np.asarray(vectors[: len(texts)].float().cpu().numpy())
        except torch.OutOfMemoryError as problem:
            raise EncoderError(
                f"a batch of {len(filled)} texts does not fit the memory ({_line(problem)})",
                fix=f"pass `batch_size` {max(1, len(filled) // 2)}",
            ) from None
        finally:
            self._idle.put(model)


@contextmanager
def loaded(spec: EncoderSpec, progress: Progress) -> Iterator[SentenceEncoder]:
    """The encoder that `spec` asks for, ready to encode, with the threads it asks for.

    Raises MissingPackageError without the libraries, EncoderError where loading fails.
    """
    torch, sentence_transformers = torch_library(), _library()
    device = _checked_device(devices_of(spec.device)[0])
    dtype = dtype_of(spec.dtype, device)
    before = torch.get_num_threads()
    try:
        with _quiet():
            progress.note(f"encoder {spec.name} on {device} in {dtype}")
            model = _load(sentence_transformers, spec, device, getattr(torch, dtype))
            yield SentenceEncoder(model, spec, dtype, device, spec.threads or before)
    finally:
        torch.set_num_threads(before)


def _library() -> Any:
    """The module sentence_transformers."""
    try:
        import sentence_transformers
    except ImportError:
        name = "sentence-transformers"
        raise MissingPackageError(name, needed_for="embedding", extra="embed") from None
    return sentence_transformers


def _twin(model: Any) -> Any:
    """The model for another thread: the same weights, but its own tokenizer (not thread-safe)."""
    shared = [*model.parameters(), *model.buffers()]
    return copy.deepcopy(model, {id(tensor): tensor for tensor in shared})


def _load(library: Any, spec: EncoderSpec, device: str, dtype: Any) -> Any:
    folder = encoder_folder(spec, fetch=True)
    assert folder is not None  # it was fetched
    try:
        model = library.SentenceTransformer(
            str(folder),
            device=device,
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs={"use_safetensors": True},
        )
        if spec.max_length is not None:
            model.max_seq_length = _checked_length(spec.max_length, model)
        return model.to(dtype).eval()
    except EncoderError:
        raise
    except Exception as problem:
        raise EncoderError(
            f"it cannot be loaded ({_line(problem)})",
            place=str(folder),
            fix="name a folder that sentence-transformers saved, with safetensors weights",
        ) from problem


def _checked_length(asked: int, model: Any) -> int:
    """Not above the model's own setting: what it was made for."""
    most = model.max_seq_length
    if most is not None and asked > most:
        raise EncoderError(
            f"{asked} tokens were asked for, and the encoder reads {most} at most",
            place="max_length",
            fix=f"pass `max_length` {most}, or leave it out",
        )
    return asked


def _checked_device(asked: str) -> str:
    import torch

    try:
        torch.empty(1, device=asked)
    except (RuntimeError, AssertionError) as problem:
        raise EncoderError(
            f'torch cannot use "{asked}" here ({_line(problem)})',
            place="device",
            fix="pass `device` cpu",
        ) from None
    return asked


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
