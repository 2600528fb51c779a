"""Writes a scene as a Rerun recording (.rrd): cameras, boxes and tracks over time. Needs the extra `[rerun]`.

Entities: `world/ego`, `world/cameras/<name>` (pose, pinhole) with `image`, `world/tracks`, `world/tails`,
`world/annotations`, `world/detections`. Times: `frame` (number from 0) and `time` (seconds from the first frame).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from scenes import Frame, Results, Scene
from scenes.files import write_atomically
from scenes.jobs.executors import Workers, run_jobs
from scenes.scene_files import scene_file_name
from visualization.colors import ANNOTATION_COLOR, DETECTION_COLOR, coloring_of, single_color
from visualization.images import read_image
from visualization.mosaic import sorted_cameras
from visualization.rerun_frames import APPLICATION, FrameLogger, logged_size_px, rerun_module
from visualization.run_painter import DrawingOptions, RunPainter
from visualization.selection import boxes_by_frame, results_of_scene


def write_recording(
    scene: Scene,
    tracks: Results,
    path: Path,
    options: DrawingOptions | None = None,
    detections: Results | None = None,
) -> Path:
    """Write a scene as a Rerun recording, whole or not at all.

    Args:
        scene: frames, cameras and annotations; images may be missing.
        tracks: boxes by sample token, with `track_id`.
        path: the recording to write (`.rrd`).
        options: what is drawn; annotations are always there, to be switched in the viewer.
        detections: boxes by sample token for a layer of their own.

    Returns:
        `path`.

    Raises:
        InputError: the package `rerun-sdk` is not installed.
    """
    rerun = rerun_module()
    recording = rerun.RecordingStream(APPLICATION, recording_id=scene.token)
    # Rerun's own file writer only logs that a disk is full. So the recording is made in memory, some ten MB.
    stream = recording.binary_stream()
    _RecordingWriter(rerun, recording, scene, tracks, options or DrawingOptions(), detections).write()
    write_atomically(path, stream.read(flush=True))
    recording.disconnect()
    return path


def write_recordings(
    scenes: Sequence[Scene],
    tracks: Results,
    folder: Path,
    options: DrawingOptions | None = None,
    detections: Results | None = None,
    workers: Workers = 1,
) -> Iterator[Path]:
    """Write `<folder>/<scene name>.rrd` for each scene; see `write_recording` and, for workers, `write_videos`."""
    rerun_module()
    jobs = [
        (
            scene,
            results_of_scene(scene, tracks),
            folder / f"{scene_file_name(scene.name)}.rrd",
            options,
            None if detections is None else results_of_scene(scene, detections),
        )
        for scene in scenes
    ]
    yield from run_jobs(write_recording, jobs, workers)


class _RecordingWriter:
    """Logs one scene into an open recording."""

    def __init__(
        self,
        rerun: Any,
        recording: Any,
        scene: Scene,
        tracks: Results,
        options: DrawingOptions,
        detections: Results | None,
    ) -> None:
        self._rerun = rerun
        self._recording = recording
        self._run = RunPainter(scene, tracks, options)
        self._scene = scene
        self._coloring = coloring_of(options.color_by, scene.taxonomy)
        self._detections = None if detections is None else boxes_by_frame(scene, detections)
        origin_m = scene.frames[0].global_from_ego[:3, 3]
        self._frames = FrameLogger(rerun, recording, origin_m, scene.taxonomy.names)

    def write(self) -> None:
        names = dict.fromkeys(camera.name for frame in self._scene.frames for camera in sorted_cameras(frame.cameras))
        self._frames.begin(self._scene.name, list(names))
        start_us = self._scene.frames[0].timestamp_us
        for index, frame in enumerate(self._scene.frames):
            self._recording.set_time("frame", sequence=index)
            self._recording.set_time("time", duration=1e-6 * (frame.timestamp_us - start_us))
            self._log_frame(index, frame)

    def _log_frame(self, index: int, frame: Frame) -> None:
        self._frames.log_ego(frame.global_from_ego)
        for camera in frame.cameras:
            width_px, height_px = logged_size_px(camera)
            self._frames.log_camera(camera, read_image(camera, width_px, height_px))
        boxes = self._run.boxes[index]
        self._frames.log_boxes("world/tracks", boxes, self._coloring)
        self._frames.log_tails(self._run.history(index), boxes, self._coloring)
        if frame.annotations is not None:
            annotated = frame.annotations.boxes
            self._frames.log_boxes("world/annotations", annotated, single_color(ANNOTATION_COLOR))
        if self._detections is not None:
            self._frames.log_boxes("world/detections", self._detections[index], single_color(DETECTION_COLOR))
