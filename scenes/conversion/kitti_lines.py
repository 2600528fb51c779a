"""Detections and tracks as lines of text in KITTI's coordinates: in, one file a sequence; and out.

In come lines of 15 fields with commas, `frame,type,left,top,right,bottom,score,h,w,l,x,y,z,ry,alpha` (types 1
Pedestrian, 2 Car, 3 Cyclist), as AB3DMOT's public detections have, and lines of 17 with spaces,
`frame type truncated occluded alpha left top right bottom h w l x y z ry score`. Out go the latter for detections, and
KITTI's own format of tracking results, with the track's number behind the frame, for tracks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

import numpy as np
from scipy.spatial.transform import Rotation

from scenes.boxes import Boxes3D
from scenes.conversion.found_boxes import (
    Found,
    FrameBoxes,
    found_results,
    label_of_type,
    probability_of_logit,
    type_of_class,
)
from scenes.conversion.kitti import CATEGORIES, REGION_TYPE, center_from_bottom, rotation_from_ry
from scenes.conversion.source_frames import SourceFrames
from scenes.conversion.text_files import Line, read_text
from scenes.errors import InputError, unknown_name
from scenes.files import atomic_paths
from scenes.geometry import FloatArray, invert_pose
from scenes.projected_boxes import projected_boxes
from scenes.results import Results
from scenes.scene import Camera, Frame, Scene
from scenes.taxonomy import Taxonomy

ScoreUnit = Literal["logit", "probability"]

_TYPE_OF_CODE: Final = {"1": "Pedestrian", "2": "Car", "3": "Cyclist"}
_TYPE_OF_NAME: Final = {"car": "Car", "truck": "Truck", "pedestrian": "Pedestrian", "bicycle": "Cyclist"}
_UNLABELLED: Final = ("Tram", "Misc", REGION_TYPE)
_COMMA_FIELDS: Final = 15
_SPACE_FIELDS: Final = 17
_SCORE_CAP: Final = 1e-9
"""Of scores of 0 and 1 no logit is finite."""


def read_kitti_lines(folders: Sequence[Path], frames: SourceFrames, scores: ScoreUnit) -> Found:
    """The detections of some folders together.

    Args:
        folders: with a file `<scene>.txt` a sequence; each scene needs one in at least one folder.
        frames: of a data root that was converted from KITTI.
        scores: what the files' scores are; they become probabilities.

    Raises:
        InputError: a file is missing or cannot be used; the message names file, line and field.
    """
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder")
    found: dict[str, Boxes3D] = {}
    left_out: Counter[str] = Counter()
    for scene in frames.scenes:
        paths = [path for folder in folders if (path := folder / f"{scene.name}.txt").is_file()]
        if not paths:
            raise InputError(
                f"{folders[0] / scene.name}.txt: missing; no folder has detections of scene {scene.name!r}"
            )
        by_name = frames.by_name(scene)
        boxes = {name: FrameBoxes() for name in by_name}
        for path in paths:
            for line in _lines(path):
                _add(line, boxes, scores, frames.taxonomy, left_out)
        for name, frame in by_name.items():
            found[frame.token] = boxes[name].boxes(frames.global_from_labels(scene, frame))
    return found_results(found, frames, left_out)


def _lines(path: Path) -> Iterable[Line]:
    for number, text in enumerate(read_text(path).splitlines(), start=1):
        if text.strip():
            yield Line(path, number, text.split(",") if "," in text else text.split())


def _add(
    line: Line, boxes: Mapping[str, FrameBoxes], scores: ScoreUnit, taxonomy: Taxonomy, left_out: Counter[str]
) -> None:
    """Add the box of a line to its frame.

    Raises:
        InputError: naming line and field.
    """
    line.expect(_COMMA_FIELDS, _SPACE_FIELDS)
    with_commas = len(line.fields) == _COMMA_FIELDS
    frame = line.integer_at(0, "frame")
    if frame < 0:
        raise InputError(f"{line.where}, frame: {frame} is none")
    kind = line.fields[1].strip()
    type_ = _TYPE_OF_CODE.get(kind, kind) if with_commas else kind
    if type_ not in CATEGORIES and type_ not in _UNLABELLED:
        raise InputError(f"{line.where}, type: {unknown_name(kind, [*CATEGORIES, *_UNLABELLED])}")
    if type_ == REGION_TYPE:  # of which the numbers of a box are all -1
        left_out[f"boxes of type {type_}"] += 1
        return
    first = 7 if with_commas else 9
    height, width, length, *location = line.numbers(first, ("h", "w", "l", "x", "y", "z"))
    if min(height, width, length) <= 0:
        raise InputError(f"{line.where}: a box of height, width, length {height}, {width}, {length}")
    ry = line.number_at(first + 6, "ry")
    score = line.number_at(6 if with_commas else 16, "score")
    if scores == "probability" and not 0 <= score <= 1:
        raise InputError(f"{line.where}, score: {score} is no probability; are these logits?")
    label = label_of_type(type_, "kitti", CATEGORIES, taxonomy)
    of_frame = boxes.get(str(frame))
    if label is None:
        left_out[f"boxes of type {type_}"] += 1
    elif of_frame is None:
        left_out["boxes of frames that are no key frames"] += 1
    else:
        of_frame.add(
            center_from_bottom(location, height),
            (width, length, height),
            rotation_from_ry(ry),
            label,
            float(probability_of_logit(score)) if scores == "logit" else score,
        )


def write_kitti_lines(results: Results, frames: SourceFrames, folder: Path, scores: ScoreUnit) -> tuple[str, ...]:
    """Write `<folder>/<scene>.txt` for each scene: what its camera sees, in the frame of KITTI's labels.

    Args:
        results: detections, or tracks, whose identities become numbers from 0 in each scene.
        frames: of a data root that was converted from KITTI.
        folder: to write to.
        scores: what to write; results hold probabilities.

    Returns:
        what was left out, a line each: boxes out of the camera's sight, and classes that KITTI does not have.

    Raises:
        InputError: the image size of a camera is not known, or the data root does not know KITTI's frames.
    """
    left_out: Counter[str] = Counter()
    type_of_label = types_of_labels(frames.taxonomy)
    texts: list[str] = []
    for scene in frames.scenes:
        number_of: dict[str, int] = {}
        lines: list[str] = []
        for name, frame in frames.by_name(scene).items():
            boxes = results.boxes[frame.token]
            camera = label_camera(scene, frame)
            lines += _frame_lines(
                name,
                boxes,
                camera,
                frames.global_from_labels(scene, frame),
                scores,
                number_of,
                left_out,
                type_of_label,
            )
        texts.append("".join(f"{line}\n" for line in lines))
    paths = [folder / f"{scene.name}.txt" for scene in frames.scenes]
    with atomic_paths(paths) as temporaries:
        for temporary, text in zip(temporaries, texts, strict=True):
            temporary.write_text(text, encoding="utf-8")
    return tuple(f"{count} {what} left out" for what, count in left_out.items() if count)


def types_of_labels(taxonomy: Taxonomy) -> list[str | None]:
    """KITTI's type for results of each label; None for classes that it does not have."""
    return [type_of_class(class_, "kitti", _TYPE_OF_NAME) for class_ in taxonomy.classes]


def label_camera(scene: Scene, frame: Frame) -> Camera:
    """The camera in whose images KITTI's labels and results lie.

    Raises:
        InputError: the scene does not have it.
    """
    camera = next((camera for camera in frame.cameras if camera.name == "image_02"), None)
    if camera is None:
        raise InputError(f"scene {scene.name!r}: no camera image_02, whose images KITTI's results belong to")
    return camera


def _frame_lines(
    name: str,
    boxes: Boxes3D,
    camera: Camera,
    global_from_rectified: FloatArray,
    scores: ScoreUnit,
    number_of: dict[str, int],
    left_out: Counter[str],
    type_of_label: Sequence[str | None],
) -> list[str]:
    known = np.array([type_of_label[label] is not None for label in boxes.label.tolist()], dtype=np.bool_)
    left_out["boxes of classes that KITTI does not have"] += int((~known).sum())
    boxes = boxes.select(known)
    seen, edges_px, _, _ = projected_boxes(boxes, camera)
    left_out["boxes out of the camera's sight"] += len(boxes) - len(seen)
    boxes = boxes.select(seen)
    bottom, ry = bottom_and_ry(boxes, global_from_rectified)
    alpha = (ry - np.arctan2(bottom[:, 0], bottom[:, 2]) + np.pi) % (2 * np.pi) - np.pi
    written = _logit(boxes.score) if scores == "logit" else boxes.score
    numbers = np.column_stack([alpha, edges_px, boxes.size_wlh_m[:, [2, 0, 1]], bottom, ry, written])
    identities = [None] * len(boxes) if boxes.track_id is None else boxes.track_id.tolist()
    lines = []
    for identity, label, row in zip(identities, boxes.label.tolist(), numbers.tolist(), strict=True):
        track = "" if identity is None else f" {number_of.setdefault(identity, len(number_of))}"
        fields = " ".join(f"{value:.6f}" for value in row)
        lines.append(f"{name}{track} {type_of_label[label]} -1 -1 {fields}")
    return lines


def bottom_and_ry(boxes: Boxes3D, global_from_rectified: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(N, 3) centres of the bottom faces in rectified camera coordinates, and (N,) rotation about their y, radians."""
    in_rectified = boxes.transform(invert_pose(global_from_rectified))
    bottom = in_rectified.center_m + 0.5 * in_rectified.size_wlh_m[:, 2:] * [0.0, 1.0, 0.0]
    if not len(boxes):
        return bottom, np.zeros(0)
    forward = Rotation.from_quat(in_rectified.rotation, scalar_first=True).as_matrix()[:, :, 0]
    return bottom, np.arctan2(-forward[:, 2], forward[:, 0])


def _logit(probability: FloatArray) -> FloatArray:
    clipped = probability.clip(_SCORE_CAP, 1 - _SCORE_CAP)
    logit: FloatArray = np.log(clipped) - np.log1p(-clipped)
    return logit
