"""Which tracks are right: matches tracks to annotations frame by frame, and names what went wrong.

The rules are those of the official tracking evaluation (nuscenes-devkit 1.2.0, `nuscenes/eval/tracking`): a class at
a time; a track and an annotation may match below 2 m between their centres on the ground; who matched last goes on
while that holds (CLEAR MOT); the rest is assigned at the least total distance. Annotations without a lidar or radar
point, boxes beyond the class's range and cycles in bicycle racks are not judged. Two things differ, because pictures
show boxes as they stand in the file: gaps in a track are not interpolated, and the operating point of a class is
sought among twenty scores.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from scenes import DETECTION_CLASSES, LABEL_OF_CLASS, Boxes3D, Frame, Results, Scene
from scenes.geometry import FloatArray
from scenes.processes import run_jobs
from visualization.selection import boxes_by_frame, results_of_scene

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
_CANDIDATE_SCORES: Final = 20
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
    return _events(_prepare(scene, tracks), operating_points) if _is_annotated(scene) else None


def mean_scores(boxes: Iterable[Boxes3D]) -> dict[tuple[str, int], float]:
    """The mean score of each track, by identity and class: what the evaluation ranks tracks by."""
    scores: dict[tuple[str, int], list[float]] = defaultdict(list)
    for frame_boxes in boxes:
        for key, score in zip(_track_keys(frame_boxes), frame_boxes.score.tolist(), strict=True):
            scores[key].append(score)
    return {key: sum(values) / len(values) for key, values in scores.items()}


def find_operating_points(scenes: Sequence[Scene], tracks: Results, workers: int = 1) -> dict[int, float]:
    """For each class the score at which MOTA over the scenes is best, among 20 quantiles of the boxes' track scores.

    The official summary states misses, false positives and switches at such a point.

    Args:
        scenes: those without annotations do not count.
        tracks: boxes by sample token, with `track_id`.
        workers: number of processes, see `scenes.processes.run_jobs`.
    """
    annotated = [scene for scene in scenes if _is_annotated(scene)]
    scores: dict[int, list[float]] = defaultdict(list)
    for scene in annotated:
        eligible = _eligible_boxes(scene, tracks)
        means = mean_scores(eligible)
        for key in (key for boxes in eligible for key in _track_keys(boxes)):
            scores[key[1]].append(means[key])
    shares = np.linspace(0.0, 1.0, _CANDIDATE_SCORES, endpoint=False)
    candidates = {label: np.quantile(values, shares, method="lower") for label, values in scores.items()}
    jobs = [(scene, results_of_scene(scene, tracks), candidates) for scene in annotated]
    mistakes = np.zeros((_CANDIDATE_SCORES, len(DETECTION_CLASSES)), dtype=np.int64)
    for counts in run_jobs(_count_mistakes, jobs, workers):
        mistakes += counts
    # MOTA = 1 - mistakes / annotations: the fewest mistakes are the best MOTA; of equals the highest score.
    best = _CANDIDATE_SCORES - 1 - np.argmin(mistakes[::-1], axis=0)
    return {label: float(values[best[label]]) for label, values in candidates.items()}


@dataclass(frozen=True)
class _PreparedFrame:
    """What a frame's events depend on but the operating points; N tracks' boxes and M annotations.

    Attributes:
        tracks, annotations: their identities.
        label: (N,) classes of the tracks' boxes.
        truth_label: (M,) classes of the annotations.
        score: (N,) mean score of a box's track; -inf for a box that is never judged.
        judged_truth: (M,) annotations that are judged.
        distance_m: (N, M) `_TOO_FAR` where a box and an annotation cannot match.
    """

    tracks: list[str]
    annotations: list[str]
    label: NDArray[np.int64]
    truth_label: NDArray[np.int64]
    score: FloatArray
    judged_truth: NDArray[np.bool_]
    distance_m: FloatArray


def _prepare(scene: Scene, tracks: Results) -> list[_PreparedFrame]:
    means = mean_scores(_eligible_boxes(scene, tracks))
    boxes = zip(scene.frames, boxes_by_frame(scene, tracks), strict=True)
    return [_prepare_frame(frame, tracked, means) for frame, tracked in boxes]


def _prepare_frame(frame: Frame, tracked: Boxes3D, means: Mapping[tuple[str, int], float]) -> _PreparedFrame:
    assert frame.annotations is not None
    truth = frame.annotations.boxes
    eligible = _can_be_judged(frame, tracked)
    scores = np.array([means.get(key, -np.inf) for key in _track_keys(tracked)], dtype=np.float64)
    has_points = frame.annotations.num_lidar_pts + frame.annotations.num_radar_pts > 0
    judged_truth = has_points & _can_be_judged(frame, truth)
    offsets = tracked.center_m[:, None, :2] - truth.center_m[None, :, :2]
    distance_m = np.linalg.norm(offsets, axis=2)
    can_match = (tracked.label[:, None] == truth.label) & judged_truth & (distance_m < MATCH_DISTANCE_M)
    return _PreparedFrame(
        tracks=_identities(tracked).tolist(),
        annotations=_identities(truth).tolist(),
        label=tracked.label,
        truth_label=truth.label,
        score=np.where(eligible, scores, -np.inf),
        judged_truth=judged_truth,
        distance_m=np.where(can_match, distance_m, _TOO_FAR),
    )


def _events(frames: Sequence[_PreparedFrame], operating_points: OperatingPoints) -> list[FrameEvents]:
    """The events of a scene's frames; who matched last is handed on from frame to frame."""
    lowest = np.array([operating_points.get(label, -np.inf) for label in range(len(DETECTION_CLASSES))])
    last_match: dict[str, str] = {}
    return [
        _frame_events(frame, np.isfinite(frame.score) & (frame.score >= lowest[frame.label]), last_match)
        for frame in frames
    ]


def _frame_events(frame: _PreparedFrame, judged: NDArray[np.bool_], last_match: dict[str, str]) -> FrameEvents:
    """The events of a frame; `last_match` (track by annotation, both identities) goes on to the next one."""
    distance_m = np.where(judged[:, None], frame.distance_m, _TOO_FAR)
    match = np.full(len(judged), UNMATCHED)
    switch = np.zeros(len(judged), dtype=bool)
    for row, column in _match(frame, distance_m, last_match):
        annotation, track = frame.annotations[column], frame.tracks[row]
        match[row] = column
        switch[row] = last_match.get(annotation, track) != track
        last_match[annotation] = track
    missed = frame.judged_truth.copy()
    missed[match[match != UNMATCHED]] = False
    return FrameEvents(judged, match, judged & (match == UNMATCHED), switch, missed)


def _match(frame: _PreparedFrame, distance_m: FloatArray, last_match: Mapping[str, str]) -> list[tuple[int, int]]:
    """Pairs (track, annotation) of a frame: those that matched last, then the rest at the least total distance.

    All classes are assigned at once: what cannot match is so far that it is only taken when nothing is left.
    """
    left_m = distance_m.copy()
    pairs = []
    for row, column in _still_matched(frame, distance_m, last_match):
        if left_m[row, column] < _TOO_FAR:
            pairs.append((row, column))
            left_m[row, :] = left_m[:, column] = _TOO_FAR
    near = left_m < _TOO_FAR
    rows, columns = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
    for row, column in zip(*linear_sum_assignment(left_m[np.ix_(rows, columns)]), strict=True):
        if near[rows[row], columns[column]]:
            pairs.append((int(rows[row]), int(columns[column])))
    return pairs


def _still_matched(
    frame: _PreparedFrame, distance_m: FloatArray, last_match: Mapping[str, str]
) -> Iterator[tuple[int, int]]:
    """Pairs that matched when the annotation was last matched, and are still near enough."""
    rows_of_tracks: dict[str, list[int]] = defaultdict(list)
    for row in np.flatnonzero((distance_m < _TOO_FAR).any(axis=1)).tolist():
        rows_of_tracks[frame.tracks[row]].append(row)
    for column, annotation in enumerate(frame.annotations):
        for row in rows_of_tracks.get(last_match.get(annotation, ""), []):
            if distance_m[row, column] < _TOO_FAR:
                yield row, column


def _count_mistakes(scene: Scene, tracks: Results, candidates: Mapping[int, FloatArray]) -> NDArray[np.int64]:
    """(candidates, classes) misses, false positives and switches of a scene, for each candidate of every class."""
    frames = _prepare(scene, tracks)
    counts = np.zeros((_CANDIDATE_SCORES, len(DETECTION_CLASSES)), dtype=np.int64)
    for rank in range(_CANDIDATE_SCORES):
        points = {label: float(values[rank]) for label, values in candidates.items()}
        for frame, events in zip(frames, _events(frames, points), strict=True):
            wrong = frame.label[events.false_positive | events.switch]
            missed = frame.truth_label[events.missed]
            counts[rank] += np.bincount(np.concatenate([wrong, missed]), minlength=len(DETECTION_CLASSES))
    return counts


def _is_annotated(scene: Scene) -> bool:
    return all(frame.annotations is not None for frame in scene.frames)


def _eligible_boxes(scene: Scene, tracks: Results) -> list[Boxes3D]:
    """The boxes of each frame that can be judged."""
    boxes = zip(scene.frames, boxes_by_frame(scene, tracks), strict=True)
    return [tracked.select(_can_be_judged(frame, tracked)) for frame, tracked in boxes]


def _identities(boxes: Boxes3D) -> NDArray[np.str_]:
    return np.array([""] * len(boxes), dtype=np.str_) if boxes.track_id is None else boxes.track_id


def _track_keys(boxes: Boxes3D) -> list[tuple[str, int]]:
    return list(zip(_identities(boxes).tolist(), boxes.label.tolist(), strict=True))


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
