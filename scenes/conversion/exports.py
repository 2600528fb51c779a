"""Results out into other formats that need no frames of their own: CSV, Parquet, MOT text, Deepen's labels of T4."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from scenes.boxes import Boxes3D
from scenes.conversion.feather import write_parquet
from scenes.conversion.source_frames import SourceFrames
from scenes.errors import InputError
from scenes.files import atomic_path, atomic_paths, write_atomically
from scenes.geometry import FloatArray, invert_pose
from scenes.projected_boxes import projected_boxes
from scenes.results import Results
from scenes.scene import Camera, Frame

COLUMNS: Final = (
    *("scene", "sample_token", "timestamp_us", "source_frame", "class", "score", "track_id"),
    *("x", "y", "z", "width", "length", "height", "qw", "qx", "qy", "qz", "yaw_rad", "vx", "vy"),
)
"""Of a table of results: metres, radians and metres a second in global coordinates."""


def result_columns(results: Results, frames: SourceFrames) -> dict[str, Any]:
    """A table of results, a row a box, by the names of `COLUMNS`; `track_id` is "" of detections."""
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS[:4]}
    parts = []
    for scene, frame in frames.frames():
        boxes = results.boxes[frame.token]
        parts.append(boxes)
        values = (scene.name, frame.token, frame.timestamp_us, frames.name_of[frame.token])
        for name, value in zip(columns, values, strict=True):
            columns[name] += [value] * len(boxes)
    boxes = Boxes3D.concatenate(parts)
    identities = [""] * len(boxes) if boxes.track_id is None else boxes.track_id.tolist()
    names = [results.taxonomy.names[label] for label in boxes.label.tolist()]
    numbers = np.column_stack(
        [boxes.center_m, boxes.size_wlh_m, boxes.rotation, boxes.yaw_rad if len(boxes) else [], boxes.velocity_mps]
    )
    return {
        **columns,
        "class": names,
        "score": boxes.score.tolist(),
        "track_id": identities,
        **{name: numbers[:, column].tolist() for column, name in enumerate(COLUMNS[7:])},
    }


def write_csv(results: Results, frames: SourceFrames, path: Path) -> tuple[str, ...]:
    """Write a table of results as text with commas."""
    columns = result_columns(results, frames)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(zip(*columns.values(), strict=True))
    write_atomically(path, text.getvalue().encode())
    return ()


def write_parquet_table(results: Results, frames: SourceFrames, path: Path) -> tuple[str, ...]:
    """Write a table of results as Parquet; needs pyarrow."""
    with atomic_path(path) as temporary:
        write_parquet(temporary, result_columns(results, frames))
    return ()


def write_mot(results: Results, frames: SourceFrames, folder: Path) -> tuple[str, ...]:
    """Write `<folder>/<scene>_<camera>.txt` in the MOTChallenge's format.

    A line a box that the camera sees: `frame,id,left,top,width,height,score,x,y,z`, frames and numbers of tracks from
    1, x, y, z the centre in global coordinates. A track has the same number in all cameras of a scene.

    Raises:
        InputError: results are detections, or the size of a camera's images is not known.
    """
    _need_tracks(results)
    texts: dict[Path, str] = {}
    for scene in frames.scenes:
        number_of: dict[str, int] = {}
        lines: dict[str, list[str]] = {camera.name: [] for frame in scene.frames for camera in frame.cameras}
        for index, frame in enumerate(scene.frames, start=1):
            boxes = results.boxes[frame.token]
            for camera in frame.cameras:
                lines[camera.name] += _mot_lines(index, boxes, camera, number_of)
        texts |= {folder / f"{scene.name}_{name}.txt": "".join(of_camera) for name, of_camera in lines.items()}
    _write_texts(texts)
    return ()


def _mot_lines(index: int, boxes: Boxes3D, camera: Camera, number_of: dict[str, int]) -> list[str]:
    seen, edges, _, _ = projected_boxes(boxes, camera)
    visible = boxes.select(seen)
    rectangles = np.concatenate([edges[:, :2], edges[:, 2:] - edges[:, :2]], axis=1)
    numbers = np.column_stack([rectangles, visible.score, visible.center_m]).tolist()
    identities = [] if visible.track_id is None else visible.track_id.tolist()
    return [
        f"{index},{number_of.setdefault(identity, len(number_of) + 1)},{','.join(f'{value:.4f}' for value in row)}\n"
        for identity, row in zip(identities, numbers, strict=True)
    ]


def write_deepen(results: Results, frames: SourceFrames, folder: Path) -> tuple[str, ...]:
    """Write `<folder>/<scene>.json` with labels as Deepen exports them and the converters to T4 data sets take them.

    Boxes are in the ego frame; `file_id` counts the frames, `label_id` is class and number of the track.

    Raises:
        InputError: results are detections.
    """
    _need_tracks(results)
    texts: dict[Path, str] = {}
    for scene in frames.scenes:
        number_of: dict[str, int] = {}
        labels = [
            label
            for index, frame in enumerate(scene.frames)
            for label in _deepen_labels(index, frame, results.boxes[frame.token], results.taxonomy.names, number_of)
        ]
        texts[folder / f"{scene.name}.json"] = msgspec.json.encode({"labels": labels}).decode()
    _write_texts(texts)
    return ()


def _deepen_labels(
    index: int, frame: Frame, boxes: Boxes3D, names: Sequence[str], number_of: dict[str, int]
) -> Sequence[Mapping[str, Any]]:
    in_ego = boxes.transform(invert_pose(frame.global_from_ego))
    identities = [] if in_ego.track_id is None else in_ego.track_id.tolist()
    rows: FloatArray = np.column_stack([in_ego.center_m, in_ego.size_wlh_m, in_ego.rotation, in_ego.score])
    labels = []
    for identity, label, row in zip(identities, in_ego.label.tolist(), rows.tolist(), strict=True):
        name = names[label]
        box = dict(zip(("cx", "cy", "cz", "w", "l", "h"), row, strict=False))
        labels.append(
            {
                "file_id": f"{index}.pcd",
                "sensor_id": "lidar",
                "label_type": "3d_bbox",
                "label_category_id": name,
                "label_id": f"{name}:{number_of.setdefault(identity, len(number_of) + 1)}",
                "attributes": {},
                "score": row[10],
                "three_d_bbox": box | {"quaternion": dict(zip("wxyz", row[6:10], strict=True))},
            }
        )
    return labels


def _need_tracks(results: Results) -> None:
    if any(len(boxes) and boxes.track_id is None for boxes in results.boxes.values()):
        raise InputError("this format holds tracks: --kind detections has no identities")


def _write_texts(texts: Mapping[Path, str]) -> None:
    """Write files that belong together."""
    with atomic_paths(list(texts)) as temporaries:
        for temporary, text in zip(temporaries, texts.values(), strict=True):
            temporary.write_text(text, encoding="utf-8")
