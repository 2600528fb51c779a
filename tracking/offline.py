"""Tracks with hindsight: the online tracker's, then smoothed, linked, filled and rescored as a whole. Not causal.

1. Smoothing: every box of a track, earlier and later ones, corrects its place at each moment (`tracking.smoothing`).
2. Linking: a track that ends and one that begins soon after where the first was heading, at its speed, are one object.
3. Filling: a track is reported in every frame from its first box to its last.
4. Rescoring: each frame bears the score that the whole track has earned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from scenes import Boxes3D
from scenes.geometry import FloatArray, rotation_from_yaw
from tracking.association import IndexArray, assign_optimal
from tracking.calibration import Calibration
from tracking.camera_evidence import SeenCameras, camera_support
from tracking.class_table import ClassTable
from tracking.config import TrackerConfig
from tracking.filtering import observe, rows_by_model
from tracking.lifetime import evidence_score
from tracking.measurement import Measured, measured_boxes, ray_covariance
from tracking.motion import STATE_SIZE, kalman_predict, solve_positive
from tracking.smoothing import Spans, smooth
from tracking.tracker import Tracker
from tracking.tracks import BODY_SIZE

_COMPARED = [0, 1, 3, 4]
"""Of what a detector sees, what tells whether two fragments are one object: place and velocity."""

_CELLS_AT_ONCE = 100_000
_PAIRS_AT_ONCE = 20_000
"""What is smoothed and compared at once: bounds the memory that long drives take, and changes no result."""


@dataclass(frozen=True)
class _Drive:
    """What tracking one drive needs, see `track_offline`."""

    boxes: Sequence[Boxes3D]
    times_s: FloatArray
    sensor_xy_m: FloatArray
    cameras: Sequence[SeenCameras]
    config: TrackerConfig
    table: ClassTable
    calibration: Calibration


@dataclass(frozen=True)
class _Histories:
    """The N boxes of K tracks, ordered by track, then by frame.

    Attributes:
        track: (N,) 0 to K - 1; tracks are in the order in which they were born. frame: (N,).
        source: (N,) which of its frame's boxes each is.
        log_odds: (N,) of being true.
    """

    track: IndexArray
    frame: IndexArray
    source: IndexArray
    log_odds: FloatArray

    @property
    def start(self) -> IndexArray:
        """(K + 1,) the boxes of track k are `start[k]` to `start[k + 1]`."""
        return np.append(np.flatnonzero(np.diff(self.track, prepend=-1)), len(self.track))

    def under(self, track: IndexArray) -> _Histories:
        """The same boxes (N,) under other tracks: any numbers, ascending with birth."""
        order = np.lexsort((self.frame, track))
        _, renumbered = np.unique(track[order], return_inverse=True)
        return _Histories(renumbered, self.frame[order], self.source[order], self.log_odds[order])


@dataclass(frozen=True)
class _Paths:
    """K smoothed tracks over C cells (`tracking.smoothing`).

    Attributes:
        label: (K,) class.
        spans: when the tracks live.
        mean, body: (C, ...) states and bodies.
        first_cov, last_cov: (K, STATE_SIZE, STATE_SIZE) where the tracks begin and end.
    """

    label: IndexArray
    spans: Spans
    mean: FloatArray
    body: FloatArray
    first_cov: FloatArray
    last_cov: FloatArray


def track_offline(
    boxes: Sequence[Boxes3D],
    timestamps_us: Sequence[int],
    global_from_ego: Sequence[FloatArray],
    config: TrackerConfig,
    calibration: Calibration,
    cameras: Sequence[SeenCameras],
) -> list[Boxes3D]:
    """Track one drive, looking at all of it.

    Args:
        boxes: F frames of detections in global coordinates.
        timestamps_us: F times. global_from_ego: F (4, 4) poses.
        config: settings. calibration: what scores mean, and how boxes err.
        cameras: F times the images that a 2D detector has looked at, with its boxes.

    Returns:
        For each frame its tracks, ordered by identity; identities count from 1.
    """
    if not boxes:
        return []
    tracker = Tracker(config, calibration)
    frames = zip(boxes, timestamps_us, global_from_ego, cameras, strict=True)
    histories = _histories(tracker, frames)
    if not len(histories.track):
        return [Boxes3D.empty().replace(track_id=np.zeros(0, np.str_)) for _ in boxes]
    sensor_xy_m = np.array([np.asarray(pose, dtype=np.float64)[:2, 3] for pose in global_from_ego])
    times_s = _running_time_s(timestamps_us)
    drive = _Drive(boxes, times_s, sensor_xy_m, cameras, config, ClassTable.from_config(config), tracker.calibration)
    histories = _linked(histories, _smoothed(histories, drive), drive)
    paths = _smoothed(histories, drive)
    score = _whole_track_score(histories, paths, drive)
    del histories  # a tenth of the memory that long drives take, and the frames need theirs now
    return list(_frames(paths, score, drive))


def _histories(tracker: Tracker, frames: Iterator[tuple[Boxes3D, int, FloatArray, SeenCameras]]) -> _Histories:
    """What the online tracker makes of a drive."""
    columns: list[tuple[IndexArray, IndexArray, IndexArray, FloatArray]] = []
    for index, frame in enumerate(frames):
        assigned = tracker.assign(*frame)
        taken = np.flatnonzero(assigned.number > 0)
        measured = assigned.measured
        at = np.full(len(taken), index)
        columns.append((assigned.number[taken], at, measured.source[taken], measured.log_odds[taken]))
    number, frame_of, source, log_odds = (np.concatenate(column) for column in zip(*columns, strict=True))
    return _Histories(number, frame_of, source, log_odds).under(number)


def _running_time_s(timestamps_us: Sequence[int]) -> FloatArray:
    """Seconds since the first frame, where a clock that runs backwards stands still, as in the tracker."""
    elapsed_us = np.maximum(np.diff(np.array(timestamps_us, dtype=np.int64)), 0)
    return np.concatenate([[0.0], np.cumsum(elapsed_us) * 1e-6])


def _smoothed(histories: _Histories, drive: _Drive) -> _Paths:
    """Smooth all tracks, some at once."""
    spans = Spans.of_boxes(histories.track, histories.frame)
    n_tracks, n_cells, start = len(spans), int(spans.start[-1]), histories.start
    paths = _Paths(
        label=np.empty(n_tracks, dtype=np.int64),
        spans=spans,
        mean=np.empty((n_cells, STATE_SIZE)),
        body=np.empty((n_cells, BODY_SIZE)),
        first_cov=np.empty((n_tracks, STATE_SIZE, STATE_SIZE)),
        last_cov=np.empty((n_tracks, STATE_SIZE, STATE_SIZE)),
    )
    for tracks in _blocks(spans.lengths, _CELLS_AT_ONCE):
        rows = slice(start[tracks.start], start[tracks.stop])
        track, frame = histories.track[rows] - tracks.start, histories.frame[rows]
        smoothed = smooth(drive.times_s, _measured(histories, rows, drive), track, frame, drive.table)
        cells = slice(spans.start[tracks.start], spans.start[tracks.stop])
        paths.label[tracks] = smoothed.label
        paths.mean[cells], paths.body[cells] = smoothed.mean, smoothed.body
        paths.first_cov[tracks] = smoothed.cov[smoothed.spans.start[:-1]]
        paths.last_cov[tracks] = smoothed.cov[smoothed.spans.start[1:] - 1]
    return paths


def _blocks(sizes: IndexArray, most: int) -> Iterator[slice]:
    """Consecutive things of given sizes (K,) by blocks of about `most` in all."""
    block = (np.cumsum(sizes) - sizes) // most
    begin = np.flatnonzero(np.diff(block, prepend=-1)).tolist()
    yield from (slice(*pair) for pair in zip(begin, [*begin[1:], len(sizes)], strict=True))


def _measured(histories: _Histories, rows: slice, drive: _Drive) -> Measured:
    """The boxes of some rows as measurements."""
    frame, source = histories.frame[rows], histories.source[rows]
    order = np.argsort(frame, kind="stable")
    begin = np.flatnonzero(np.diff(frame[order], prepend=-1))
    parts = [drive.boxes[frame[in_frame[0]]].select(source[in_frame]) for in_frame in np.split(order, begin[1:])]
    back = np.empty(len(order), dtype=np.int64)
    back[order] = np.arange(len(order))
    boxes = Boxes3D.concatenate(parts).select(back)
    place_cov = ray_covariance(boxes.center_m[:, :2], drive.config.noise, drive.sensor_xy_m[frame])
    errors = drive.calibration.box_errors
    return measured_boxes(source, boxes, histories.log_odds[rows], drive.config, drive.table, errors, place_cov)


def _linked(histories: _Histories, paths: _Paths, drive: _Drive) -> _Histories:
    """The histories with fragments of one object put together, under the earliest."""
    earlier, later, cost = _link_candidates(paths, drive)
    linked_to = np.arange(len(paths.spans))
    for earliest, follower in _assigned(earlier, later, cost, drive.config.link_sigmas):
        linked_to[follower] = earliest
    # A follower was born after its fragment, so chains end at their first fragment.
    for track in range(len(linked_to)):
        linked_to[track] = linked_to[linked_to[track]]
    return histories.under(linked_to[histories.track])


def _assigned(rows: IndexArray, columns: IndexArray, cost: FloatArray, gate: float) -> Iterator[tuple[int, int]]:
    """`assign_optimal` group by connected group: one matrix would grow with the square of the drive's length."""
    useful = np.flatnonzero(cost < gate)
    if not len(useful):
        return
    rows, columns, cost = rows[useful], columns[useful], cost[useful]
    count = int(max(rows.max(), columns.max())) + 1
    graph = coo_array((np.ones(len(rows)), (rows, columns + count)), shape=(2 * count, 2 * count))
    group = connected_components(graph, directed=False)[1][rows]
    order = np.argsort(group, kind="stable")
    for picked in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        pairs = picked[assign_optimal(rows[picked], columns[picked], cost[picked], gate)]
        yield from zip(rows[pairs].tolist(), columns[pairs].tolist(), strict=True)


def _link_candidates(paths: _Paths, drive: _Drive) -> tuple[IndexArray, IndexArray, FloatArray]:
    """Pairs of an earlier and a later track, and how badly the later goes on from the earlier, in sigmas."""
    spans, times_s = paths.spans, drive.times_s
    # Tracks are in the order of their births.
    begin = np.searchsorted(spans.first, spans.last, side="right")
    latest_s = times_s[spans.last] + drive.config.link_gap_s
    end = np.maximum(np.searchsorted(times_s[spans.first], latest_s, side="right"), begin)
    rows, columns, costs = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0)]
    for tracks in _blocks(np.maximum(end - begin, 1), _PAIRS_AT_ONCE):
        counts = (end - begin)[tracks]
        earlier = np.repeat(np.arange(tracks.start, tracks.stop), counts)
        later = np.arange(len(earlier)) - np.repeat(np.cumsum(counts) - counts, counts) + begin[earlier]
        alike = paths.label[earlier] == paths.label[later]
        rows.append(earlier[alike])
        columns.append(later[alike])
        costs.append(_link_cost(paths, earlier[alike], later[alike], drive))
    return np.concatenate(rows), np.concatenate(columns), np.concatenate(costs)


def _link_cost(paths: _Paths, ended: IndexArray, begun: IndexArray, drive: _Drive) -> FloatArray:
    """(P,) Mahalanobis distances of place and velocity, per root of a degree of freedom."""
    spans, table, label = paths.spans, drive.table, paths.label[ended]
    cells, begun_cells = spans.start[ended + 1] - 1, spans.start[begun]
    mean, cov, length_m = paths.mean[cells], paths.last_cov[ended], paths.body[cells, 2]
    gap_s = drive.times_s[spans.first[begun]] - drive.times_s[spans.last[ended]]
    for model, rows in rows_by_model(table, label):
        moved, transition = model.move(mean[rows], gap_s[rows], length_m[rows])
        added = model.process_noise(mean[rows], gap_s[rows], table.noise[label[rows]])
        mean[rows], cov[rows] = moved, kalman_predict(cov[rows], transition, added)
    expected, expected_cov = _seen(mean, cov, label, table)
    actual, actual_cov = _seen(paths.mean[begun_cells], paths.first_cov[begun], label, table)
    residual = (actual - expected)[:, :, None]
    squared = (residual * solve_positive(expected_cov + actual_cov, residual)).sum(axis=(1, 2))
    distance: FloatArray = np.sqrt(np.maximum(squared, 0.0) / len(_COMPARED))
    return distance


def _seen(mean: FloatArray, cov: FloatArray, label: IndexArray, table: ClassTable) -> tuple[FloatArray, FloatArray]:
    """Place and velocity (P, 4) of states, and their covariances (P, 4, 4)."""
    expected, jacobian = observe(mean, label, table)
    rows = jacobian[:, _COMPARED]
    return expected[:, _COMPARED], rows @ cov @ rows.transpose(0, 2, 1)


def _whole_track_score(histories: _Histories, paths: _Paths, drive: _Drive) -> FloatArray:
    """(K,) what the track's score would be at its end; with `track_score` `detection` the mean of its boxes'."""
    config, start = drive.config, histories.start[:-1]
    hits = np.diff(histories.start)
    if config.track_score == "detection":
        score = np.array(
            [drive.boxes[frame].score[box] for frame, box in zip(histories.frame, histories.source, strict=True)]
        )
        mean: FloatArray = np.add.reduceat(score, start) / hits
        return mean
    observed_s = np.diff(drive.times_s, prepend=0.0)[histories.frame]
    observed_s[start] = 0.0
    lift = config.camera_evidence.score_log_odds * _support(paths, drive)
    evidence = np.add.reduceat(histories.log_odds, start)
    return evidence_score(evidence, hits, np.add.reduceat(observed_s, start), config.evidence_time_s, lift)


def _support(paths: _Paths, drive: _Drive) -> FloatArray:
    """(K,) score of the 2D boxes that speak for each track, averaged over its frames; 0 for those without."""
    total = np.zeros(len(paths.label))
    if not any(map(len, drive.cameras)):
        return total
    for boxes, seen in zip(_frames(paths, total, drive), drive.cameras, strict=True):
        if len(seen) and len(boxes):
            assert boxes.track_id is not None
            total[boxes.track_id.astype(np.int64) - 1] += camera_support(boxes, seen, drive.config.camera_evidence)
    mean: FloatArray = total / paths.spans.lengths
    return mean


def _frames(paths: _Paths, score: FloatArray, drive: _Drive) -> Iterator[Boxes3D]:
    """The tracks of every frame, in the order of their identities."""
    frame_of_cell, track_of_cell = paths.spans.frame_of_cell, paths.spans.track_of_cell
    order = np.argsort(frame_of_cell, kind="stable")
    begin = np.searchsorted(frame_of_cell[order], np.arange(len(drive.boxes) + 1))
    for frame in range(len(drive.boxes)):
        cells = order[begin[frame] : begin[frame + 1]]
        tracks = track_of_cell[cells]
        label, body = paths.label[tracks], paths.body[cells]
        expected, _ = observe(paths.mean[cells], label, drive.table)
        yield Boxes3D(
            center_m=np.column_stack([expected[:, :2], body[:, 0]]),
            # Copies: views would keep the arrays that they are parts of.
            size_wlh_m=body[:, 1:].copy(),
            rotation=rotation_from_yaw(expected[:, 2]),
            velocity_mps=expected[:, 3:].copy(),
            label=label,
            score=score[tracks],
            track_id=np.array([str(track + 1) for track in tracks.tolist()], dtype=np.str_),
        )
