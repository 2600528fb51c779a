"""Tracks with hindsight: fragments smoothed, linked, filled, cut and rescored as wholes. Not causal.

1. Fragments: what the online tracker makes of the drive, or the tracks that somebody else has found.
2. Smoothing: every box of a track, earlier and later ones, corrects its place at each moment (`tracking.smoothing`).
3. Linking: fragments of one object are put together, in one optimisation over the drive (`tracking.linking`).
4. Filling: a track is reported in every frame between the ends of its life, those without a box included.
5. Cutting: it begins and ends where its boxes tell most for it. What speaks against it at an end is clutter that the
   tracker took for the object when that had gone.
6. Rescoring: each frame bears the score that the whole track has earned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from scenes import Boxes3D
from scenes.geometry import FloatArray, rotation_from_yaw
from tracking.calibration import Calibration
from tracking.camera_evidence import SeenCameras, camera_support
from tracking.config import TrackerConfig
from tracking.displacement import DISPLACED_LOG_ODDS, displaced
from tracking.filtering import observe
from tracking.histories import Drive, Histories, blocks, followed_online, named_already
from tracking.lifetime import KEY_FRAME_S, evidence_score, shifted_score
from tracking.linking import Paths, linked
from tracking.motion import STATE_SIZE
from tracking.smoothing import Spans, smooth
from tracking.tracker import Tracker
from tracking.tracks import BODY_SIZE

_CELLS_AT_ONCE = 100_000
"""What is smoothed at once: bounds the memory that long drives take, and changes no result."""

# The three numbers below were chosen on five detectors together, see docs/tracking.md, "With hindsight".
_IN_TRACK_LOG_ODDS = 2.0
"""How much likelier a box is true that lies where a track goes on than its score says alone."""
_UNSEEN_LOG_ODDS = -0.5
"""What a key frame without a box says at an end of a track."""
_GAPS_LOG_ODDS = -1.5
"""What it says of a whole track that it was unseen all its life; in proportion for a part of it."""


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
        boxes: F frames of detections in global coordinates; or of tracks, with `track_id`: what is one track stays so,
            and is smoothed, linked, filled, cut and rescored.
        timestamps_us: F times. global_from_ego: F (4, 4) poses.
        config: settings. calibration: what scores mean, and how boxes err.
        cameras: F times the images that a 2D detector has looked at, with its boxes.

    Returns:
        For each frame its tracks, ordered by identity; identities count from 1.
    """
    if not boxes:
        return []
    drive = Drive.of(boxes, timestamps_us, global_from_ego, cameras, config, calibration)
    lives = _whole_lives(drive, timestamps_us, global_from_ego)
    if not lives:
        return [Boxes3D.empty().replace(track_id=np.zeros(0, np.str_)) for _ in boxes]
    histories, paths = lives
    score = _whole_track_score(histories, paths, drive)
    alive = _cut(histories, paths, drive)
    confirmed = np.diff(histories.start) >= drive.table.confirm_hits[paths.label]
    alive &= (confirmed & (score >= config.least_reported_score))[paths.spans.track_of_cell]
    del histories, lives  # a tenth of the memory that long drives take, and the frames need theirs now
    return list(_frames(paths, score, drive, alive))


def hindsight_probability(
    boxes: Sequence[Boxes3D],
    timestamps_us: Sequence[int],
    global_from_ego: Sequence[FloatArray],
    config: TrackerConfig,
    calibration: Calibration,
) -> list[FloatArray]:
    """How probably each box is true, given the rest of the drive: the score of its track, 0 of boxes without one.

    Arguments as for `track_offline`.

    Returns:
        For each frame (B,).
    """
    true = [np.zeros(len(frame)) for frame in boxes]
    if not boxes:
        return true
    drive = Drive.of(boxes, timestamps_us, global_from_ego, [()] * len(boxes), config, calibration)
    if lives := _whole_lives(drive, timestamps_us, global_from_ego):
        histories, paths = lives
        score = _whole_track_score(histories, paths, drive)[histories.track].tolist()
        for frame, source, value in zip(histories.frame.tolist(), histories.source.tolist(), score, strict=True):
            true[frame][source] = value
    return true


def _whole_lives(
    drive: Drive, timestamps_us: Sequence[int], global_from_ego: Sequence[FloatArray]
) -> tuple[Histories, Paths] | None:
    """The linked tracks of a drive and their smoothed paths; None where there is no track."""
    if any(frame.track_id is not None for frame in drive.boxes):
        histories, calibration = named_already(drive)
    else:
        tracker = Tracker(drive.config, drive.calibration)
        histories, calibration = followed_online(tracker, drive, timestamps_us, global_from_ego), tracker.calibration
    drive = replace(drive, calibration=calibration)
    if not len(histories.track):
        return None
    # The paths of the fragments are let go before those of the tracks are there: they are what long drives take.
    histories = linked(histories, _smoothed(histories, drive), drive)
    return histories, _smoothed(histories, drive)


def _smoothed(histories: Histories, drive: Drive) -> Paths:
    """Smooth all tracks, some at once."""
    spans = Spans.of_boxes(histories.track, histories.frame)
    n_tracks, n_cells, start = len(spans), int(spans.start[-1]), histories.start
    paths = Paths(
        label=np.empty(n_tracks, dtype=np.int64),
        spans=spans,
        mean=np.empty((n_cells, STATE_SIZE)),
        body=np.empty((n_cells, BODY_SIZE)),
        first_cov=np.empty((n_tracks, STATE_SIZE, STATE_SIZE)),
        last_cov=np.empty((n_tracks, STATE_SIZE, STATE_SIZE)),
    )
    for tracks in blocks(spans.lengths, _CELLS_AT_ONCE):
        rows = slice(start[tracks.start], start[tracks.stop])
        track, frame = histories.track[rows] - tracks.start, histories.frame[rows]
        smoothed = smooth(drive.times_s, histories.measured(rows, drive), track, frame, drive.table)
        cells = slice(spans.start[tracks.start], spans.start[tracks.stop])
        paths.label[tracks] = smoothed.label
        paths.mean[cells], paths.body[cells] = smoothed.mean, smoothed.body
        paths.first_cov[tracks] = smoothed.cov[smoothed.spans.start[:-1]]
        paths.last_cov[tracks] = smoothed.cov[smoothed.spans.start[1:] - 1]
    return paths


def _cut(histories: Histories, paths: Paths, drive: Drive) -> NDArray[np.bool_]:
    """(C,) the cells of each track's life: the stretch of frames that together tell most for it."""
    spans = paths.spans
    evidence = np.full(int(spans.start[-1]), _UNSEEN_LOG_ODDS)
    evidence[spans.cells(histories.track, histories.frame)] = histories.log_odds + _IN_TRACK_LOG_ODDS
    # Frames that follow one another quickly say the same again.
    elapsed_s = np.diff(drive.times_s, prepend=drive.times_s[0] - KEY_FRAME_S)
    evidence *= np.minimum(elapsed_s / KEY_FRAME_S, 1.0)[spans.frame_of_cell]
    alive = np.zeros(len(evidence), dtype=np.bool_)
    for begin, end in zip(spans.start[:-1].tolist(), spans.start[1:].tolist(), strict=True):
        up_to = np.concatenate([[0.0], np.cumsum(evidence[begin:end])])
        last = int(np.argmax((up_to - np.minimum.accumulate(up_to))[1:]))
        alive[begin + int(np.argmin(up_to[: last + 1])) : begin + last + 1] = True
    return alive


def _whole_track_score(histories: Histories, paths: Paths, drive: Drive) -> FloatArray:
    """(K,) what the track's whole life says; with `track_score` `detection` the mean of its boxes'."""
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
    support = _support(paths, drive)
    lift = config.camera_evidence.score_log_odds * support
    log_odds = np.add.reduceat(histories.log_odds, start) / hits + lift
    score = evidence_score(log_odds, np.add.reduceat(observed_s, start), config.evidence_time_s)
    unseen = 1.0 - hits / paths.spans.lengths
    # A 2D detector saw it where the other did not.
    against = _GAPS_LOG_ODDS * np.where(support > 0.0, 0.0, unseen)
    return shifted_score(score, against + DISPLACED_LOG_ODDS * _displaced_share(paths, score, drive))


def _displaced_share(paths: Paths, score: FloatArray, drive: Drive) -> FloatArray:
    """(K,) share of its life in which there is a better track of another class in a track's place."""
    frames = np.zeros(len(score))
    for boxes in _frames(paths, score, drive):
        assert boxes.track_id is not None
        lower = displaced(boxes.center_m[:, :2], boxes.size_wlh_m[:, 1], boxes.label, boxes.score)
        frames[boxes.track_id[lower].astype(np.int64) - 1] += 1.0
    share: FloatArray = frames / paths.spans.lengths
    return share


def _support(paths: Paths, drive: Drive) -> FloatArray:
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


def _frames(paths: Paths, score: FloatArray, drive: Drive, alive: NDArray[np.bool_] | None = None) -> Iterator[Boxes3D]:
    """The tracks of every frame, in the order of their identities; only cells `alive` (C,)."""
    frame_of_cell, track_of_cell = paths.spans.frame_of_cell, paths.spans.track_of_cell
    order = np.argsort(frame_of_cell, kind="stable")
    if alive is not None:
        order = order[alive[order]]
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
