"""What a detector's score says about a box being true, learned from its outputs without annotations.

Detectors score on scales of their own: one spreads over 0 to 1, the next over 0.85 to 0.91. What scales have in
common is order, and that a frame holds some tens of objects. So a score is read by its rank: by how many boxes a frame
score at least as high. The 40th best box of a frame is taken to be as likely true as not; the log odds rise and fall
linearly from there. The result does not change under any increasing change of the detector's scores.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from scenes import Boxes3D
from scenes.geometry import FloatArray

_EVEN_RANK = 40.0
_LOG_ODDS_PER_RANK = 0.06
_MOST_LOG_ODDS = 4.0
_TABLE_SIZE = 512


def probability(log_odds: FloatArray) -> FloatArray:
    """(N,) probabilities of given log odds."""
    value: FloatArray = 1.0 / (1.0 + np.exp(-log_odds))
    return value


@dataclass(frozen=True)
class ScoreScale:
    """A table from score to the log odds of being true.

    Attributes:
        score: (K,) ascending. log_odds: (K,) not descending.
    """

    score: FloatArray
    log_odds: FloatArray

    @classmethod
    def calibrated(cls) -> ScoreScale:
        """For a detector whose score is the probability of being true."""
        bound = 1.0 / (1.0 + np.exp(-_MOST_LOG_ODDS))
        score = np.linspace(1.0 - bound, bound, _TABLE_SIZE)
        return cls(score, np.log(score / (1.0 - score)))

    @classmethod
    def from_frames(cls, frames: Iterable[Boxes3D]) -> ScoreScale:
        """Learned from many frames of a detector's boxes."""
        scores = [boxes.score for boxes in frames]
        if not scores or not sum(map(len, scores)):
            return cls.calibrated()
        ascending = np.sort(np.concatenate(scores))
        picked = np.unique(np.linspace(0, len(ascending) - 1, _TABLE_SIZE).astype(np.int64))
        better_per_frame = (len(ascending) - picked) / len(scores)
        log_odds = np.clip(_LOG_ODDS_PER_RANK * (_EVEN_RANK - better_per_frame), -_MOST_LOG_ODDS, _MOST_LOG_ODDS)
        return cls(ascending[picked], log_odds)

    def of(self, score: FloatArray) -> FloatArray:
        """(N,) log odds of being true for boxes of these scores."""
        return np.interp(score, self.score, self.log_odds)
