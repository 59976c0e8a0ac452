"""Where round numbers stand on the axis of a picture."""

from __future__ import annotations

import math

Ticks = list[tuple[float, str]]  # places as parts of 1, and what stands there
FEW = 5  # about, on a scale without logarithms
_TIMES = (1, 2, 5)
_WIDE = 200  # times the smallest value, from which on powers of 10 are enough


def even_ticks(
    low: float, high: float, *, times: float = 1, sign: str = "", after: str = ""
) -> Ticks:
    """At whole multiples of 1, 2 or 5 times a power of 10, with the digits that tell them apart.

    times: what values are multiplied by to be read, 100 for percent.  sign: "+" where that of a
    value above 0 is written, too.  after: the unit. Nothing where `high` is not above `low`.
    """
    if not high > low:
        return []
    rough = times * (high - low) / FEW
    power = 10.0 ** math.floor(math.log10(rough))
    pace = power * next(many for many in (*_TIMES, 10) if many * power >= rough)
    digits = max(0, -math.floor(math.log10(pace) + 1e-9))
    first, last = math.ceil(times * low / pace), math.floor(times * high / pace)
    return [
        ((pace * i / times - low) / (high - low), f"{pace * i + 0.0:{sign}.{digits}f}{after}")
        for i in range(first, last + 1)
    ]


def log_ticks(low: float, high: float, *, above: float = 0) -> Ticks:
    """1, 10, 100, ... between two values >= 1 on a log scale; also 2 and 5 times these where these
    values are near to each other.

    above: what is added to every value before its logarithm is taken, 1 where there are zeros.
    """
    start, stop = math.log(low + above), math.log(high + above)
    if not stop > start:
        return []
    times = _TIMES if stop - start < math.log(_WIDE) else (1,)
    values = (many * 10**power for power in range(19) for many in times)
    return [
        ((math.log(value + above) - start) / (stop - start), f"{value:,}")
        for value in values
        if low <= value <= high
    ]
