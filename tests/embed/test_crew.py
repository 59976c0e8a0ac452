"""How many batches at once: all splits of the threads are tried, and a clear winner is taken."""

from __future__ import annotations

import time

import pytest

from smartx.embed.crew import Crew, crews, fastest


@pytest.mark.parametrize("threads", [1, 2, 3, 4, 6, 16, 64])
def test_no_crew_asks_for_more_threads_than_there_are(threads):
    found = crews(threads)
    assert found[0].workers == min(threads, 4)
    assert len(set(found)) == len(found)
    assert {crew.workers for crew in found} >= {1, threads}
    assert all(0 < crew.workers * crew.threads <= threads for crew in found)


def test_the_crew_that_encodes_most_in_the_time_is_chosen(monkeypatch):
    monkeypatch.setattr("smartx.embed.crew._SECONDS", 0.4)
    usual, slow, quick = among = [Crew(2, 1), Crew(4, 1), Crew(1, 2)]
    took = {usual: 0.05, slow: 0.2, quick: 0.005}
    assert fastest(among, lambda crew: time.sleep(took[crew])) == quick


def test_the_usual_crew_is_kept_where_no_other_is_clearly_faster(monkeypatch):
    monkeypatch.setattr("smartx.embed.crew._rate", lambda crew, *_: 100.0 + crew.threads)
    assert fastest([Crew(2, 1), Crew(1, 2)], lambda crew: None) == Crew(2, 1)


def test_a_single_crew_is_not_measured():
    assert fastest([Crew(1, 1)], lambda crew: 1 / 0) == Crew(1, 1)
