"""A table of rows in whatever its reader works with: Arrow, pandas, polars, Hugging Face datasets.

None of the packages is needed, or imported, before it is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import pyarrow as pa

from smartx.errors import MissingPackageError


class Frames:
    """What has a table `to_arrow` has it as all others too."""

    def to_arrow(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows as an Arrow table. columns: which of them, None for all."""
        raise NotImplementedError

    def to_pandas(self, columns: Sequence[str] | None = None) -> Any:
        """The rows as a pandas DataFrame, as `to_arrow` has them."""
        _package("pandas")
        return self.to_arrow(columns).to_pandas()

    def to_polars(self, columns: Sequence[str] | None = None) -> Any:
        """The rows as a polars DataFrame, as `to_arrow` has them."""
        return _package("polars").DataFrame(self.to_arrow(columns))

    def to_dataset(self, columns: Sequence[str] | None = None) -> Any:
        """The rows as a `datasets.Dataset` in memory, as `to_arrow` has them."""
        in_memory = _package("datasets").table.InMemoryTable(self.to_arrow(columns))
        return _package("datasets").Dataset(in_memory)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """What lets polars, duckdb, pandas and pyarrow read this as it is."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)


def _package(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise MissingPackageError(name, needed_for=f"a {name} table", extra="frames") from None
