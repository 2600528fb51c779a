"""Tracks with hindsight: the online tracker's, then smoothed, linked, filled and rescored as a whole. Not causal.

1. Smoothing: every box of a track, earlier and later ones, corrects its place at each moment (`tracking.smoothing`).
2. Linking: a track that ends and one that begins soon after where the first was heading, at its speed, are one object.
3. Filling: a track is reported in every frame from its first box to its last.
4. Rescoring: each frame bears the score that the whole track has earned.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scenes import Boxes3D
from scenes.geometry import FloatArray, rotation_from_yaw
from tracking.association import IndexArray, assign_optimal
from tracking.camera_evidence import SeenCameras, camera_support
from tracking.config import TrackerConfig
from tracking.filtering import observe, rows_by_model
from tracking.lifetime import evidence_score
from tracking.measurement import Measured
from tracking.motion import kalman_predict, solve_positive
from tracking.score_scale import ScoreScale
from tracking.settings import ClassTable
from tracking.smoothing import Smoothed, smooth
from tracking.tracker import Tracker

_COMPARED = [0, 1, 3, 4]
"""Of what a detector sees, what tells whether two fragments are one object: place and velocity."""


def track_offline(
    boxes: Sequence[Boxes3D],
    timestamps_us: Sequence[int],
    global_from_ego: Sequence[FloatArray],
    config: TrackerConfig,
    scale: ScoreScale,
    cameras: Sequence[SeenCameras],
) -> list[Boxes3D]:
    """Track one drive, looking at all of it.

    Args:
        boxes: F frames of detections in global coordinates.
        timestamps_us: F times. global_from_ego: F (4, 4) poses.
        config: settings. scale: what scores mean.
        cameras: F times the images that a 2D detector has looked at, with its boxes.

    Returns:
        For each frame its tracks, ordered by identity; identities count from 1.
    """
    if not boxes:
        return []
    tracker = Tracker(config, scale)
    assigned = [tracker.assign(*frame) for frame in zip(boxes, timestamps_us, global_from_ego, cameras, strict=True)]
    measured = Measured.concatenate([frame.measured for frame in assigned])
    number = np.concatenate([frame.number for frame in assigned])
    frame_of = np.repeat(np.arange(len(assigned)), [len(frame.measured) for frame in assigned])
    box_of = _boxes_of_tracks(number, frame_of, len(assigned))
    if not len(box_of):
        return [Boxes3D.empty().replace(track_id=np.zeros(0, np.str_)) for _ in assigned]
    table = ClassTable.from_config(config)
    times_s = _running_time_s(timestamps_us)
    smoothed = smooth(times_s, measured, box_of, table)
    box_of = _linked(box_of, smoothed, times_s, table, config)
    smoothed = smooth(times_s, measured, box_of, table)
    support = _support(smoothed, cameras, table, config)
    score = _whole_track_score(measured, box_of, times_s, support, config)
    return [_frame_boxes(smoothed, frame, score, table) for frame in range(len(assigned))]


def _running_time_s(timestamps_us: Sequence[int]) -> FloatArray:
    """Seconds since the first frame, where a clock that runs backwards stands still, as in the tracker."""
    elapsed_us = np.maximum(np.diff(np.array(timestamps_us, dtype=np.int64)), 0)
    return np.concatenate([[0.0], np.cumsum(elapsed_us) * 1e-6])


def _boxes_of_tracks(number: IndexArray, frame_of: IndexArray, n_frames: int) -> IndexArray:
    """(K, F) index of each track's box in each frame, -1 without one; tracks in the order of their numbers."""
    taken = np.flatnonzero(number > 0)
    distinct, track = np.unique(number[taken], return_inverse=True)
    box_of = np.full((len(distinct), n_frames), -1, dtype=np.int64)
    box_of[track, frame_of[taken]] = taken
    return box_of


def _linked(
    box_of: IndexArray, smoothed: Smoothed, times_s: FloatArray, table: ClassTable, config: TrackerConfig
) -> IndexArray:
    """`box_of` with fragments of one object put together, under the number of the earliest."""
    earlier, later, cost = _link_candidates(smoothed, times_s, table, config)
    picked = assign_optimal(earlier, later, cost, config.link_sigmas)
    follower = dict(zip(earlier[picked].tolist(), later[picked].tolist(), strict=True))
    merged = box_of.copy()
    # A follower begins after its fragment ends, so chains are put together from their ends.
    for fragment in sorted(follower, key=lambda track: -int(smoothed.last[track])):
        merged[fragment] = np.maximum(merged[fragment], merged[follower[fragment]])
    return np.delete(merged, list(follower.values()), axis=0)


def _link_candidates(
    smoothed: Smoothed, times_s: FloatArray, table: ClassTable, config: TrackerConfig
) -> tuple[IndexArray, IndexArray, FloatArray]:
    """Pairs of an earlier and a later track, and how badly the later goes on from the earlier, in sigmas."""
    found: list[tuple[IndexArray, IndexArray, FloatArray]] = []
    nothing = np.zeros(0, dtype=np.int64)
    for end in range(len(times_s)):
        for begin in range(end + 1, len(times_s)):
            gap_s = float(times_s[begin] - times_s[end])
            if gap_s > config.link_gap_s:
                break
            ended, begun = np.flatnonzero(smoothed.last == end), np.flatnonzero(smoothed.first == begin)
            row, column = np.nonzero(smoothed.label[ended][:, None] == smoothed.label[begun])
            if len(row):
                pair = ended[row], begun[column]
                found.append((*pair, _link_cost(smoothed, *pair, end, begin, gap_s, table)))
    columns = list(zip(*found, strict=True)) or [(nothing,), (nothing,), (np.zeros(0),)]
    earlier, later, cost = (np.concatenate(column) for column in columns)
    return earlier, later, cost


def _link_cost(
    smoothed: Smoothed,
    ended: IndexArray,
    begun: IndexArray,
    end: int,
    begin: int,
    gap_s: float,
    table: ClassTable,
) -> FloatArray:
    """(P,) Mahalanobis distances of place and velocity, per root of a degree of freedom."""
    label = smoothed.label[ended]
    mean, cov = smoothed.mean[end, ended], smoothed.cov[end, ended]
    for model, rows in rows_by_model(table, label):
        moved, transition = model.move(mean[rows], gap_s, smoothed.body[end, ended][rows, 2])
        added = model.process_noise(mean[rows], gap_s, table.noise[label[rows]])
        mean[rows], cov[rows] = moved, kalman_predict(cov[rows], transition, added)
    expected, expected_cov = _seen(mean, cov, label, table)
    actual, actual_cov = _seen(smoothed.mean[begin, begun], smoothed.cov[begin, begun], label, table)
    residual = (actual - expected)[:, :, None]
    squared = (residual * solve_positive(expected_cov + actual_cov, residual)).sum(axis=(1, 2))
    distance: FloatArray = np.sqrt(np.maximum(squared, 0.0) / len(_COMPARED))
    return distance


def _seen(mean: FloatArray, cov: FloatArray, label: IndexArray, table: ClassTable) -> tuple[FloatArray, FloatArray]:
    """Place and velocity (P, 4) of states, and their covariances (P, 4, 4)."""
    expected, jacobian = observe(mean, label, table)
    rows = jacobian[:, _COMPARED]
    return expected[:, _COMPARED], rows @ cov @ rows.transpose(0, 2, 1)


def _whole_track_score(
    measured: Measured, box_of: IndexArray, times_s: FloatArray, support: FloatArray, config: TrackerConfig
) -> FloatArray:
    """(K,) what the track's score would be at its end; with `track_score` `detection` the mean of its boxes'."""
    seen = box_of >= 0
    hits = seen.sum(axis=1)
    if config.track_score == "detection":
        mean: FloatArray = np.where(seen, measured.boxes.score[box_of], 0.0).sum(axis=1) / hits
        return mean
    evidence = np.where(seen, measured.log_odds[box_of], 0.0).sum(axis=1)
    later = seen & (np.cumsum(seen, axis=1) > 1)
    observed_s = np.where(later, np.diff(times_s, prepend=0.0), 0.0).sum(axis=1)
    lift = config.camera_evidence.score_log_odds * support
    return evidence_score(evidence, hits, observed_s, config.evidence_time_s, lift)


def _support(
    smoothed: Smoothed, cameras: Sequence[SeenCameras], table: ClassTable, config: TrackerConfig
) -> FloatArray:
    """(K,) score of the 2D boxes that speak for each track, averaged over its frames; 0 for those without."""
    total = np.zeros(len(smoothed.label))
    for frame, seen in enumerate(cameras):
        if len(seen):
            boxes = _frame_boxes(smoothed, frame, total, table)
            total[smoothed.alive(frame)] += camera_support(boxes, seen, config.camera_evidence)
    mean: FloatArray = total / (smoothed.last - smoothed.first + 1)
    return mean


def _frame_boxes(smoothed: Smoothed, frame: int, score: FloatArray, table: ClassTable) -> Boxes3D:
    alive = smoothed.alive(frame)
    label, body = smoothed.label[alive], smoothed.body[frame, alive]
    expected, _ = observe(smoothed.mean[frame, alive], label, table)
    return Boxes3D(
        center_m=np.column_stack([expected[:, :2], body[:, 0]]),
        size_wlh_m=body[:, 1:],
        rotation=rotation_from_yaw(expected[:, 2]),
        velocity_mps=expected[:, 3:],
        label=label,
        score=score[alive],
        track_id=(alive + 1).astype(np.str_),
    )
