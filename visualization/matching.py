"""Which tracks are right: matches tracks to annotations frame by frame, and names what went wrong.

The rules are those of the official tracking evaluation (nuscenes-devkit 1.2.0, `nuscenes/eval/tracking`): a class at
a time; a track and an annotation may match below 2 m between their centres on the ground; who matched last goes on
while that holds (CLEAR MOT); the rest is assigned at the least total distance. Annotations without a lidar or radar
point, boxes beyond the class's range and cycles in bicycle racks are not judged. Two things differ, because pictures
show boxes as they stand in the file: gaps in a track are not interpolated, and the operating point of a class is
sought among ten scores.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from scenes import LABEL_OF_CLASS, TRACKING_CLASSES, Boxes3D, Frame, Results, Scene
from scenes.geometry import FloatArray
from visualization.selection import boxes_by_frame

MATCH_DISTANCE_M: Final = 2.0
UNMATCHED: Final = -1

_RANGE_M: Final = {
    "bicycle": 40.0,
    "bus": 50.0,
    "car": 50.0,
    "motorcycle": 40.0,
    "pedestrian": 40.0,
    "trailer": 50.0,
    "truck": 50.0,
}
_RACK_CLASSES: Final = ("bicycle", "motorcycle")
_CANDIDATE_SCORES: Final = 10
_TOO_FAR: Final = 1e6

OperatingPoints = Mapping[int, float]
"""By class label the score of a track (the mean of its boxes in range) from which on it is judged."""


@dataclass(frozen=True)
class FrameEvents:
    """What is right and wrong in one frame; N tracks and M annotations as they stand in it.

    Attributes:
        judged: (N,) whether a track's box is judged at all.
        match: (N,) index of the annotation that a track's box lies on, `UNMATCHED` without one.
        false_positive: (N,) judged and on no annotation.
        switch: (N,) on an annotation that another track lay on last.
        missed: (M,) judged annotations that no track lies on.
    """

    judged: NDArray[np.bool_]
    match: NDArray[np.int64]
    false_positive: NDArray[np.bool_]
    switch: NDArray[np.bool_]
    missed: NDArray[np.bool_]


def scene_events(scene: Scene, tracks: Results, operating_points: OperatingPoints) -> list[FrameEvents] | None:
    """The events of each frame of a scene; None where it is not annotated.

    Args:
        scene: frames with annotations.
        tracks: boxes by sample token, with `track_id`.
        operating_points: see `find_operating_points`. A class that is not in it is judged whole.
    """
    if any(frame.annotations is None for frame in scene.frames):
        return None
    boxes = boxes_by_frame(scene, tracks)
    scores = _judged_scores(scene, tracks)
    last_match: dict[str, str] = {}
    return [
        _frame_events(frame, tracked, scores, operating_points, last_match)
        for frame, tracked in zip(scene.frames, boxes, strict=True)
    ]


def mean_scores(boxes: Iterable[Boxes3D]) -> dict[tuple[str, int], float]:
    """The mean score of each track, by identity and class: what the evaluation ranks tracks by."""
    scores: dict[tuple[str, int], list[float]] = defaultdict(list)
    for frame_boxes in boxes:
        for key, score in zip(_track_keys(frame_boxes), frame_boxes.score.tolist(), strict=True):
            scores[key].append(score)
    return {key: float(np.mean(values)) for key, values in scores.items()}


def find_operating_points(scenes: Sequence[Scene], tracks: Results) -> dict[int, float]:
    """For each class the score at which MOTA over the scenes is best, among ten quantiles of the tracks' scores.

    The official summary states misses, false positives and switches at such a point.
    """
    annotated = [scene for scene in scenes if all(frame.annotations is not None for frame in scene.frames)]
    scores: dict[int, list[float]] = defaultdict(list)
    for scene in annotated:
        for (_, label), score in _judged_scores(scene, tracks).items():
            scores[label].append(score)
    shares = np.linspace(0.0, 1.0, _CANDIDATE_SCORES, endpoint=False)
    candidates = {label: np.quantile(values, shares, method="lower") for label, values in scores.items()}
    mistakes: dict[int, FloatArray] = {label: np.zeros(_CANDIDATE_SCORES) for label in candidates}
    for rank in range(_CANDIDATE_SCORES):
        points = {label: float(values[rank]) for label, values in candidates.items()}
        for scene in annotated:
            for label, count in count_mistakes(scene, tracks, points).items():
                if label in mistakes:
                    mistakes[label][rank] += count
    # MOTA = 1 - mistakes / annotations: the fewest mistakes are the best MOTA; of equals the highest score.
    return {label: float(candidates[label][::-1][np.argmin(counts[::-1])]) for label, counts in mistakes.items()}


def count_mistakes(scene: Scene, tracks: Results, operating_points: OperatingPoints) -> Counter[int]:
    """Misses, false positives and switches of a scene by class label; nothing where it is not annotated."""
    mistakes: Counter[int] = Counter()
    events = scene_events(scene, tracks, operating_points) or []
    for frame, boxes, frame_events in zip(scene.frames, boxes_by_frame(scene, tracks), events, strict=False):
        assert frame.annotations is not None
        mistakes.update(boxes.label[frame_events.false_positive | frame_events.switch].tolist())
        mistakes.update(frame.annotations.boxes.label[frame_events.missed].tolist())
    return mistakes


def _frame_events(
    frame: Frame,
    tracked: Boxes3D,
    scores: Mapping[tuple[str, int], float],
    operating_points: OperatingPoints,
    last_match: dict[str, str],
) -> FrameEvents:
    """The events of a frame; `last_match` (track by annotation, both identities) goes on to the next one."""
    assert frame.annotations is not None
    truth = frame.annotations.boxes
    strong = np.array(
        [scores.get(key, -np.inf) >= operating_points.get(key[1], -np.inf) for key in _track_keys(tracked)], dtype=bool
    )
    judged = strong & _can_be_judged(frame, tracked)
    has_points = frame.annotations.num_lidar_pts + frame.annotations.num_radar_pts > 0
    judged_truth = has_points & _can_be_judged(frame, truth)
    match = np.full(len(tracked), UNMATCHED)
    switch = np.zeros(len(tracked), dtype=bool)
    for name in TRACKING_CLASSES:
        mine = np.flatnonzero(judged & (tracked.label == LABEL_OF_CLASS[name]))
        theirs = np.flatnonzero(judged_truth & (truth.label == LABEL_OF_CLASS[name]))
        for row, column in _match_class(tracked.select(mine), truth.select(theirs), last_match):
            annotation, track = str(_identities(truth)[theirs[column]]), str(_identities(tracked)[mine[row]])
            match[mine[row]] = theirs[column]
            switch[mine[row]] = last_match.get(annotation, track) != track
            last_match[annotation] = track
    missed = judged_truth.copy()
    missed[match[match != UNMATCHED]] = False
    return FrameEvents(judged, match, judged & (match == UNMATCHED), switch, missed)


def _match_class(tracked: Boxes3D, truth: Boxes3D, last_match: Mapping[str, str]) -> list[tuple[int, int]]:
    """Pairs (track, annotation) of one class in one frame."""
    if not len(tracked) or not len(truth):
        return []
    offsets = tracked.center_m[:, None, :2] - truth.center_m[None, :, :2]
    distance_m = np.linalg.norm(offsets, axis=2)
    distance_m[distance_m >= MATCH_DISTANCE_M] = _TOO_FAR
    pairs = _still_matched(tracked, truth, distance_m, last_match)
    for row, column in pairs:
        distance_m[row, :] = distance_m[:, column] = _TOO_FAR
    rows, columns = linear_sum_assignment(distance_m)
    near = distance_m[rows, columns] < _TOO_FAR
    return pairs + list(zip(rows[near].tolist(), columns[near].tolist(), strict=True))


def _still_matched(
    tracked: Boxes3D, truth: Boxes3D, distance_m: FloatArray, last_match: Mapping[str, str]
) -> list[tuple[int, int]]:
    """Pairs that matched when the annotation was last matched, and are still near enough."""
    rows = {identity: row for row, identity in enumerate(_identities(tracked).tolist())}
    candidates = [
        (rows.get(last_match.get(str(annotation), ""), UNMATCHED), column)
        for column, annotation in enumerate(_identities(truth))
    ]
    pairs: list[tuple[int, int]] = []
    for row, column in candidates:
        if row != UNMATCHED and distance_m[row, column] < _TOO_FAR and all(row != taken for taken, _ in pairs):
            pairs.append((row, column))
    return pairs


def _identities(boxes: Boxes3D) -> NDArray[np.str_]:
    return np.array([""] * len(boxes)) if boxes.track_id is None else boxes.track_id


def _track_keys(boxes: Boxes3D) -> list[tuple[str, int]]:
    return list(zip(_identities(boxes).tolist(), boxes.label.tolist(), strict=True))


def _judged_scores(scene: Scene, tracks: Results) -> dict[tuple[str, int], float]:
    """The mean score of each track over the boxes that can be judged."""
    boxes = zip(scene.frames, boxes_by_frame(scene, tracks), strict=True)
    return mean_scores(tracked.select(_can_be_judged(frame, tracked)) for frame, tracked in boxes)


def _can_be_judged(frame: Frame, boxes: Boxes3D) -> NDArray[np.bool_]:
    """(N,) boxes of a tracked class, within its range, and not in a bicycle rack."""
    return _in_range(frame, boxes) & ~_in_rack(frame, boxes)


def _in_range(frame: Frame, boxes: Boxes3D) -> NDArray[np.bool_]:
    """(N,) whether boxes lie within their class's range; classes that are not tracked never do."""
    range_m = np.full(len(boxes), -np.inf)
    for name, limit_m in _RANGE_M.items():
        range_m[boxes.label == LABEL_OF_CLASS[name]] = limit_m
    distance_m = np.linalg.norm(boxes.center_m[:, :2] - frame.global_from_ego[:2, 3], axis=1)
    inside: NDArray[np.bool_] = distance_m < range_m
    return inside


def _in_rack(frame: Frame, boxes: Boxes3D) -> NDArray[np.bool_]:
    """(N,) whether boxes are cycles whose middle lies in a bicycle rack."""
    assert frame.annotations is not None
    racks = frame.annotations.bike_racks
    in_rack = np.zeros(len(boxes), dtype=bool)
    cycles = np.isin(boxes.label, [LABEL_OF_CLASS[name] for name in _RACK_CLASSES])
    if not len(racks) or not cycles.any():
        return in_rack
    corners = racks.corners()
    for rack, box_corners in zip(racks.center_m, corners, strict=True):
        axes = box_corners[[0, 0, 0]] - box_corners[[4, 1, 3]]
        along = (boxes.center_m - rack) @ axes.T
        in_rack |= cycles & (np.abs(along) <= 0.5 * (axes**2).sum(axis=1)).all(axis=1)
    return in_rack
