"""Tracking metrics of parts: by distance from the ego vehicle, by speed, by visibility.

All boxes are matched as a whole; then each annotation, with its match, miss or switch, belongs to the part of its own
distance, speed or visibility, each false positive to that of the prediction. Visibility is known of annotations only:
its parts have no false positives and no MOTA.

    recall = (TP + IDS) / n        MOTA = 1 - (FN + IDS + FP) / n (may be negative)        MOTP = sum d / (TP + IDS)
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from evaluation.analysis.matched_class import MatchedClass
from evaluation.engine.box_table import BoolArray
from evaluation.engine.matching import NONE
from evaluation.engine.tracked_scenes import EvaluatedTracks, TrackedScenes
from scenes import Taxonomy
from scenes.geometry import FloatArray

RANGE_EDGES_M = (0.0, 20.0, 30.0, 40.0, 50.0, np.inf)
"""Beyond 50 m there are only boxes that were put into gaps: a track may leave the range and come back."""

_FARTHER_EDGES_M = (75.0, 100.0, 150.0, 200.0, 300.0)
"""Further edges, for classes that are evaluated farther away."""

SPEED_EDGES_MPS = (0.0, 0.5, 2.0, 5.0, 10.0, np.inf)
VISIBILITY = {1: "0-40%", 2: "40-60%", 3: "60-80%", 4: "80-100%"}


def breakdown(tracked: TrackedScenes, matched: MatchedClass) -> dict[str, dict[str, dict[str, float]]]:
    """The metrics of one class by part: `range_m`, `speed_mps` and `visibility`."""
    annotated, predicted = matched.class_.annotated.row, matched.class_.predicted.row
    ranges = [_range_m(tracked, tracked.annotated, annotated), _range_m(tracked, tracked.predicted, predicted)]
    speeds = [_speed_mps(tracked.annotated, annotated), _speed_mps(tracked.predicted, predicted)]
    visibility = _visibility(tracked)[annotated]
    return {
        "range_m": _by_interval(matched, ranges, _range_edges_m(tracked.taxonomy)),
        "speed_mps": _by_interval(matched, speeds, SPEED_EDGES_MPS),
        "visibility": {name: _metrics(matched, visibility == level, None) for level, name in VISIBILITY.items()},
    }


def _range_edges_m(taxonomy: Taxonomy) -> tuple[float, ...]:
    """The edges of the parts by distance, as far as the classes are evaluated."""
    farthest_m = max(class_.range_m for class_ in taxonomy.classes)
    *near, last = RANGE_EDGES_M
    return (*near, *(edge for edge in _FARTHER_EDGES_M if edge <= farthest_m), last)


def _by_interval(
    matched: MatchedClass, values: list[FloatArray], edges: tuple[float, ...]
) -> dict[str, dict[str, float]]:
    """Parts from one edge to the next, for the values of annotations and of predictions."""
    parts = {}
    for low, high in pairwise(edges):
        name = f">{low:g}" if np.isinf(high) else f"{low:g}-{high:g}"
        inside = [(value >= low) & (value < high) for value in values]
        parts[name] = _metrics(matched, inside[0], inside[1])
    return parts


def _metrics(matched: MatchedClass, annotated: BoolArray, predicted: BoolArray | None) -> dict[str, float]:
    is_found = annotated & (matched.partner != NONE)
    count, found, switches = int(annotated.sum()), int(is_found.sum()), int((annotated & matched.switched).sum())
    unmatched = matched.takes_part & ~matched.is_partner
    false_positives = np.nan if predicted is None else int((predicted & unmatched).sum())
    errors = count - found + switches + false_positives
    return {
        "gt": count,
        "recall": found / count if count else np.nan,
        "mota": 1 - errors / count if count else np.nan,
        "motp": float(matched.distance_m[is_found].mean()) if found else np.nan,
        "fp": false_positives,
        "fn": count - found,
        "ids": switches,
    }


def _range_m(tracked: TrackedScenes, tracks: EvaluatedTracks, rows: NDArray[np.int64]) -> FloatArray:
    ego_m = np.array([frame.global_from_ego[:2, 3] for frame in tracked.frames])
    offset_m = tracks.table.xy_m[rows] - ego_m[tracks.table.frame[rows]]
    distance_m: FloatArray = np.hypot(offset_m[:, 0], offset_m[:, 1])
    return distance_m


def _speed_mps(tracks: EvaluatedTracks, rows: NDArray[np.int64]) -> FloatArray:
    velocity = tracks.table.velocity_mps[rows]
    return np.hypot(velocity[:, 0], velocity[:, 1])


def _visibility(tracked: TrackedScenes) -> NDArray[np.int64]:
    """(N,) visibility of each annotated box; of one in a gap that of the box before."""
    of_frames = [frame.annotations.visibility for frame in tracked.frames if frame.annotations is not None]
    visibility: NDArray[np.int64] = np.concatenate(of_frames)[tracked.annotated.rows]
    return visibility[tracked.annotated.table.source]
