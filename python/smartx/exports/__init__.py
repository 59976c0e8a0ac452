"""A mixture -> what one trainer or tool takes: its own files, its own keys, nothing else."""

from __future__ import annotations

from smartx.exports.format import Format
from smartx.exports.run import Exported, export
from smartx.exports.table import FORMATS, format_named

__all__ = ["FORMATS", "Exported", "Format", "export", "format_named"]
