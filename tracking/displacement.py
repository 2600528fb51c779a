"""Tracks of several classes in one place: there is one object, and the better track is more probably right."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from scenes.geometry import FloatArray
from tracking.association import IndexArray

DISPLACED_LOG_ODDS: Final = -1.0
"""What a better track of another class in its place tells of a track. Chosen with the numbers of hindsight
(docs/tracking.md, "With hindsight"), and then found to be right online."""

_SAME_PLACE: Final = 0.35
"""Two tracks are in one place whose middles lie nearer than this share of the longer body: no two bodies fit there."""


def displaced(xy_m: FloatArray, length_m: FloatArray, label: IndexArray, score: FloatArray) -> NDArray[np.bool_]:
    """(T,) which tracks have a better one of another class in their place.

    Args:
        xy_m: (T, 2) where tracks are. length_m: (T,) of their bodies. label: (T,) their classes. score: (T,).
    """
    from tracking.pair_loops import beaten_in_place  # compiled: the compiler's import takes a while

    if not len(xy_m):
        return np.zeros(0, dtype=np.bool_)
    order = np.argsort(xy_m[:, 0], kind="stable")
    beaten: NDArray[np.bool_] = beaten_in_place(order, xy_m, length_m, label, score, _SAME_PLACE)
    return beaten
