"""The encoders of the sentence-transformers library."""

from __future__ import annotations

import copy
import queue
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx.embed.batches import rows_of
from smartx.embed.card import CARD_TOKENS, Card, CardBatches, Shapes
from smartx.embed.crew import Crew, crews, fastest
from smartx.embed.devices import devices_of, dtype_of, kind_of, torch_library
from smartx.embed.encoders import EncoderSpec, Read, encoder_folder, made_by
from smartx.embed.packed import pack
from smartx.embed.quiet import quiet
from smartx.embed.sentence_tokens import IdTokens, tokens_for
from smartx.engine.card import full_precision
from smartx.errors import EncoderError, MissingPackageError, first_line
from smartx.progress import Progress, Silent

# Tokens a call on a CPU, padding included: 512 to 8,192 are within 5 % of each other (MiniLM).
_CPU_TOKENS = 2_048
_ROWS = 1_024
_WORTH = 1_000  # texts for which a second of measuring pays
_PROBE = ["what", "a text of some more words, and an end"]


class SentenceEncoder:
    """A loaded sentence-transformers model; implements smartx.embed.Encoder."""

    def __init__(
        self,
        model: Any,
        spec: EncoderSpec,
        dtype: str,
        device: str,
        threads: int,
        *,
        card: Card | None = None,
        progress: Progress | None = None,
    ) -> None:
        """card: that the model is on (None: a CPU)."""
        self._model, self._progress = model, progress or Silent()
        own = model.prompts.get(model.default_prompt_name) or ""
        self._tokens = tokens_for(model, own + spec.prompt_prefix, threads)
        self.identity: Mapping[str, Any] = {}
        self.made_by: Mapping[str, str] = {
            "device": kind_of(device),
            "dtype": dtype,
            "max_length": str(model.max_seq_length),
            **made_by(spec),
        }
        self.batch_rows = spec.batch_size or _ROWS
        self.batch_tokens = CARD_TOKENS if card else _CPU_TOKENS
        if spec.batch_size:
            self.batch_tokens = spec.batch_size * (model.max_seq_length or 1 << 20)
        self._card = None
        if card:
            shapes = Shapes(self.batch_tokens, self.batch_rows)
            self._card = CardBatches(card, shapes, self._progress.note)
            # One lays out its texts while the other computes; the library's tokenizers are not
            # made for two threads.
            self._crews = [Crew(2 if isinstance(self._tokens, IdTokens) else 1, threads)]
        else:
            pack(model, lambda: self._computed(model, self._probe()))
            self._crews = crews(threads)
        self._crew = self._crews[0]
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._idle.put(model)
        self._models = 1
        self._prepare(0 if card else self.workers)

    @property
    def workers(self) -> int:
        """Threads that may call `encode` at once."""
        return self._crew.workers

    def read(self, texts: list[str]) -> Read:
        """How far each text is read, and its tokens, padded.

        Before many texts are encoded for the first time, a second is spent to find how.
        """
        read = self._tokens.read(texts)
        if len(self._crews) > 1 and len(texts) >= _WORTH:
            self._settle(read)
        return read

    def singles(self, tokens: int) -> Read | None:
        """What `read` gives of the tokens 0, 1, ... as texts by themselves; None where this model's
        ids are not laid out here.
        """
        return self._tokens.singles(tokens) if isinstance(self._tokens, IdTokens) else None

    def encode(self, texts: Sequence[Any], length: int) -> NDArray[np.float32]:
        """(n, d) float32 of what `read` gave; up to `workers` threads may call at once.

        Raises EncoderError where the memory is too small.
        """
        return self._encoded(texts, length, self._crew)

    def _encoded(self, items: Sequence[Any], length: int, crew: Crew) -> NDArray[np.float32]:
        import torch

        if self._card:
            return self._on_card(self._card, items, length)
        torch.set_num_threads(crew.threads)  # of this thread's own team
        model = self._idle.get()
        try:
            features = self._tokens.features(model, items, length)
            return np.asarray(self._computed(model, features).float().numpy())
        finally:
            self._idle.put(model)

    def _on_card(self, card: CardBatches, items: Sequence[Any], length: int) -> NDArray[np.float32]:
        return card.encode(
            items,
            length,
            lambda own: self._tokens.features(self._model, own, length),
            lambda features: self._computed(self._model, features),
        )

    def _computed(self, model: Any, features: Mapping[str, Any]) -> Any:
        """The vectors of what a model is called with, where it is."""
        import torch

        with torch.inference_mode():
            vectors = model(dict(features))["sentence_embedding"]
            return vectors[:, : model.truncate_dim]

    def _probe(self) -> Mapping[str, Any]:
        read = self._tokens.read(_PROBE)
        return self._tokens.features(self._model, read.texts, int(read.lengths.max()))

    def _settle(self, read: Read) -> None:
        """Choose the crew by what it makes of texts of the usual length."""
        length = int(np.sort(read.lengths)[len(read.lengths) // 2])
        rows = np.flatnonzero(read.lengths == length)
        items = [read.texts[row] for row in rows[: self._full(length)].tolist()]
        self._prepare(max(crew.workers for crew in self._crews))
        self._crew = fastest(self._crews, lambda crew: self._encoded(items, length, crew))
        self._crews = [self._crew]
        self._progress.note(f"by a second of measuring: {self._crew}")

    def _full(self, length: int) -> int:
        return rows_of(length, self.batch_tokens, self.batch_rows)

    def _prepare(self, workers: int) -> None:
        """A model for each thread, with the same weights."""
        while self._models < workers:
            self._idle.put(_twin(self._model))
            self._models += 1


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
        with quiet():
            progress.note(f"encoder {spec.name} on {device} in {dtype}")
            model = _load(sentence_transformers, spec, device, getattr(torch, dtype))
            card = None if kind_of(device) == "cpu" else Card(device)
            with full_precision(torch) if card else nullcontext():
                threads = spec.threads or before
                yield SentenceEncoder(
                    model, spec, dtype, device, threads, card=card, progress=progress
                )
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
            f"it cannot be loaded ({first_line(problem)})",
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
            f'torch cannot use "{asked}" here ({first_line(problem)})',
            place="device",
            fix="pass `device` cpu",
        ) from None
    return asked
