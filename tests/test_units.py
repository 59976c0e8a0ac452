"""Units of work and shares of them; the lock that shards share."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartx.errors import ConfigError
from smartx.files import NotAlone, own, sweep, temporary_path
from smartx.lock import working_beside, working_for, working_in
from smartx.progress import Silent
from smartx.run_folder import CURRENT, RECORDS, current, mean, record
from smartx.store import Stage
from smartx.units import Unit, longest_first, shard_of, share

seconds = st.lists(st.floats(0, 100, allow_nan=False), max_size=40)


def units_of(values):
    return [Unit(f"rank-{number:05d}", value, 1) for number, value in enumerate(values)]


@given(seconds, st.integers(1, 9))
def test_every_unit_is_in_exactly_one_shard_and_all_shards_are_about_as_long(values, of):
    units = units_of(values)
    shards = [share(units, shard, of) for shard in range(of)]
    assert sorted(unit.name for shard in shards for unit in shard) == [u.name for u in units]
    loads = [sum(max(1, round(unit.seconds * 1000)) for unit in shard) for shard in shards]
    longest = max((round(value * 1000) for value in values), default=0)
    assert max(loads) - min(loads) <= max(1, longest)


@given(seconds, st.integers(1, 9), st.randoms())
def test_shares_depend_neither_on_the_order_of_the_units_nor_on_the_last_bit(values, of, dice):
    units = units_of(values)
    shuffled = [Unit(unit.name, unit.seconds * (1 + 2e-16), 2) for unit in units]
    dice.shuffle(shuffled)
    for shard in range(of):
        names = [unit.name for unit in share(units, shard, of)]
        if all(abs(value * 1000 % 1 - 0.5) > 1e-6 for value in values):
            assert [unit.name for unit in share(shuffled, shard, of)] == names


def test_the_longest_units_come_first_and_ties_by_name():
    names = [unit.name[-1] for unit in longest_first(units_of([1, 3, 3, 2]))]
    assert names == ["1", "2", "3", "0"]


def test_a_shard_is_written_i_of_n():
    assert shard_of("2/8") == (2, 8)
    for wrong in ("8/8", "-1/2", "1", "a/b", "0/0", "1/2/3", " 0/2", "٣/4"):
        with pytest.raises(ConfigError, match="0 <= i < N"):
            shard_of(wrong)


class Noted(Silent):
    def __init__(self):
        self.notes, self.told = [], threading.Event()

    def note(self, message):
        self.notes.append(message)
        self.told.set()


def test_shards_share_the_lock_and_whoever_works_alone_waits_for_all_of_them(tmp_path):
    noted, entered = Noted(), threading.Event()

    def alone():
        with working_in(tmp_path, noted):
            entered.set()

    def beside():
        with working_beside(tmp_path, Silent()):
            pass

    with working_beside(tmp_path, Silent()):
        other = threading.Thread(target=beside)
        other.start()
        other.join(10)
        assert not other.is_alive()
        waiting = threading.Thread(target=alone)
        waiting.start()
        assert noted.told.wait(10)
        assert "waiting" in noted.notes[0]
        assert not entered.is_set()
    waiting.join(10)
    assert entered.is_set()
    assert (tmp_path / ".lock").read_bytes() == b""


def test_a_shard_waits_for_whoever_works_alone(tmp_path):
    noted, entered = Noted(), threading.Event()

    def beside():
        with working_beside(tmp_path, noted):
            entered.set()

    with working_in(tmp_path, Silent()):
        waiting = threading.Thread(target=beside)
        waiting.start()
        assert noted.told.wait(10)
        assert not entered.is_set()
    waiting.join(10)
    assert entered.is_set()


def test_beside_others_nothing_is_swept_begun_or_noted(tmp_path):
    own(tmp_path, "run folder")
    left = temporary_path(tmp_path / "piece.parquet")
    left.write_text("a neighbour's")
    mean(tmp_path, corpus=tmp_path / "corpus" / "1234")
    with working_beside(tmp_path, Silent()):
        sweep(tmp_path)
        assert left.exists()
        with pytest.raises(NotAlone):
            Stage("means", tmp_path / "means").begin()
        with pytest.raises(NotAlone):
            mean(tmp_path, corpus=tmp_path / "corpus" / "5678")
        mean(tmp_path, corpus=tmp_path / "corpus" / "1234")  # as it was
        record(tmp_path, "rank", None, 1.0, 1)
    assert not (tmp_path / RECORDS).exists()
    assert not (tmp_path / "means").exists()
    assert current(tmp_path) == {"corpus": "1234"}
    assert (tmp_path / CURRENT).exists()
    with working_in(tmp_path, Silent()):
        assert not left.exists()


def test_who_works_for_the_holder_of_the_lock_does_not_wait_for_it(tmp_path):
    entered = threading.Event()

    def worker():
        with working_for(tmp_path), working_in(tmp_path, Silent()):
            entered.set()

    with working_in(tmp_path, Silent()):
        thread = threading.Thread(target=worker)
        thread.start()
        thread.join(10)
        assert entered.is_set()
