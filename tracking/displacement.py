"""Tracks of several classes in one place: there is one object, and the better track is more probably right."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from scenes.geometry import FloatArray
from tracking.association import IndexArray, near_pairs

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
    lower = np.zeros(len(xy_m), dtype=np.bool_)
    if len(np.unique(label)) < 2:
        return lower
    alike = np.zeros(len(xy_m), dtype=np.int64)
    row, column = near_pairs(xy_m, alike, xy_m, alike, float(_SAME_PLACE * length_m.max()))
    apart_m = np.hypot(*(xy_m[row] - xy_m[column]).T)
    within = apart_m < _SAME_PLACE * np.maximum(length_m[row], length_m[column])
    within &= (label[row] != label[column]) & (score[column] > score[row])
    lower[row[within]] = True
    return lower
