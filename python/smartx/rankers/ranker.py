"""What a ranker is: it orders the rows of a unit so that every prefix is a selection."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from smartx.engine import NOMINAL, Speed
from smartx.errors import ConfigError
from smartx.needs import VECTORS, Need
from smartx.options import Options, Takes, one_of
from smartx.rankers.pool import Pool

Order = tuple[NDArray[np.int32], NDArray[np.float64]]


@dataclass(frozen=True)
class Ranker(Options):
    """A ranker is a frozen dataclass of this kind. Its fields are its parameters; what `parameters`
    says, and the features that it needs, are all that its order depends on besides the rows.

    per: what is ranked by itself: the rows of one template of a task, of a task, or of the corpus.
    vectors: a feature to be looked at instead of the run's own vectors: those of another encoder.
    name: by which configurations and manifests know it.
    """

    per: Annotated[str, one_of("template", "task", "corpus")] = field(
        default="template", kw_only=True
    )
    vectors: Annotated[str, Takes("the name of a feature", str)] = field(default="", kw_only=True)

    name: ClassVar[str]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.vectors and VECTORS not in self.needs:
            raise ConfigError(f"{self.name} looks at no vectors", place="vectors")

    @property
    def needs(self) -> tuple[Need, ...]:
        """What it reads of the rows. One that reads no vectors never makes anyone embed."""
        return (VECTORS,)

    @property
    def reads(self) -> tuple[Need, ...]:
        """What it needs, with the vectors that are meant."""
        mine = Need(self.vectors, "vectors")
        return tuple(mine if need == VECTORS else need for need in self.needs)

    def parameters(self) -> dict[str, Any]:
        """The values by name; `per` and `vectors` where they are not the usual ones."""
        own = super().parameters()
        usual = {"per": "template", "vectors": ""}
        return {n: value for n, value in own.items() if n not in usual or value != usual[n]}

    def seconds(
        self, sizes: NDArray[np.int64], dimensions: int, speed: Speed = NOMINAL
    ) -> NDArray[np.float64]:
        """(u,) about how long units of these sizes take, each above 0; here: a look at each value.

        dimensions: values of a row, of all features together.
        speed: of a machine, its threads together; NOMINAL: one thread of docs/performance.md.
        """
        return np.asarray(2e-9 * max(1, dimensions) / speed.greedy * sizes, dtype=np.float64)

    def memory(self, sizes: NDArray[np.int64], dimensions: int, threads: int) -> int:
        """Peak bytes of ranking units of these sizes, besides the rows; here: float64 rows."""
        return 8 * max(1, dimensions) * int(sizes.max(initial=0))

    def parts(self, rows: int) -> int:
        """In how many parts a unit of that many rows is ranked, each by itself."""
        return 1

    def held_rows(self, rows: int) -> int:
        """How many rows of a unit of that many are looked at together."""
        return rows

    def engine(self, rows: int) -> str:
        """The way in which a unit of that many rows is ranked, in a word for a plan."""
        return self.name

    def rank(self, pool: Pool, *, threads: int) -> Order:
        """Rank the units, each by itself and completely.

        Returns order (n,) int32, places inside the unit, best first, unit after unit; and gains
        (n,) float64, aligned with the order.
        """
        raise NotImplementedError
