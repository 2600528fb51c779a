"""Detections that mmdet3d pickled, read without mmdet3d and without running anything: see `safe_pickle`.

A file is a list of results, one a sample. A result holds `boxes_3d`, `scores_3d`, `labels_3d` (before 1.0 under
`pts_bbox`), or `bboxes_3d`, `scores_3d`, `labels_3d` under `pred_instances_3d`. Boxes are in the frame of LIDAR_TOP:
the centre of the bottom face, length, width, height, yaw, and velocity. Source: mmdet3d 1.4,
`structures/bbox_3d/lidar_box3d.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scenes.boxes import Boxes3D
from scenes.conversion.found_boxes import Found, found_results
from scenes.conversion.safe_pickle import Held, read_pickle
from scenes.conversion.source_frames import SourceFrames
from scenes.conversion.text_files import read_text
from scenes.errors import InputError
from scenes.geometry import FloatArray, rotation_from_yaw
from scenes.scene import Frame

_LIDAR_BOXES: Final = "LiDARInstance3DBoxes"
_NESTED: Final = ("pts_bbox", "img_bbox", "pred_instances_3d")
_WIDTHS: Final = (7, 9)


def read_mmdet3d_results(path: Path, frames: SourceFrames, samples: Path | None) -> Found:
    """The detections of a pickle.

    Args:
        path: the pickle.
        frames: of the split.
        samples: text file with the sample token of each result, a line each; None where the results are those of the
            split's frames in their order.

    Raises:
        InputError: the file is no pickle of such results, holds other objects, or their number does not fit.
    """
    content = read_pickle(path)
    if isinstance(content, Mapping) and isinstance(content.get("results"), list):
        content = content["results"]
    if not isinstance(content, list):
        raise InputError(f"{path}: no list of results")
    frame_of = {frame.token: frame for _, frame in frames.frames()}
    tokens = list(frame_of) if samples is None else [line.strip() for line in read_text(samples).split()]
    if len(tokens) != len(content):
        named = f"{samples} names" if samples else "the split has"
        raise InputError(f"{path}: {len(content)} results, {named} {len(tokens)} samples")
    left_out: Counter[str] = Counter()
    found: dict[str, Boxes3D] = {}
    for index, (token, result) in enumerate(zip(tokens, content, strict=True)):
        if token not in frame_of:
            left_out["results of samples that are not of the split"] += 1
        else:
            boxes = _boxes(result, f"{path}: result {index}", len(frames.taxonomy))
            found[token] = boxes.transform(_global_from_lidar(frame_of[token]))
    return found_results(found, frames, left_out)


def _global_from_lidar(frame: Frame) -> FloatArray:
    """Boxes of a recording without a lidar are in the ego frame."""
    return frame.global_from_ego if frame.ego_from_lidar is None else frame.global_from_ego @ frame.ego_from_lidar


def _boxes(result: Any, where: str, n_classes: int) -> Boxes3D:
    """The boxes of a result in the lidar's frame; labels count the classes of the data root."""
    for name in _NESTED:
        if isinstance(result, Mapping) and name in result:
            result = result[name]
    if not isinstance(result, Mapping):
        raise InputError(f"{where}: no dictionary")
    boxes = result.get("boxes_3d", result.get("bboxes_3d"))
    if isinstance(boxes, Held):
        if not boxes.kind.endswith(_LIDAR_BOXES):
            raise InputError(f"{where}: boxes are {boxes.kind}, expected {_LIDAR_BOXES}")
        boxes = boxes.state.get("tensor") if isinstance(boxes.state, Mapping) else None
    rows = _array(boxes, where, "boxes_3d", 2)
    scores = _array(result.get("scores_3d"), where, "scores_3d", 1)
    labels = _array(result.get("labels_3d"), where, "labels_3d", 1)
    if not len(rows) == len(scores) == len(labels):
        raise InputError(f"{where}: {len(rows)} boxes, {len(scores)} scores, {len(labels)} labels")
    if len(rows) and rows.shape[1] not in _WIDTHS:
        raise InputError(f"{where}, boxes_3d: {rows.shape[1]} values a box, expected 7 or 9")
    rows = rows.reshape(len(rows), -1) if len(rows) else np.zeros((0, 9))
    if (rows[:, 3:6] <= 0).any() or ((labels < 0) | (labels >= n_classes)).any():
        raise InputError(f"{where}: a box without size, or a label that is none of the {n_classes} classes")
    velocity = rows[:, 7:9] if rows.shape[1] == 9 else np.full((len(rows), 2), np.nan)
    return Boxes3D(
        center_m=rows[:, :3] + 0.5 * rows[:, 5:6] * [0.0, 0.0, 1.0],
        size_wlh_m=rows[:, [4, 3, 5]],
        rotation=rotation_from_yaw(rows[:, 6]),
        velocity_mps=velocity,
        label=labels.astype(np.int64),
        score=scores,
    )


def _array(values: Any, where: str, name: str, dimensions: int) -> FloatArray:
    array: NDArray[Any] = (
        np.asarray(values) if isinstance(values, np.ndarray | Sequence) else np.zeros((), dtype=object)
    )
    if array.dtype.kind not in "iufb" or array.ndim != dimensions:
        raise InputError(f"{where}, {name}: no array of {dimensions} dimensions")
    numbers: FloatArray = array.astype(np.float64)
    if not np.isfinite(numbers).all():
        raise InputError(f"{where}, {name}: not finite")
    return numbers
