"""The evaluation sheet: what part of the rows fails each rule, before cleaning and after.

Rules that drop leave nothing behind; what those that are switched off find shows what is left.
Source: the defect ratios by machine of Ziya2's data factory (arXiv 2311.03301).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from smartx.clean.measuring import Measures
from smartx.clean.sift import Sifted
from smartx.clean.verdicts import MEANINGS


def sheet(measures: Measures, sifted: Sifted) -> list[dict[str, Any]]:
    """An entry a rule: `rule`, `meaning`, whether it `drops`; rows that fail it `before` and
    `after`, and how many are `dropped` for it first.

    Copies are counted among the rows that no other rule drops.
    """
    kept = np.ones(int(measures.manifest["rows"]), np.bool_)
    kept[sifted.dropped["row_id"].to_numpy()] = False
    first = dict(sifted.counts())
    return [
        {
            "rule": one.name,
            "meaning": MEANINGS[one.name],
            "drops": one.drops,
            "before": int(one.mask.sum()),
            "after": int((one.mask & kept).sum()),
            "dropped": first.get(one.name, 0),
        }
        for one in sifted.told
    ]
