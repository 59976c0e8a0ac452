"""Which engine runs facility location over rows: decided here and nowhere else."""

from __future__ import annotations

from pathlib import Path

from smartx.errors import InputError

DENSE_BYTES = 4 << 30
"""Largest dense kernel by default: ground sets of up to 46,340 rows.

A constant, not a share of the machine's memory: the engine decides the selection, and the same
input must give the same selection on every machine.
"""

DENSE_TASKS = 8_192
"""Most tasks that are ordered over all their cosines, in 512 MiB; above, as rows are. A constant
for the same reason.
"""

TOGETHER_BYTES = 512 << 20
"""Kernels of groups ranked side by side, one on each thread, take at most so much together: two of
up to 11,584 rows, eight of up to 5,792. Larger groups have all threads to themselves."""

GRAPH_NEIGHBOURS = 64
"""Neighbours of a row in the graph that stands in for the kernel above that."""

_BASKET_BYTES = 3 << 20  # of a thread: 64 candidates of each row of a block (knn.cpp)
_HEAD_SHARE = 8  # at most one row in so many is a candidate for the dense head
_PICKED_SHARE = 5  # one candidate in so many is chosen by it

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
    _check_free(
        needed,
        f"the dense kernel of {rows:,} rows takes",
        place="memory_bytes",
        fix=f"pass memory_bytes below {needed} to use a sparse graph, or free memory",
    )
    return True


def neighbour_bytes(rows: int, dimensions: int, k: int, threads: int) -> int:
    """Peak memory of the graph of the exact k nearest neighbours, besides the rows themselves.

    The search holds the rows again, for each row 2 k + 32 candidates at most and its answer, and
    for each thread some candidates of a block of rows; then the answer, the graph of it, the same
    transposed and what joins them take 40 bytes for each neighbour.
    """
    lists = 8 * min(2 * k + 32, rows) + 8 * k
    search = rows * (2 * dimensions + lists) + (_BASKET_BYTES * threads if threads > 1 else 0)
    return max(search, 40 * k * rows) + 160 * rows


def check_neighbours(rows: int, dimensions: int, k: int, threads: int) -> None:
    """Raise InputError where the graph of the k nearest neighbours takes more than there is."""
    needed = neighbour_bytes(rows, dimensions, k, threads)
    what = f"the {k:,} neighbours of {rows:,} rows take"
    _check_free(needed, what, place="k", fix="pass a smaller k, or free memory")


def dense_head(rows: int, memory_bytes: int) -> tuple[int, int]:
    """(candidates, head) of facility location over rows whose kernel does not fit.

    Greedy over the graph proposes so many candidates, of which greedy over the dense objective
    chooses the first `head` rows. Their kernel takes at most half of `memory_bytes`.
    """
    row_bytes = 2 * (-(-rows // 32) * 32)
    candidates = min(memory_bytes // 2 // row_bytes, rows // _HEAD_SHARE)
    return candidates, candidates // _PICKED_SHARE


def check_log_det(rows: int, budget: int) -> None:
    """Raise InputError where log-det over a graph or kernel may need more memory than there is.

    Every row keeps one float64 for every chosen row, at worst: 8 * rows * budget bytes.
    """
    _check_free(
        8 * rows * budget,
        f"log-det of {budget:,} of {rows:,} rows may take",
        place="budget",
        fix="pass the embedding rows instead, which need none of it, or a smaller budget",
    )


def _check_free(needed: int, what: str, place: str, fix: str) -> None:
    """Raise InputError where `what` takes more bytes than are free."""
    available = available_bytes() if needed > _ALWAYS_THERE else None
    if available is not None and needed > available:
        raise InputError(
            f"{what} {needed >> 20:,} MiB, but {available >> 20:,} MiB are free",
            place=place,
            fix=fix,
        )


def available_bytes() -> int | None:
    """Memory that can still be had without swapping: of the system and of the container.

    None where neither says.
    """
    known = [size for size in (_of_system(), _of_cgroup()) if size is not None]
    return min(known) if known else None


def default_memory() -> int:
    """What a run may use by default: three quarters of what is available, or 4 GiB if unknown."""
    available = available_bytes()
    return 4 << 30 if available is None else available * 3 // 4


def _of_system() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    except (OSError, ValueError):
        return None
    return None


def _of_cgroup() -> int | None:
    """What the limit of the container leaves, version 2 of cgroups, then version 1."""
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            folder = Path("/sys/fs/cgroup")
            most = (folder / limit).read_text().strip()
            held = int((folder / used).read_text()) - _reclaimable(folder / limit)
        except (OSError, ValueError):
            continue
        return max(0, int(most) - held) if most.isdigit() and int(most) < 1 << 60 else None
    return None


def _reclaimable(limit: Path) -> int:
    """Bytes of cached files, which count as used and are given back on demand."""
    text = (limit.parent / "memory.stat").read_text()
    fields = dict(line.split() for line in text.splitlines())
    return int(fields.get("inactive_file", fields.get("total_inactive_file", "0")))
