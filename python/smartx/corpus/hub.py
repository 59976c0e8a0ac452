"""Data sets of the Hugging Face Hub: fetched once, at one revision, which is recorded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from smartx.errors import CorpusError, MissingPackageError, first_line

_NAME = re.compile(r"(?:hf://(?:datasets/)?)?([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")
PATTERNS = ["*.parquet", "README.md"]


class Hub(Protocol):
    """What is asked of the Hub."""

    def revision(self, name: str, wanted: str | None) -> str:
        """The commit that a branch, tag or nothing stands for."""

    def fetch(self, name: str, commit: str) -> Path:
        """A folder with the Parquet files and the card of a data set."""


@dataclass(frozen=True)
class Fetched:
    """A data set on this machine. origin: NAME@COMMIT, for manifests."""

    folder: Path
    origin: str


def hub_name(source: str) -> tuple[str, str | None] | None:
    """(NAME, revision) of `org/name`, `org/name@revision` or `hf://datasets/org/name`."""
    found = _NAME.fullmatch(source)
    return (found[1], found[2]) if found else None


def fetch(source: str, hub: Hub | None = None) -> Fetched:
    """Fetch what `hub_name` understands. Raises CorpusError where the Hub cannot be reached."""
    named = hub_name(source)
    assert named is not None
    name, wanted = named
    hub = hub or _hugging_face(name)
    try:
        commit = hub.revision(name, wanted)
        return Fetched(hub.fetch(name, commit), f"{name}@{commit}")
    except Exception as problem:  # the client's errors have no common kind
        raise CorpusError(
            source,
            0,
            "there is no such file or folder, nor can it be fetched from the Hub "
            f"({first_line(problem)})",
            fix="check the name and the network, or download the data set and name its folder",
        ) from None


def _hugging_face(name: str) -> Hub:
    try:
        import huggingface_hub
    except ImportError:
        raise MissingPackageError(
            "huggingface_hub", needed_for=f"reading {name} from the Hub", extra="hub"
        ) from None
    return _HuggingFace(huggingface_hub)


@dataclass(frozen=True)
class _HuggingFace:
    client: Any

    def revision(self, name: str, wanted: str | None) -> str:
        return str(self.client.HfApi().dataset_info(name, revision=wanted).sha)

    def fetch(self, name: str, commit: str) -> Path:
        return Path(
            self.client.snapshot_download(
                name, repo_type="dataset", revision=commit, allow_patterns=PATTERNS
            )
        )
