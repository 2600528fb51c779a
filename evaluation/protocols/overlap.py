"""How much KITTI's boxes overlap: in space, in the image, and with regions of it; pair by pair."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evaluation.engine.box_table import IntArray
from evaluation.engine.scene_pairs import ScenePairs
from evaluation.protocols.kitti_boxes import KittiBoxes
from scenes.geometry import FloatArray
from scenes.rotated_rectangles import intersection_area, rectangle_corners

Overlap = Callable[[KittiBoxes, KittiBoxes], FloatArray]

BoolArray = NDArray[np.bool_]

_MOST_IN_REGION: Final = 0.5


def scene_pairs(labels: KittiBoxes, tracks: KittiBoxes, n_frames: int, overlap: Overlap) -> ScenePairs:
    """Labels and tracks of a sequence, and the overlap (P,) of each pair that is in one frame."""
    first_label = np.searchsorted(labels.frame, np.arange(n_frames + 1))
    first_track = np.searchsorted(tracks.frame, np.arange(n_frames + 1))
    label, track = _pairs_within_frames(labels.frame, tracks.frame)
    return ScenePairs(
        np.unique(labels.track, return_inverse=True)[1].astype(np.int64),
        first_label.astype(np.int64),
        np.unique(tracks.track, return_inverse=True)[1].astype(np.int64),
        first_track.astype(np.int64),
        overlap(labels.select(label), tracks.select(track)),
        np.concatenate([[0], np.cumsum(np.diff(first_label) * np.diff(first_track))]).astype(np.int64),
    )


def volume_iou(first: KittiBoxes, second: KittiBoxes) -> FloatArray:
    """(P,) intersection over union of the bodies of P and P boxes, which stand upright in the camera's coordinates."""
    top = np.maximum(first.bottom_m[:, 1] - first.size_wlh_m[:, 2], second.bottom_m[:, 1] - second.size_wlh_m[:, 2])
    height_m = np.minimum(first.bottom_m[:, 1], second.bottom_m[:, 1]) - top
    reach_m = 0.5 * (np.hypot(*first.size_wlh_m[:, :2].T) + np.hypot(*second.size_wlh_m[:, :2].T))
    apart_m = np.hypot(*(first.bottom_m - second.bottom_m)[:, [0, 2]].T)
    near = (height_m > 0) & (apart_m < reach_m)
    both = np.zeros(len(first))
    both[near] = height_m[near] * _ground_overlap(first.select(near), second.select(near))
    iou: FloatArray = both / (first.size_wlh_m.prod(axis=1) + second.size_wlh_m.prod(axis=1) - both)
    return iou


def image_iou(first: KittiBoxes, second: KittiBoxes) -> FloatArray:
    """(P,) intersection over union of the rectangles of P and P boxes in the image."""
    both = _rectangle_overlap(first.edges_px, second.edges_px)
    union = _rectangle_area(first.edges_px) + _rectangle_area(second.edges_px) - both
    iou: FloatArray = both / np.where(union > 0, union, 1.0)
    return iou


def in_regions(tracks: KittiBoxes, region_frame: IntArray, region_px: FloatArray) -> BoolArray:
    """(N,) which boxes lie with more than half of their rectangle in one region; regions as in `KittiSequence`."""
    track, region = _pairs_within_frames(tracks.frame, region_frame)
    share = _rectangle_overlap(tracks.edges_px[track], region_px[region]) / _rectangle_area(tracks.edges_px)[track]
    inside = np.zeros(len(tracks), dtype=np.bool_)
    inside[track[share > _MOST_IN_REGION]] = True
    return inside


def _pairs_within_frames(first_frame: IntArray, second_frame: IntArray) -> tuple[IntArray, IntArray]:
    """Indices (P,) and (P,) of all pairs of boxes that are in one frame, ordered by the first, then by the second.

    Args:
        first_frame, second_frame: (N,) and (M,) the frame of each box, ascending.
    """
    begin = np.searchsorted(second_frame, first_frame, side="left")
    count = np.searchsorted(second_frame, first_frame, side="right") - begin
    first = np.repeat(np.arange(len(first_frame)), count)
    within = np.arange(len(first)) - np.repeat(np.cumsum(count) - count, count)
    return first, np.repeat(begin, count) + within


def _ground_overlap(first: KittiBoxes, second: KittiBoxes) -> FloatArray:
    """(P,) areas that the boxes have in common, seen from above."""
    # Near the origin, where differences of coordinates keep their digits.
    middle_m = first.bottom_m[:, [0, 2]]
    return intersection_area(
        *(
            rectangle_corners(boxes.bottom_m[:, [0, 2]] - middle_m, -boxes.ry_rad, boxes.size_wlh_m[:, :2])
            for boxes in (first, second)
        )
    )


def _rectangle_overlap(first_px: FloatArray, second_px: FloatArray) -> FloatArray:
    low, high = np.maximum(first_px[:, :2], second_px[:, :2]), np.minimum(first_px[:, 2:], second_px[:, 2:])
    area: FloatArray = (high - low).clip(min=0.0).prod(axis=1)
    return area


def _rectangle_area(edges_px: FloatArray) -> FloatArray:
    area: FloatArray = (edges_px[:, 2:] - edges_px[:, :2]).prod(axis=1)
    return area
