"""Where each row's vector lies in the parts of its encoder: written, with what the vectors are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from smartx.corpus import Corpus
from smartx.embed.counts import cut_of, facts_of
from smartx.embed.embeddings import PLACES
from smartx.embed.npy import write_npy
from smartx.embed.parts import ENCODER_PARTS, Parts, Places, told_of
from smartx.errors import InputError
from smartx.store import FileEntry, Sidecar, Stage


def placed(
    corpus: Corpus, encoders: Sequence[Parts], places: Places, stage: Stage, key: str
) -> tuple[list[FileEntry], dict[str, Any]]:
    """The files and facts of embeddings whose rows lie at these places.

    places: (n,) of each row, among the parts of these encoders.
    Raises InputError where encoders give vectors of different widths.
    """
    told = told_of(encoders, places)
    used = sorted({number // ENCODER_PARTS for number in told.parts})
    dimensions = _dimensions([encoders[number] for number in used])
    stage.begin()
    file = Sidecar(stage.folder / PLACES, key)
    entry = file.commit(corpus.num_rows, partial(write_npy, places[:, None]))
    held = [
        {
            "key": parts.key,
            "parts": [
                vars(part.vectors)
                for at, part in told.parts.items()
                if at // ENCODER_PARTS == number
            ],
        }
        for number, parts in enumerate(encoders)
    ]
    return [entry], {
        "dimensions": dimensions,
        "vectors": held if len(encoders) > 1 else held[0],
        "cut": cut_of(corpus.groups, told.cut),
        **facts_of(corpus.groups, told.vector_digests),
    }


def _dimensions(encoders: Sequence[Parts]) -> int:
    widths = list(dict.fromkeys(parts.dimensions for parts in encoders))
    if len(widths) > 1:
        raise InputError(
            f"vectors of {widths[0]:,} values and of {widths[1]:,} do not belong together",
            place="encoder",
            fix="use a student of this very teacher",
        )
    return widths[0]
