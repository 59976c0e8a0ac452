"""Which engine runs facility location over rows: decided here and nowhere else."""

from __future__ import annotations

from pathlib import Path

from smartx.errors import InputError

DENSE_BYTES = 4 << 30
"""Largest dense kernel by default: ground sets of up to 46,340 rows.

A constant, not a share of the machine's memory: the engine decides the selection, and the same
input must give the same selection on every machine.
"""

GRAPH_NEIGHBOURS = 64
"""Neighbours of a row in the graph that stands in for the kernel above that."""


_ALWAYS_THERE = 64 << 20  # less than this is not worth asking the system about


def kernel_bytes(rows: int) -> int:
    """Bytes of the dense 16-bit kernel of that many rows."""
    return 2 * rows * (-(-rows // 32) * 32)


def kernel_fits(rows: int, memory_bytes: int) -> bool:
    """Whether facility location over `rows` rows runs on the dense kernel (else on a sparse graph).

    Raises InputError where the kernel is within `memory_bytes` but not within the machine.
    """
    needed = kernel_bytes(rows)
    if needed > memory_bytes:
        return False
    available = _available_bytes() if needed > _ALWAYS_THERE else None
    if available is not None and needed > available:
        raise InputError(
            f"the dense kernel of {rows:,} rows takes {needed >> 20:,} MiB, "
            f"but {available >> 20:,} MiB are free",
            place="memory_bytes",
            fix=f"pass memory_bytes below {needed} to use a sparse graph, or free memory",
        )
    return True


def _available_bytes() -> int | None:
    """Memory that the system says can be had without swapping; None where it does not say."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    except (OSError, ValueError):
        return None
    return None
