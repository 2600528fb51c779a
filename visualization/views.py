"""Where global points land in a picture: a camera's view, and the view from above.

A view clips before it projects: what lies behind a camera never draws a line across its image.

    >>> view = BirdsEyeView(global_from_ego=np.eye(4), width_px=200, height_px=200, pixels_per_m=2.0)
    >>> view.pixels(np.array([[30.0, 0.0, 0.0], [0.0, 10.0, 0.0]])).tolist()  # ahead, and to the left
    [[100.0, 40.0], [80.0, 100.0]]
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scenes import Camera, InputError
from scenes.geometry import FloatArray, invert_pose, transform_points

NEAR_PLANE_M = 0.2
"""Camera coordinates nearer than this are cut off."""


class View(Protocol):
    """A picture of the world, `width_px` x `height_px`."""

    @property
    def width_px(self) -> int: ...

    @property
    def height_px(self) -> int: ...

    def segments(self, starts_m: FloatArray, ends_m: FloatArray) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Lines in the picture.

        Args:
            starts_m, ends_m: (N, 3) global end points.

        Returns:
            pixels (N, 2, 2) of both ends, clipped to the picture, and (N,) whether any of a line is in it.
            Pixels of lines that are not visible mean nothing.
        """

    def polygon(self, corners_m: FloatArray) -> FloatArray:
        """(K, 2) pixels of a flat convex polygon with (M, 3) global corners; K is 0 where it is out of sight."""

    def distance_m(self, points_m: FloatArray) -> FloatArray:
        """(N,) distance of global points (N, 3) from the viewer, by which boxes are painted far to near."""


@dataclass(frozen=True)
class CameraView:
    """What a camera sees, drawn at `width_px` x `height_px`, which may differ from the camera's own size."""

    camera: Camera
    width_px: int
    height_px: int

    def segments(self, starts_m: FloatArray, ends_m: FloatArray) -> tuple[FloatArray, NDArray[np.bool_]]:
        starts, ends, in_front = _clip_segments_to_near_plane(self._in_camera(starts_m), self._in_camera(ends_m))
        pixels = np.stack([self._pixels(starts), self._pixels(ends)], axis=1)
        pixels, inside = clip_segments(pixels, self.width_px, self.height_px)
        return pixels, in_front & inside

    def polygon(self, corners_m: FloatArray) -> FloatArray:
        return self._pixels(_clip_polygon_to_near_plane(self._in_camera(corners_m)))

    def distance_m(self, points_m: FloatArray) -> FloatArray:
        distance: FloatArray = np.linalg.norm(self._in_camera(points_m), axis=1)
        return distance

    @cached_property
    def _intrinsic(self) -> FloatArray:
        """The camera's intrinsic matrix at the size of this view."""
        width_px, height_px = shown_size_px(self.camera)
        scale = np.diag([self.width_px / width_px, self.height_px / height_px, 1.0])
        intrinsic: FloatArray = scale @ self.camera.intrinsic
        return intrinsic

    def _in_camera(self, points_m: FloatArray) -> FloatArray:
        return transform_points(self.camera.camera_from_global, points_m)

    def _pixels(self, in_camera_m: FloatArray) -> FloatArray:
        homogeneous = in_camera_m @ self._intrinsic.T
        pixels: FloatArray = homogeneous[:, :2] / np.maximum(in_camera_m[:, 2:], NEAR_PLANE_M)
        return pixels


@dataclass(frozen=True)
class BirdsEyeView:
    """The world from above; the ego vehicle stands in the middle and drives upwards.

    Attributes:
        global_from_ego: (4, 4) pose of the ego vehicle.
        width_px, height_px: size of the picture.
        pixels_per_m: scale.
    """

    global_from_ego: FloatArray
    width_px: int
    height_px: int
    pixels_per_m: float

    def segments(self, starts_m: FloatArray, ends_m: FloatArray) -> tuple[FloatArray, NDArray[np.bool_]]:
        pixels = np.stack([self.pixels(starts_m), self.pixels(ends_m)], axis=1)
        return clip_segments(pixels, self.width_px, self.height_px)

    def polygon(self, corners_m: FloatArray) -> FloatArray:
        return self.pixels(corners_m)

    def distance_m(self, points_m: FloatArray) -> FloatArray:
        # Painted from low to high: what is higher is nearer to somebody who looks down.
        distance: FloatArray = -points_m[:, 2]
        return distance

    def pixels(self, points_m: FloatArray) -> FloatArray:
        """(N, 2) pixels of global points (N, 3), in the picture or not."""
        return self.pixels_from_ego(transform_points(self._ego_from_global, points_m))

    def pixels_from_ego(self, points_m: FloatArray) -> FloatArray:
        """(N, 2) pixels of points (N, 2 or 3) in ego coordinates (x forward, y left)."""
        right = 0.5 * self.width_px - self.pixels_per_m * points_m[:, 1]
        down = 0.5 * self.height_px - self.pixels_per_m * points_m[:, 0]
        return np.column_stack([right, down])

    @cached_property
    def _ego_from_global(self) -> FloatArray:
        return invert_pose(self.global_from_ego)


def shown_size_px(camera: Camera) -> tuple[int, int]:
    """Width and height of a camera's image, also of one that is missing and whose size nobody states.

    There is no photograph then that boxes could miss: the optical axis is taken to go through the middle.
    """
    try:
        return camera.size_px
    except InputError:
        width_px, height_px = np.maximum(np.round(2 * camera.intrinsic[:2, 2]), 1).astype(int).tolist()
        return width_px, height_px


def clip_segments(pixels: FloatArray, width_px: int, height_px: int) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Segments cut off at the border of a picture (Liang and Barsky's parametric clipping).

    Args:
        pixels: (N, 2, 2) end points x, y of N segments.
        width_px, height_px: size of the picture.

    Returns:
        the clipped segments (N, 2, 2) and (N,) whether any of a segment lies in the picture. Segments
        that do not are returned as they came.
    """
    start, step = pixels[:, 0], pixels[:, 1] - pixels[:, 0]
    far_corner = np.array([width_px, height_px], dtype=np.float64)
    # For each of the four borders: how much the segment gains outwards, and the room it has at its start.
    outward = np.concatenate([-step, step], axis=1)
    room = np.concatenate([start, far_corner - start], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = room / outward
    entry = np.where(outward < 0, crossing, 0.0).max(axis=1, initial=0.0)
    leave = np.where(outward > 0, crossing, 1.0).min(axis=1, initial=1.0)
    parallel_outside = ((outward == 0) & (room < 0)).any(axis=1)
    visible = (entry <= leave) & ~parallel_outside
    ends = np.stack([entry, leave], axis=1)[:, :, None]
    clipped = start[:, None, :] + ends * step[:, None, :]
    return np.where(visible[:, None, None], clipped, pixels), visible


def _clip_segments_to_near_plane(
    starts_m: FloatArray, ends_m: FloatArray
) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    """Segments (N, 3) in camera coordinates with the part before the near plane moved onto it."""
    start_depth, end_depth = starts_m[:, 2], ends_m[:, 2]
    start_behind, end_behind = start_depth < NEAR_PLANE_M, end_depth < NEAR_PLANE_M
    crosses = start_behind != end_behind
    depth_change = np.where(crosses, end_depth - start_depth, 1.0)
    at_plane = starts_m + ((NEAR_PLANE_M - start_depth) / depth_change)[:, None] * (ends_m - starts_m)
    starts = np.where((start_behind & crosses)[:, None], at_plane, starts_m)
    ends = np.where((end_behind & crosses)[:, None], at_plane, ends_m)
    return starts, ends, ~(start_behind & end_behind)


def _clip_polygon_to_near_plane(corners_m: FloatArray) -> FloatArray:
    """A convex polygon (M, 3) in camera coordinates cut at the near plane (Sutherland and Hodgman)."""
    kept: list[FloatArray] = []
    for here, there in zip(corners_m, np.roll(corners_m, -1, axis=0), strict=True):
        if here[2] >= NEAR_PLANE_M:
            kept.append(here)
        if (here[2] >= NEAR_PLANE_M) != (there[2] >= NEAR_PLANE_M):
            crossing = (NEAR_PLANE_M - here[2]) / (there[2] - here[2])
            kept.append(here + crossing * (there - here))
    return np.array(kept).reshape(-1, 3)
