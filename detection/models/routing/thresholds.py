"""Thresholds of a router for wanted shares of hard inputs."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

HARD_SHARES: Final = tuple(tenth / 10 for tenth in range(11))
"""Shares of hard inputs for which thresholds are kept: none, a tenth, ..., all."""


def percentile_thresholds(scores: ArrayLike) -> NDArray[np.float64]:
    """(11,) the threshold below which each of `HARD_SHARES` of the scores lies: percentiles between 0 and 1.

    Args:
        scores: (n,) of a router, at least one.
    """
    inner = np.percentile(np.asarray(scores), [100 * share for share in HARD_SHARES[1:-1]])
    return np.concatenate(([0.0], inner, [1.0]))
