"""Gradients as short vectors whose inner products are nearly theirs: a Rademacher projection.

    sketch(g)_j = d^(-1/2) sum over p of s_pj g_p,   s_pj = +1 or -1, drawn for (p, j) alone
The expected product of two sketches is the product of the gradients; its variance is at most
(|g|^2 |h|^2 + <g, h>^2) / d. The P x d signs are drawn where they are needed, a block of
parameters at a time, on the device that multiplies.
Source: Achlioptas 2003; LESS (Xia et al. 2024, section 4.1) has d = 8,192 and one projection for
all checkpoints, rows and targets.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from smartx.collect.gradients.asked import MOST_DIMENSIONS
from smartx.draws import GRADIENT_SIGNS, draws_on

COLUMNS = 512  # of the projection that one thread makes
BLOCK_SIGNS, CARD_SIGNS = 1 << 21, 1 << 26  # held by a thread at a time, as float32
_WORDS = MOST_DIMENSIONS // 64  # draws of a parameter, used or not: fewer dimensions are a prefix
_BITS = np.arange(256, dtype=np.uint8)[:, None] >> np.arange(8, dtype=np.uint8) & 1


@dataclass(frozen=True)
class Sketch:
    """A projection of gradients to `dimensions` values.

    dimensions: 1..MOST_DIMENSIONS. Of two projections with one seed, the values of the shorter are
    the first of the longer, but for the factor d^(-1/2).  seed: of the signs.
    """

    dimensions: int
    seed: int

    def signs(self, parameters: slice, columns: slice, device: Any = "cpu") -> Any:
        """float32 tensor of +1 and -1: of those parameters (rows) for those columns."""
        first, last = columns.start // 64, -(-columns.stop // 64)
        at = torch.arange(parameters.start, parameters.stop, device=device)[:, None] * _WORDS
        at = at + torch.arange(first, last, device=device)
        drawn = draws_on(self.seed, GRADIENT_SIGNS, at).view(torch.uint8)
        table = torch.from_numpy(_BITS.astype(np.float32) * 2 - 1).to(device)
        signs = torch.nn.functional.embedding(drawn.to(torch.int32), table)
        signs = signs.reshape(len(at), (last - first) * 64)
        return signs[:, columns.start - 64 * first : columns.stop - 64 * first]

    def of(self, gradients: Any, *, threads: int = 1) -> Any:
        """(n, d) float32 sketches of gradients, a (n, P) float32 tensor, on its device.

        Each block of columns is made by one thread, so that their number changes no bit.
        """
        made = torch.empty((len(gradients), self.dimensions), device=gradients.device)
        starts = range(0, self.dimensions, COLUMNS)
        columns = [slice(at, min(at + COLUMNS, self.dimensions)) for at in starts]

        def fill(own: slice) -> None:
            made[:, own] = self._columns(gradients, own)

        workers = max(1, min(threads, len(columns))) if made.device.type == "cpu" else 1
        with ThreadPoolExecutor(workers, initializer=lambda: torch.set_num_threads(1)) as pool:
            list(pool.map(fill, columns))
        return made

    def _columns(self, gradients: Any, columns: slice) -> Any:
        count, parameters = gradients.shape
        width = columns.stop - columns.start
        total = torch.zeros((count, width), device=gradients.device)
        on_cpu = gradients.device.type == "cpu"
        step = max(1, (BLOCK_SIGNS if on_cpu else CARD_SIGNS) // width)
        for start in range(0, parameters, step):
            block = slice(start, min(start + step, parameters))
            total.addmm_(gradients[:, block], self.signs(block, columns, gradients.device))
        return total.mul_(self.dimensions**-0.5)
