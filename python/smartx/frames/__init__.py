"""What a Python caller holds in memory, as the files that a run reads."""

from __future__ import annotations

from smartx.frames.call import Call, call_of
from smartx.frames.rows import is_rows, write_rows

__all__ = ["Call", "call_of", "is_rows", "write_rows"]
