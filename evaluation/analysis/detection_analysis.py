"""AP by class, matching distance and range: at what range objects are found, and how far off.

Boxes are matched as for the official AP, all ranges together. In a range count the annotations in it, the true
positives that take them, wherever these lie, and the false positives that lie in it themselves: no box that is a little
off falls out of the range of its object.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np

from evaluation.detection import (
    MATCHING_DISTANCES_M,
    ClassDetections,
    average_precision,
    curves_of_matches,
    match_detections,
    prepare_detections,
)
from evaluation.engine.box_table import BoxTable, IntArray, ego_distance_m
from scenes import Frame, Results, Scene

RANGES_M: Final = (0.0, 10.0, 20.0, 30.0, 40.0, 50.0)


def analyse_detections(
    results: Results, scenes: Sequence[Scene], ranges_m: Sequence[float] = RANGES_M
) -> dict[str, dict[str, Any]]:
    """Of each class, and as `all` of their mean, the AP by matching distance in each range.

    Args:
        results: boxes for every key frame of `scenes`, in global coordinates.
        scenes: annotated scenes.
        ranges_m: borders between ranges, ascending; the distance is from the ego vehicle, in the ground plane.

    Returns:
        by class and range (`0 to 10 m`): `gt`, the annotations in it, `ap`, a list in the order of
        `MATCHING_DISTANCES_M`, and `mean_ap`; NaN where nothing is annotated.
    """
    frame_of_token = {frame.token: frame for scene in scenes for frame in scene.frames}
    frames = [frame_of_token[token] for token in results.boxes]
    analysis = {
        class_.class_.name: _of_class(class_, frames, ranges_m) for class_ in prepare_detections(results, scenes)
    }
    return analysis | {"all": _mean(list(analysis.values()))}


def _of_class(class_: ClassDetections, frames: Sequence[Frame], ranges_m: Sequence[float]) -> dict[str, Any]:
    annotated = _range_of(class_.annotated, frames, ranges_m)
    own = _range_of(class_.predicted.select(class_.rows), frames, ranges_m)
    found: dict[str, Any] = {}
    matches = match_detections(class_, MATCHING_DISTANCES_M)
    for index, name in enumerate(_names(ranges_m)):
        count = int((annotated == index).sum())
        ap = [_average_precision(class_, match, annotated, own, index) if count else float("nan") for match in matches]
        found[name] = {"gt": count, "ap": ap, "mean_ap": float(np.mean(ap))}
    return found


def _average_precision(
    class_: ClassDetections, match: IntArray, annotated: IntArray, own: IntArray, index: int
) -> float:
    """AP in one range, for the annotation (P,) that each prediction takes, -1 for none."""
    is_match = match >= 0
    counts = np.where(is_match, annotated[match], own) == index if len(annotated) else own == index
    curves = curves_of_matches(class_.score[counts], is_match[counts], {}, int((annotated == index).sum()))
    return average_precision(curves["precision"])


def _range_of(table: BoxTable, frames: Sequence[Frame], ranges_m: Sequence[float]) -> IntArray:
    """(N,) the range that each box lies in; -1 or their number for none."""
    inside: IntArray = np.searchsorted(ranges_m, ego_distance_m(table, frames), side="right") - 1
    return inside


def _names(ranges_m: Sequence[float]) -> list[str]:
    return [f"{low:g} to {high:g} m" for low, high in pairwise(ranges_m)]


def _mean(classes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Over the classes that are annotated in a range."""
    together: dict[str, Any] = {}
    for name in classes[0]:
        known = [class_[name] for class_ in classes if class_[name]["gt"]]
        ap = (
            np.mean([of_class["ap"] for of_class in known], axis=0)
            if known
            else np.full(len(MATCHING_DISTANCES_M), np.nan)
        )
        together[name] = {
            "gt": sum(of_class["gt"] for of_class in known),
            "ap": ap.tolist(),
            "mean_ap": float(ap.mean()),
        }
    return together
