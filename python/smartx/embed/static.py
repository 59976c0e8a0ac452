"""Static encoders: a text's vector is the mean of its tokens' rows of a table. Without torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx.embed.encoders import EncoderSpec, Read, encoder_folder, made_by
from smartx.embed.static_files import StaticFiles, static_files
from smartx.embed.tokens import Ids, tokens_of
from smartx.engine import resolve_threads
from smartx.engine.token_table import bags_times, embed_tokens, token_bags
from smartx.errors import EncoderError, InputError
from smartx.progress import Progress

_BATCH = 4_096  # texts at once


class StaticEncoder:
    """A loaded static encoder; implements smartx.embed.Encoder.

    Its vectors have the directions of the encoder's own library. A text of which no token is known
    has no vector there; here it has the row of the unknown token, or the mean of the table where
    there is none.
    """

    def __init__(self, files: StaticFiles, spec: EncoderSpec) -> None:
        self.workers = resolve_threads(spec.threads)
        self._tokens = tokens_of(files.tokenizer, threads=self.workers)
        self._table, self._weights = files.arrays()
        if self._tokens.vocabulary > len(self._table):
            raise EncoderError(
                f"its tokenizer has {self._tokens.vocabulary:,} tokens, and its table "
                f"{len(self._table):,} rows",
                place=str(files.table.parent),
                fix="name a folder whose files belong together",
            )
        self._nothing = self._of_no_token()
        self._characters: int | None = None
        self._limit = _least(files, spec)
        if files.model2vec:
            if self._tokens.unknown is not None:
                self._weights[self._tokens.unknown] = 0
            if self._limit is not None:
                self._characters = self._limit * self._tokens.usual_length
        self._prompt = files.prompt + spec.prompt_prefix
        self.identity: Mapping[str, Any] = {}
        self.made_by: Mapping[str, str] = made_by(spec)
        self.batch_tokens = self.batch_rows = _BATCH
        self._without: list[int] = []  # texts without a known token, by batch

    @property
    def unknown(self) -> int:
        """How many texts were encoded that have no token that is known."""
        return sum(self._without)

    @property
    def dimensions(self) -> int:
        """Values of a vector."""
        return len(self._nothing)

    @property
    def line(self) -> str:
        """What it is, for people."""
        rows, width = self._table.shape
        return f"a table of {rows:,} tokens x {width} values, tokens by {self._tokens.by}"

    def read(self, texts: list[str]) -> Read:
        """The vector of each text: to read it is nearly all the work."""
        if self._prompt:
            texts = [self._prompt + text for text in texts]
        most = self._characters
        heads = texts if most is None else [text[:most] for text in texts]
        ids = self._tokens.read(heads, self._limit)
        longer = [len(text) > len(head) for text, head in zip(texts, heads, strict=True)]
        ones = np.ones(len(texts), dtype=np.int64)
        return Read(list(self._rows(ids)), ones, ids.cut | np.array(longer, dtype=np.bool_))

    def encode(self, texts: Sequence[Any], length: int = 1) -> NDArray[Any]:
        """(n, d) int16 Q12 or float32, of what `read` gave of n texts."""
        return np.stack(texts)

    def _rows(self, ids: Ids) -> NDArray[Any]:
        """(n, d) int16 Q12; float32 where a text had no token that is known."""
        counts = np.arange(max(2, 1 + ids.lengths.max(initial=0)), dtype=np.float32)
        bags = ids.flat, ids.lengths, self._weights, counts
        try:
            centre = np.zeros(self.dimensions, dtype=np.float32)
            return embed_tokens(*bags, self._table, centre, threads=self.workers)
        except InputError:
            own = token_bags(*bags, threads=self.workers)
            rows = bags_times(own, self._table, threads=self.workers)
            empty = ~rows.any(axis=1)
            rows[empty] = self._nothing
            self._without.append(int(empty.sum()))
            return rows

    def _of_no_token(self) -> NDArray[np.float32]:
        """The vector of a text that has none."""
        unknown = self._tokens.unknown
        if unknown is not None and self._table[unknown].any():
            row: NDArray[np.float32] = self._table[unknown]
            return row
        worth = self._weights.astype(np.float64)[:, None] * self._table
        return np.asarray(worth.mean(axis=0), dtype=np.float32)


@contextmanager
def loaded(spec: EncoderSpec, progress: Progress) -> Iterator[StaticEncoder]:
    """The static encoder that `spec` asks for, ready to encode.

    Raises MissingPackageError without the libraries, EncoderError where loading fails.
    """
    folder = encoder_folder(spec, fetch=True)
    files = static_files(folder) if folder is not None else None
    if files is None:
        raise EncoderError(
            f"{spec.name} is no static encoder",
            place=str(folder),
            fix="name a folder that model2vec saved",
        )
    encoder = StaticEncoder(files, spec)
    progress.note(f"encoder {spec.name}: {encoder.line}")
    yield encoder
    if encoder.unknown:
        progress.note(
            f"encoder {spec.name}: it knows no token of {encoder.unknown:,} texts, "
            "whose vector is that of an unknown token"
        )


def _least(files: StaticFiles, spec: EncoderSpec) -> int | None:
    """Tokens of a text that are read: what is asked for, which only model2vec reads beyond its own
    setting.
    """
    limits = (spec.max_length,) if files.model2vec else (spec.max_length, files.limit)
    asked = [limit for limit in limits if limit is not None]
    return min(asked) if asked else files.limit
