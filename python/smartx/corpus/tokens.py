"""How many tokens the prompt and the response of each row have: counted, or estimated."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from smartx.errors import InputError, MissingPackageError, first_line

_BATCH = 1_024  # texts that a tokenizer gets at once
_CHARACTERS = 4  # of English text in a token, about
COLUMNS = ("prompt_tokens", "response_tokens")


class TokenCounter(Protocol):
    """Says how many tokens texts have."""

    def parameters(self) -> dict[str, Any]:
        """What the counts depend on, for manifests: no machine's folders."""

    def count(self, texts: pa.Array) -> NDArray[np.int32]:
        """(n,) of n texts."""


@dataclass(frozen=True)
class Estimate:
    """A token per four characters, rounded up. Code and other scripts have more."""

    def parameters(self) -> dict[str, Any]:
        """Says that it is an estimate."""
        return {"by": "estimate", "characters_per_token": _CHARACTERS}

    def count(self, texts: pa.Array) -> NDArray[np.int32]:
        """(n,) of n texts."""
        length = np.asarray(pc.utf8_length(texts), dtype=np.int64)
        return (-(-length // _CHARACTERS)).astype(np.int32)


class Tokenizer:
    """Counts with a tokenizer of the package `tokenizers`, special tokens of the template aside."""

    def __init__(self, name: str, tokenizer: Any) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._name, self._tokenizer = name, tokenizer
        self._digest = hashlib.sha256(tokenizer.to_str().encode()).hexdigest()

    def parameters(self) -> dict[str, Any]:
        """Its name and the digest of all that it does."""
        return {"by": "tokenizer", "tokenizer": self._name, "sha256": self._digest}

    def count(self, texts: pa.Array) -> NDArray[np.int32]:
        """(n,) of n texts."""
        counts = np.empty(len(texts), dtype=np.int32)
        for start in range(0, len(texts), _BATCH):
            part = texts.slice(start, _BATCH).to_pylist()
            encoded = self._tokenizer.encode_batch_fast(part, add_special_tokens=False)
            counts[start : start + len(part)] = [len(encoding) for encoding in encoded]
        return counts


def token_counter(tokenizer: str | None) -> TokenCounter:
    """The counter for a tokenizer: tokenizer.json, a folder that holds one, or a name of the Hub.

    None: an estimate. Raises InputError where there is no such tokenizer.
    """
    if tokenizer is None:
        return Estimate()
    try:
        from tokenizers import Tokenizer as Loaded
    except ImportError:
        raise MissingPackageError(
            "tokenizers", needed_for="counting tokens with a tokenizer", extra="tokens"
        ) from None
    path = Path(tokenizer)
    file = path / "tokenizer.json" if path.is_dir() else path
    local = path.exists() or path.suffix == ".json"
    try:
        loaded = Loaded.from_file(str(file)) if local else Loaded.from_pretrained(tokenizer)
    except Exception as problem:  # the package raises bare Exception
        raise InputError(
            f"the tokenizer cannot be loaded ({first_line(problem)})",
            place=tokenizer,
            fix="give a tokenizer.json, a folder that holds one, or a name that the Hub knows",
        ) from None
    return Tokenizer(path.name if local else tokenizer, loaded)


def with_counts(rows: pa.RecordBatch, counter: TokenCounter) -> pa.RecordBatch:
    """Rows with columns COLUMNS behind their own."""
    counts = [pa.array(counter.count(rows.column(text))) for text in ("prompt", "response")]
    names = [*rows.schema.names, *COLUMNS]
    return pa.RecordBatch.from_arrays([*rows.columns, *counts], names=names)


class Counting:
    """Adds columns COLUMNS to tables of rows that do not have them, and sums them up.

    conversations: how many of the rows are chats.
    """

    def __init__(self, counter: TokenCounter) -> None:
        self._counter, self._totals = counter, dict.fromkeys(COLUMNS, 0)
        self.conversations = 0

    def counted(self, rows: pa.Table) -> pa.Table:
        """The rows with the numbers of their tokens."""
        for text, name in zip(("prompt", "response"), COLUMNS, strict=True):
            if name not in rows.column_names:
                counts = np.concatenate([np.empty(0, np.int32), *self._counts(rows[text])])
                rows = rows.append_column(name, pa.array(counts))
            self._totals[name] += pc.sum(rows[name], min_count=0).as_py()
        self.conversations += rows.num_rows - rows["messages"].null_count
        return rows

    def facts(self) -> dict[str, Any]:
        """How it was counted and what came out, for the manifest."""
        return {**self._counter.parameters(), **self._totals}

    def _counts(self, texts: pa.ChunkedArray) -> Iterator[NDArray[np.int32]]:
        return (self._counter.count(chunk) for chunk in texts.chunks)
