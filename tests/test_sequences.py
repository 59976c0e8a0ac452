"""Whatever is done in one run folder, in whatever order: nothing finished is lost, nothing foreign
is touched, and every mixture is that of a fresh folder.
"""

from __future__ import annotations

import os

import pytest

from sequences import play

pytestmark = pytest.mark.processes

SEQUENCES = int(os.environ.get("SMARTX_SEQUENCES", "30"))


def test_random_sequences_of_changes_failures_and_interrupts_lose_nothing(tmp_path):
    done = play(tmp_path, SEQUENCES, seed=9)
    assert done["mixtures"] > SEQUENCES
    assert min(done[kind] for kind in ("mistake", "stop", "full", "rows_change")) > 0
