"""By what a row of the corpus is told to be contaminated."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from smartx.engine import checked_threshold
from smartx.errors import ConfigError

EXACT, NGRAMS, NEAR, TRAINED = "exact", "ngrams", "near", "trained"
DETECTORS = (EXACT, NGRAMS, NEAR)
REASONS = (*DETECTORS, TRAINED)


@dataclass(frozen=True)
class Detection:
    """Which detectors look, and what is enough for them.

    by: some of DETECTORS.  words: of an n-gram.  share: least part of the words under an evaluation
    row's own n-grams that a row holds too.  least: an evaluation prompt of fewer words is only
    found by equality.  common: an n-gram in more evaluation texts than this is nobody's own.
    cosine: least one of near rows.
    docs/leave_out.md says what these find of rows that were planted, and what besides.
    """

    by: tuple[str, ...] = (EXACT, NGRAMS)
    words: int = 8
    share: float = 0.5
    least: int = 8
    common: int = 10
    cosine: float = 0.9

    def __post_init__(self) -> None:
        unknown = [name for name in self.by if name not in DETECTORS]
        if unknown or not self.by:
            fault = f'there is no detector "{unknown[0]}"' if unknown else "no detector is named"
            raise ConfigError(
                fault, place="leave_out_by", fix=f"name some of {', '.join(DETECTORS)}"
            )
        if self.words < 2 or self.least < 1 or self.common < 1 or not 0 < self.share <= 1:
            raise ConfigError(
                f"n-grams of {self.words} words, a share of {self.share:g}, at least {self.least} "
                f"words and {self.common} texts are not all in range",
                place="leave_out",
                fix="an n-gram has at least 2 words, and a share is above 0 and at most 1",
            )
        checked_threshold(self.cosine)

    def parameters(self) -> dict[str, Any]:
        """What decides which rows are found, by name: of the detectors that look."""
        own = {NGRAMS: ("words", "share", "least", "common"), NEAR: ("cosine",)}
        facts = asdict(self)
        names = [name for detector in self.by for name in own.get(detector, ())]
        by = [name for name in DETECTORS if name in self.by]
        return {"by": by, **{name: facts[name] for name in names}}
