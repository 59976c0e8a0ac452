"""A pass of a model over all rows, part by part: what is there is not made again, and a model is
loaded only where something is missing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from smartx.causal import CausalModel, Row, Tokens, each_batch, load_causal, rows_of
from smartx.causal.model import digest_of_folder, parameters_of
from smartx.collect.stage import Collected
from smartx.corpus import Corpus
from smartx.errors import ModelError
from smartx.needs import Kind
from smartx.progress import Progress, step

if TYPE_CHECKING:
    from smartx.collect.llm.asked import Asked
    from smartx.features import StoredFeature

BY = "llm"
PART_ROWS = 128  # what a kill costs at most; enough that batches are full
Values = Mapping[str, Any]  # of a batch, by feature: (rows,) or (rows, d)
Look = Callable[[Sequence[Tokens]], Values]


@dataclass(frozen=True)
class Pass(ABC):
    """What one look at every row gives.

    asked: by the command.  names: of the features that are wanted of it.
    """

    asked: Asked
    names: tuple[str, ...]

    @property
    def eager(self) -> bool:
        """Whether attention weights are read."""
        return False

    @property
    def folder(self) -> Path:
        """Of the model."""
        return self.asked.model

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """Of the features that are no columns."""
        return {}

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What shapes the values besides the model, its dtype and max_length."""
        return {}

    @abstractmethod
    def tokens(self, model: CausalModel, rows: Sequence[Row]) -> list[Tokens]:
        """Each row as the model is to read it."""

    @abstractmethod
    def looking(self, model: CausalModel) -> AbstractContextManager[Look]:
        """Gives what looks at a batch; several threads call it."""


@dataclass(frozen=True, eq=False)
class Where:
    """The rows, and how they are read.

    table: rows of another corpus, which become tables beside the features of this one.
    """

    corpus: Corpus
    run: Path
    threads: int
    progress: Progress
    table: Corpus | None = None

    @property
    def read(self) -> Corpus:
        """The rows that are read."""
        return self.table or self.corpus


def run_pass(one: Pass, where: Where) -> dict[str, StoredFeature]:
    """The features of a pass, made where they are not there yet."""
    made = {name: _opened(one, name, where) for name in one.names}
    missing = sorted(set().union(*(feature.missing() for feature in made.values())))
    if missing:
        _fill(one, where, made, missing)
    return {name: feature.finish() for name, feature in made.items()}


def _opened(one: Pass, name: str, where: Where) -> Collected:
    asked = one.asked
    parameters = {
        "by": BY,
        "pass": type(one).__name__.lower(),
        "max_length": asked.max_length,
        **parameters_of(asked.device, asked.dtype),
        **one.parameters,
    }
    inputs = {"model": digest_of_folder(one.folder)}
    kind, rows = one.kinds.get(name, "column"), None
    if where.table is not None:
        kind, rows, inputs["rows"] = "table", where.table.num_rows, where.table.digest
    return Collected.open_or_begin(
        where.run, where.corpus, kind, name, parameters, inputs, rows=rows, part_rows=PART_ROWS
    )


def _fill(one: Pass, where: Where, made: Mapping[str, Collected], missing: list[int]) -> None:
    first = next(iter(made.values()))
    bounds = [first.bounds(number) for number in missing]
    asked, attention = one.asked, "eager" if one.eager else None
    where.progress.note(f"{', '.join(one.names)}: {one.folder.name} reads each row")
    model = load_causal(one.folder, device=asked.device, dtype=asked.dtype, attention=attention)
    rows, title = sum(stop - start for start, stop in bounds), ", ".join(one.names)
    with step(where.progress, title, rows, "rows") as advance, one.looking(model) as look:
        for number, (start, stop) in zip(missing, bounds, strict=True):
            tokens = one.tokens(model, rows_of(where.read, start, stop))
            values = values_of(model, tokens, look, where.threads, advance)
            for name, feature in made.items():
                feature.commit_part(number, values[name])


def values_of(
    model: CausalModel,
    tokens: Sequence[Tokens],
    look: Look,
    threads: int,
    advance: Callable[[int], None] | None = None,
) -> dict[str, NDArray[Any]]:
    """What `look` makes of some rows, by feature, in their order.

    Raises ModelError where a number is not finite.
    """
    found: dict[str, NDArray[Any]] = {}
    batches = each_batch(
        model,
        tokens,
        lambda places: look([tokens[place] for place in places]),
        threads=threads,
        advance=advance,
    )
    for places, values in batches:
        for name, own in values.items():
            array = np.asarray(own)
            if np.isinf(array).any():
                raise ModelError(
                    f'"{name}" of a row is not finite',
                    place=str(model.folder),
                    fix="use dtype float32, or another model",
                )
            if name not in found:
                found[name] = np.zeros((len(tokens), *array.shape[1:]), dtype=array.dtype)
            found[name][places] = array
    return found
