"""Static encoders on disk: a table with a vector per token, and the tokenizer that names its rows.

Two kinds of folders hold one: those of model2vec, and those of sentence-transformers whose first
module is a StaticEmbedding. Only JSON and safetensors are read: no code, no pickle.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx.errors import EncoderError, MissingPackageError

_TABLE, _TOKENIZER = "model.safetensors", "tokenizer.json"
_NAMES = ("embeddings", "embedding.weight")  # of the table, in the files of model2vec and of others
_LENGTH = 512  # tokens that model2vec reads where its config.json says nothing
_AGAIN = "save the encoder again with model2vec or sentence-transformers"


@dataclass(frozen=True, slots=True)
class StaticFiles:
    """The files of a static encoder, and how it reads a text.

    limit: tokens of a text that are read; None: all.
    prompt: what stands before each text.
    model2vec: by its rules: unknown tokens are left out, and of a text only so many characters are
    looked at as `limit` tokens of the usual length have.
    """

    table: Path
    tokenizer: Path
    limit: int | None
    prompt: str
    model2vec: bool

    def width(self) -> int:
        """Values of a vector, from the head of the file. Raises EncoderError."""
        with _opened(self.table) as file:
            return int(file.get_slice(_name_of(file, self.table)).get_shape()[1])

    def arrays(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The table (v, d), and the weights (v,) of the tokens it has a row for.

        Raises EncoderError where the file cannot be read, or the numbers are none.
        """
        with _opened(self.table) as file:
            table = file.get_tensor(_name_of(file, self.table))
            names = set(file.keys())
            rows = file.get_tensor("mapping") if "mapping" in names else None
            weights = file.get_tensor("weights") if "weights" in names else None
        if table.ndim != 2 or not table.size:
            raise EncoderError(
                f"its table has the shape {table.shape}", place=str(self.table), fix=_AGAIN
            )
        if rows is not None:
            if not len(rows) or rows.min() < 0 or rows.max() >= len(table):
                raise EncoderError(
                    f"a token has no row of the {len(table):,} of the table",
                    place=str(self.table),
                    fix=_AGAIN,
                )
            table = table[rows]
        if weights is None:
            weights = np.ones(len(table))
        if weights.shape != (len(table),):
            raise EncoderError(
                f"{weights.shape} weights for {len(table):,} tokens",
                place=str(self.table),
                fix=_AGAIN,
            )
        table, weights = table.astype(np.float32), weights.astype(np.float32)
        if not (np.isfinite(table).all() and np.isfinite(weights).all()):
            raise EncoderError("a number is not finite", place=str(self.table), fix=_AGAIN)
        return np.ascontiguousarray(table), weights


def static_files(folder: Path) -> StaticFiles | None:
    """The static encoder in a folder, or None where there is another one, or none.

    Reads two or three small files.
    """
    config = _fields(folder / "config.json")
    if config.get("model_type") == "model2vec":
        return _if_there(folder, config.get("max_length", _LENGTH), "", model2vec=True)
    path = _static_module(folder)
    if path is None:
        return None
    truncation = _fields(path / _TOKENIZER).get("truncation") or {}
    if truncation.get("direction", "Right") != "Right":
        return None  # it reads the ends of texts
    return _if_there(path, truncation.get("max_length"), _prompt(folder), model2vec=False)


def _static_module(folder: Path) -> Path | None:
    """Where the StaticEmbedding lies that makes the vectors of this folder, if one does alone.

    Their length does not matter, so a module that scales them may follow.
    """
    modules = _json(folder / "modules.json")
    try:
        first, *others = modules
        kinds = [module["type"].rpartition(".")[2] for module in others]
        path = Path(folder, first["path"]).resolve()
        alone = first["type"].endswith(".StaticEmbedding") and {*kinds} <= {"Normalize"}
        if alone and path.is_relative_to(folder.resolve()):
            return path
    except (TypeError, ValueError, KeyError, AttributeError):
        pass
    return None


def _prompt(folder: Path) -> str:
    """What sentence-transformers puts before each text."""
    config = _fields(folder / "config_sentence_transformers.json")
    return str((config.get("prompts") or {}).get(config.get("default_prompt_name")) or "")


def _if_there(
    folder: Path, limit: int | None, prompt: str, *, model2vec: bool
) -> StaticFiles | None:
    table, tokenizer = folder / _TABLE, folder / _TOKENIZER
    if not (table.is_file() and tokenizer.is_file()):
        return None
    return StaticFiles(table, tokenizer, limit, prompt, model2vec)


def _fields(path: Path) -> dict[str, Any]:
    content = _json(path)
    return content if isinstance(content, dict) else {}


def _json(path: Path) -> Any:
    """What a file holds; None where it is missing or no JSON: who loads the encoder says so."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def _opened(path: Path) -> Any:
    """A file of safetensors. Raises EncoderError, MissingPackageError."""
    try:
        from safetensors import safe_open
    except ImportError:
        raise MissingPackageError("safetensors", needed_for="embedding", extra="embed") from None
    try:
        return safe_open(path, framework="numpy")
    except Exception as problem:  # the package's errors have no common kind
        line = (str(problem).strip().splitlines() or [type(problem).__name__])[0][:200]
        raise EncoderError(f"it cannot be read ({line})", place=str(path), fix=_AGAIN) from None


def _name_of(file: Any, path: Path) -> str:
    names = set(file.keys())
    for name in _NAMES:
        if name in names:
            return name
    raise EncoderError(
        f"it holds {', '.join(sorted(names)) or 'nothing'}, and none of {', '.join(_NAMES)}",
        place=str(path),
        fix=_AGAIN,
    )
