"""How many batches a CPU computes at once, and with how many threads each: what is fastest here.

It does not change a bit of any vector, so it is measured on the machine, and in no key.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

# Threads inside a batch wait for each other at every layer: two of them took 2.9 times the
# processor time of one on a busy machine. But every batch at once wants its share of the caches.
_USUAL = 4
_SECONDS = 1.0  # for all that are tried
_BETTER = 1.05  # times as fast as the usual one, to be chosen before it


@dataclass(frozen=True)
class Crew:
    """workers: batches at once.  threads: of torch inside each."""

    workers: int
    threads: int

    def __str__(self) -> str:
        return f"{self.workers} batches at once, threads each: {self.threads}"


def crews(threads: int) -> list[Crew]:
    """What so many threads may be; the usual one first."""
    usual = min(threads, _USUAL)
    workers = [usual, *(threads >> halved for halved in range(threads.bit_length()))]
    return [Crew(count, threads // count) for count in dict.fromkeys(workers)]


def fastest(among: Sequence[Crew], encode: Callable[[Crew], object]) -> Crew:
    """The crew that encodes most in a second of trying, the first one unless another is clearly
    faster.

    encode: one batch, as a member of the crew; called from as many threads as it has workers.
    """
    if len(among) == 1:
        return among[0]
    rates = {crew: _rate(crew, encode, _SECONDS / len(among)) for crew in among}
    best = max(among, key=lambda crew: rates[crew])
    return best if rates[best] > _BETTER * rates[among[0]] else among[0]


def _rate(crew: Crew, encode: Callable[[Crew], object], seconds: float) -> float:
    """Batches a second; the first one of each thread is slow, and not counted."""

    def work(end: float) -> tuple[int, float]:
        encode(crew)
        began, done = time.perf_counter(), 0
        while not done or time.perf_counter() < end:
            encode(crew)
            done += 1
        return done, time.perf_counter() - began

    end = time.perf_counter() + seconds
    with ThreadPoolExecutor(crew.workers) as pool:
        told = list(pool.map(work, [end] * crew.workers))
    return sum(done / took for done, took in told)
