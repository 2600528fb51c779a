"""The boxes of many key frames as one table, and which of them the evaluation looks at.

A box is evaluated if its centre lies nearer to the ego vehicle, in the xy plane, than the range of its class; an
annotation only if at least one lidar or radar point hit it; a bicycle or motorcycle only if its centre does not lie
in a bicycle rack (devkit `nuscenes/eval/common/loaders.py`, `filter_eval_boxes`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenes import Annotations, Boxes3D, Frame, Taxonomy
from scenes.geometry import FloatArray

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class BoxTable:
    """N boxes, frame after frame unless they were selected in another order.

    Attributes:
        boxes: in global coordinates.
        frame: (N,) index of the key frame.
    """

    boxes: Boxes3D
    frame: IntArray

    def __len__(self) -> int:
        return len(self.frame)

    def select(self, which: BoolArray | IntArray) -> BoxTable:
        """The boxes that a mask or an index array picks, in that order."""
        return BoxTable(self.boxes.select(which), self.frame[which])


def predicted_boxes(frames: Sequence[Frame], boxes: Mapping[str, Boxes3D]) -> BoxTable:
    """The predictions of all `frames`, by sample token, as one table."""
    return _table([boxes[frame.token] for frame in frames])


def annotated_boxes(frames: Sequence[Frame]) -> BoxTable:
    """The annotations of all `frames` as one table."""
    return _table([_annotations(frame).boxes for frame in frames])


def evaluated_predictions(
    table: BoxTable, frames: Sequence[Frame], range_of_label_m: FloatArray, taxonomy: Taxonomy
) -> BoolArray:
    """(N,) which predictions are evaluated, for a (C,) range of each label."""
    return _within_range(table, frames, range_of_label_m) & ~_in_bike_racks(table, frames, taxonomy.racked_labels)


def evaluated_annotations(
    table: BoxTable, frames: Sequence[Frame], range_of_label_m: FloatArray, taxonomy: Taxonomy
) -> BoolArray:
    """(N,) which annotations are evaluated, for a (C,) range of each label."""
    points = [_annotations(frame).num_lidar_pts + _annotations(frame).num_radar_pts for frame in frames]
    hit: BoolArray = np.concatenate([*points, np.zeros(0, np.int64)]) != 0
    return hit & evaluated_predictions(table, frames, range_of_label_m, taxonomy)


def ego_distance_m(table: BoxTable, frames: Sequence[Frame]) -> FloatArray:
    """(N,) distance of each centre from its frame's ego vehicle in the xy plane."""
    ego = np.array([frame.global_from_ego[:2, 3] for frame in frames]).reshape(-1, 2)
    offset = table.boxes.center_m[:, :2] - ego[table.frame]
    distance: FloatArray = np.sqrt(offset[:, 0] ** 2 + offset[:, 1] ** 2)
    return distance


def _table(parts: Sequence[Boxes3D]) -> BoxTable:
    counts = [len(part) for part in parts]
    return BoxTable(Boxes3D.concatenate(parts), np.repeat(np.arange(len(parts)), counts))


def _annotations(frame: Frame) -> Annotations:
    if frame.annotations is None:
        raise ValueError(f"sample '{frame.token}' has no annotations")
    return frame.annotations


def _within_range(table: BoxTable, frames: Sequence[Frame], range_of_label_m: FloatArray) -> BoolArray:
    within: BoolArray = ego_distance_m(table, frames) < range_of_label_m[table.boxes.label]
    return within


def _in_bike_racks(table: BoxTable, frames: Sequence[Frame], racked_labels: Sequence[int]) -> BoolArray:
    inside = np.zeros(len(table), dtype=np.bool_)
    candidates = np.flatnonzero(np.isin(table.boxes.label, racked_labels))
    first, last = (np.searchsorted(table.frame[candidates], np.arange(len(frames)), side) for side in ("left", "right"))
    racks = [_annotations(frame).bike_racks for frame in frames]
    first_rack = np.cumsum([0, *map(len, racks)])
    corners_m = Boxes3D.concatenate(racks).corners()
    for index in np.flatnonzero((last > first) & (np.diff(first_rack) > 0)):
        here = candidates[first[index] : last[index]]
        inside[here] = _inside_any(corners_m[first_rack[index] : first_rack[index + 1]], table.boxes.center_m[here])
    return inside


def _inside_any(corners_m: FloatArray, points_m: FloatArray) -> BoolArray:
    """(P,) whether a point lies in one of the boxes with corners (B, 8, 3) or on its surface.

    As in the devkit's `points_in_box`: three edges that meet in a corner span the box, and a point is inside if its
    projection on each lies between the edge's ends.
    """
    edges = corners_m[:, [4, 1, 3]] - corners_m[:, :1]
    along = np.einsum("bei,bpi->bpe", edges, points_m[None] - corners_m[:, :1])
    within = (along >= 0) & (along <= np.einsum("bei,bei->be", edges, edges)[:, None])
    inside: BoolArray = within.all(axis=2).any(axis=0)
    return inside
