"""Tracks whole result files: each scene on its own, in parallel, with identities unique over the file."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from scenes import Boxes3D, Frame, InputError, Results, Scene, shared_taxonomy
from scenes.boxes2d import Boxes2D, CameraBoxes
from scenes.geometry import FloatArray
from scenes.jobs.executors import Executor, Workers, run_jobs
from scenes.result_format import MAX_BOXES_PER_SAMPLE, best_of_sample
from tracking.calibration import Calibration
from tracking.camera_evidence import SeenCameras
from tracking.class_table import ClassTable
from tracking.config import TrackerConfig
from tracking.fusion import LEAST_SHARE, Probabilities, fused
from tracking.offline import hindsight_probability, track_offline
from tracking.persistence import learn_from_drives
from tracking.tracker import Tracker

_logger = logging.getLogger(__name__)

_SMALLEST_PARALLEL_RUN = 650
"""Frames below which starting processes costs more than it saves: a second, where a frame takes 3 ms."""


@dataclass(frozen=True)
class Drive:
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
    workers: Workers = 1,
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
        workers: processes, or where the scenes are tracked otherwise.
        offline: look at each drive as a whole (`tracking.offline`); not causal.
        calibration: what is known of the detector, from another recording of it (`calibrate`). Without one each drive
            learns it from its frames so far; offline it is learned from all detections.
        camera_evidence: boxes of a 2D detector in the cameras of `scenes`, which keep tracks alive; None for none.

    Returns:
        Tracks of every frame, the best `MAX_BOXES_PER_SAMPLE` of them; `track_id` counts from 1 and is unique over all
        scenes. The result does not depend on `workers`.

    Raises:
        InputError: detections, scenes and settings have different classes; or `offline`, and tracks have two boxes in
            one frame.
    """
    taxonomy = shared_taxonomy(detections, scenes)
    config = config or TrackerConfig.of(taxonomy)
    if config.taxonomy != taxonomy:
        raise InputError(
            f"tracker settings for the classes of {config.taxonomy}, for detections with those of {taxonomy}"
        )
    if offline:
        _check_identities(detections, scenes)
    drives = [drive_of_scene(scene, detections.boxes, camera_evidence or {}) for scene in scenes]
    if offline and calibration is None:
        calibration = calibrate(detections, scenes, config)
    tracked: dict[str, Boxes3D] = {}
    offset = surplus = 0
    track = partial(track_drive, config=config, calibration=calibration, offline=offline)
    outputs_of_drives = run_jobs(track, [(drive,) for drive in drives], _useful_workers(workers, drives))
    for drive, outputs in zip(drives, outputs_of_drives, strict=True):
        numbers = [track_numbers(boxes) for boxes in outputs]
        for token, boxes, number in zip(drive.tokens, outputs, numbers, strict=True):
            tracked[token] = best = best_of_sample(boxes.replace(track_id=(number + offset).astype(np.str_)))
            surplus += len(boxes) - len(best)
        offset += max((int(number.max()) for number in numbers if len(number)), default=0)
    if surplus:
        _logger.warning("%d boxes left out: beyond the %d best of their sample", surplus, MAX_BOXES_PER_SAMPLE)
    return replace(detections, boxes=tracked)


def track_several(
    files: Sequence[Results],
    scenes: Sequence[Scene],
    config: TrackerConfig | None = None,
    workers: Workers = 1,
    *,
    calibrations: Sequence[Calibration] | None = None,
    camera_evidence: CameraBoxes | None = None,
) -> Results:
    """Track all scenes by the boxes of several detectors, or join the tracks of several trackers, with hindsight.

    Args:
        files: all detections or all tracks; a file may lack samples. Query identities are not used.
        scenes, workers, camera_evidence: as for `track_results`.
        config: the tracker's settings, for the classes of the scenes; None for the defaults.
        calibrations: of each file, what is known of its detector; None to learn it from the file.

    Returns, Raises: as `track_results`.
    """
    config = config or TrackerConfig.of(shared_taxonomy(files[0], scenes))
    for number, results in enumerate(files, 1):
        _check_identities(results, scenes, f"file {number}: ")
    calibrations = calibrations or [calibrate(results, scenes, config) for results in files]
    # What the least scores in the settings are asked of is the detectors' boxes, not those made of them.
    unbounded = {name: replace(own, min_score=0.0, birth_score=0.0) for name, own in config.classes.items()}
    calm = replace(config, classes=unbounded)

    def hindsight(results: Results) -> dict[str, FloatArray]:
        drives = [drive_of_scene(scene, results.boxes, {}) for scene in scenes]
        lenient = replace(calm, birth_probability=LEAST_SHARE * calm.birth_probability)
        judge = partial(_judged_drive, config=lenient)
        judged = run_jobs(judge, [(drive,) for drive in drives], _useful_workers(workers, drives))
        pairs = zip(drives, judged, strict=True)
        return {token: true for drive, of_drive in pairs for token, true in zip(drive.tokens, of_drive, strict=True)}

    return track_results(
        fused(files, scenes, config, calibrations, hindsight),
        scenes,
        calm,
        workers,
        offline=True,
        calibration=Calibration(Probabilities.unknown()),
        camera_evidence=camera_evidence,
    )


def _check_identities(tracks: Results, scenes: Sequence[Scene], where: str = "") -> None:
    """Check that no track has two boxes in a frame, where boxes have identities.

    Args:
        tracks: boxes of frames of `scenes`. where: what the message begins with.

    Raises:
        InputError: one has, with sample and identity.
    """
    for scene in scenes:
        for token in scene.sample_tokens:
            boxes = tracks.boxes.get(token)
            if boxes is None or boxes.track_id is None:
                continue
            named = Counter(zip(boxes.track_id.tolist(), boxes.label.tolist(), strict=True))
            for (identity, label), count in named.items():
                if count > 1:
                    name = scene.taxonomy.names[label]
                    raise InputError(f"{where}sample '{token}': tracking_id '{identity}' names {count} boxes of {name}")


def _judged_drive(drive: Drive, config: TrackerConfig) -> list[FloatArray]:
    known = Calibration(Probabilities.unknown())
    return hindsight_probability(drive.boxes, drive.timestamps_us, drive.global_from_ego, config, known)


def _useful_workers(workers: Workers, drives: Sequence[Drive]) -> Workers:
    return (
        workers
        if isinstance(workers, Executor) or sum(len(drive.tokens) for drive in drives) >= _SMALLEST_PARALLEL_RUN
        else 1
    )


def calibrate(detections: Results, scenes: Sequence[Scene], config: TrackerConfig | None = None) -> Calibration:
    """What all boxes of a detector in some scenes tell of it, without annotations.

    Args:
        detections: boxes of frames of `scenes`; those without are left out.
        scenes: the drives. config: the tracker's settings.
    """
    config = config or TrackerConfig.of(shared_taxonomy(detections, scenes))
    boxes = detections.boxes
    drives = [[(boxes[frame.token], frame) for frame in scene.frames if frame.token in boxes] for scene in scenes]
    timed = ([(found, frame.timestamp_us) for found, frame in drive] for drive in drives)
    known = Calibration(learn_from_drives(timed, ClassTable.from_config(config)))
    for drive in drives:
        tracker = Tracker(config, known)
        for found, frame in drive:
            tracker.assign(found, frame.timestamp_us, frame.global_from_ego)
        known = tracker.calibration
    return known


def drive_of_scene(scene: Scene, boxes: Mapping[str, Boxes3D], camera_boxes: CameraBoxes) -> Drive:
    """What tracking a scene needs of it and of all boxes."""
    return Drive(
        tokens=scene.sample_tokens,
        boxes=tuple(boxes[token] for token in scene.sample_tokens),
        timestamps_us=tuple(frame.timestamp_us for frame in scene.frames),
        global_from_ego=tuple(frame.global_from_ego for frame in scene.frames),
        cameras=tuple(_seen_cameras(frame, camera_boxes.get(frame.token, {})) for frame in scene.frames),
    )


def _seen_cameras(frame: Frame, boxes: Mapping[str, Boxes2D]) -> SeenCameras:
    return [(camera, boxes[camera.name]) for camera in frame.cameras if camera.name in boxes]


def track_drive(drive: Drive, config: TrackerConfig, calibration: Calibration | None, offline: bool) -> list[Boxes3D]:
    if offline:
        assert calibration is not None  # `track_results` learns one
        return track_offline(
            drive.boxes, drive.timestamps_us, drive.global_from_ego, config, calibration, drive.cameras
        )
    tracker = Tracker(config, calibration)
    frames = zip(drive.boxes, drive.timestamps_us, drive.global_from_ego, drive.cameras, strict=True)
    return [tracker.step(*frame) for frame in frames]


def track_numbers(boxes: Boxes3D) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The identities of a drive's boxes, which the tracker counts from 1."""
    assert boxes.track_id is not None  # the tracker names every box
    return boxes.track_id.astype(np.int64)
