"""The teacher's vector of every token as a text by itself: what a student knows beforehand.

A sample of rows holds few of the rare words, and these decide which rows of a task differ. They
depend on the teacher alone, so they are kept in RUN/students/ID and serve every corpus; a kill
loses no more than the part that is being made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from smartx.embed.batches import batches
from smartx.embed.encoders import Encoder, EncoderSpec, Identity, Read
from smartx.embed.loading import devices_for, loaded
from smartx.embed.npy import open_npy, write_npy
from smartx.embed.plan import part_sizes
from smartx.embed.work import Advance
from smartx.engine import quantize
from smartx.files import unchanged_digest
from smartx.progress import Progress, Silent, step
from smartx.store import FileEntry, Sidecar, Stage, folder_of, key_of

STAGE = "token vectors"
SCHEMA = 1  # raised when the same teacher gives another file
MOST = 65_536  # tokens that are looked at; of a larger vocabulary the first of these
_OPENING = ("##", "\u0120", "\u2581", "\u010a")  # how tokenizers mark a place in a word, or a space


@runtime_checkable
class _OfTokens(Protocol):
    """An encoder that takes tokens by number: nearer to what it makes of them in texts."""

    def singles(self, tokens: int) -> Read | None:
        """As `read`, of the tokens 0, 1, ... each by itself; None where it cannot."""


def token_vectors(
    teacher: EncoderSpec,
    identity: Identity,
    tokenizer: Path,
    folder: Path,
    progress: Progress,
) -> NDArray[np.int16]:
    """(min(v, MOST), d) Q12 rows. identity: of the teacher.  folder: RUN/students.

    Raises EncoderError, MissingPackageError, StoreError.
    """
    stage, key, inputs = _asked(identity, tokenizer, folder)
    if not stage.reuse(key):
        stage.keep_parts(key, lambda _: key)
        stage.begin()
        stage.finish(
            key=key,
            schema=SCHEMA,
            parameters=identity.parameters,
            inputs=inputs,
            files=_parts(_texts(tokenizer), teacher, identity, stage, key, progress),
            facts={},
        )
    parts = [open_npy(stage.folder / entry["name"]) for entry in stage.manifest(SCHEMA)["files"]]
    return np.concatenate([part.read(0, part.num_rows) for part in parts])


def tokens_to_embed(identity: Identity, tokenizer: Path, folder: Path) -> int:
    """How many tokens the teacher is yet to embed: all of them, or none."""
    stage, key, _ = _asked(identity, tokenizer, folder)
    return 0 if stage.is_done(key) else len(_texts(tokenizer))


def _asked(identity: Identity, tokenizer: Path, folder: Path) -> tuple[Stage, str, dict[str, str]]:
    """The stage, its key, and what goes into it."""
    inputs = {**identity.inputs, "tokenizer": unchanged_digest(tokenizer)}
    key = key_of(STAGE, SCHEMA, identity.parameters, inputs)
    return Stage(STAGE, folder_of(folder, key)), key, inputs


def _parts(
    texts: list[str],
    teacher: EncoderSpec,
    identity: Identity,
    stage: Stage,
    key: str,
    progress: Progress,
) -> list[FileEntry]:
    """The files of the vectors, one after another: those that are there, and those made now. They
    are as large as the number of tokens says, however fast the teacher is.
    """
    sizes = part_sizes(len(texts), identity.part_rows)
    found = [_part(stage, key, number).whole_part() for number in range(len(sizes))]
    there = {n: e for n, e in enumerate(found) if e is not None and e.rows == sizes[n]}
    left = [number for number in range(len(sizes)) if number not in there]
    if not left:
        return list(there.values())
    spec = replace(teacher, device=devices_for(teacher)[0])
    rows = sum(sizes[number] for number in left)
    with (
        loaded(spec, Silent()) as encoder,
        step(progress, "embed the tokens", rows, "tokens") as advance,
    ):
        read = encoder.singles(len(texts)) if isinstance(encoder, _OfTokens) else None
        read = read or encoder.read(texts)
        for number in left:
            start = sum(sizes[:number])
            own = slice(start, start + sizes[number])
            made = _encoded(encoder, read.texts[own], read.lengths[own], advance)
            file = _part(stage, key, number)
            there[number] = file.commit(len(made), partial(write_npy, made))
    return [there[number] for number in range(len(sizes))]


def _part(stage: Stage, key: str, number: int) -> Sidecar:
    return Sidecar(stage.folder / f"tokens-{number:05d}.npy", key)


def _encoded(
    encoder: Encoder, texts: list[Any], lengths: NDArray[np.int64], advance: Advance
) -> NDArray[np.int16]:
    """(len(texts), d) the vectors of texts that were read. lengths: of these."""
    made = list[NDArray[Any]]()
    order = list(batches(lengths, encoder.batch_tokens, encoder.batch_rows))
    for batch in order:
        made.append(encoder.encode([texts[row] for row in batch.tolist()], int(lengths[batch[0]])))
        advance(len(batch))
    vectors = np.concatenate(made)
    placed = np.empty_like(vectors)
    placed[np.concatenate(order)] = vectors
    return placed if placed.dtype == np.int16 else quantize(placed)


def _texts(tokenizer: Path) -> list[str]:
    """What each token says, without the marks by which tokenizers join them."""
    vocabulary = _vocabulary(json.loads(tokenizer.read_bytes()))
    texts = [""] * min(MOST, 1 + max(vocabulary.values(), default=0))
    for token, number in vocabulary.items():
        if number < len(texts):
            texts[number] = token
    for mark in _OPENING:
        texts = [text[len(mark) :] or text if text.startswith(mark) else text for text in texts]
    return [text or "?" for text in texts]


def _vocabulary(settings: Any) -> Mapping[str, int]:
    """Token -> id, of the models that tokenizer.json knows."""
    model = settings["model"]["vocab"]
    if isinstance(model, list):  # Unigram: pairs of token and score
        model = {token: number for number, (token, _) in enumerate(model)}
    added = {token["content"]: token["id"] for token in settings.get("added_tokens") or ()}
    return {**model, **added}
