"""Workers that cut a ranking of a small corpus into many pieces, and die as they are told.

SMARTX_POISON: names of units, by commas, that kill whoever makes them; NAME@FILE only while FILE is
not there, which it then is. Workers are found by name: they are processes of their own.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from smartx.executors import on_ray, worker
from smartx.rankers import pieces, rankings, run

POISON = "SMARTX_POISON"


def use_small_pieces() -> None:
    for module in (run, rankings):
        module.PART_ROWS = module.BLOCK_ROWS = 48
    run.BUNDLE_ROWS, pieces.PIECE_ROWS = 16, 100


def poisoned(function):
    """Makes a unit, unless that is one to die of."""

    def make(self, unit, advance):
        for word in os.environ.get(POISON, "").split(","):
            name, _, once = word.partition("@")
            if name == unit.name and not (once and Path(once).exists()):
                if once:
                    Path(once).touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return function(self, unit, advance)

    return make


def prepare() -> None:
    use_small_pieces()
    if pieces.Pieces.make.__name__ != "make" or "poisoned" not in repr(pieces.Pieces.make):
        pieces.Pieces.make = poisoned(pieces.Pieces.make)


def main(descriptor: int, parent: int) -> None:
    prepare()
    worker.main(descriptor, parent)


def make_there(text: str, name: str) -> list[str]:
    prepare()
    return REAL(text, name)


def maker_with(poison: str):
    """A function for Ray whose worker dies of some units."""

    def make(text: str, name: str) -> list[str]:
        import small_pieces

        os.environ[small_pieces.POISON] = poison
        return small_pieces.make_there(text, name)

    return make


REAL = on_ray.make_there
