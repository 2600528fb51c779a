"""Rotated rectangles in batches: their corners, areas, and the exact area that two of them have in common.

The intersection's corners are the corners of one rectangle inside the other and the crossings of their sides; around
their middle they stand in order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scenes.geometry import FloatArray

_CORNERS = np.array([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]])
"""Anticlockwise, in halves of length and width."""

_TOUCHING = 1e-9
"""Shares of sides that count as none: sides that lie on one line must not be lost to rounding."""


def rectangle_corners(xy_m: FloatArray, yaw_rad: FloatArray, size_wl_m: FloatArray) -> FloatArray:
    """(P, 4, 2) corners, anticlockwise, of bodies at (P, 2) that face (P,) with width and length (P, 2)."""
    along = 0.5 * size_wl_m[:, 1, None] * np.stack([np.cos(yaw_rad), np.sin(yaw_rad)], axis=1)
    across = 0.5 * size_wl_m[:, 0, None] * np.stack([-np.sin(yaw_rad), np.cos(yaw_rad)], axis=1)
    corners: FloatArray = xy_m[:, None] + _CORNERS[:, :1] * along[:, None] + _CORNERS[:, 1:] * across[:, None]
    return corners


def cross(a: FloatArray, b: FloatArray) -> FloatArray:
    """The third component of the product of plane vectors (..., 2)."""
    product: FloatArray = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return product


def polygon_area(polygon: FloatArray) -> FloatArray:
    """(P,) areas of polygons (P, K, 2) whose corners stand anticlockwise; repeated corners do no harm."""
    area: FloatArray = 0.5 * cross(polygon, np.roll(polygon, -1, axis=1)).sum(axis=1)
    return area


def intersection_area(first: FloatArray, second: FloatArray) -> FloatArray:
    """(P,) areas that rectangles have in common, corners (P, 4, 2) and (P, 4, 2) anticlockwise.

    Near the origin, where differences of coordinates keep their digits.
    """
    crossings, crossed = _crossings(first, second)
    points = np.concatenate([first, second, crossings], axis=1)
    inside = np.concatenate([_inside(first, second), _inside(second, first), crossed], axis=1)
    count = np.maximum(inside.sum(axis=1), 1)
    middle = np.where(inside[:, :, None], points, 0.0).sum(axis=1) / count[:, None]
    offset = np.where(inside[:, :, None], points - middle[:, None], 0.0)
    angle = np.where(inside, np.arctan2(offset[:, :, 1], offset[:, :, 0]), np.inf)
    ordered = np.take_along_axis(offset, np.argsort(angle, axis=1)[:, :, None], axis=1)
    # Those that do not count come last; put on the first one they span no area.
    absent = np.arange(ordered.shape[1]) >= inside.sum(axis=1)[:, None]
    return polygon_area(np.where(absent[:, :, None], ordered[:, :1], ordered))


def _inside(points: FloatArray, polygon: FloatArray) -> NDArray[np.bool_]:
    """(P, 4) which points (P, 4, 2) lie in, or on the border of, a rectangle (P, 4, 2)."""
    sides = np.roll(polygon, -1, axis=1) - polygon
    left = cross(sides[:, None], points[:, :, None] - polygon[:, None])
    inside: NDArray[np.bool_] = (left >= -_TOUCHING * cross(sides[:, 0], sides[:, 1])[:, None, None]).all(axis=2)
    return inside


def _crossings(first: FloatArray, second: FloatArray) -> tuple[FloatArray, NDArray[np.bool_]]:
    """(P, 16, 2) where the sides of two rectangles meet, and (P, 16) whether they do."""
    a = np.roll(first, -1, axis=1) - first
    b = np.roll(second, -1, axis=1) - second
    start = second[:, None] - first[:, :, None]
    parallel = cross(a[:, :, None], b[:, None])
    scale = np.where(np.abs(parallel) > _TOUCHING, parallel, np.inf)
    along_a, along_b = cross(start, b[:, None]) / scale, cross(start, a[:, :, None]) / scale
    low, high = -_TOUCHING, 1.0 + _TOUCHING
    meet = np.isfinite(scale) & (along_a >= low) & (along_a <= high) & (along_b >= low) & (along_b <= high)
    points = first[:, :, None] + along_a[..., None] * a[:, :, None]
    return points.reshape(len(first), 16, 2), meet.reshape(len(first), 16)
