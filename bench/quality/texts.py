"""A row as the tokens that the model sees: a chat of one prompt and one answer, both cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PROMPT, PROMPT_HEAD, TARGET = 64, 20, 24  # tokens at most; of a longer prompt its head and its end
Tokenize = Callable[[Sequence[str]], list[list[int]]]


@dataclass(frozen=True, eq=False)
class Tokens:
    """Token ids of n rows behind the opening of the chat, which is the same for all.

    ids: (total,) int32, one row after another.  lengths: (n,) int64.
    targets: (n,) int64, how many of the last ids are the answer's, its end included.
    ends: (n,) bool, whether the answer was short enough for its end to be there.
    """

    ids: NDArray[np.int32]
    lengths: NDArray[np.int64]
    targets: NDArray[np.int64]
    ends: NDArray[np.bool_]

    @property
    def starts(self) -> NDArray[np.int64]:
        found: NDArray[np.int64] = np.cumsum(self.lengths) - self.lengths
        return found

    def costs(self, opening: int) -> NDArray[np.int64]:
        """(n, 2) int64 tokens of prompt (the chat's own tokens included) and of the answer."""
        return np.stack([self.lengths - self.targets + opening, self.targets], axis=1)


@dataclass(frozen=True)
class Chat:
    """The fixed token ids of a chat: before the prompt, between prompt and answer, behind it."""

    opening: tuple[int, ...]
    middle: tuple[int, ...]
    end: int


def tokens_of(
    prompts: Sequence[str], targets: Sequence[str], tokenize: Tokenize, chat: Chat
) -> tuple[Tokens, NDArray[np.int64]]:
    """The rows as tokens, and (n, 2) int64 tokens of prompt and answer before they were cut.

    tokenize: texts to ids, without any of the tokenizer's own.
    """
    rows, sizes, ends, whole = [], [], [], []
    for prompt, target in zip(tokenize(prompts), tokenize(targets), strict=True):
        answer = target[:TARGET] + ([chat.end] if len(target) <= TARGET else [])
        rows.append([*_cut(prompt), *chat.middle, *answer])
        sizes.append(len(answer))
        ends.append(len(target) <= TARGET)
        whole.append((len(prompt), len(target)))
    ids = np.array([token for row in rows for token in row], dtype=np.int32)
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    tokens = Tokens(ids, lengths, np.array(sizes, dtype=np.int64), np.array(ends, dtype=np.bool_))
    return tokens, np.array(whole, dtype=np.int64)


def _cut(prompt: list[int]) -> list[int]:
    if len(prompt) <= PROMPT:
        return prompt
    return prompt[:PROMPT_HEAD] + prompt[PROMPT_HEAD - PROMPT :]
