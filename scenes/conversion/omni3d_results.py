"""Detections as JSON like COCO's with boxes in camera coordinates, as Omni3D defines them and Cube R-CNN writes them.

The results file is a list, `{"image_id", "category_id", "score", "center_cam": [x, y, z], "dimensions": [width, height,
length], "pose": 3x3}`; the data set's file says what the ids mean. The pose takes a box whose length lies along x,
height along y and width along z into the camera's frame, x right, y down, z ahead. Source: facebookresearch/omni3d.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Annotated, Final

import msgspec
import numpy as np
from scipy.spatial.transform import Rotation

from scenes.boxes import Boxes3D
from scenes.coco import CocoCategory, CocoId, CocoImage, by_id, read_coco
from scenes.coco_results import cameras_of_images, labels_of_categories
from scenes.conversion.found_boxes import Found, FrameBoxes, found_results
from scenes.conversion.source_frames import SourceFrames
from scenes.errors import InputError
from scenes.geometry import FloatArray, invert_pose

_Vector = tuple[float, float, float]
_Length = Annotated[float, msgspec.Meta(gt=0)]
_OBJECT_FROM_BODY: Final = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""(3, 3) our axes (x ahead, y left, z up) in theirs (length, height downwards, width)."""


class _DataSet(msgspec.Struct):
    images: list[CocoImage]
    categories: list[CocoCategory]


class _Result(msgspec.Struct):
    image_id: CocoId
    category_id: CocoId
    score: float
    center_cam: _Vector
    dimensions: tuple[_Length, _Length, _Length]
    pose: tuple[_Vector, _Vector, _Vector]


def read_omni3d_results(results: Path, data_set: Path, frames: SourceFrames) -> Found:
    """The detections of a file; those of a frame's cameras are put together.

    Args:
        results: list of boxes. data_set: images and categories in the COCO format; `file_name` is the path of a camera
            image of the data root, or the end of it.
        frames: of the split.

    Raises:
        InputError: a file cannot be used; the message names file, entry and key.
    """
    known = read_coco(data_set, _DataSet, 'expected an object with "images" and "categories"')
    rows = read_coco(results, list[_Result], "expected a list of boxes with center_cam, dimensions and pose")
    images = by_id(known.images, data_set, "images")
    label_of = labels_of_categories(known.categories, data_set, frames.taxonomy)
    cameras = cameras_of_images(images, data_set, frames.scenes)
    left_out: Counter[str] = Counter()
    boxes: defaultdict[CocoId, FrameBoxes] = defaultdict(FrameBoxes)
    for index, row in enumerate(rows):
        where = f"{results}: box {index}"
        if row.image_id not in images or row.category_id not in label_of:
            key = "image_id" if row.image_id not in images else "category_id"
            raise InputError(f"{where}, key {key}: is not in {data_set}")
        label = label_of[row.category_id]
        if row.image_id not in cameras:
            left_out["boxes in images of other frames"] += 1
        elif label is None:
            left_out["boxes of other categories"] += 1
        else:
            width, height, length = row.dimensions
            rotation = _rotation(row, where)
            boxes[row.image_id].add(row.center_cam, (width, length, height), rotation, label, row.score)
    found: defaultdict[str, list[Boxes3D]] = defaultdict(list)
    for image_id, (token, camera) in cameras.items():
        found[token].append(boxes[image_id].boxes(invert_pose(camera.camera_from_global)))
    return found_results({token: Boxes3D.concatenate(parts) for token, parts in found.items()}, frames, left_out)


def _rotation(row: _Result, where: str) -> FloatArray:
    """Quaternion wxyz, camera from body."""
    pose = np.array(row.pose)
    if np.abs(pose @ pose.T - np.eye(3)).max() > 1e-2 or np.linalg.det(pose) < 0:
        raise InputError(f"{where}, key pose: no rotation: {pose.round(3).tolist()}")
    rotation: FloatArray = Rotation.from_matrix(pose @ _OBJECT_FROM_BODY).as_quat(scalar_first=True)
    return rotation
