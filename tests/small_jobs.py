"""Jobs for processes of their own, which must find them by name."""

from __future__ import annotations

import os
import time


def prepared(folder):
    os.environ["PREPARED"] = folder


def doubled(job):
    if job == "bad":
        raise ValueError("bad job")
    if job == "slow":
        time.sleep(60)
    return os.environ["PREPARED"], 2 * job
