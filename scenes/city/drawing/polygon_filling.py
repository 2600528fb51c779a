"""Draws polygons that lie on flat ground as a camera sees them."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from scenes.city.drawing.ground import GroundPolygons
from scenes.city.drawing.rasterizer import NEAR_M, View
from scenes.compiled import compiled
from scenes.geometry import FloatArray

_FIXED_POINT_BITS: Final = 4
_CONVEX_CORNERS: Final = 12
"""Polygons with more corners (outlines of blocks) need not be convex."""


def fill_polygons(canvas: NDArray[np.uint8], polygons: GroundPolygons, view: View, reach_m: float) -> None:
    """Draw polygons as seen by a camera: `canvas` (H, W) takes the number of their surface.

    Args:
        canvas: written in place.
        polygons: on the ground, z = 0.
        view: the camera.
        reach_m: polygons farther than this from the camera are left out.
    """
    points, starts, which = _project_polygons(
        _Packed(polygons.points_m, polygons.starts, polygons.center_m, polygons.radius_m),
        view.camera_from_global,
        view.intrinsic,
        view.width_px,
        reach_m,
    )
    fixed = np.round(points * 2**_FIXED_POINT_BITS).astype(np.int32)
    surfaces = polygons.surface[which].tolist()
    bounds = starts.tolist()
    for index, surface in enumerate(surfaces):
        corners: Any = fixed[bounds[index] : bounds[index + 1]]
        if len(corners) <= _CONVEX_CORNERS:
            cv2.fillConvexPoly(canvas, corners, surface, cv2.LINE_8, _FIXED_POINT_BITS)
        else:
            cv2.fillPoly(canvas, [corners], surface, cv2.LINE_8, _FIXED_POINT_BITS)


_FARTHEST_PIXEL: Final = 20000.0
"""Polygons are cut off here: OpenCV's fixed-point coordinates overflow beyond."""


class _Packed(NamedTuple):
    """The arrays of `GroundPolygons`, as compiled code takes them."""

    points: FloatArray
    starts: NDArray[np.int64]
    center: FloatArray
    radius: FloatArray


@compiled(error_model="numpy")
def _project_polygons(
    polygons: _Packed, camera_from_global: FloatArray, intrinsic: FloatArray, width_px: int, reach_m: float
) -> tuple[FloatArray, NDArray[np.int64], NDArray[np.int64]]:
    """Image corners of the polygons in view, cut at the near plane: (Q, 2) pixels, starts, indices."""
    # The near plane and four borders: each cut at most doubles the corners. What is not written costs nothing.
    out = np.empty((2**5 * len(polygons.points), 2))
    out_starts = np.zeros(len(polygons.radius) + 1, dtype=np.int64)
    which = np.empty(len(polygons.radius), dtype=np.int64)
    drawn = 0
    for index in range(len(polygons.radius)):
        if not _may_be_seen(
            polygons.center[index], polygons.radius[index], camera_from_global, intrinsic, width_px, reach_m
        ):
            continue
        first = out_starts[drawn]
        corners = polygons.points[polygons.starts[index] : polygons.starts[index + 1]]
        count = _project_polygon(corners, camera_from_global, intrinsic, out[first:])
        if count and np.abs(out[first : first + count]).max() > _FARTHEST_PIXEL:
            count = _cut_far_pixels(out[first:], count)
        if count >= 3:
            which[drawn] = index
            drawn += 1
            out_starts[drawn] = first + count
    return out[: out_starts[drawn]], out_starts[: drawn + 1], which[:drawn]


@compiled(error_model="numpy")
def _may_be_seen(
    center: FloatArray,
    radius: float,
    camera_from_global: FloatArray,
    intrinsic: FloatArray,
    width_px: int,
    reach_m: float,
) -> bool:
    """Whether a circle on the ground is before the camera, near enough, and not beside the image."""
    pose = camera_from_global
    x = pose[0, 0] * center[0] + pose[0, 1] * center[1] + pose[0, 3]
    z = pose[2, 0] * center[0] + pose[2, 1] * center[1] + pose[2, 3]
    half_width = max(intrinsic[0, 2], width_px - intrinsic[0, 2])
    beside = (abs(x) * intrinsic[0, 0] - z * half_width) / np.hypot(intrinsic[0, 0], half_width)
    return bool(z + radius >= NEAR_M and z - radius <= reach_m and beside <= radius + _CULL_MARGIN_M)


_CULL_MARGIN_M: Final = 2.0
"""The ground lies below the camera, so that a circle's distance from the image's border is a little more."""


@compiled(error_model="numpy")
def _project_polygon(
    corners: FloatArray, camera_from_global: FloatArray, intrinsic: FloatArray, out: FloatArray
) -> int:
    """Write the image corners of the part of a polygon beyond the near plane; returns how many there are."""
    turn, shift = camera_from_global[:3, :3], camera_from_global[:3, 3]
    count = 0
    for k in range(len(corners)):
        a, b = corners[k], corners[(k + 1) % len(corners)]
        a_depth = turn[2, 0] * a[0] + turn[2, 1] * a[1] + shift[2]
        b_depth = turn[2, 0] * b[0] + turn[2, 1] * b[1] + shift[2]
        if a_depth >= NEAR_M:
            _project_point(a[0], a[1], camera_from_global, intrinsic, out[count])
            count += 1
        if (a_depth >= NEAR_M) != (b_depth >= NEAR_M):
            share = (NEAR_M - a_depth) / (b_depth - a_depth)
            x, y = a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])
            _project_point(x, y, camera_from_global, intrinsic, out[count])
            count += 1
    return count


@compiled(error_model="numpy")
def _project_point(
    x_m: float, y_m: float, camera_from_global: FloatArray, intrinsic: FloatArray, out: FloatArray
) -> None:
    """Write the pixel (2,) of a point on the ground."""
    pose = camera_from_global
    depth = max(pose[2, 0] * x_m + pose[2, 1] * y_m + pose[2, 3], NEAR_M)
    for axis in range(2):
        position = pose[axis, 0] * x_m + pose[axis, 1] * y_m + pose[axis, 3]
        out[axis] = intrinsic[axis, axis] * position / depth + intrinsic[axis, 2] - 0.5


@compiled(error_model="numpy")
def _cut_far_pixels(corners: FloatArray, count: int) -> int:
    """Cut the polygon of the first `count` corners (., 2) at the farthest pixels, in place; returns how many remain.

    One border after the other (Sutherland and Hodgman, Reentrant polygon clipping, CACM 1974).
    """
    for axis in range(2):
        for sign in (-1.0, 1.0):
            whole = corners[:count].copy()
            count = 0
            for k in range(len(whole)):
                a, b = whole[k], whole[(k + 1) % len(whole)]
                a_room, b_room = _FARTHEST_PIXEL - sign * a[axis], _FARTHEST_PIXEL - sign * b[axis]
                if a_room >= 0.0:
                    corners[count] = a
                    count += 1
                if (a_room >= 0.0) != (b_room >= 0.0):
                    corners[count] = a + a_room / (a_room - b_room) * (b - a)
                    count += 1
    return count
