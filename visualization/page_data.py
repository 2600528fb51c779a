"""What a scene's page knows, as plain lists and dictionaries: the counterpart of `page/*.js`.

Positions are global, moved to the scene's first ego position, so that few digits suffice. A box is a row of 13
numbers: centre x, y, z; width, length, height; quaternion w, x, y, z; velocity x, y (null where unknown); score.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from evaluation.events import NO_MATCH, FrameEvents, JudgedBoxes, TrackEvents
from scenes import NO_QUERY, Boxes3D, Camera, Frame, Results, Scene, Taxonomy
from scenes.geometry import FloatArray, pose_heading_rad
from visualization.colors import ANNOTATION_COLOR, DETECTION_COLOR, class_color, identity_color, score_color
from visualization.confidence import DEFAULT_SCORE
from visualization.selection import boxes_by_frame
from visualization.views import shown_size_px

_SCORE_SHADES: Final = 21
_SHOWN_SHARE: Final = 0.8
"""How much of the range of the farthest classes the view from above shows at first: 40 m of nuScenes' 50."""

ImageSource = Callable[[int, Camera], "str | None"]
"""Where the page finds the image of a camera in a frame: a data URI, a relative path, or None where there is none."""


@dataclass
class _Path:
    """The boxes of one identity through a scene, in the order of frames; in a frame those of the file come first.

    Attributes:
        label: of the class.
        frames, rows, query_ids, matches: of each box.
        gaps, false_positives, switches, misses: positions of boxes that were put into gaps, or are errors.
        judged: whether any box counts.
        track_score: what the metrics rank the track by; NaN where they do not look at it.
    """

    label: int
    frames: list[int] = field(default_factory=list)
    rows: list[list[float | None]] = field(default_factory=list)
    query_ids: list[int | None] = field(default_factory=list)
    matches: list[str | None] = field(default_factory=list)
    gaps: list[int] = field(default_factory=list)
    false_positives: list[int] = field(default_factory=list)
    switches: list[int] = field(default_factory=list)
    misses: list[int] = field(default_factory=list)
    judged: bool = False
    track_score: float = float("nan")

    @property
    def score(self) -> float:
        """The track's score; the mean of its boxes where the metrics give none."""
        if not np.isnan(self.track_score):
            return float(self.track_score)
        return float(np.mean(np.array([row[-1] for row in self.rows], dtype=np.float64)))


def page_data(
    scene: Scene,
    tracks: Results,
    detections: Results | None,
    events: TrackEvents,
    image_source: ImageSource,
) -> dict[str, Any]:
    """Everything that a scene's page shows.

    Args:
        scene: frames, cameras and annotations.
        tracks: boxes by sample token, with `track_id`.
        detections: boxes by sample token, shown as a layer of their own; None for no such layer.
        events: what the evaluation counts; of a scene that is not in it nothing is judged.
        image_source: see `ImageSource`.
    """
    origin_m = scene.frames[0].global_from_ego[:3, 3]
    is_judged = all(token in events.frames for token in scene.sample_tokens)
    of_frames = [events.frames[token] for token in scene.sample_tokens] if is_judged else _no_events(scene, tracks)
    start_us = scene.frames[0].timestamp_us
    return {
        "scene": {"name": scene.name, "location": scene.location, "description": scene.description},
        **class_data(scene.taxonomy),
        "frames": [
            frame_data(index, frame, start_us, origin_m, image_source) for index, frame in enumerate(scene.frames)
        ],
        "tracks": _track_paths(of_frames, is_judged, origin_m),
        "annotations": _annotation_paths(of_frames, origin_m),
        "detections": None if detections is None else _loose_boxes(boxes_by_frame(scene, detections), origin_m),
        "judged": is_judged,
        "operating_points": {name: round(score, 3) for name, score in events.operating_points.items()},
    }


def class_data(taxonomy: Taxonomy) -> dict[str, Any]:
    """What a page knows of the classes: names, colours, how far it shows, and from which mean score on tracks count."""
    return {
        "classes": list(taxonomy.names),
        "view_range": round(_SHOWN_SHARE * float(taxonomy.range_m.max()), 1),
        "colors": {
            "classes": [class_color(label, taxonomy) for label in range(len(taxonomy))],
            "scores": [score_color(score) for score in np.linspace(0.0, 1.0, _SCORE_SHADES)],
            "annotation": ANNOTATION_COLOR,
            "detection": DETECTION_COLOR,
        },
        "default_score": DEFAULT_SCORE,
    }


def frame_data(
    index: int, frame: Frame, start_us: int, origin_m: FloatArray, image_source: ImageSource
) -> dict[str, Any]:
    """What a page knows of a frame.

    Args:
        index: its number, for `image_source`.
        frame: with its cameras.
        start_us: time of the page's first frame. origin_m: (3,) of the page's positions, in global coordinates.
        image_source: see `ImageSource`.
    """
    pose = frame.global_from_ego
    return {
        "token": frame.token,
        "time": round(1e-6 * (frame.timestamp_us - start_us), 3),
        "ego": {
            "position": _rounded(pose[:3, 3] - origin_m),
            "yaw": round(pose_heading_rad(pose), 5),
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


def _track_paths(of_frames: Sequence[FrameEvents], is_judged: bool, origin_m: FloatArray) -> list[dict[str, Any]]:
    paths: dict[tuple[str, int], _Path] = {}
    for index, events in enumerate(of_frames):
        _mark_tracks(_append_boxes(paths, index, events.tracks, origin_m), events)
    return [
        {
            "id": identity,
            "label": path.label,
            "color": identity_color(identity),
            "score": round(path.score, 4),
            "judged": path.judged if is_judged else path.score >= DEFAULT_SCORE,
            "frames": path.frames,
            "boxes": path.rows,
            "gaps": path.gaps,
            "queries": path.query_ids,
            "matches": path.matches,
            "false_positives": path.false_positives,
            "switches": path.switches,
        }
        for (identity, _), path in paths.items()
    ]


def _annotation_paths(of_frames: Sequence[FrameEvents], origin_m: FloatArray) -> list[dict[str, Any]]:
    paths: dict[tuple[str, int], _Path] = {}
    for index, events in enumerate(of_frames):
        appended = _append_boxes(paths, index, events.annotations, origin_m)
        for box in np.flatnonzero(events.missed).tolist():
            path, position = appended[box]
            path.misses.append(position)
    return [
        {
            "id": identity,
            "label": path.label,
            "frames": path.frames,
            "boxes": path.rows,
            "gaps": path.gaps,
            "misses": path.misses,
        }
        for (identity, _), path in paths.items()
    ]


def _append_boxes(
    paths: dict[tuple[str, int], _Path], index: int, judged: JudgedBoxes, origin_m: FloatArray
) -> list[tuple[_Path, int]]:
    """Add a frame's boxes to their paths. Returns for each box its path, and its position there."""
    boxes = judged.boxes
    queries = [NO_QUERY] * len(boxes) if boxes.query_id is None else boxes.query_id.tolist()
    columns = zip(_keys(boxes), box_rows(boxes, origin_m), queries, judged.in_gap.tolist(), strict=True)
    appended = []
    for key, row, query_id, in_gap in columns:
        path = paths.setdefault(key, _Path(label=key[1]))
        position = len(path.frames)
        path.frames.append(index)
        path.rows.append(row)
        path.query_ids.append(None if query_id == NO_QUERY else query_id)
        if in_gap:
            path.gaps.append(position)
        appended.append((path, position))
    return appended


def _mark_tracks(appended: Sequence[tuple[_Path, int]], events: FrameEvents) -> None:
    """Tell of each box of a frame what became of it."""
    annotated = [identity for identity, _ in _keys(events.annotations.boxes)]
    for box, (path, position) in enumerate(appended):
        match = int(events.match[box])
        path.matches.append(None if match == NO_MATCH else annotated[match])
        path.judged |= bool(events.tracks.judged[box])
        path.track_score = np.fmax(path.track_score, events.track_score[box])
        if events.false_positive[box]:
            path.false_positives.append(position)
        if events.switch[box]:
            path.switches.append(position)


def _no_events(scene: Scene, tracks: Results) -> list[FrameEvents]:
    """The boxes of a scene that is not judged: none of them counts."""
    events = []
    for frame, tracked in zip(scene.frames, boxes_by_frame(scene, tracks), strict=True):
        annotated = Boxes3D.empty() if frame.annotations is None else frame.annotations.boxes
        nothing = np.zeros((2, len(tracked)), dtype=np.bool_)
        events.append(
            FrameEvents(
                tracks=JudgedBoxes(tracked, *nothing),
                annotations=JudgedBoxes(annotated, *np.zeros((2, len(annotated)), dtype=np.bool_)),
                match=np.full(len(tracked), NO_MATCH),
                switch=nothing[0],
                track_score=np.full(len(tracked), np.nan),
            )
        )
    return events


def _loose_boxes(boxes_of_frames: Sequence[Boxes3D], origin_m: FloatArray) -> list[dict[str, Any]]:
    return [{"labels": boxes.label.tolist(), "boxes": box_rows(boxes, origin_m)} for boxes in boxes_of_frames]


def _keys(boxes: Boxes3D) -> list[tuple[str, int]]:
    identities = [""] * len(boxes) if boxes.track_id is None else boxes.track_id.tolist()
    return list(zip(identities, boxes.label.tolist(), strict=True))


def box_rows(boxes: Boxes3D, origin_m: FloatArray) -> list[list[float | None]]:
    """A row of 13 numbers a box, see the module; `origin_m` (3,) of the page's positions."""
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
