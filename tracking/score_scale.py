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
    """The scores of the frames seen so far, thinned out: at most some hundred, each standing for those about it.

    Attributes:
        score: (K,) ascending.
        count: (K,) how many boxes each stands for: itself and those between it and the next lower.
        frames: how many frames they come from; those without boxes do not count.
    """

    score: FloatArray
    count: FloatArray
    frames: int

    @classmethod
    def unknown(cls) -> ScoreScale:
        """Nothing seen yet."""
        return cls(np.zeros(0), np.zeros(0), 0)

    @classmethod
    def from_frames(cls, frames: Iterable[Boxes3D]) -> ScoreScale:
        """Learned from many frames of a detector's boxes."""
        scores = [_finite(boxes.score) for boxes in frames]
        score = np.concatenate([*scores, np.zeros(0)])
        return cls._thinned(score, np.ones(len(score)), sum(len(of_frame) > 0 for of_frame in scores))

    def with_frame(self, boxes: Boxes3D) -> ScoreScale:
        """What is known when one more frame has been seen."""
        new = _finite(boxes.score)
        score, count = np.concatenate([self.score, new]), np.concatenate([self.count, np.ones(len(new))])
        return self._thinned(score, count, self.frames + (len(new) > 0))

    @classmethod
    def _thinned(cls, score: FloatArray, count: FloatArray, frames: int) -> ScoreScale:
        order = np.argsort(score, kind="stable")
        score, up_to = score[order], np.cumsum(count[order])
        last_of_equal = np.diff(score, append=np.inf) > 0.0
        score, up_to = score[last_of_equal], up_to[last_of_equal]
        if len(score) > 2 * _TABLE_SIZE:
            # The lowest and the highest stay, and between them what parts the boxes evenly.
            picked = np.unique(np.searchsorted(up_to, np.linspace(up_to[0], up_to[-1], _TABLE_SIZE)))
            score, up_to = score[picked], up_to[picked]
        return cls(score, np.diff(up_to, prepend=0.0), frames)

    def of(self, score: FloatArray) -> FloatArray:
        """(N,) log odds of being true for boxes of these scores."""
        if not len(self.score):
            return np.zeros(len(score))
        at_least = np.cumsum(self.count[::-1])[::-1]
        log_odds = _LOG_ODDS_PER_RANK * (_EVEN_RANK - at_least / self.frames)
        return np.interp(score, self.score, np.clip(log_odds, -_MOST_LOG_ODDS, _MOST_LOG_ODDS))


def _finite(score: FloatArray) -> FloatArray:
    finite: FloatArray = score[np.isfinite(score)]
    return finite
