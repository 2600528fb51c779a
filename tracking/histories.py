"""Which boxes of a whole drive are one object: what hindsight works on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from scenes import Boxes3D
from scenes.geometry import FloatArray
from tracking.association import IndexArray
from tracking.calibration import Calibration
from tracking.camera_evidence import SeenCameras
from tracking.class_table import ClassTable
from tracking.config import TrackerConfig
from tracking.measurement import Measured, measure, measured_boxes, ray_covariance
from tracking.tracker import Tracker


@dataclass(frozen=True)
class Drive:
    """One drive of F frames, as hindsight sees it.

    Attributes:
        boxes: of every frame, in global coordinates.
        times_s: (F,) since the first frame; never falling.
        sensor_xy_m: (F, 2) where the viewing rays start, global.
        cameras: of every frame the images that a 2D detector has looked at, with its boxes.
        config, table: settings.
        calibration: what is known of the detector.
    """

    boxes: Sequence[Boxes3D]
    times_s: FloatArray
    sensor_xy_m: FloatArray
    cameras: Sequence[SeenCameras]
    config: TrackerConfig
    table: ClassTable
    calibration: Calibration

    @classmethod
    def of(
        cls,
        boxes: Sequence[Boxes3D],
        timestamps_us: Sequence[int],
        global_from_ego: Sequence[FloatArray],
        cameras: Sequence[SeenCameras],
        config: TrackerConfig,
        calibration: Calibration,
    ) -> Drive:
        """A drive by its times and (4, 4) poses."""
        # A clock that runs backwards stands still, as in the tracker.
        elapsed_us = np.maximum(np.diff(np.array(timestamps_us, dtype=np.int64)), 0)
        times_s = np.concatenate([[0.0], np.cumsum(elapsed_us) * 1e-6])
        sensor_xy_m = np.array([np.asarray(pose, dtype=np.float64)[:2, 3] for pose in global_from_ego])
        return cls(boxes, times_s, sensor_xy_m, cameras, config, ClassTable.from_config(config), calibration)


@dataclass(frozen=True)
class Histories:
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

    def under(self, track: IndexArray) -> Histories:
        """The same boxes (N,) under other tracks: any numbers, ascending with birth."""
        order = np.lexsort((self.frame, track))
        _, renumbered = np.unique(track[order], return_inverse=True)
        return Histories(renumbered, self.frame[order], self.source[order], self.log_odds[order])

    def measured(self, rows: slice, drive: Drive) -> Measured:
        """The boxes of some rows as measurements."""
        frame, source = self.frame[rows], self.source[rows]
        order = np.argsort(frame, kind="stable")
        begin = np.flatnonzero(np.diff(frame[order], prepend=-1))
        parts = [drive.boxes[frame[in_frame[0]]].select(source[in_frame]) for in_frame in np.split(order, begin[1:])]
        back = np.empty(len(order), dtype=np.int64)
        back[order] = np.arange(len(order))
        boxes = Boxes3D.concatenate(parts).select(back)
        errors = drive.calibration.box_errors
        place_cov = ray_covariance(boxes.center_m[:, :2], drive.config.noise, drive.sensor_xy_m[frame], errors)
        return measured_boxes(source, boxes, self.log_odds[rows], drive.config, drive.table, errors, place_cov)


def followed_online(
    tracker: Tracker, drive: Drive, timestamps_us: Sequence[int], global_from_ego: Sequence[FloatArray]
) -> Histories:
    """What the online tracker makes of a drive."""
    columns: list[tuple[IndexArray, IndexArray, IndexArray, FloatArray]] = []
    frames = zip(drive.boxes, timestamps_us, global_from_ego, drive.cameras, strict=True)
    for index, frame in enumerate(frames):
        assigned = tracker.assign(*frame)
        taken = np.flatnonzero(assigned.number > 0)
        measured = assigned.measured
        at = np.full(len(taken), index)
        columns.append((assigned.number[taken], at, measured.source[taken], measured.log_odds[taken]))
    return _of_columns(columns)


def named_already(drive: Drive) -> tuple[Histories, Calibration]:
    """The tracks that somebody has found, boxes of one `track_id` and class; and what these tell of the detector."""
    # Who found them has settled what is a duplicate.
    config = replace(drive.config, suppress_duplicates=False)
    columns: list[tuple[IndexArray, IndexArray, IndexArray, FloatArray]] = []
    numbers: dict[tuple[str, int], int] = {}
    errors = drive.calibration.box_errors
    for index, boxes in enumerate(drive.boxes):
        measured = measure(boxes, config, drive.table, drive.calibration, drive.sensor_xy_m[index])
        identities = measured.boxes.track_id
        found = [] if identities is None else identities.tolist()
        names = zip(found, measured.boxes.label.tolist(), strict=True)
        number = np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)
        errors = errors.with_reports(measured.speed_mps, measured.probability)
        columns.append((number, np.full(len(number), index), measured.source, measured.log_odds))
    return _of_columns(columns), replace(drive.calibration, box_errors=errors)


def _of_columns(columns: Sequence[tuple[IndexArray, IndexArray, IndexArray, FloatArray]]) -> Histories:
    number, frame, source, log_odds = (np.concatenate(column) for column in zip(*columns, strict=True))
    return Histories(number, frame, source, log_odds).under(number)


def blocks(sizes: IndexArray, most: int) -> Iterator[slice]:
    """Consecutive things of given sizes (K,) by blocks of about `most` in all."""
    block = (np.cumsum(sizes) - sizes) // most
    begin = np.flatnonzero(np.diff(block, prepend=-1)).tolist()
    yield from (slice(*pair) for pair in zip(begin, [*begin[1:], len(sizes)], strict=True))
