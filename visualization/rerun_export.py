"""Writes a scene as a Rerun recording (.rrd): cameras, boxes and tracks over time. Needs the extra `[rerun]`.

Entities: `world/ego`, `world/cameras/<name>` (pose, pinhole) with `image`, `world/tracks`, `world/tails`,
`world/annotations`, `world/detections`. Times: `frame` (number from 0) and `time` (seconds from the first frame).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np

from scenes import Boxes3D, Camera, Frame, InputError, Results, Scene
from scenes.executors import Workers, run_jobs
from scenes.files import write_atomically
from scenes.scene_files import scene_file_name
from visualization.annotators import ground_paths
from visualization.colors import ANNOTATION_COLOR, DETECTION_COLOR, Coloring, coloring_of, single_color
from visualization.images import encode_jpeg, read_image
from visualization.mosaic import sorted_cameras
from visualization.run_painter import DrawingOptions, RunPainter
from visualization.selection import boxes_by_frame, results_of_scene
from visualization.views import shown_size_px

_APPLICATION: Final = "streamtrack"
_IMAGE_WIDTH_PX: Final = 800
_JPEG_QUALITY: Final = 80
_EGO_SIZE_LWH_M: Final = (4.08, 1.73, 1.56)
_EGO_CENTER_M: Final = (1.29, 0.0, 0.78)
"""The measuring car's body around the origin of the ego frame."""


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
    rerun = _rerun()
    recording = rerun.RecordingStream(_APPLICATION, recording_id=scene.token)
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
    _rerun()
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


def _rerun() -> ModuleType:
    # Rerun is large and optional: it is imported where it is used.
    try:
        import rerun
    except ImportError as error:
        needed = "Rerun recordings need the package rerun-sdk: pip install 'streamtrack[rerun]'"
        raise InputError(f"{needed} ({error})") from error
    module: ModuleType = rerun
    return module


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
        # Positions go down to single precision in the viewer: near the origin they keep it.
        self._origin_m = scene.frames[0].global_from_ego[:3, 3]

    def write(self) -> None:
        rerun = self._rerun
        self._recording.send_blueprint(self._blueprint())
        self._recording.log("world", rerun.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
        ego_body = rerun.Boxes3D(sizes=[_EGO_SIZE_LWH_M], centers=[_EGO_CENTER_M], labels=["ego"])
        self._recording.log("world/ego", ego_body, static=True)
        start_us = self._scene.frames[0].timestamp_us
        for index, frame in enumerate(self._scene.frames):
            self._recording.set_time("frame", sequence=index)
            self._recording.set_time("time", duration=1e-6 * (frame.timestamp_us - start_us))
            self._log_frame(index, frame)

    def _blueprint(self) -> Any:
        """How the viewer opens: the world, and the cameras with the tracks projected into them."""
        blueprint = self._rerun.blueprint
        names = dict.fromkeys(camera.name for frame in self._scene.frames for camera in sorted_cameras(frame.cameras))
        cameras = [
            blueprint.Spatial2DView(
                origin=f"world/cameras/{name}", name=name, contents=["$origin/**", "/world/tracks", "/world/tails"]
            )
            for name in names
        ]
        world = blueprint.Spatial3DView(origin="world", name=self._scene.name)
        panes = [world, blueprint.Grid(*cameras, grid_columns=3)] if cameras else [world]
        return blueprint.Blueprint(blueprint.Horizontal(*panes), collapse_panels=True)

    def _log_frame(self, index: int, frame: Frame) -> None:
        self._recording.log("world/ego", self._transform(frame.global_from_ego))
        for camera in frame.cameras:
            self._log_camera(camera)
        boxes = self._run.boxes[index]
        self._log_boxes("world/tracks", boxes, self._coloring)
        self._log_tails(index, boxes)
        if frame.annotations is not None:
            self._log_boxes("world/annotations", frame.annotations.boxes, single_color(ANNOTATION_COLOR))
        if self._detections is not None:
            self._log_boxes("world/detections", self._detections[index], single_color(DETECTION_COLOR))

    def _log_camera(self, camera: Camera) -> None:
        rerun, entity = self._rerun, f"world/cameras/{camera.name}"
        width_px, height_px = shown_size_px(camera)
        width = min(_IMAGE_WIDTH_PX, width_px)
        scale = width / width_px
        height = max(1, round(scale * height_px))
        intrinsic = np.diag([scale, scale, 1.0]) @ camera.intrinsic
        self._recording.log(entity, self._transform(camera.global_from_ego @ camera.ego_from_camera))
        pinhole = rerun.Pinhole(
            image_from_camera=intrinsic, resolution=[width, height], camera_xyz=rerun.ViewCoordinates.RDF
        )
        self._recording.log(entity, pinhole)
        image = read_image(camera, width, height)
        if image is None:
            self._recording.log(f"{entity}/image", rerun.Clear(recursive=False))
            return
        content = encode_jpeg(image, _JPEG_QUALITY)
        self._recording.log(f"{entity}/image", rerun.EncodedImage(contents=content, media_type="image/jpeg"))

    def _log_boxes(self, entity: str, boxes: Boxes3D, coloring: Coloring) -> None:
        shown = self._rerun.Boxes3D(
            centers=boxes.center_m - self._origin_m,
            sizes=boxes.size_wlh_m[:, [1, 0, 2]],
            quaternions=boxes.rotation[:, [1, 2, 3, 0]],
            colors=coloring(boxes),
            labels=_labels(boxes, self._scene.taxonomy.names),
            class_ids=np.maximum(boxes.label, 0).astype(np.uint16),
            show_labels=False,
        )
        self._recording.log(entity, shown)

    def _log_tails(self, index: int, boxes: Boxes3D) -> None:
        strips = [path - self._origin_m for path in ground_paths(self._run.history(index))]
        self._recording.log("world/tails", self._rerun.LineStrips3D(strips, colors=self._coloring(boxes)))

    def _transform(self, global_from_body: Any) -> Any:
        translation = global_from_body[:3, 3] - self._origin_m
        return self._rerun.Transform3D(translation=translation, mat3x3=global_from_body[:3, :3])


def _labels(boxes: Boxes3D, names: Sequence[str]) -> list[str]:
    identities = [""] * len(boxes) if boxes.track_id is None else boxes.track_id.tolist()
    return [
        f"{identity} {names[label]} {score:.2f}".strip()
        for identity, label, score in zip(identities, boxes.label.tolist(), boxes.score.tolist(), strict=True)
    ]
