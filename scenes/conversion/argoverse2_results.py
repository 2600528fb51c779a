"""Detections and tracks in Argoverse 2's submission format: feather files of boxes in the ego frame; in and out.

Columns: log_id, timestamp_ns, category, score, tx_m, ty_m, tz_m, length_m, width_m, height_m, qw, qx, qy, qz; tracks
have track_uuid too. Needs the extra `argoverse2`. Source: av2-api, `av2.evaluation.detection.constants`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from scenes.boxes import Boxes3D
from scenes.conversion.argoverse2 import CATEGORIES, POSE_COLUMNS, SIZE_COLUMNS
from scenes.conversion.drive import are_orientations
from scenes.conversion.feather import Columns, read_columns, write_feather
from scenes.conversion.found_boxes import Found, FrameBoxes, found_results, label_of_type, type_of_class
from scenes.conversion.source_frames import SourceFrames
from scenes.errors import InputError
from scenes.files import atomic_path
from scenes.geometry import invert_pose
from scenes.results import Results
from scenes.taxonomy import Taxonomy

_CATEGORY_OF_NAME: Final = {
    "car": "REGULAR_VEHICLE",
    "truck": "TRUCK",
    "bus": "BUS",
    "trailer": "VEHICULAR_TRAILER",
    "motorcycle": "MOTORCYCLE",
    "bicycle": "BICYCLE",
    "pedestrian": "PEDESTRIAN",
    "traffic_cone": "CONSTRUCTION_CONE",
}
"""Argoverse 2's category of a class; construction_vehicle and barrier have none."""


def read_argoverse2_detections(paths: Sequence[Path], frames: SourceFrames) -> Found:
    """The detections of some files together.

    Args:
        paths: feather files.
        frames: of a data root that was converted from Argoverse 2.

    Raises:
        InputError: a file cannot be used; the message names file, row and column.
    """
    by_name = {
        (scene.name, name): (scene, frame) for scene in frames.scenes for name, frame in frames.by_name(scene).items()
    }
    boxes = {key: FrameBoxes() for key in by_name}
    left_out: Counter[str] = Counter()
    for path in paths:
        columns = read_columns(path, ("timestamp_ns", "score", *SIZE_COLUMNS, *POSE_COLUMNS), ("log_id", "category"))
        _check(columns, path)
        _add(columns, boxes, frames.taxonomy, left_out)
    found = {
        frame.token: boxes[key].boxes(frames.global_from_labels(scene, frame))
        for key, (scene, frame) in by_name.items()
    }
    return found_results(found, frames, left_out)


def _check(columns: Columns, path: Path) -> None:
    if columns["timestamp_ns"].dtype.kind not in "iu":
        raise InputError(f"{path}, column timestamp_ns: no integers")
    if (wrong := np.column_stack([columns[name] for name in SIZE_COLUMNS]).min(axis=1, initial=1) <= 0).any():
        raise InputError(f"{path}, row {int(np.argmax(wrong))}: a box without length, width or height")
    if (wrong := ~are_orientations(np.column_stack([columns[name] for name in POSE_COLUMNS[:4]]))).any():
        raise InputError(f"{path}, row {int(np.argmax(wrong))}: no unit quaternion qw, qx, qy, qz")


def _add(
    columns: Columns, boxes: dict[tuple[str, str], FrameBoxes], taxonomy: Taxonomy, left_out: Counter[str]
) -> None:
    names = ("log_id", "timestamp_ns", "category", "score", *SIZE_COLUMNS, *POSE_COLUMNS)
    for log, time_ns, category, score, length, width, height, *pose in zip(
        *(columns[name].tolist() for name in names), strict=True
    ):
        of_frame = boxes.get((log, str(time_ns)))
        label = label_of_type(category, "argoverse2", CATEGORIES, taxonomy)
        if of_frame is None:
            left_out["boxes of frames that are not of the split"] += 1
        elif label is None:
            left_out[f"boxes of category {category}"] += 1
        else:
            of_frame.add(pose[4:], (width, length, height), pose[:4], label, score)


def write_argoverse2_results(results: Results, frames: SourceFrames, path: Path) -> tuple[str, ...]:
    """Write a submission file.

    Args:
        results: detections or tracks.
        frames: of a data root that was converted from Argoverse 2.
        path: feather file to write.

    Returns:
        what was left out, a line each.

    Raises:
        InputError: the data root does not know Argoverse 2's frames.
    """
    parts: list[Boxes3D] = []
    logs: list[str] = []
    times_ns: list[int] = []
    left_out = 0
    category_of_label = [type_of_class(class_, "argoverse2", _CATEGORY_OF_NAME) for class_ in frames.taxonomy.classes]
    for scene in frames.scenes:
        for name, frame in frames.by_name(scene).items():
            if not name.isdecimal():
                raise InputError(f"{frames.folder / 'sample.json'}: frame {name!r} is no time in nanoseconds")
            boxes = results.boxes[frame.token]
            known = np.array([category_of_label[label] is not None for label in boxes.label], dtype=np.bool_)
            left_out += int((~known).sum())
            parts.append(boxes.select(known).transform(invert_pose(frames.global_from_labels(scene, frame))))
            logs += [scene.name] * len(parts[-1])
            times_ns += [int(name)] * len(parts[-1])
    boxes = Boxes3D.concatenate(parts)
    columns = {
        "log_id": logs,
        "timestamp_ns": np.array(times_ns, dtype=np.int64),
        "category": [category_of_label[label] for label in boxes.label],
        "score": boxes.score,
        **{name: boxes.size_wlh_m[:, column] for name, column in zip(SIZE_COLUMNS, (1, 0, 2), strict=True)},
        **{name: boxes.rotation[:, column] for column, name in enumerate(POSE_COLUMNS[:4])},
        **{name: boxes.center_m[:, column] for column, name in enumerate(POSE_COLUMNS[4:])},
    }
    if boxes.track_id is not None:
        columns["track_uuid"] = boxes.track_id.tolist()
    with atomic_path(path) as temporary:
        write_feather(temporary, columns)
    return (f"{left_out} boxes of classes that Argoverse 2 does not have left out",) if left_out else ()
