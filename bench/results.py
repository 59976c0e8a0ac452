"""The file that keeps what was measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def save(path: Path, kept: dict[str, Any]) -> None:
    """Write all of it, or leave what was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(kept, indent=1))
    part.replace(path)
