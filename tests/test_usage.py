"""How much memory is in use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from smartx import usage
from smartx.usage import memory_in_use

needs_proc = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="there is no /proc")
HOLDS = "held = b'x' * (64 << 20); print(flush=True); input()"


@needs_proc
@pytest.mark.processes
def test_what_a_started_process_holds_is_counted_until_it_ends():
    before = memory_in_use()
    with subprocess.Popen(
        [sys.executable, "-S", "-c", HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        child.stdout.readline()
        assert memory_in_use() - before > 48 << 20
        assert memory_in_use(child.pid) > 64 << 20
        child.communicate(b"\n")
    assert memory_in_use() - before < 48 << 20


@needs_proc
def test_it_is_about_what_the_kernel_says():
    lines = Path(f"/proc/{os.getpid()}/status").read_text().splitlines()
    resident = next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS"))
    assert memory_in_use(os.getpid()) == pytest.approx(resident, rel=0.5)


def test_where_it_cannot_be_known_nothing_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(usage, "_PROC", tmp_path)
    assert memory_in_use() is None
