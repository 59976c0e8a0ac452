"""Which new texts go into which part: a plan that depends on the texts and their encoder alone.

It is written before the first of its parts is made, as `plan-ID.json` beside them, where ID names
the texts that are asked for. So whoever goes on, or makes some of the parts beside others, makes
the same ones. It is deleted once all of them are whole. A plan that does not fit what is there any
more, for another corpus was embedded meanwhile, gives way to a new one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smartx.embed.parts import SHARD_ROWS, Parts, Places
from smartx.embed.scraps import keep_scraps
from smartx.errors import StoreError
from smartx.files import MARK, canonical_json, check_alone, commit_bytes, is_beside_others, storing
from smartx.store import read_manifest, sealed

STAGE = "plan of vectors"
MANY = 64  # parts, where each has rows enough
_Words = NDArray[np.uint64]
_Sizes = Sequence[tuple[int, int]]  # number of each part and its rows


def part_sizes(texts: int, least: int) -> list[int]:
    """Rows of each part of so many texts: 64 parts of one size, but of at least so many rows and at
    most 65,536.

    least: with fewer rows a part's files would take longer than its vectors, or batches would not
    be full. 64 are enough to share among machines; where there is more to do, there are more.
    """
    parts = max(min(MANY, -(-texts // least)), -(-texts // SHARD_ROWS))
    return _equal(texts, -(-texts // parts))


@dataclass(frozen=True, eq=False)
class Plan:
    """Where the vector of each text that is asked for is, or will be.

    places: (n,).  parts: those that are planned, whole or not: number -> rising rows among those
    that are asked for.  key: names the plan.
    """

    places: Places
    parts: Mapping[int, Places]
    key: str
    path: Path

    def missing(self, parts: Parts) -> list[int]:
        """Numbers of the parts that are yet to be made."""
        return [number for number in self.parts if number not in parts.whole]

    def finished(self) -> None:
        """All of its parts are whole. Beside others it stays, for those who come late."""
        if not is_beside_others():
            with storing(self.path):
                self.path.unlink(missing_ok=True)

    def given_up(self) -> None:
        """Whoever was to make its parts failed: it is taken back, if there is nothing of them."""
        with suppress(OSError):
            if {path.name for path in self.path.parent.iterdir()} == {MARK, self.path.name}:
                self.path.unlink()


def plan_of(
    parts: Parts, texts: _Words, least: int, pointed: _Sizes = (), size: int | None = None
) -> Plan:
    """The plan for these texts: the one that is there, or a new one, which is then written.

    texts: (n, 2) digests.  least: rows of a part.  pointed: parts that earlier embeddings of these
    texts point into, with their rows: those that are lost are made again as they were.
    size: rows of a part; only in tests.
    Raises StoreError; NotAlone beside others, where there is none.
    """
    words = np.ascontiguousarray(texts, dtype="<u8")
    asked = hashlib.sha256(words.data).hexdigest()
    path = parts.folder / f"plan-{asked[:16]}.json"
    if (found := _there(parts, words, asked, path)) is not None:
        return found
    places = parts.places_of(texts)
    if (places >= 0).all():
        return Plan(places, {}, asked, path)
    check_alone()
    with storing(parts.folder):
        if keep_scraps(parts):
            places = parts.places_of(texts)
        for other in parts.folder.glob("plan-*.json"):
            other.unlink()
    new = int(_firsts(places).sum())
    sizes = [(number, rows) for number, rows in pointed if number not in parts.whole]
    if sum(rows for _, rows in sizes) != new:
        rows = part_sizes(new, least) if size is None else _equal(new, size)
        sizes = list(zip(parts.free(), rows, strict=False))
    digest = _digest_of(words, places)
    content = sealed({"stage": STAGE, "asked": asked, "new": digest, "parts": sizes})
    commit_bytes(path, canonical_json(content))
    return _laid_out(places, sizes, str(content["seal"]), path)


def _there(parts: Parts, texts: _Words, asked: str, path: Path) -> Plan | None:
    """The plan that is written, if it is for these texts and fits the parts that are there."""
    try:
        content = read_manifest(path)
        sizes = [(int(number), int(rows)) for number, rows in content["parts"]]
        if content["asked"] != asked or not all(0 < rows <= SHARD_ROWS for _, rows in sizes):
            return None
    except StoreError as problem:
        if isinstance(problem.__cause__, OSError) and path.exists():
            raise  # it cannot be read, which is not to say that it is damaged
        return None
    except (KeyError, TypeError, ValueError):
        return None
    places = parts.places_of(texts, without={number for number, _ in sizes})
    new = int(_firsts(places).sum())
    if sum(rows for _, rows in sizes) != new or _digest_of(texts, places) != content["new"]:
        return None
    plan = _laid_out(places, sizes, str(content["seal"]), path)
    for number, own in plan.parts.items():
        part = parts.whole.get(number)
        if part is not None and not np.array_equal(part.texts, texts[own]):
            return None
    return plan


def _laid_out(places: Places, sizes: _Sizes, key: str, path: Path) -> Plan:
    """The texts that are new by `places`, in order, in parts of these sizes."""
    new, start = np.flatnonzero(_firsts(places)), 0
    parts = dict[int, Places]()
    for number, rows in sizes:
        parts[number] = new[start : start + rows]
        start += rows
    for number, own in parts.items():
        places[own] = number * SHARD_ROWS + np.arange(len(own))
    repeats = np.flatnonzero(places < 0)
    places[repeats] = places[~places[repeats]]
    return Plan(places, parts, key, path)


def _firsts(places: Places) -> NDArray[np.bool_]:
    """(n,) which texts are new, and not a repeat of one before."""
    firsts: NDArray[np.bool_] = places == ~np.arange(len(places))
    return firsts


def _digest_of(texts: _Words, places: Places) -> str:
    """Names the texts that are new."""
    return hashlib.sha256(texts[_firsts(places)].data).hexdigest()


def _equal(texts: int, size: int) -> list[int]:
    return [min(size, texts - start) for start in range(0, texts, size)]
