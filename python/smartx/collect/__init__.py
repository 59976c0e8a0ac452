"""Features that a model gives of the rows of a corpus: made in parts, kept, found by name."""

from smartx.collect.found import collected_feature, is_collected, needed_feature
from smartx.collect.stage import PART_ROWS, Collected

__all__ = ["PART_ROWS", "Collected", "collected_feature", "is_collected", "needed_feature"]
