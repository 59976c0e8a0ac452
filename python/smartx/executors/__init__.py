"""Where the units of a stage are made: in this process, in several of this machine, on a cluster.

A choice changes no byte of what comes out. `drive.py` hands units out, in whichever place they are
made (a `Crew`); `job.py` is all that a worker is told.
"""

from __future__ import annotations

from smartx.executors.choose import elsewhere

__all__ = ["elsewhere"]
