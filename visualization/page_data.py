"""What a scene's page knows, as plain lists and dictionaries: the counterpart of `page/*.js`.

Positions are global, moved to the scene's first ego position, so that few digits suffice. A box is a row of 13
numbers: centre x, y, z; width, length, height; quaternion w, x, y, z; velocity x, y (null where unknown); score.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from scenes import DETECTION_CLASSES, Boxes3D, Camera, Frame, Results, Scene
from scenes.geometry import FloatArray
from visualization.colors import ANNOTATION_COLOR, DETECTION_COLOR, class_color, identity_color, score_color
from visualization.matching import UNMATCHED, FrameEvents, OperatingPoints, mean_scores, scene_events
from visualization.selection import boxes_by_frame
from visualization.views import shown_size_px

_SCORE_SHADES: Final = 21

ImageSource = Callable[[int, Camera], "str | None"]
"""Where the page finds the image of a camera in a frame: a data URI, a relative path, or None where there is none."""


@dataclass
class _Path:
    """The boxes of one identity through a scene, in the order of frames."""

    label: int
    frames: list[int] = field(default_factory=list)
    rows: list[list[float | None]] = field(default_factory=list)
    query_ids: list[int] = field(default_factory=list)
    false_positive: list[int] = field(default_factory=list)
    switches: list[int] = field(default_factory=list)
    missed: list[int] = field(default_factory=list)
    judged: bool = False
    matches: list[str | None] = field(default_factory=list)


def page_data(
    scene: Scene,
    tracks: Results,
    detections: Results | None,
    operating_points: OperatingPoints,
    image_source: ImageSource,
) -> dict[str, Any]:
    """Everything that a scene's page shows.

    Args:
        scene: frames, cameras and annotations.
        tracks: boxes by sample token, with `track_id`.
        detections: boxes by sample token, shown as a layer of their own; None for no such layer.
        operating_points: by class the score from which on tracks are judged.
        image_source: see `ImageSource`.
    """
    origin_m = scene.frames[0].global_from_ego[:3, 3]
    events = scene_events(scene, tracks, operating_points)
    tracked = boxes_by_frame(scene, tracks)
    start_us = scene.frames[0].timestamp_us
    return {
        "scene": {"name": scene.name, "location": scene.location, "description": scene.description},
        "classes": list(DETECTION_CLASSES),
        "colors": {
            "classes": [class_color(label) for label in range(len(DETECTION_CLASSES))],
            "scores": [score_color(score) for score in np.linspace(0.0, 1.0, _SCORE_SHADES)],
            "annotation": ANNOTATION_COLOR,
            "detection": DETECTION_COLOR,
        },
        "frames": [_frame(index, frame, start_us, origin_m, image_source) for index, frame in enumerate(scene.frames)],
        "tracks": _track_paths(scene, tracked, events, origin_m),
        "annotations": _annotation_paths(scene, events, origin_m),
        "detections": None if detections is None else _loose_boxes(boxes_by_frame(scene, detections), origin_m),
        "judged": events is not None,
        "operating_points": {DETECTION_CLASSES[label]: round(score, 3) for label, score in operating_points.items()},
    }


def _frame(index: int, frame: Frame, start_us: int, origin_m: FloatArray, image_source: ImageSource) -> dict[str, Any]:
    pose = frame.global_from_ego
    return {
        "token": frame.token,
        "time": round(1e-6 * (frame.timestamp_us - start_us), 3),
        "ego": {
            "position": _rounded(pose[:3, 3] - origin_m),
            "yaw": round(float(np.arctan2(pose[1, 0], pose[0, 0])), 5),
        },
        "cameras": [_camera(camera, image_source(index, camera), origin_m) for camera in frame.cameras],
    }


def _camera(camera: Camera, image: str | None, origin_m: FloatArray) -> dict[str, Any]:
    # camera_from_scene @ p = camera_from_global @ (p + origin)
    pose = camera.camera_from_global.copy()
    pose[:3, 3] += pose[:3, :3] @ origin_m
    width_px, height_px = shown_size_px(camera)
    return {
        "name": camera.name,
        "file": camera.image_path.name,
        "image": image,
        "width": width_px,
        "height": height_px,
        "intrinsic": _rounded(camera.intrinsic.ravel(), 3),
        "pose": [_rounded(row, 6) for row in pose[:3]],
    }


def _track_paths(
    scene: Scene, tracked: Sequence[Boxes3D], events: list[FrameEvents] | None, origin_m: FloatArray
) -> list[dict[str, Any]]:
    scores = mean_scores(tracked)
    paths: dict[tuple[str, int], _Path] = {}
    for index, boxes in enumerate(tracked):
        _append_boxes(paths, index, boxes, origin_m)
        if events is not None:
            _mark_tracks(paths, scene.frames[index], boxes, events[index])
    return [
        {
            "id": identity,
            "label": path.label,
            "color": identity_color(identity),
            "score": round(scores[identity, label], 4),
            "judged": path.judged or events is None,
            "frames": path.frames,
            "boxes": path.rows,
            "queries": path.query_ids,
            "matches": path.matches,
            "false_positives": path.false_positive,
            "switches": path.switches,
        }
        for (identity, label), path in paths.items()
    ]


def _annotation_paths(scene: Scene, events: list[FrameEvents] | None, origin_m: FloatArray) -> list[dict[str, Any]]:
    paths: dict[tuple[str, int], _Path] = {}
    for index, frame in enumerate(scene.frames):
        if frame.annotations is not None:
            boxes = frame.annotations.boxes
            _append_boxes(paths, index, boxes, origin_m)
            if events is not None:
                for key in _keys(boxes.select(events[index].missed)):
                    paths[key].missed.append(index)
    return [
        {"id": identity, "label": path.label, "frames": path.frames, "boxes": path.rows, "misses": path.missed}
        for (identity, _), path in paths.items()
    ]


def _append_boxes(paths: dict[tuple[str, int], _Path], index: int, boxes: Boxes3D, origin_m: FloatArray) -> None:
    queries = [] if boxes.query_id is None else boxes.query_id.tolist()
    for position, (key, row) in enumerate(zip(_keys(boxes), _rows(boxes, origin_m), strict=True)):
        path = paths.setdefault(key, _Path(label=key[1]))
        path.frames.append(index)
        path.rows.append(row)
        path.query_ids.extend(queries[position : position + 1])


def _mark_tracks(paths: dict[tuple[str, int], _Path], frame: Frame, boxes: Boxes3D, events: FrameEvents) -> None:
    """Add what became of each box of a frame; the boxes themselves are there already."""
    assert frame.annotations is not None
    annotated = [identity for identity, _ in _keys(frame.annotations.boxes)]
    for position, key in enumerate(_keys(boxes)):
        path, match = paths[key], int(events.match[position])
        path.matches.append(None if match == UNMATCHED else annotated[match])
        path.judged |= bool(events.judged[position])
        if events.false_positive[position]:
            path.false_positive.append(path.frames[-1])
        if events.switch[position]:
            path.switches.append(path.frames[-1])


def _loose_boxes(boxes_of_frames: Sequence[Boxes3D], origin_m: FloatArray) -> list[dict[str, Any]]:
    return [{"labels": boxes.label.tolist(), "boxes": _rows(boxes, origin_m)} for boxes in boxes_of_frames]


def _keys(boxes: Boxes3D) -> list[tuple[str, int]]:
    identities = [""] * len(boxes) if boxes.track_id is None else boxes.track_id.tolist()
    return list(zip(identities, boxes.label.tolist(), strict=True))


def _rows(boxes: Boxes3D, origin_m: FloatArray) -> list[list[float | None]]:
    lengths = np.round(np.hstack([boxes.center_m - origin_m, boxes.size_wlh_m]), 3)
    rotation = np.round(boxes.rotation, 5)
    rest = np.round(np.hstack([boxes.velocity_mps, boxes.score[:, None]]), 3)
    return [
        [None if number != number else number for number in row]
        for row in np.hstack([lengths, rotation, rest]).tolist()
    ]


def _rounded(values: FloatArray, digits: int = 3) -> list[float]:
    rounded: list[float] = np.round(values, digits).tolist()
    return rounded
