"""Thresholds: each sends about its share of the scores to the second detector."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detection.models.routing.thresholds import HARD_SHARES, percentile_thresholds


# A router's scores are float32: between two of them there is room for a threshold in float64.
@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=60, unique=True))
def test_share_below_each_threshold(scores: list[float]) -> None:
    thresholds = percentile_thresholds(scores)
    assert (np.diff(thresholds) >= 0).all() and thresholds[0] == 0 and thresholds[-1] == 1
    for share, threshold in zip(HARD_SHARES[:-1], thresholds[:-1], strict=True):
        below = np.mean(np.array(scores) < threshold)
        assert abs(below - share) <= 1 / len(scores)
