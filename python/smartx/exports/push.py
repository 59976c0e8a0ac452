"""An export goes to the Hugging Face Hub, as a data set."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Protocol

from smartx.errors import InputError, MissingPackageError, SmartxError, first_line
from smartx.store import MANIFEST

_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*")
# What says where on this machine other files are, and what smartx alone reads.
STAYS_HERE = ("*.yaml", "blend.json", MANIFEST)


class Hub(Protocol):
    """What is asked of the Hub: of `huggingface_hub.HfApi`, or of what stands in for it."""

    def whoami(self) -> Any:
        """Who is logged in; raises where nobody is."""

    def create_repo(self, repo_id: str, *, repo_type: str, private: bool, exist_ok: bool) -> Any:
        """Make a data set, if there is none."""

    def upload_folder(
        self,
        *,
        repo_id: str,
        folder_path: str,
        repo_type: str,
        commit_message: str,
        ignore_patterns: list[str],
    ) -> Any:
        """Upload files as one commit; what it returns has `oid`."""


def checked_hub(name: str, hub: Hub | None = None) -> Hub:
    """The Hub, once it is known that somebody is logged in.

    name: OWNER/NAME of the data set. Raises InputError for another form of name,
    MissingPackageError, and SmartxError where the Hub cannot be reached or knows nobody.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f'"{name}" is not the name of a data set of the Hub',
            place="push",
            fix="give OWNER/NAME",
        )
    hub = hub or _hugging_face()
    try:
        hub.whoami()
    except Exception as problem:  # the client's errors have no common kind
        raise SmartxError(
            f"the Hub cannot be reached, or nobody is logged in ({first_line(problem)})",
            place="push",
            fix="check the network and log in (`hf auth login`); nothing was written",
        ) from None
    return hub


def push(folder: Path, name: str, hub: Hub, *, private: bool, message: str) -> str:
    """Upload a finished export, but for what is of this machine alone. Returns the commit.

    Raises SmartxError where the Hub refuses; the export stays as it is.
    """
    try:
        hub.create_repo(name, repo_type="dataset", private=private, exist_ok=True)
        done = hub.upload_folder(
            repo_id=name,
            folder_path=str(folder),
            repo_type="dataset",
            commit_message=message,
            ignore_patterns=list(STAYS_HERE),
        )
    except Exception as problem:  # the client's errors have no common kind
        raise SmartxError(
            f"it could not be pushed to {name} ({first_line(problem)})",
            place=str(folder),
            fix="the export is finished: check network and rights, and run the same command again",
        ) from None
    return str(getattr(done, "oid", ""))


def _hugging_face() -> Hub:
    try:
        from huggingface_hub import HfApi
    except ImportError:
        raise MissingPackageError("huggingface_hub", needed_for="push", extra="hub") from None
    api: Hub = HfApi()
    return api
