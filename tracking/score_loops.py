"""The loop of `tracking.score_scale`, compiled."""

from __future__ import annotations

import numpy as np

from scenes.compiled import compiled
from scenes.geometry import FloatArray


@compiled(error_model="numpy")
def fitted_beliefs(
    risen: FloatArray, judged: FloatArray, followed: FloatArray, usual: FloatArray, known: FloatArray
) -> FloatArray:
    """(R,) log probability of each rise, up to a constant, its two levels fitted.

    The share of followed boxes is `low * (1 - risen) + high * risen`; the levels solve the normal equations of least
    squares, with what is usual of each as one observation more.

    Args:
        risen: (R, bins) how far each rise has come.
        judged, followed: (bins,) weight of the boxes of which it is known, and of those that are followed.
        usual, known: (2,) the usual levels, and their weights.
    """
    belief = np.empty(len(risen))
    for rise in range(len(risen)):
        low_low, low_high, high_high = known[0], 0.0, known[1]
        low_seen, high_seen = known[0] * usual[0], known[1] * usual[1]
        for bin_ in range(len(judged)):
            high, low = risen[rise, bin_], 1.0 - risen[rise, bin_]
            low_low += low * low * judged[bin_]
            low_high += low * high * judged[bin_]
            high_high += high * high * judged[bin_]
            low_seen += low * followed[bin_]
            high_seen += high * followed[bin_]
        determinant = low_low * high_high - low_high * low_high
        explained = high_high * low_seen * low_seen - 2.0 * low_high * low_seen * high_seen
        explained += low_low * high_seen * high_seen
        belief[rise] = 0.5 * (explained / determinant - np.log(determinant))
    return belief
