"""The 2D boxes that 3D boxes leave in an image: their corners' convex hull, cut by the image's edges.

As the published converter does it: corners behind the camera are left out of the hull, and a box counts where its
centre lies in front of the camera and at least one pixel each way is left.
"""

from __future__ import annotations

from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scenes.boxes import Boxes3D
from scenes.geometry import FloatArray
from scenes.scene import Camera

_SMALLEST_SIDE_PX: Final = 1.0
_CHORDS: Final = np.array(list(combinations(range(8), 2)))
_TRIANGLES: Final = np.array(list(combinations(range(8), 3)))

BoolArray = NDArray[np.bool_]


def projected_boxes(boxes: Boxes3D, camera: Camera) -> tuple[NDArray[np.int64], FloatArray, FloatArray, FloatArray]:
    """Which boxes a camera sees, and where.

    Args:
        boxes: N boxes in global coordinates.
        camera: with its image size.

    Returns:
        indices (M,) into `boxes`; rectangles (M, 4) left, top, right, bottom in pixels, inside the image; projected
        centres (M, 2) in pixels, which may lie outside; depths (M,) of the centres in metres.
    """
    centers_px, depths_m = camera.project(boxes.center_m)
    ahead = np.flatnonzero(depths_m > 0)
    corners_px, corner_depths_m = camera.project(boxes.corners()[ahead].reshape(-1, 3))
    corners_px = corners_px.reshape(-1, 8, 2)
    in_front = corner_depths_m.reshape(-1, 8) > 0
    size_px = np.array([camera.width_px, camera.height_px], dtype=np.float64)
    # Most boxes lie beside the image: the exact cut is only for those that may be in it.
    near = _may_touch_canvas(corners_px, in_front, size_px)
    ahead = ahead[near]
    rectangles = _hull_inside_canvas(corners_px[near], in_front[near], size_px)
    # A comparison with NaN is false: a hull that misses the image is not large enough either.
    large = (rectangles[:, 2:] - rectangles[:, :2] >= _SMALLEST_SIDE_PX).all(axis=1)
    indices = ahead[large]
    return indices, rectangles[large], centers_px[indices], depths_m[indices]


def _may_touch_canvas(corners_px: FloatArray, used: BoolArray, size_px: FloatArray) -> BoolArray:
    """(N,) False where all used points lie beyond one and the same edge of the canvas."""
    used = used[..., None]
    low = np.where(used, corners_px, np.inf).min(axis=1)
    high = np.where(used, corners_px, -np.inf).max(axis=1)
    touches: BoolArray = ((high >= 0.0) & (low <= size_px)).all(axis=1)
    return touches


def _hull_inside_canvas(corners_px: FloatArray, used: BoolArray, size_px: FloatArray) -> FloatArray:
    """(N, 4) rectangles around the intersections of N convex hulls with the canvas; NaN where it is empty.

    The intersection is spanned by what the canvas leaves of the hull's edges and by canvas corners inside the hull.
    All 28 chords between corners stand in for the edges: they are among them, and none leaves the hull. All 56
    triangles stand in for the hull.

    Args:
        corners_px: (N, 8, 2) points.
        used: (N, 8) which of them count.
        size_px: width and height of the canvas.
    """
    corners_px = np.where(used[..., None], corners_px, 0.0)
    ends, inside = _clipped_chords(corners_px, used, size_px)
    canvas_corners = size_px * np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=float)
    covered = _inside_triangles(canvas_corners, corners_px, used)
    points = np.concatenate([ends, np.broadcast_to(canvas_corners, (len(ends), 4, 2))], axis=1)
    counts = np.concatenate([inside, inside, covered], axis=1)[..., None]
    low = np.where(counts, points, np.inf).min(axis=1)
    high = np.where(counts, points, -np.inf).max(axis=1)
    rectangles = np.concatenate([low, high], axis=1).clip(0.0, np.tile(size_px, 2))
    return np.where(counts.any(axis=1), rectangles, np.nan)


def _clipped_chords(corners_px: FloatArray, used: BoolArray, size_px: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Both ends (N, 56, 2) of what the canvas leaves of each chord, and whether anything is left (N, 28)."""
    start = corners_px[:, _CHORDS[:, 0]]
    along = corners_px[:, _CHORDS[:, 1]] - start
    with np.errstate(divide="ignore", invalid="ignore"):
        to_low, to_high = -start / along, (size_px - start) / along
    parallel = along == 0
    outside = (parallel & ((start < 0) | (start > size_px))).any(axis=2)
    enter = np.where(parallel, 0.0, np.minimum(to_low, to_high)).max(axis=2).clip(min=0.0)
    leave = np.where(parallel, 1.0, np.maximum(to_low, to_high)).min(axis=2).clip(max=1.0)
    inside = used[:, _CHORDS].all(axis=2) & ~outside & (enter <= leave)
    ends = np.concatenate([start + enter[..., None] * along, start + leave[..., None] * along], axis=1)
    return ends, inside


def _inside_triangles(points: FloatArray, corners_px: FloatArray, used: BoolArray) -> BoolArray:
    """(N, P) whether points (P, 2) lie in a triangle of used corners."""
    a, b, c = (corners_px[:, None, _TRIANGLES[:, vertex]] for vertex in range(3))  # (N, 1, 56, 2)
    point = points[None, :, None]
    sides = np.stack([_cross(b - a, point - a), _cross(c - b, point - b), _cross(a - c, point - c)])
    within = (sides >= 0).all(axis=0) | (sides <= 0).all(axis=0)
    flat = _cross(b - a, c - a) == 0
    usable = used[:, _TRIANGLES].all(axis=2)[:, None] & ~flat
    covered: BoolArray = (within & usable).any(axis=2)
    return covered


def _cross(first: FloatArray, second: FloatArray) -> FloatArray:
    product: FloatArray = first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]
    return product
