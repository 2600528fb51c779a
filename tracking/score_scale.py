"""What a detector's score says about a box being true, learned from its outputs without annotations.

A true box is followed by another one where its motion says, clutter less often (`tracking.persistence`). So the share
of boxes that are followed rises with the score from that of clutter to that of objects; where it rises, and how
steeply, tells the log odds of being true:

    P(followed | value) = low + (high - low) * sigmoid(slope * (value - middle))

Detectors score on scales of their own: one spreads over 0 to 1, the next over 0.85 to 0.91. Two readings of a score
compete by how well they explain what is followed. As a probability its value is its logit, and little has to be
learned. As a mere place among all scores its value is the logit of the share of boxes that score lower, and before
anything is known the 40th best box of a frame is taken to be as likely true as not; this reading does not change under
any increasing change of the detector's scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from scenes.geometry import FloatArray

_EVEN_RANK = 40.0
_USUAL_FOLLOWED = np.array([0.2, 0.9])
"""Of clutter and of objects."""
_FOLLOWED_SPREAD = np.array([0.2, 0.1])
_VARIANCE = 0.2
"""Of whether a box is followed."""
_BOXES_OF_A_KIND = 100.0
"""What is followed says as much as a hundredth of its boxes would if each had been drawn by itself: an object or a wall
that looks like a truck makes many boxes, which are followed alike, and a drive is like itself."""
_USUAL_SPREAD, _SPREAD_OF_SPREADS = 1.6, 0.5
"""Standard deviation of the logits of a detector's probabilities, and of its logarithm from detector to detector."""
_MOST_LOG_ODDS = 5.0
_N_BINS = 24
_EDGES = (-4.0, 5.0)
_BIN_WIDTH = (_EDGES[1] - _EDGES[0]) / _N_BINS
"""Values are counted together in bins."""
_TABLE_SIZE = 256
_NOTHING = np.zeros(0)


def probability(log_odds: FloatArray) -> FloatArray:
    """(N,) probabilities of given log odds."""
    value: FloatArray = 1.0 / (1.0 + np.exp(-log_odds))
    return value


def log_odds_of(probability: FloatArray) -> FloatArray:
    """(N,) log odds of given probabilities, finite also of 0 and 1."""
    bounded = np.clip(probability, 1e-9, 1.0 - 1e-9)
    log_odds: FloatArray = np.log(bounded / (1.0 - bounded))
    return log_odds


@dataclass(frozen=True)
class ScoreScale:
    """The scores of the frames seen so far, thinned out: at most some hundred, each standing for those about it.

    Attributes:
        score: (K,) ascending.
        count: (K,) how many boxes each stands for: itself and those between it and the next lower.
        judged, followed: (K,) of how many it is known whether they are followed, and how many are.
        frames: how many frames they come from; those without boxes do not count.
    """

    score: FloatArray
    count: FloatArray
    judged: FloatArray
    followed: FloatArray
    frames: int

    @classmethod
    def unknown(cls) -> ScoreScale:
        """Nothing seen yet."""
        return cls(np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0), 0)

    def with_frame(
        self, score: FloatArray, judged_score: FloatArray = _NOTHING, followed: FloatArray = _NOTHING
    ) -> ScoreScale:
        """What is known when the boxes (B,) of one more frame have been seen.

        Args:
            score: (B,) theirs.
            judged_score, followed: (J,) of the boxes of an earlier frame of which it has become known whether they are
                followed (1) or not (0).
        """
        new, old = np.ones(len(score)), np.ones(len(judged_score))
        score, n_frames = np.concatenate([self.score, score, judged_score]), self.frames + (len(score) > 0)
        order = np.argsort(score, kind="stable")
        score = score[order]
        columns = (
            np.concatenate([self.count, new, np.zeros(len(old))]),
            np.concatenate([self.judged, np.zeros(len(new)), old]),
            np.concatenate([self.followed, np.zeros(len(new)), followed]),
        )
        up_to = [np.cumsum(column[order]) for column in columns]
        kept = np.flatnonzero(np.diff(score, append=np.inf) > 0.0)
        if len(kept) > 2 * _TABLE_SIZE:
            # The lowest and the highest stay, and between them what parts the boxes evenly.
            counted = up_to[0][kept]
            kept = kept[np.unique(np.searchsorted(counted, np.linspace(counted[0], counted[-1], _TABLE_SIZE)))]
        count, judged, followed = (np.diff(column[kept], prepend=0.0) for column in up_to)
        return ScoreScale(score[kept], count, judged, followed, n_frames)

    def of(self, score: FloatArray) -> FloatArray:
        """(N,) log odds of being true for boxes of these scores."""
        if not len(self.score):
            return np.zeros(len(score))
        return np.interp(score, self.score, np.clip(self._log_odds, -_MOST_LOG_ODDS, _MOST_LOG_ODDS))

    @cached_property
    def _log_odds(self) -> FloatArray:
        """(K,) of being true: the mean over all rises under both readings, as probable as they are."""
        grid, readings = _grid(), [reading for reading in (self._as_places(), self._as_probabilities()) if reading]
        beliefs = [self._belief(reading) for reading in readings]
        highest = max(belief.max() for belief in beliefs)
        weights = [np.exp(belief - highest) for belief in beliefs]
        log_odds = np.zeros(len(self.score))
        for reading, weight in zip(readings, weights, strict=True):
            log_odds += (weight @ grid.slope) * reading.value - weight @ (grid.slope * grid.middle)
            log_odds -= weight.sum() * reading.lasting_clutter
        mean: FloatArray = log_odds / sum(weight.sum() for weight in weights)
        return mean

    # The numbers of both readings were chosen on four detectors together, see docs/tracking.md, "What a score means".

    def _as_places(self) -> _Reading:
        place = (np.cumsum(self.count) - 0.5 * self.count) / self.count.sum()
        wanted = _EVEN_RANK * self.frames / self.count.sum()
        even = np.clip(1.0 - wanted, 0.05, 0.98)
        # Where frames hold fewer boxes than that, nothing says which are true.
        doubt = 1.5 + 2.0 * max(0.0, float(np.log(wanted)))
        return _Reading(_logit(place), float(_logit(even)), 1.0, 1.5, 0.5, lasting_clutter=0.0, doubt=doubt)

    def _as_probabilities(self) -> _Reading | None:
        if self.score[0] < 0.0 or self.score[-1] > 1.0:
            return None
        value = _logit(self.score)
        share = self.count / self.count.sum()
        mean = (share * value).sum()
        spread = max(np.sqrt((share * (value - mean) ** 2).sum()), 1e-3)
        doubt = 0.5 * (np.log(spread / _USUAL_SPREAD) / _SPREAD_OF_SPREADS) ** 2
        return _Reading(value, -0.9, 0.5, 1.5, 0.3, lasting_clutter=0.5, doubt=float(doubt))

    def _belief(self, reading: _Reading) -> FloatArray:
        """(R,) log probability of each rise of the grid."""
        from tracking.score_loops import fitted_beliefs  # compiled: the compiler's import takes a while

        grid, weight = _grid(), 1.0 / (_VARIANCE * _BOXES_OF_A_KIND)
        bin_ = np.minimum(((reading.value - _EDGES[0]) / _BIN_WIDTH).astype(np.int64), _N_BINS - 1)
        judged = weight * np.bincount(bin_, self.judged, _N_BINS)
        followed = weight * np.bincount(bin_, self.followed, _N_BINS)
        belief: FloatArray = fitted_beliefs(grid.risen, judged, followed, _USUAL_FOLLOWED, 1.0 / _FOLLOWED_SPREAD**2)
        return belief - reading.surprise(grid)


@dataclass(frozen=True)
class _Reading:
    """Scores as values over which the share of followed boxes rises, and which rises are usual.

    Attributes:
        value: (K,) of the scores of a scale.
        middle, middle_spread: of usual rises.
        slope, slope_spread: of usual rises; the spread is that of the logarithm.
        lasting_clutter: log odds by which boxes are less probably true than followed boxes say, since some clutter is
            followed too.
        doubt: log odds against this reading before anything is known.
    """

    value: FloatArray
    middle: float
    middle_spread: float
    slope: float
    slope_spread: float
    lasting_clutter: float
    doubt: float

    def surprise(self, grid: _Grid) -> FloatArray:
        """(R,) how unusual each rise is: minus its log density before anything is known."""
        middle = (grid.middle - self.middle) / self.middle_spread
        slope = np.log(grid.slope / self.slope) / self.slope_spread
        surprise: FloatArray = 0.5 * (middle**2 + slope**2) + np.log(self.middle_spread * self.slope_spread)
        return surprise + self.doubt


@dataclass(frozen=True)
class _Grid:
    """R rises of the share of followed boxes, from 0 to 1 over the bins.

    Attributes:
        middle, slope: (R,).
        risen: (R, bins) how far each has risen in a bin.
    """

    middle: FloatArray
    slope: FloatArray
    risen: FloatArray


@cache
def _grid() -> _Grid:
    middle, slope = (axis.ravel() for axis in np.meshgrid(np.linspace(-3.0, 4.0, 29), np.geomspace(0.5, 6.0, 9)))
    centres = _EDGES[0] + _BIN_WIDTH * (np.arange(_N_BINS) + 0.5)
    return _Grid(middle, slope, probability(slope[:, None] * (centres - middle[:, None])))


def _logit(share: FloatArray) -> FloatArray:
    logit: FloatArray = np.clip(log_odds_of(share), _EDGES[0], _EDGES[1])
    return logit
