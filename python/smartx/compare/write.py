"""A comparison, and the files that hold it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from smartx.compare.page import page
from smartx.compare.run import Protocol, compare
from smartx.config import RunConfig
from smartx.errors import ConfigError
from smartx.files import canonical_json, commit_bytes, storing
from smartx.progress import Progress


def write(
    config: RunConfig,
    strategies: Iterable[Any],
    protocol: Protocol,
    progress: Progress | None = None,
    *,
    json: Path | None = None,
    report: Path | None = None,
) -> tuple[dict[str, Any], list[Path]]:
    """`compare`, and its facts as JSON and as a page.

    Returns the facts, and the files that were written. Raises ConfigError before any work where a
    file has no folder to be in.
    """
    wanted = {"json": json, "report": report}
    paths = {n: Path(os.path.expanduser(path)) for n, path in wanted.items() if path is not None}
    for name, path in paths.items():
        if not path.parent.is_dir() or path.is_dir():
            fault = f"{path} is a folder" if path.is_dir() else f"{path.parent} is no folder"
            raise ConfigError(fault, place=name, fix="name a file in a folder that is there")
    facts = compare(config, strategies, protocol=protocol, progress=progress)
    for name, path in paths.items():
        with storing(path):
            made = canonical_json(facts) if name == "json" else page(facts).encode()
            commit_bytes(path, made)
    return facts, list(paths.values())
