"""A graphics card as the encoder sees it: what goes there and back, and how much it takes at once.

Libraries for cards choose how they compute by the shape of a batch, and with it the last bits. So
all batches of one length have one shape, filled up with repeats, and a vector depends on its text
alone. Only where the memory is too small for that shape is it halved, and tried again later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from smartx.embed.batches import rows_of
from smartx.errors import EncoderError

CARD_TOKENS = 8_192  # a batch, padding and repeats included
_PATIENCE = 32  # batches that fit, before a larger shape is tried again; then twice as many
T = TypeVar("T")


class Card:
    """One card, through torch. device: "cuda:0", ..."""

    def __init__(self, device: str) -> None:
        import torch

        self.device, self._torch = device, torch
        self._pins = device.startswith("cuda")

    def put(self, features: Mapping[str, Any]) -> dict[str, Any]:
        """Inputs of a model, on their way to the card while the processor goes on."""
        return {
            name: self._sent(x) if isinstance(x, self._torch.Tensor) else x
            for name, x in features.items()
        }

    def take(self, vectors: Any) -> Callable[[], NDArray[np.float32]]:
        """Bring (n, d) vectors back. Called at once; what it returns waits for them."""
        if not self._pins:
            host = vectors.float().cpu()
            return lambda: np.asarray(host.numpy())
        vectors = vectors.float()
        host = self._torch.empty(vectors.shape, dtype=vectors.dtype, pin_memory=True)
        with self._torch.cuda.device(self.device):
            host.copy_(vectors, non_blocking=True)
            done = self._torch.cuda.Event()
            done.record()

        def wait() -> NDArray[np.float32]:
            done.synchronize()
            return np.array(host.numpy())  # pinned memory is scarce

        return wait

    def tidy(self) -> None:
        """Give back what the library holds in reserve."""
        if self._pins:
            with self._torch.cuda.device(self.device):
                self._torch.cuda.empty_cache()

    def _sent(self, tensor: Any) -> Any:
        if self._pins:
            tensor = tensor.pin_memory()
        return tensor.to(self.device, non_blocking=True)


class Shapes:
    """Rows of a batch by its length. halved: how often the memory was too small.

    One thread at a time may use it.
    """

    def __init__(self, tokens: int, rows: int) -> None:
        """tokens, rows: of the shape that is wanted."""
        self._tokens, self._rows = tokens, rows
        self._step = 0  # how often it is halved now
        self._fits, self._patience = 0, _PATIENCE
        self.halved = self.small = 0

    def rows(self, length: int) -> int:
        """Rows of every batch of this length, as things stand."""
        whole = rows_of(length, self._tokens, self._rows)
        return max(1, whole >> self._step)

    def fits(self) -> None:
        """A batch of such rows was computed."""
        if self._step:
            self.small += 1
            self._fits += 1
            if self._fits >= self._patience:
                self._step, self._fits = self._step - 1, 0
                self._patience *= 2

    def too_large(self, length: int) -> bool:
        """A batch of such rows does not fit: whether there is a smaller one."""
        if self.rows(length) == 1:
            return False
        self._step, self._fits = self._step + 1, 0
        self.halved += 1
        return True


class CardBatches:
    """Encodes texts of one length on a card, several threads one after another.

    While one waits for its vectors, the next lays out its texts and sends them.
    """

    def __init__(self, card: Card, shapes: Shapes, note: Callable[[str], None]) -> None:
        """note: hears it if a batch does not fit the memory for the first time."""
        self.card, self.shapes, self._note = card, shapes, note
        self._turn = Lock()

    def encode(
        self,
        items: Sequence[T],
        length: int,
        features: Callable[[Sequence[T]], Mapping[str, Any]],
        model: Callable[[dict[str, Any]], Any],
    ) -> NDArray[np.float32]:
        """(n, d). features: of texts.  model: gives the vectors of features on the card.

        Raises EncoderError where not even one text fits the memory.
        """
        made: list[NDArray[np.float32]] = []
        at = 0
        while at < len(items):
            rows = self.shapes.rows(length)
            own = list(items[at : at + rows])
            filled = own + own[-1:] * (rows - len(own))
            wait = self._launched(features(filled), rows, length, model)
            if wait is not None:
                made.append(wait()[: len(own)])
                at += len(own)
        return np.concatenate(made)

    def _launched(
        self,
        features: Mapping[str, Any],
        rows: int,
        length: int,
        model: Callable[[dict[str, Any]], Any],
    ) -> Callable[[], NDArray[np.float32]] | None:
        """What waits for the vectors; None where the batch is to be made again, of fewer rows."""
        import torch

        with self._turn:
            if rows > self.shapes.rows(length):
                return None  # another thread has found that this is too large
            for again in (True, False):
                try:
                    wait = self.card.take(model(self.card.put(features)))
                    self.shapes.fits()
                    return wait
                except torch.OutOfMemoryError as problem:
                    found = str(problem).strip().splitlines() or ["out of memory"]
                self.card.tidy()  # the same shape may fit now
                if not again and not self.shapes.too_large(length):
                    raise EncoderError(
                        f"not even one text of {length} tokens fits the memory of "
                        f"{self.card.device} ({found[0][:200]})",
                        place="device",
                        fix="free memory there, pass a smaller `max_length`, or `device` cpu",
                    )
            if self.shapes.halved == 1:
                self._note(
                    f"a batch did not fit the memory of {self.card.device}: smaller ones are "
                    "tried, which may round the last bit of a value otherwise"
                )
        return None
