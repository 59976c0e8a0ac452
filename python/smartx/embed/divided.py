"""Parts of vectors as units of work, which are made here or elsewhere; see smartx.units."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack

import numpy as np

from smartx.corpus.cost import row_sizes
from smartx.costs import BASE_BYTES
from smartx.embed.cost import TORCH_BYTES, tokens_read
from smartx.embed.encoded import ToEmbed
from smartx.embed.encoders import TABLE_ROWS
from smartx.embed.work import Advance, PartMaker
from smartx.units import Unit

_WINDOW, _WIDTH = 512, 1_024  # tokens that are read of a text, and values of a vector
_TOKENS_A_SECOND = 5e3  # that a small transformer reads on one thread
_TEXTS_A_SECOND = 2e4  # that a table does


class EmbedUnits:
    """A unit for each part that is planned; implements smartx.units.Divided.

    An encoder is loaded for its first part that is made, and stays until `close`.
    """

    name = "embed"

    def __init__(self, asked: Mapping[str, ToEmbed]) -> None:
        """asked: by the word that names of its units begin with: embed-00012."""
        self._asked = asked
        keys = "".join(f"{word} {one.plan.key}\n" for word, one in asked.items())
        self.key = hashlib.sha256(keys.encode()).hexdigest()
        self._held = ExitStack()
        self._makers: dict[str, PartMaker] = {}

    def units(self) -> Sequence[Unit]:
        """All of them, whether they are there or not."""
        return [unit for word, asked in self._asked.items() for unit in _units(word, asked)]

    def done(self, unit: Unit) -> bool:
        """Whether the part is there, whole, and holds these texts."""
        word, number = _names(unit)
        work = self._asked[word].work(number)
        part = work.file.whole()
        return part is not None and np.array_equal(part.texts, work.digests)

    def make(self, unit: Unit, advance: Advance) -> None:
        """Make a part, where several devices are asked for on the first of them."""
        for _ in self.make_all([unit], advance):
            pass

    def make_all(self, units: Sequence[Unit], advance: Advance) -> Iterator[Unit]:
        """Make several, on all devices; gives each when it is there."""
        for word, asked in self._asked.items():
            own = {_names(unit)[1]: unit for unit in units if _names(unit)[0] == word}
            if own and word not in self._makers:
                self._makers[word] = self._held.enter_context(asked.maker(len(own)))
            if own:
                for work, _ in self._makers[word].make(map(asked.work, own), advance):
                    yield own[work.file.number]

    def split(self, unit: Unit) -> Sequence[Unit]:
        """None: a part is made as a whole."""
        del unit
        return ()

    def close(self) -> None:
        """Give back the encoders, and end the processes of several devices."""
        self._makers.clear()
        self._held.close()


def _units(word: str, asked: ToEmbed) -> Iterator[Unit]:
    """Seconds by the tokens of the texts, or by their number where a table embeds them."""
    table = asked.identity.part_rows == TABLE_ROWS
    tokens = None if table else tokens_read(asked.corpus, _WINDOW)
    row = 2 * _WIDTH + 3 * row_sizes(asked.corpus).held
    fixed = BASE_BYTES if table else BASE_BYTES + TORCH_BYTES
    for number, own in asked.plan.parts.items():
        seconds = len(own) / _TEXTS_A_SECOND
        if tokens is not None:
            seconds = int(tokens[asked.rows_of(number)].sum()) / _TOKENS_A_SECOND
        yield Unit(f"{word}-{number:05d}", seconds, fixed + row * len(own))


def _names(unit: Unit) -> tuple[str, int]:
    """The word and the number in its name."""
    word, _, number = unit.name.rpartition("-")
    return word, int(number)
