"""What a data set is called whose rows do not say: after its files, or the folder they lie in.

Names of files that say nothing (train, data, part-0003, 0000) give way to the name of their folder,
those of such folders to the folder above. Names that are still the same get the folders, or the
file names, that tell them apart. The order of the sources plays no part.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence

# One data set in several files: NAME-00000-of-00007, some with a digest behind it.
_SHARD = re.compile(r"[-_.]\d+[-_.]of[-_.]\d+(?:-[0-9a-f]{8,})?$", re.IGNORECASE)
_NOTHING = re.compile(
    r"(train|training|test|testing|val|valid|validation|dev|eval|split"
    r"|data|dataset|datasets|default|part|shard|chunk|batch"
    r"|json|jsonl|parquet|arrow|csv|tsv)?"
    r"(?:[-_. ]?\d+)*(?:-[0-9a-f]{8,}.*)?",  # part-00000-0a1b2c3d-c000.snappy
    re.IGNORECASE,
)
Place = tuple[str, ...]


def place_of(folders: Sequence[str], stem: str) -> Place:
    """Where a data set lies: its folders from the root on, and the name of its files, without what
    only numbers them. Files with the same place are one data set.
    """
    name = _SHARD.sub("", stem) or stem
    nothing = _NOTHING.fullmatch(name)
    return (*folders, (nothing[1] or "") if nothing else name)


def names_of(places: Collection[Place], taken: Collection[str] = ()) -> dict[Place, str]:
    """A name for each place, all different, and none of those that are taken.

    As short as they can be: of places whose names are the same each gets longer ones.
    """
    first = {place: _name(place, 0) for place in places}
    level = dict.fromkeys(first.values(), 0)
    longest = 2 * max(map(len, places), default=0)
    while True:
        names = {place: _name(place, level[short]) for place, short in first.items()}
        often = Counter([*names.values(), *set(taken)])
        same = {first[place] for place, name in names.items() if often[name] > 1}
        if not same or min(level[short] for short in same) > longest:
            return names
        for short in same:
            level[short] += 1


def _name(place: Place, level: int) -> str:
    """The `level`-th name of a place: with one folder more at every second level, and at every
    other one with what lies below the part that says something.
    """
    says = [i for i, part in enumerate(place) if not _NOTHING.fullmatch(part)]
    at = says[-1] if says else len(place) - 1
    above, whole = divmod(level, 2)
    parts = place[max(0, at - above) : len(place) if whole else at + 1]
    return "/".join(filter(None, parts)) or "data"


def readable(text: str) -> str:
    """A name as text: bytes that are no UTF-8 are written out."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half a character that stands for no byte
        return text.encode("utf-8", "backslashreplace").decode()
