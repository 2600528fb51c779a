"""Tracks any number of scenes, each a job with a shard of its own: detections and tracks go from file to file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from scenes import Boxes3D, InputError, Scene, taxonomy_of
from scenes.boxes2d import CameraBoxes
from scenes.jobs.executors import Executor
from scenes.jobs.shards import Progress, Shards, run_shards
from scenes.result_format import TRACKING_FORMAT
from scenes.results import shard_samples, write_samples
from scenes.stored_results import StoredResults, StoredScene
from tracking.calibration import Calibration
from tracking.config import TrackerConfig
from tracking.run import drive_of_scene, track_drive


@dataclass(frozen=True)
class _HowTracked:
    """What is the same for all scenes."""

    config: TrackerConfig
    calibration: Calibration | None
    offline: bool
    meta: Mapping[str, Any]


def track_shards(
    detections: StoredResults,
    scenes: Sequence[Scene],
    shards: Shards,
    config: TrackerConfig,
    executor: Executor,
    *,
    offline: bool = False,
    calibration: Calibration | None = None,
    camera_evidence: CameraBoxes | None = None,
    keep_going: bool = False,
    progress: Progress | None = None,
) -> int:
    """Track the scenes whose shards are missing.

    Args:
        detections: boxes of every frame of `scenes`.
        scenes: the drives; annotations are not needed.
        shards: for the tracks; see `scenes.jobs.shards.begin_shards`.
        config, offline, calibration, camera_evidence: as for `tracking.track_results`.
        executor: where to track.
        keep_going, progress: see `scenes.jobs.shards.run_shards`.

    Returns:
        how many scenes failed.

    Raises:
        InputError: a scene failed, without `keep_going`; or `offline` without a calibration, which would take all
            scenes to learn.
    """
    if offline and calibration is None:
        raise InputError("scene by scene, --offline takes a --calibration: it cannot be learned from one scene alone")
    how = _HowTracked(config, calibration, offline, detections.meta)
    evidence = camera_evidence or {}
    jobs = (
        (
            scene.name,
            (scene, detections.scene(scene), {token: evidence.get(token, {}) for token in scene.sample_tokens}),
        )
        for scene in scenes
    )
    track = partial(_track_scene, how)
    return run_shards(shards, track, jobs, executor, keep_going=keep_going, progress=progress)


def _track_scene(how: _HowTracked, scene: Scene, stored: StoredScene, evidence: CameraBoxes, path: Path) -> None:
    """Write the tracks of a scene, whose identities count from 1."""
    drive = drive_of_scene(scene, stored.read(scene.taxonomy).boxes, evidence)
    outputs = track_drive(drive, how.config, how.calibration, how.offline)
    write_samples(path, TRACKING_FORMAT, how.meta, zip(drive.tokens, outputs, strict=True), scene.taxonomy)


def join_tracks(shards: Shards, path: Path, scenes: Sequence[Scene], meta: Mapping[str, Any]) -> tuple[int, int]:
    """Write the tracks of all shards to one file, as `tracking.track_results` and `write_tracks` would have.

    Args:
        shards: of `scenes`, all there.
        path: the file to write.
        scenes: the drives.
        meta: of the detections.

    Returns:
        how many boxes of how many tracks were written.
    """
    count, identities = 0, set[str]()

    def counted() -> Iterator[tuple[str, Boxes3D]]:
        nonlocal count
        for token, boxes in shard_samples(shards, TRACKING_FORMAT, taxonomy):
            count += len(boxes)
            identities.update([] if boxes.track_id is None else boxes.track_id.tolist())
            yield token, boxes

    taxonomy = taxonomy_of(scenes)
    write_samples(path, TRACKING_FORMAT, meta, counted(), taxonomy)
    return count, len(identities)
