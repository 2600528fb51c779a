"""The online tracker: boxes of one frame in, boxes with identities out. It never looks ahead.

Each step leaves out duplicates, predicts all tracks to the frame's time, assigns boxes in three stages
(`tracking.stages`), corrects the tracks, starts new ones with the boxes that are left, asks the boxes of a 2D detector,
where there are some, whom they speak for (`tracking.camera_evidence`), and lets those die that were not seen for too
long.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenes import NO_QUERY, Boxes3D, InputError
from scenes.geometry import FloatArray, rotation_from_yaw
from tracking.association import IndexArray
from tracking.box_errors import BoxErrors, windows
from tracking.calibration import Calibration
from tracking.camera_evidence import SeenCameras, camera_support
from tracking.class_table import ClassTable
from tracking.config import TrackerConfig
from tracking.displacement import DISPLACED_LOG_ODDS, displaced
from tracking.field_of_view import FieldOfView, Viewpoint
from tracking.filtering import correct, observe, predict, start_states
from tracking.identity_trust import IdentityTrust
from tracking.lifetime import (
    KEY_FRAME_S,
    evidence_score,
    log_odds_so_far,
    shifted_score,
    survivors,
    unsupported_s,
)
from tracking.measurement import Measured, measure, ray_covariance
from tracking.persistence import ScoreLearner
from tracking.stages import associate
from tracking.tracks import Tracks

_logger = logging.getLogger(__name__)

_STATE_VERSION = 8

_LONGEST_GAP_S = 10.0
"""No track lives through a longer time without a frame."""


_MOST_MISSED = 2
"""Frames in which a track may be missed and yet be reported: one is chance, more of them tell that it is gone."""


_LATEST_US = 2**53
"""Later, and as much before 1970, there is no drive; differences of such times stay exact."""


@dataclass(frozen=True)
class Assigned:
    """The measured boxes of one frame, and the track that each went to.

    Attributes:
        measured: B boxes; duplicates and unusable ones are left out.
        number: (B,) identity of the track, 0 for a box that neither continued nor started one.
    """

    measured: Measured
    number: IndexArray


class Tracker:
    """Tracks the objects of one drive, frame by frame.

    Args:
        config: settings; the defaults fit any detector.
        calibration: what is known of the detector from another recording. Without one what scores mean is learned from
            the frames that this tracker has seen; how boxes err is, with one too, which is where it starts.

    Identities count from 1 and are unique among all frames that this tracker has seen.
    """

    def __init__(self, config: TrackerConfig | None = None, calibration: Calibration | None = None) -> None:
        self._config = config or TrackerConfig()
        self._table = ClassTable.from_config(self._config)
        known = calibration or Calibration()
        self._learner = ScoreLearner(self._table, known.score_scale)
        self._box_errors = known.box_errors if self._config.learn_noise else BoxErrors.unknown()
        self._learns_scores = calibration is None
        self._identity_trust = IdentityTrust()
        self._tracks = Tracks.none()
        self._now_us = 0
        self._viewpoint = Viewpoint(np.zeros(2), 0.0)
        self._field_of_view = FieldOfView.unknown()
        self._frames_us = np.zeros(_MOST_MISSED + 1, dtype=np.int64)
        self._started = False
        self._next_number = 1

    def step(self, boxes: Boxes3D, timestamp_us: int, ego: FloatArray, cameras: SeenCameras = ()) -> Boxes3D:
        """Track the boxes of one frame.

        Args:
            boxes: detections in global coordinates, in any order.
            timestamp_us: the frame's time.
            ego: (4, 4) pose `global_from_ego`.
            cameras: images that a 2D detector has looked at, with its boxes: they keep tracks alive and lift their
                scores, and never start one.

        Returns:
            The tracks seen in this frame or just before it and probable enough, ordered by identity: filtered boxes
            with `track_id` and the track's score. Time that repeats or runs backwards, and boxes that cannot be used,
            are named in the log; the tracker goes on.

        Raises:
            InputError: the time lies beyond 2^53 microseconds.
        """
        self.assign(boxes, timestamp_us, ego, cameras)
        return self.report()

    def assign(self, boxes: Boxes3D, timestamp_us: int, ego: FloatArray, cameras: SeenCameras = ()) -> Assigned:
        """The first half of `step`: update all tracks with the boxes of one frame, and tell which went where."""
        elapsed_s = self._advance_clock(timestamp_us)
        viewpoint = Viewpoint.of_pose(ego)
        if self._learns_scores:
            self._learner.see(boxes, timestamp_us)
        measured = measure(boxes, self._config, self._table, self.calibration, viewpoint.xy_m)
        last_xy_m = self._tracks.mean[:, :2].copy()
        predict(self._tracks, self._table, elapsed_s)
        identities = self._config.use_identity and self._identity_trust.deserved
        rows, columns = associate(
            self._tracks, measured, self._table, self._config, last_xy_m, timestamp_us, elapsed_s, identities
        )
        if (queries := measured.boxes.query_id) is not None:
            self._identity_trust = self._identity_trust.after(self._tracks.query_id[rows], queries[columns])
        number = np.zeros(len(measured), dtype=np.int64)
        number[columns] = self._tracks.number[rows]
        if self._config.learn_noise:
            self._box_errors = self._box_errors.with_reports(measured.speed_mps, measured.probability)
            if elapsed_s > 0.0:
                self._learn_errors(
                    rows, columns, measured, viewpoint.xy_m, (viewpoint.xy_m - self._viewpoint.xy_m) / elapsed_s
                )
        self._viewpoint = viewpoint
        self._field_of_view = self._field_of_view.with_boxes(measured.planar[:, :2], viewpoint)
        self._continue_tracks(rows, columns, measured, elapsed_s)
        born = np.flatnonzero((number == 0) & self._may_start(measured))
        number[born] = np.arange(self._next_number, self._next_number + len(born))
        self._start_tracks(born, measured)
        if len(cameras):
            self._look_at_cameras(cameras, elapsed_s)
        self._end_tracks()
        return Assigned(measured, number)

    def report(self, at_us: int | None = None) -> Boxes3D:
        """The second half of `step`: the tracks seen in the last frame, or just before it, or by a 2D detector.

        Args:
            at_us: a later moment to which they are predicted, such as that of the output; None for the frame's.
        """
        config = self._config
        unseen_s = self._unseen_s()
        waited = (unseen_s <= config.report_unseen_s) & (self._tracks.seen_us >= self._frames_us[0])
        waited &= self._field_of_view.holds(self._tracks.mean[:, :2], self._viewpoint)
        coasting = (waited | self._kept_by_cameras(unseen_s)) & (self._tracks.observed_s >= config.report_unseen_s)
        confirmed = self._tracks.hits >= self._table.confirm_hits[self._tracks.label]
        score = self._tracks.score if config.track_score == "detection" else self._evidence_score(self._tracks)
        reported = ((unseen_s == 0.0) | coasting) & confirmed & (score >= config.least_reported_score)
        # New tracks are appended, so the rows are in the order of their numbers.
        tracks = self._tracks.select(reported)
        if at_us is not None:
            predict(tracks, self._table, max(0, at_us - self._now_us) * 1e-6)  # a copy: the tracks themselves stay
        return self._boxes(tracks).replace(
            score=score[reported],
            query_id=tracks.query_id if (tracks.query_id != NO_QUERY).any() else None,
            track_id=tracks.number.astype(np.str_),
        )

    def _evidence_score(self, tracks: Tracks) -> FloatArray:
        log_odds = log_odds_so_far(tracks) + self._config.camera_evidence.score_log_odds * tracks.support
        score = evidence_score(log_odds, tracks.observed_s, self._config.evidence_time_s)
        lower = displaced(tracks.mean[:, :2], tracks.body[:, 2], tracks.label, score)
        return shifted_score(score, DISPLACED_LOG_ODDS * lower)

    @property
    def calibration(self) -> Calibration:
        """What is known of the detector so far."""
        return Calibration(self._learner.scale, self._box_errors)

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything that the tracker remembers, as arrays that `np.savez` writes and `Tracker.from_state` reads."""
        return {
            "version": np.array(_STATE_VERSION),
            "now_us": np.array(self._now_us),
            "sensor_xy_m": self._viewpoint.xy_m.copy(),
            "heading_rad": np.array(self._viewpoint.heading_rad),
            "seen_directions": self._field_of_view.seen.copy(),
            "frames_us": self._frames_us.copy(),
            "started": np.array(self._started),
            "next_number": np.array(self._next_number),
            "learns_scores": np.array(self._learns_scores),
            "identity_trust": np.array(astuple(self._identity_trust)),
            **self._learner.state(),
            **{f"errors.{field.name}": getattr(self._box_errors, field.name).copy() for field in fields(BoxErrors)},
            **{f"tracks.{name}": column.copy() for name, column in self._tracks.columns().items()},
        }

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[Any]], config: TrackerConfig | None = None) -> Tracker:
        """A tracker that goes on where the one that gave `state` was.

        Args:
            state: what `state()` returned, also as `np.load` reads it back.
            config: settings, those of the first tracker as a rule: the state does not hold them.

        Raises:
            InputError: not a state, or one of another version.
        """
        version = int(state["version"]) if "version" in state else None
        if version != _STATE_VERSION:
            raise InputError(f"tracker state: version is {version}, this tracker reads version {_STATE_VERSION}")
        tracker = cls(config)
        expected = tracker.state()
        for name, own in expected.items():
            if name not in state:
                raise InputError(f"tracker state: '{name}' is missing")
            given = state[name]
            if given.dtype != own.dtype or given.ndim != own.ndim or given.shape[1:] != own.shape[1:]:
                raise InputError(f"tracker state: '{name}' has shape {given.shape} of {given.dtype}")
        columns = {name: np.array(state[f"tracks.{name}"]) for name in tracker._tracks.columns()}
        if len({len(column) for column in columns.values()}) != 1:
            raise InputError("tracker state: the columns of the tracks differ in length")
        tracker._tracks = Tracks.from_columns(columns)
        tracker._learner.load_state(state)
        tracker._learns_scores = bool(state["learns_scores"])
        errors = {field.name: np.array(state[f"errors.{field.name}"]) for field in fields(BoxErrors)}
        fixed = {f"errors.{name}": counts for name, counts in errors.items()} | {
            name: state[name] for name in ("sensor_xy_m", "seen_directions", "frames_us", "identity_trust")
        }
        for name, column in fixed.items():
            if len(column) != len(expected[name]):
                raise InputError(f"tracker state: '{name}' has {len(column)} numbers, expected {len(expected[name])}")
        tracker._box_errors = BoxErrors(**errors)
        tracker._identity_trust = IdentityTrust(*state["identity_trust"].tolist())
        tracker._viewpoint = Viewpoint(np.array(state["sensor_xy_m"]), float(state["heading_rad"]))
        tracker._field_of_view = FieldOfView(np.array(state["seen_directions"]))
        tracker._frames_us = np.array(state["frames_us"])
        tracker._now_us, tracker._started = int(state["now_us"]), bool(state["started"])
        tracker._next_number = int(state["next_number"])
        return tracker

    def _advance_clock(self, timestamp_us: int) -> float:
        """Seconds since the frame before; never negative."""
        if abs(timestamp_us) > _LATEST_US:
            raise InputError(f"timestamp {timestamp_us:.3g} us is no time")
        elapsed_us = timestamp_us - self._now_us if self._started else 0
        if self._started and elapsed_us <= 0:
            how = "repeats" if elapsed_us == 0 else f"runs backwards by {-elapsed_us * 1e-6:.3f} s"
            _logger.warning("time %s at %d us: the frame is tracked as if no time had passed", how, timestamp_us)
            # Keep how long each track was unseen, on the new clock; a microsecond keeps the two frames apart.
            moved_us = elapsed_us - 1
            self._tracks.seen_us += moved_us
            self._tracks.born_us += moved_us
            self._tracks.supported_us += moved_us
            self._tracks.box_us += moved_us
            self._frames_us += moved_us
        if elapsed_us * 1e-6 > _LONGEST_GAP_S:
            _logger.warning("a gap of %.1f s before %d us: all tracks end", elapsed_us * 1e-6, timestamp_us)
            self._tracks = Tracks.none()
        self._frames_us = np.append(self._frames_us[1:], timestamp_us)
        self._now_us, self._started = timestamp_us, True
        return max(elapsed_us, 0) * 1e-6

    def _learn_errors(
        self,
        rows: IndexArray,
        columns: IndexArray,
        measured: Measured,
        sensor_xy_m: FloatArray,
        sensor_mps: FloatArray,
    ) -> None:
        """Learn from tracks `rows` that boxes `columns` continue how boxes err."""
        times_us, xy_m = self._tracks.box_us[rows], self._tracks.box_xy_m[rows]
        seen = windows(
            np.column_stack([times_us, np.full(len(rows), self._now_us)]),
            np.concatenate([xy_m, measured.planar[columns, None, :2]], axis=1),
            self._tracks.box_velocity_mps[rows],
            ray_covariance(measured.planar[columns, :2], self._config.noise, sensor_xy_m),
            measured.probability[columns],
            sensor_xy_m,
            sensor_mps,
        )
        self._box_errors = self._box_errors.with_windows(seen)

    def _continue_tracks(self, rows: IndexArray, columns: IndexArray, measured: Measured, elapsed_s: float) -> None:
        tracks = self._tracks
        correct(tracks, self._table, rows, measured, columns)
        seen = np.zeros(len(tracks), dtype=np.bool_)
        seen[rows] = True
        tracks.observed_s += np.where(seen, elapsed_s, 0.0)
        tracks.missed_s += np.where(seen, 0.0, elapsed_s)
        tracks.seen_us[rows] = self._now_us
        tracks.hits[rows] += 1
        tracks.score[rows] = measured.boxes.score[columns]
        tracks.evidence[rows] += measured.log_odds[columns]
        tracks.last_log_odds[rows] = measured.log_odds[columns]
        tracks.box_us[rows] = np.column_stack([tracks.box_us[rows, 1], np.full(len(rows), self._now_us)])
        tracks.box_xy_m[rows] = np.stack([tracks.box_xy_m[rows, 1], measured.planar[columns, :2]], axis=1)
        tracks.box_velocity_mps[rows] = measured.planar[columns, 3:]
        if measured.boxes.query_id is not None:
            tracks.query_id[rows] = measured.boxes.query_id[columns]

    def _may_start(self, measured: Measured) -> NDArray[np.bool_]:
        """(B,) which boxes are good enough to start a track."""
        label = measured.boxes.label
        good: NDArray[np.bool_] = measured.boxes.score >= self._table.birth_score[label]
        return good & (measured.probability >= self._config.birth_probability)

    def _start_tracks(self, columns: IndexArray, measured: Measured) -> None:
        if not len(columns):
            return
        count = len(columns)
        boxes = measured.boxes.select(columns)
        mean, cov = start_states(measured, self._table, columns)
        self._tracks = self._tracks.append(
            Tracks(
                number=np.arange(self._next_number, self._next_number + count),
                label=boxes.label,
                mean=mean,
                cov=cov,
                body=measured.body[columns],
                body_var=measured.body_var[columns],
                heading_votes=np.zeros(count),
                query_id=np.full(count, NO_QUERY) if boxes.query_id is None else boxes.query_id,
                born_us=np.full(count, self._now_us),
                seen_us=np.full(count, self._now_us),
                supported_us=np.full(count, self._now_us),
                hits=np.ones(count, dtype=np.int64),
                evidence=measured.log_odds[columns],
                last_log_odds=measured.log_odds[columns],
                observed_s=np.zeros(count),
                missed_s=np.zeros(count),
                score=boxes.score,
                box_us=np.full((count, 2), self._now_us),
                box_xy_m=np.repeat(measured.planar[columns, None, :2], 2, axis=1),
                box_velocity_mps=measured.planar[columns, 3:],
                support=np.zeros(count),
            )
        )
        self._next_number += count

    def _look_at_cameras(self, cameras: SeenCameras, elapsed_s: float) -> None:
        """Remember for which tracks 2D boxes speak; their mean score counts a track's first frame as a key frame."""
        tracks, config = self._tracks, self._config.camera_evidence
        support = camera_support(self._boxes(tracks), cameras, config)
        tracks.supported_us[support > 0.0] = self._now_us
        weight_s = np.where(tracks.born_us == self._now_us, KEY_FRAME_S, elapsed_s)
        life_s = tracks.observed_s + tracks.missed_s + KEY_FRAME_S
        tracks.support += weight_s / life_s * (support - tracks.support)

    def _kept_by_cameras(self, unseen_s: FloatArray) -> NDArray[np.bool_]:
        """(T,) tracks that a 2D box of this frame speaks for, not too long after their last 3D box."""
        kept: NDArray[np.bool_] = self._tracks.supported_us == self._now_us
        return kept & (unseen_s <= self._config.camera_evidence.keep_s)

    def _boxes(self, tracks: Tracks) -> Boxes3D:
        """Where tracks are thought to be; their score is that of the last box."""
        expected, _ = observe(tracks.mean, tracks.label, self._table)
        return Boxes3D(
            center_m=np.column_stack([expected[:, :2], tracks.body[:, 0]]),
            size_wlh_m=tracks.body[:, 1:],
            rotation=rotation_from_yaw(expected[:, 2]),
            velocity_mps=expected[:, 3:],
            label=tracks.label,
            score=tracks.score,
        )

    def _end_tracks(self) -> None:
        unsupported = unsupported_s(self._tracks, self._config, self._now_us)
        alive = survivors(self._tracks, self._config, self._table, self._unseen_s(), unsupported)
        if not alive.all():
            self._tracks = self._tracks.select(alive)

    def _unseen_s(self) -> FloatArray:
        unseen_s: FloatArray = (self._now_us - self._tracks.seen_us) * 1e-6
        return unseen_s
