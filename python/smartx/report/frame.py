"""What pages that are one file have in common: their templates, and a policy that allows nothing
but what stands in them.
"""

from __future__ import annotations

import base64
import hashlib

from jinja2 import Environment, PackageLoader, StrictUndefined

from smartx.progress import counted
from smartx.report.words import percent


def environment(package: str) -> Environment:
    """Of the templates of a package: names are escaped, and what a template lacks is an error."""
    found = Environment(
        loader=PackageLoader(package, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["whole"] = lambda value: f"{value:,}"
    found.filters["percent"] = percent
    found.filters["counted"] = counted
    return found


def policy(css: str, script: str = "") -> str:
    """The content security policy of a page with this style and this script, if any.

    Nothing else is loaded, sent or run: the browser compares these texts with their SHA-256.
    """
    parts = {"default-src": "'none'", "style-src": _hash(css)}
    if script:
        parts["script-src"] = _hash(script)
    parts |= {"base-uri": "'none'", "form-action": "'none'"}
    return "; ".join(f"{name} {value}" for name, value in parts.items())


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
