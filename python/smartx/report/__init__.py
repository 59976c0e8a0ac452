"""The report of a mixture: what a person looks at before training on it."""

from __future__ import annotations

from smartx.report.html import render

__all__ = ["render"]
