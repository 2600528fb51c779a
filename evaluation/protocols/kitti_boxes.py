"""Reads what KITTI's protocols compare: labels with all that KITTI states of them, and tracks as its camera sees them.

Labels keep their own rectangles in the image. Tracks have none: theirs are the projections of their boxes, cut by the
image's edges, as `write_kitti_lines` writes them. What the camera does not see takes no part, as KITTI labels only what
it sees.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Final, TypedDict, TypeVar

import numpy as np
from numpy.typing import NDArray

from evaluation.engine.box_table import IntArray
from scenes.boxes import Boxes3D
from scenes.conversion.drive_tables import SOURCE_LABEL_TABLE
from scenes.conversion.kitti import REGION_TYPE
from scenes.conversion.kitti_lines import bottom_and_ry, label_camera, types_of_labels
from scenes.conversion.source_frames import SourceFrames
from scenes.errors import InputError, shown
from scenes.geometry import FloatArray
from scenes.projected_boxes import projected_boxes
from scenes.results import Results
from scenes.scene import Frame, Scene
from scenes.table_rows import Quaternion, Row, Size, Vector, read_table
from scenes.track_scores import mean_track_scores

_MOST_OCCLUDED: Final = 2
_MOST_TRUNCATED: Final = 0
_SMALLEST_PX: Final = 25.0

_Boxes = TypeVar("_Boxes", bound="KittiBoxes")


@dataclass(frozen=True, eq=False)
class KittiBoxes:
    """N boxes of one sequence, in the order of time.

    Attributes:
        frame: (N,) number of the frame within the sequence.
        track: (N,) number of the object within the sequence.
        kind: (N,) KITTI's type, `Car`.
        edges_px: (N, 4) left, top, right, bottom in the image.
        bottom_m: (N, 3) centre of the bottom face in rectified camera coordinates: x right, y down, z ahead.
        size_wlh_m: (N, 3) width, length, height.
        ry_rad: (N,) rotation about y, 0 along x.
    """

    frame: IntArray
    track: IntArray
    kind: NDArray[np.str_]
    edges_px: FloatArray
    bottom_m: FloatArray
    size_wlh_m: FloatArray
    ry_rad: FloatArray

    def __len__(self) -> int:
        return len(self.frame)

    def select(self: _Boxes, chosen: NDArray[np.bool_] | IntArray) -> _Boxes:
        """The boxes that a mask or an index array picks, in that order."""
        return replace(self, **{field.name: getattr(self, field.name)[chosen] for field in fields(self)})


@dataclass(frozen=True, eq=False)
class KittiLabels(KittiBoxes):
    """Labels.

    Attributes:
        truncated, occluded: (N,) as KITTI states them, in whole levels.
    """

    truncated: IntArray
    occluded: IntArray

    @property
    def in_sight(self) -> NDArray[np.bool_]:
        """(N,) labels that are seen well enough to be asked for."""
        return (self.occluded <= _MOST_OCCLUDED) & (self.truncated <= _MOST_TRUNCATED)


@dataclass(frozen=True, eq=False)
class KittiTracks(KittiBoxes):
    """Boxes of tracks.

    Attributes:
        score: (N,) confidence, as the result file has it.
    """

    score: FloatArray

    @property
    def is_small(self) -> NDArray[np.bool_]:
        """(N,) boxes that are too small in the image to be held against a tracker."""
        small: NDArray[np.bool_] = self.edges_px[:, 3] - self.edges_px[:, 1] <= _SMALLEST_PX
        return small

    @property
    def track_score(self) -> FloatArray:
        """(N,) the mean of the scores of the boxes of the same track."""
        return mean_track_scores(np.unique(self.track, return_inverse=True)[1], self.score)


@dataclass(frozen=True, eq=False)
class KittiSequence:
    """What is compared in one sequence.

    Attributes:
        n_frames: how many frames it has.
        labels: what KITTI states of objects.
        region_frame, region_px: (R,) and (R, 4) frames and edges of regions of the image in which nobody labelled.
        tracks: what is judged.
    """

    n_frames: int
    labels: KittiLabels
    region_frame: IntArray
    region_px: FloatArray
    tracks: KittiTracks


class _SourceLabelRow(Row):
    sample_token: str
    annotation_token: str
    type: str
    bbox: tuple[float, float, float, float]
    truncated: float
    occluded: float


class _AnnotationRow(Row):
    instance_token: str
    translation: Vector
    size: Size
    rotation: Quaternion


def read_kitti_sequences(results: Results, frames: SourceFrames) -> Iterator[KittiSequence]:
    """Labels and tracks in KITTI's terms, sequence by sequence.

    Args:
        results: tracks of every key frame of `frames`.
        frames: of the split, with cameras.

    Raises:
        InputError: the data root was not converted from KITTI, lacks labels or the image size of the camera, or a
            track is in a frame twice.
    """
    for scene, frame in frames.frames():
        label_camera(scene, frame)
    path = frames.folder / f"{SOURCE_LABEL_TABLE}.json"
    if not path.is_file():
        raise InputError(
            f"{path}: missing; KITTI's protocols need KITTI's own labels, which `convert_data kitti` writes"
        )
    rows: dict[str, list[_SourceLabelRow]] = {}
    for row in read_table(path, _SourceLabelRow).values():
        rows.setdefault(row.sample_token, []).append(row)
    annotations = read_table(frames.folder / "sample_annotation.json", _AnnotationRow)
    for scene in frames.scenes:
        listed = [(number, row) for number, token in enumerate(scene.sample_tokens) for row in rows.get(token, ())]
        if not listed:
            raise InputError(f"{path}: no labels of scene {shown(scene.name)}; there is nothing to compare with")
        regions = [(number, row.bbox) for number, row in listed if row.type == REGION_TYPE]
        objects = [
            (number, row, annotations.at(row.annotation_token, f"source_label {shown(row.token)}"))
            for number, row in listed
            if row.type != REGION_TYPE
        ]
        yield KittiSequence(
            len(scene.frames),
            _labels(objects, scene, frames),
            np.array([number for number, _ in regions], dtype=np.int64),
            np.array([bbox for _, bbox in regions], dtype=np.float64).reshape(-1, 4),
            _tracks(results, scene, frames),
        )


def _labels(
    objects: Sequence[tuple[int, _SourceLabelRow, _AnnotationRow]], scene: Scene, frames: SourceFrames
) -> KittiLabels:
    frame = np.array([number for number, _, _ in objects], dtype=np.int64)
    boxes = _annotated_boxes([annotation for _, _, annotation in objects])
    return KittiLabels(
        frame=frame,
        track=_numbers([annotation.instance_token for _, _, annotation in objects]),
        kind=np.array([row.type for _, row, _ in objects], dtype=np.str_),
        edges_px=np.array([row.bbox for _, row, _ in objects], dtype=np.float64).reshape(-1, 4),
        truncated=np.array([row.truncated for _, row, _ in objects], dtype=np.float64).astype(np.int64),
        occluded=np.array([row.occluded for _, row, _ in objects], dtype=np.float64).astype(np.int64),
        **_placed([boxes.select(frame == number) for number in range(len(scene.frames))], scene, frames),
    )


def _tracks(results: Results, scene: Scene, frames: SourceFrames) -> KittiTracks:
    type_of_label = types_of_labels(frames.taxonomy)
    known = [label for label, type_ in enumerate(type_of_label) if type_ is not None]
    boxes_of_frame: list[Boxes3D] = []
    edges_px: list[FloatArray] = [np.zeros((0, 4))]
    for frame in scene.frames:
        boxes = results.boxes[frame.token]
        _check_identities(boxes, scene, frame)
        boxes = boxes.select(np.isin(boxes.label, known))
        seen, edges, _, _ = projected_boxes(boxes, label_camera(scene, frame))
        boxes_of_frame.append(boxes.select(seen))
        edges_px.append(edges)
    return KittiTracks(
        frame=np.repeat(np.arange(len(scene.frames)), [len(boxes) for boxes in boxes_of_frame]),
        track=_numbers([identity for boxes in boxes_of_frame for identity in _identities(boxes)]),
        kind=np.array([type_of_label[label] for boxes in boxes_of_frame for label in boxes.label.tolist()], np.str_),
        edges_px=np.concatenate(edges_px),
        score=np.concatenate([np.zeros(0), *(boxes.score for boxes in boxes_of_frame)]),
        **_placed(boxes_of_frame, scene, frames),
    )


def _check_identities(boxes: Boxes3D, scene: Scene, frame: Frame) -> None:
    identities = _identities(boxes)
    if len(set(identities)) < len(identities):
        twice = next(name for index, name in enumerate(identities) if name in identities[:index])
        raise InputError(
            f"sample {shown(frame.token)} of scene {shown(scene.name)}: track {shown(twice)} is there twice; "
            "KITTI's protocols take one box a track and frame"
        )


def _identities(boxes: Boxes3D) -> list[str]:
    return [] if boxes.track_id is None else boxes.track_id.tolist()


def _annotated_boxes(rows: Sequence[_AnnotationRow]) -> Boxes3D:
    count = len(rows)
    return Boxes3D(
        center_m=np.array([row.translation for row in rows], dtype=np.float64).reshape(count, 3),
        size_wlh_m=np.array([row.size for row in rows], dtype=np.float64).reshape(count, 3),
        rotation=np.array([row.rotation for row in rows], dtype=np.float64).reshape(count, 4),
        velocity_mps=np.zeros((count, 2)),
        label=np.zeros(count, dtype=np.int64),
        score=np.ones(count),
    )


class _Placed(TypedDict):
    bottom_m: FloatArray
    size_wlh_m: FloatArray
    ry_rad: FloatArray


def _placed(boxes_of_frame: Sequence[Boxes3D], scene: Scene, frames: SourceFrames) -> _Placed:
    """Where boxes in global coordinates stand in the frames of KITTI's labels."""
    placed = [
        bottom_and_ry(boxes, frames.global_from_labels(scene, frame))
        for boxes, frame in zip(boxes_of_frame, scene.frames, strict=True)
    ]
    return {
        "bottom_m": np.concatenate([np.zeros((0, 3)), *(bottom_m for bottom_m, _ in placed)]),
        "size_wlh_m": np.concatenate([np.zeros((0, 3)), *(boxes.size_wlh_m for boxes in boxes_of_frame)]),
        "ry_rad": np.concatenate([np.zeros(0), *(ry_rad for _, ry_rad in placed)]),
    }


def _numbers(identities: Sequence[Hashable]) -> IntArray:
    """(N,) a number for each identity, in the order of appearance."""
    number_of: dict[Hashable, int] = {}
    return np.array([number_of.setdefault(identity, len(number_of)) for identity in identities], dtype=np.int64)
