"""Workers, drivers and nodes killed at random moments: the same bytes, and no torn file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from clusters import NO_RAY

KILLS = int(os.environ.get("SMARTX_KILLS", "6"))

pytestmark = [pytest.mark.processes, pytest.mark.slow]


@pytest.mark.parametrize("executor", ["processes:2", "ray"])
def test_whoever_is_killed_the_same_command_ends_in_the_same_bytes(tmp_path, executor):
    """SMARTX_KILLS=50 for the long loop. The kills are by the clock: a seed is only their order."""
    pytest.importorskip("tokenizers")
    if executor == "ray":
        pytest.importorskip("ray", reason=NO_RAY)
        if "SMARTX_KILLS" not in os.environ:
            pytest.skip("minutes; SMARTX_KILLS=50 runs it (test_ray.py has single deaths)")
    script = Path(__file__).parents[1] / "crew_crashes.py"
    asked = ["--executor", executor, "--kills", str(KILLS), "--seed", str(os.getpid())]
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), *asked],
        capture_output=True,
        text=True,
        check=False,
        timeout=3000,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    told = json.loads(done.stdout)
    assert told["workers"] + told["drivers"] + told["nodes"] >= KILLS
    assert not any(told["differing"]), told
