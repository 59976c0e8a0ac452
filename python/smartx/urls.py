"""URLs of object stores (s3://, gs://, az://, hf://, https://, ...): the file system behind one,
from the optional package fsspec, and how a URL is shown, without what may be secret in it.
"""

from __future__ import annotations

import errno
import re
from importlib import import_module
from typing import Any

from smartx.errors import InputError, MissingPackageError

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://(.*)", re.DOTALL)
_WEB = ("http", "https")
_QUERY = re.compile(r"(https?://[^\s?#'\"]*)[?#][^\s'\"]*")
_SECRET = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+://)[^\s/@'\"]*:[^\s/@'\"]*@")
_REASON = 200  # characters of somebody else's error
# What is to be installed for a scheme; fsspec names the package of any other in its error.
_PACKAGES = {
    **dict.fromkeys(("s3", "s3a"), "s3fs"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("az", "abfs", "abfss", "adl"), "adlfs"),
    **dict.fromkeys(_WEB, "aiohttp requests"),
    "hf": "huggingface_hub",
}


def is_url(text: str) -> bool:
    """Whether a text is the URL of an object store, and not of a file of this machine."""
    found = _URL.fullmatch(text)
    return found is not None and found[1].lower() != "file"


def was_url(path: object) -> bool:
    """Whether a path of this machine was a URL before it was taken for one: s3:/bucket/folder."""
    schemes = {f"{scheme}:" for scheme in (*_PACKAGES, "memory")}
    return not schemes.isdisjoint(str(path).lower().split("/"))


def is_web(url: str) -> bool:
    """Whether it is of a web server, which has files and no folders."""
    return scheme_of(url) in _WEB


def scheme_of(url: str) -> str:
    """What stands before ://."""
    return url.partition("://")[0].lower()


def shown(url: str) -> str:
    """A URL for people and manifests: without user and password, and of the web without a query,
    which may be a signature.
    """
    bare = _SECRET.sub(r"\1", url)
    return _QUERY.sub(r"\1", bare) if is_web(bare) else bare


def without_secrets(text: str) -> str:
    """Any text, in which URLs may stand that hold secrets."""
    return _QUERY.sub(r"\1?...", _SECRET.sub(r"\1...@", text))


def reason(problem: BaseException) -> str:
    """What an error of a store says, in one line without secrets."""
    lines = str(problem).strip().splitlines() or [type(problem).__name__]
    return without_secrets(lines[0])[:_REASON]


def filesystem(url: str) -> tuple[Any, str]:
    """The fsspec file system of a URL, and its path there. What it knew of files is forgotten.

    Raises MissingPackageError without fsspec; InputError where the scheme is not known, its package
    is not installed, or a password stands in the URL.
    """
    if _SECRET.match(url):
        raise InputError(
            "a user and a password stand in the URL, which would come into logs",
            place=shown(url),
            fix="give them as the store's own settings (environment or its configuration file)",
        )
    try:
        core = import_module("fsspec.core")
    except ImportError:
        raise MissingPackageError("fsspec", needed_for=shown(url), extra="stores") from None
    scheme = scheme_of(url)
    try:
        found, path = core.url_to_fs(url)
    except ImportError as problem:
        package = _PACKAGES.get(scheme, "")
        what = f'the package "{package}", which is not installed' if package else reason(problem)
        fix = f"pip install {package}" if package else "install what fsspec asks for"
        raise InputError(f"{scheme}:// needs {what}", place=shown(url), fix=fix) from None
    except Exception as problem:  # each package has errors of its own
        fault = f"the store cannot be opened ({reason(problem)})"
        raise InputError(fault, place=shown(url), fix="check the URL and the settings") from None
    found.invalidate_cache()
    return found, str(path)


class as_os_error:  # noqa: N801, a block
    """Turn whatever a store's package raises into an OSError."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, problem: BaseException | None, trace: Any) -> None:
        if problem is None or not isinstance(problem, Exception):
            return
        number = problem.errno if isinstance(problem, OSError) else None
        absent = isinstance(problem, FileNotFoundError)
        raised = FileNotFoundError if absent else OSError
        words = "there is no such object" if absent else reason(problem)
        raise raised(number or errno.EIO, words) from None
