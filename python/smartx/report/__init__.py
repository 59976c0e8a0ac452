"""The report of a mixture: what a person looks at before training on it."""

from __future__ import annotations

from smartx.report.again import material_of, report_again
from smartx.report.atlas import write_map
from smartx.report.html import Beside, render
from smartx.report.material import Material

__all__ = ["Beside", "Material", "material_of", "render", "report_again", "write_map"]
