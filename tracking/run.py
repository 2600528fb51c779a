"""Tracks whole result files: each scene on its own, in parallel, with identities unique over the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from scenes import Boxes3D, Frame, InputError, Results, Scene, shared_taxonomy
from scenes.boxes2d import Boxes2D, CameraBoxes
from scenes.geometry import FloatArray
from scenes.processes import run_jobs
from tracking.box_errors import BoxErrors
from tracking.calibration import Calibration
from tracking.camera_evidence import SeenCameras
from tracking.class_table import ClassTable
from tracking.config import TrackerConfig
from tracking.offline import track_offline
from tracking.persistence import learn_from_drives
from tracking.tracker import Tracker

_SMALLEST_PARALLEL_RUN = 650
"""Frames below which starting processes costs more than it saves: a second, where a frame takes 3 ms."""


@dataclass(frozen=True)
class _Drive:
    """What tracking one scene needs: plain arrays, small enough to send to another process."""

    tokens: tuple[str, ...]
    boxes: tuple[Boxes3D, ...]
    timestamps_us: tuple[int, ...]
    global_from_ego: tuple[FloatArray, ...]
    cameras: tuple[SeenCameras, ...]


def track_results(
    detections: Results,
    scenes: Sequence[Scene],
    config: TrackerConfig | None = None,
    workers: int = 1,
    *,
    offline: bool = False,
    calibration: Calibration | None = None,
    camera_evidence: CameraBoxes | None = None,
) -> Results:
    """Track all scenes of a detection file.

    Args:
        detections: boxes of every frame of `scenes`.
        scenes: the drives, in the order in which identities are numbered.
        config: the tracker's settings, for the classes of the scenes; None for the defaults.
        workers: processes.
        offline: look at each drive as a whole (`tracking.offline`); not causal.
        calibration: what is known of the detector, from another recording of it (`calibrate`). Without one each drive
            learns it from its frames so far; offline it is learned from all detections.
        camera_evidence: boxes of a 2D detector in the cameras of `scenes`, which keep tracks alive; None for none.

    Returns:
        Tracks of every frame; `track_id` counts from 1 and is unique over all scenes. The result does not depend on
        `workers`.

    Raises:
        InputError: detections, scenes and settings have different classes.
    """
    taxonomy = shared_taxonomy(detections, scenes)
    config = config or TrackerConfig.of(taxonomy)
    if config.taxonomy != taxonomy:
        raise InputError(
            f"tracker settings for the classes of {config.taxonomy}, for detections with those of {taxonomy}"
        )
    drives = [_drive(scene, detections.boxes, camera_evidence or {}) for scene in scenes]
    if offline and calibration is None:
        calibration = calibrate(detections, scenes, config)
    frames = sum(len(drive.tokens) for drive in drives)
    tracked: dict[str, Boxes3D] = {}
    offset = 0
    track_drive = partial(_track_drive, config=config, calibration=calibration, offline=offline)
    workers = workers if frames >= _SMALLEST_PARALLEL_RUN else 1
    outputs_of_drives = run_jobs(track_drive, [(drive,) for drive in drives], workers)
    for drive, outputs in zip(drives, outputs_of_drives, strict=True):
        numbers = [_numbers(boxes) for boxes in outputs]
        for token, boxes, number in zip(drive.tokens, outputs, numbers, strict=True):
            tracked[token] = boxes.replace(track_id=(number + offset).astype(np.str_))
        offset += max((int(number.max()) for number in numbers if len(number)), default=0)
    return replace(detections, boxes=tracked)


def calibrate(detections: Results, scenes: Sequence[Scene], config: TrackerConfig | None = None) -> Calibration:
    """What all boxes of a detector in some scenes tell of it, without annotations.

    Args:
        detections: boxes of every frame of `scenes`.
        scenes: the drives. config: the tracker's settings.
    """
    config = config or TrackerConfig.of(shared_taxonomy(detections, scenes))
    drives = [_drive(scene, detections.boxes, {}) for scene in scenes]
    frames = (zip(drive.boxes, drive.timestamps_us, strict=True) for drive in drives)
    score_scale = learn_from_drives(frames, ClassTable.from_config(config))
    box_errors = BoxErrors.unknown()
    for drive in drives:
        tracker = Tracker(config, Calibration(score_scale, box_errors))
        for frame in zip(drive.boxes, drive.timestamps_us, drive.global_from_ego, strict=True):
            tracker.assign(*frame)
        box_errors = tracker.calibration.box_errors
    return Calibration(score_scale, box_errors)


def _drive(scene: Scene, boxes: Mapping[str, Boxes3D], camera_boxes: CameraBoxes) -> _Drive:
    return _Drive(
        tokens=scene.sample_tokens,
        boxes=tuple(boxes[token] for token in scene.sample_tokens),
        timestamps_us=tuple(frame.timestamp_us for frame in scene.frames),
        global_from_ego=tuple(frame.global_from_ego for frame in scene.frames),
        cameras=tuple(_seen_cameras(frame, camera_boxes.get(frame.token, {})) for frame in scene.frames),
    )


def _seen_cameras(frame: Frame, boxes: Mapping[str, Boxes2D]) -> SeenCameras:
    return [(camera, boxes[camera.name]) for camera in frame.cameras if camera.name in boxes]


def _track_drive(drive: _Drive, config: TrackerConfig, calibration: Calibration | None, offline: bool) -> list[Boxes3D]:
    if offline:
        assert calibration is not None  # `track_results` learns one
        return track_offline(
            drive.boxes, drive.timestamps_us, drive.global_from_ego, config, calibration, drive.cameras
        )
    tracker = Tracker(config, calibration)
    frames = zip(drive.boxes, drive.timestamps_us, drive.global_from_ego, drive.cameras, strict=True)
    return [tracker.step(*frame) for frame in frames]


def _numbers(boxes: Boxes3D) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    assert boxes.track_id is not None  # the tracker names every box
    return boxes.track_id.astype(np.int64)
