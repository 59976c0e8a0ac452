"""What a sentence-transformers model reads of texts: ids, made once, special tokens and all.

The ids are laid out for the model here, so the library's tokenizer is not asked a second time. A
model whose inputs cannot be rebuilt so gets its texts, as the library wants them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from smartx.embed.encoders import Read
from smartx.embed.fast_tokens import HARD_TEXTS
from smartx.embed.tokens import TokenReader, tokens_of

STEP = 8  # tokens: texts are padded to a multiple of it, and encoded with others of that length
_CHARACTERS = 16  # of a text are tokenised for a token that is read, and more where those give less
_TEXTS = 1_024  # tokenised at once by the library
_TokenIds: TypeAlias = NDArray[np.int64]
_PROBE = "a"  # has ids of its own in every vocabulary; what else is there are special tokens


class Tokens(Protocol):
    """Reads texts for a model."""

    def read(self, texts: list[str]) -> Read:
        """What is read of each text, its tokens, padded, and whether it goes on behind them."""

    def features(self, model: Any, items: Sequence[Any], length: int) -> dict[str, Any]:
        """What the model is called with, for texts of one length that `read` gave."""


def tokens_for(model: Any, prompt: str, threads: int) -> Tokens:
    """The way to read texts for a model. prompt: the library's own one and ours, before each text.

    Ids are laid out here where that gives the library's own inputs, number for number, for texts
    that tokenizers differ in.
    """
    texts = LibraryTokens(model, prompt)
    try:
        own = IdTokens(model, prompt, threads)
        read = own.read(list(HARD_TEXTS))
        longest = int(read.lengths.max())
        ours = own.features(model, read.texts, longest)
        if _alike(ours, texts.features(model, list(HARD_TEXTS), longest)):
            return own
    except Exception:  # of a library: the model is of a kind that is not known here
        return texts
    return texts


class IdTokens:
    """Ids made once by smartx.embed.tokens; `Read.texts` are int64 arrays, special tokens in them.

    Raises any exception where the model or its tokenizer is of another kind.
    """

    def __init__(self, model: Any, prompt: str, threads: int) -> None:
        tokenizer = model.tokenizer
        if tokenizer.truncation_side != "right" or model.max_seq_length is None:
            raise ValueError("texts are cut on the left, or nowhere")
        self._reader = _reader_of(tokenizer, threads)
        self._before, self._after = _special(tokenizer)
        self._limit = int(model.max_seq_length)
        self._room = self._limit - len(self._before) - len(self._after)
        if self._room < 1:
            raise ValueError("there is no room for a token of a text")
        self._prompt, self._pad = prompt, int(tokenizer.pad_token_id)
        self._left = tokenizer.padding_side == "left"
        sample = model.preprocess([_PROBE], prompt=_own_prompt(model))
        self._constant = {name: x for name, x in sample.items() if not hasattr(x, "shape")}
        self._names = tuple(name for name, x in sample.items() if hasattr(x, "shape"))
        if set(self._names) - {"input_ids", "attention_mask", "token_type_ids"}:
            raise ValueError("the model takes more than ids")

    def read(self, texts: list[str]) -> Read:
        """The ids of each text, and how many they are, padded."""
        found = self._reader.read([self._prompt + text for text in texts], self._room)
        lengths = found.lengths + len(self._before) + len(self._after)
        ends = np.cumsum(lengths)
        ids = np.empty(int(lengths.sum()), dtype=np.int64)
        own = np.ones(len(ids), dtype=np.bool_)
        for place, token in enumerate(self._before):
            ids[ends - lengths + place] = token
            own[ends - lengths + place] = False
        for place, token in enumerate(reversed(self._after)):
            ids[ends - 1 - place] = token
            own[ends - 1 - place] = False
        ids[own] = found.flat
        rows = [ids[end - n : end] for end, n in zip(ends.tolist(), lengths.tolist(), strict=True)]
        return Read(rows, padded(lengths, self._limit), found.cut)

    def singles(self, tokens: int) -> Read:
        """The tokens 0, 1, ... as texts by themselves, special tokens around each, no prompt."""
        rows = [np.array([*self._before, token, *self._after]) for token in range(tokens)]
        lengths = np.full(tokens, 1 + len(self._before) + len(self._after), dtype=np.int64)
        return Read(rows, padded(lengths, self._limit), np.zeros(tokens, dtype=np.bool_))

    def features(self, model: Any, items: Sequence[_TokenIds], length: int) -> dict[str, Any]:
        """Ids in a rectangle, and where they are."""
        import torch

        sizes = np.fromiter(map(len, items), dtype=np.int64, count=len(items))
        there = np.arange(length) < sizes[:, None]
        if self._left:
            there = np.ascontiguousarray(there[:, ::-1])
        ids = np.full((len(items), length), self._pad, dtype=np.int64)
        ids[there] = np.concatenate(items)
        made = {"input_ids": ids, "attention_mask": there.astype(np.int64)}
        made["token_type_ids"] = np.zeros_like(ids)
        return {**{name: torch.from_numpy(made[name]) for name in self._names}, **self._constant}


class LibraryTokens:
    """Texts, which the library tokenises when they are encoded; here, to learn their lengths."""

    def __init__(self, model: Any, prompt: str) -> None:
        self._model, self._prompt = model, prompt
        self._prefix = prompt.removeprefix(_own_prompt(model) or "")  # it puts its own before
        self._counts = hasattr(model.tokenizer, "num_special_tokens_to_add")

    def read(self, texts: list[str]) -> Read:
        """How far each text is read; a text is tokenised from its head."""
        limit = self._model.max_seq_length
        if not limit or not self._counts:
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
        return Read(heads, padded(lengths, limit), cut)

    def features(self, model: Any, items: Sequence[str], length: int) -> dict[str, Any]:
        """By the library, all texts padded to one length."""
        options: dict[str, Any] = {}
        if self._counts:
            text = {"padding": "max_length", "max_length": length, "truncation": True}
            options = {"processing_kwargs": {"text": text}}
        texts = [self._prefix + text for text in items]
        made: dict[str, Any] = model.preprocess(texts, prompt=_own_prompt(model), **options)
        return made

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


def padded(lengths: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """Tokens of each text with its padding: the next multiple of 8, or the limit."""
    rounded: NDArray[np.int64] = np.minimum(-(-lengths // STEP) * STEP, limit)
    return np.maximum(rounded, 1)


def _own_prompt(model: Any) -> str | None:
    """What the library puts before every text."""
    prompt: str | None = model.prompts.get(model.default_prompt_name)
    return prompt or None


def _reader_of(tokenizer: Any, threads: int) -> TokenReader:
    """Reads as the library's tokenizer does, whatever that made of its files."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokenizer.json"
        path.write_text(tokenizer.backend_tokenizer.to_str(), encoding="utf-8")
        return tokens_of(path, threads=threads)


def _special(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The tokens that a model wants before and behind those of a text."""
    plain = tokenizer(_PROBE, padding=False, add_special_tokens=False)["input_ids"]
    ids = tokenizer(_PROBE, padding=False)["input_ids"]
    starts = [at for at in range(len(ids)) if ids[at : at + len(plain)] == plain]
    if len(starts) != 1 or not plain:
        raise ValueError("special tokens are not told from those of a text")
    return ids[: starts[0]], ids[starts[0] + len(plain) :]


def _alike(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    """Whether a model would be called with the same."""
    if set(ours) != set(theirs):
        return False
    return all(
        bool((ours[name] == x).all()) if hasattr(x, "shape") else ours[name] == x
        for name, x in theirs.items()
    )
