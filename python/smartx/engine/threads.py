"""How many threads the core may use, and what happens to that after a fork."""

from __future__ import annotations

import operator
import os
import warnings
from pathlib import Path

from smartx.engine.simd import simd_level
from smartx.errors import InputError

_MOST = 1024
_ALWAYS = 8  # so many threads are had on any machine: a little more than there are processors


def default_threads() -> int:
    """Processors of this process: the least of OMP_NUM_THREADS, affinity and cgroup quota."""
    return max(1, min(thread_limits().values()))


def thread_limits() -> dict[str, int]:
    """What bounds the number of threads, by name; what sets no limit is not there."""
    if hasattr(os, "sched_getaffinity"):
        limits = {"affinity": len(os.sched_getaffinity(0))}
    else:  # macOS has none
        limits = {"processors": os.cpu_count() or 1}
    limits.update(("OMP_NUM_THREADS", count) for count in _from_environment())
    limits.update(("container quota", count) for count in _from_cgroup())
    return limits


def resolve_threads(threads: int | None) -> int:
    """`threads` as a number, None being the default. Every engine asks here.

    More than twice the processors of this process (but at least 8) are not used: threads that wait
    for each other on one processor only take time (512 on 2 processors: 83 s for 0.2 s), and the
    results do not depend on their number.
    Raises InputError if it is no whole number in 1..1024, and where SMARTX_SIMD forces an
    instruction set that is none. In a forked child the answer is 1: the
    threads of the core do not survive a fork, and asking for them there would hang.
    """
    simd_level()
    wanted = default_threads() if threads is None else whole_number(threads, "threads", 1, _MOST)
    if threads is not None and wanted > _ALWAYS:
        wanted = min(wanted, max(_ALWAYS, 2 * _processors()))
    if wanted > 1 and _Fork.happened:
        _Fork.warn()
        return 1
    return wanted


def _processors() -> int:
    """Those that this process may use, whatever number of threads it is told to take."""
    limits = thread_limits()
    limits.pop("OMP_NUM_THREADS", None)
    return min(limits.values())


def whole_number(value: object, name: str, low: int, high: int) -> int:
    """`value` as an int in low..high. Raises InputError for a float, a bool, or one outside."""
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise InputError(
            f"expected a whole number, got {value!r} ({type(value).__name__})",
            place=name,
            fix=f"pass an int in {low}..{high}",
        ) from None
    if not low <= number <= high:
        raise InputError(f"{number} is outside {low}..{high}", place=name)
    return number


class _Fork:
    """What this process knows about having been forked from one that had loaded the core."""

    happened = False
    warned = False

    @classmethod
    def note(cls) -> None:
        cls.happened, cls.warned = True, False

    @classmethod
    def warn(cls) -> None:
        if not cls.warned:
            cls.warned = True
            warnings.warn(
                "this process was forked from one that uses smartx: its core runs on one thread"
                ' here; start processes with the "spawn" or "forkserver" method to use more',
                RuntimeWarning,
                stacklevel=4,
            )


if hasattr(os, "register_at_fork"):  # where a process can fork
    os.register_at_fork(after_in_child=_Fork.note)


def _from_environment() -> list[int]:
    """OMP_NUM_THREADS ("4", or "4,2" for nested regions) if it holds a number."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return [int(first)] if first.isdigit() and int(first) > 0 else []


def _from_cgroup() -> list[int]:
    """The CPU quota of the container, version 2 of cgroups, then version 1."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            folder = Path("/sys/fs/cgroup/cpu")
            quota = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return []
    if not quota.isdigit() or not period.isdigit() or int(period) == 0:
        return []  # "max" or -1: no quota
    return [max(1, int(quota) // int(period))]
