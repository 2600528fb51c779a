"""The ground of a town as coloured polygons: carriageways, sidewalks, markings. Also its map mask."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from scenes.city.lane_graph import BIKE_LANE, LaneGraph, lane_offset_m
from scenes.city.placement import SLOT_M, Kerb, kerbs
from scenes.city.rasterizer import NEAR_M, View
from scenes.city.town_plan import (
    BIKE_LANE_WIDTH_M,
    CROSSWALK_WIDTH_M,
    LANE_WIDTH_M,
    PARKING_WIDTH_M,
    SIDEWALK_WIDTH_M,
    TownPlan,
)
from scenes.compiled import compiled
from scenes.geometry import FloatArray

MAP_RESOLUTION_M: Final = 0.1


class Surface(IntEnum):
    """What the ground is covered with; decides its colour."""

    ASPHALT = 0
    KERB = 1
    SIDEWALK = 2
    GRASS = 3
    PAVING = 4
    WHITE = 5
    YELLOW = 6
    BIKE_LANE = 7


@dataclass(frozen=True, eq=False)
class GroundPolygons:
    """Polygons on the ground, later ones over earlier ones.

    Attributes:
        points_m: (P, 2) global corners of all polygons in a row.
        starts: (N + 1,) polygon i has the corners `starts[i]:starts[i + 1]`.
        surface: (N,) `Surface` of each.
        center_m, radius_m: (N, 2) and (N,) circles around them.
    """

    points_m: FloatArray
    starts: NDArray[np.int64]
    surface: NDArray[np.int64]
    center_m: FloatArray
    radius_m: FloatArray

    @classmethod
    def of(cls, polygons: list[tuple[Surface, FloatArray]]) -> GroundPolygons:
        """Pack polygons: pairs of a surface and (n, 2) global corners."""
        corners = [points for _, points in polygons]
        centers = np.array([0.5 * (points.min(axis=0) + points.max(axis=0)) for points in corners]).reshape(-1, 2)
        radii = [np.linalg.norm(points - c, axis=1).max() for points, c in zip(corners, centers, strict=True)]
        return cls(
            points_m=np.concatenate(corners) if corners else np.zeros((0, 2)),
            starts=np.cumsum([0, *(len(points) for points in corners)]),
            surface=np.array([int(surface) for surface, _ in polygons], dtype=np.int64),
            center_m=centers,
            radius_m=np.array(radii),
        )

    @classmethod
    def of_corners(cls, surface: Surface, corners_m: FloatArray) -> GroundPolygons:
        """Polygons of one surface with K corners each: (N, K, 2) global."""
        count, corners, _ = corners_m.shape
        centers = 0.5 * (corners_m.min(axis=1) + corners_m.max(axis=1))
        return cls(
            points_m=np.ascontiguousarray(corners_m).reshape(-1, 2),
            starts=corners * np.arange(count + 1),
            surface=np.full(count, int(surface), dtype=np.int64),
            center_m=centers,
            radius_m=np.linalg.norm(corners_m - centers[:, None], axis=2).max(axis=1, initial=0.0),
        )


def build_ground(plan: TownPlan, graph: LaneGraph, rng: np.random.Generator) -> GroundPolygons:
    """The paved area, the blocks with their sidewalks, then everything that is painted on the carriageways."""
    polygons: list[tuple[Surface, FloatArray]] = [(Surface.ASPHALT, plan.outskirts_m())]
    for block in plan.blocks:
        lot = Surface.GRASS if rng.random() < 0.5 else Surface.PAVING
        for surface, inset in ((Surface.KERB, 0.0), (Surface.SIDEWALK, 0.2), (lot, SIDEWALK_WIDTH_M)):
            polygons.append((surface, plan.warp(block.outline(inset))))
    for kerb in kerbs(plan):
        polygons += _kerb_markings(kerb)
    for lane in graph.lanes:
        if not lane.is_connector and lane.number != BIKE_LANE:
            end = lane.path.at(np.array([lane.path.length_m]))[0]
            yaw = float(lane.path.yaw_at(np.array([lane.path.length_m - 0.5]))[0])
            polygons.append((Surface.WHITE, _rectangle(end, yaw, (0.45, LANE_WIDTH_M - 0.3))))
    for walk in graph.crosswalks:
        for arc in np.arange(1.9, walk.path.length_m - 1.4, 1.1):
            spot = walk.path.at(np.array([arc]))[0]
            yaw = float(walk.path.yaw_at(np.array([arc]))[0])
            polygons.append((Surface.WHITE, _rectangle(spot, yaw, (0.55, CROSSWALK_WIDTH_M))))
    return GroundPolygons.of(polygons)


def _rectangle(center_m: FloatArray, yaw_rad: float, size_m: tuple[float, float]) -> FloatArray:
    ahead = np.array([np.cos(yaw_rad), np.sin(yaw_rad)])
    left = np.array([-ahead[1], ahead[0]])
    half_ahead, half_left = 0.5 * size_m[0] * ahead, 0.5 * size_m[1] * left
    corners: FloatArray = center_m + np.array(
        [half_ahead + half_left, half_ahead - half_left, -half_ahead - half_left, -half_ahead + half_left]
    )
    return corners


def _kerb_markings(kerb: Kerb) -> Iterator[tuple[Surface, FloatArray]]:
    """The lines on one side of a street, the axis included."""
    street = kerb.street
    length = kerb.length_m
    start, end = -1.0, length + 1.0
    bike_inner = lane_offset_m(street, BIKE_LANE) - 0.5 * BIKE_LANE_WIDTH_M
    bike_outer = bike_inner + BIKE_LANE_WIDTH_M
    if street.lanes > 1:
        yield from _stripe(kerb, Surface.BIKE_LANE, (start, end), 0.5 * (bike_inner + bike_outer), 1.2, (8.0, 8.0))
    yield from _stripe(kerb, Surface.YELLOW, (start, end), 0.14, 0.12, (6.0, 6.0))
    for number in range(1, street.lanes):
        yield from _stripe(kerb, Surface.WHITE, (start, end), number * LANE_WIDTH_M, 0.13, (3.0, 8.0))
    for aside in (bike_inner, bike_outer):
        yield from _stripe(kerb, Surface.WHITE, (start, end), aside, 0.12, (6.0, 6.0))
    for slot in range(kerb.slots + 1):
        tick = [
            (slot * SLOT_M + a, bike_outer + b)
            for a, b in ((-0.05, 0), (0.05, 0), (0.05, PARKING_WIDTH_M), (-0.05, PARKING_WIDTH_M))
        ]
        yield Surface.WHITE, np.array([kerb.at(*corner) for corner in tick])


def _stripe(
    kerb: Kerb,
    surface: Surface,
    span_m: tuple[float, float],
    aside_m: float,
    width_m: float,
    dash_period_m: tuple[float, float],
) -> Iterator[tuple[Surface, FloatArray]]:
    """A line along a street in pieces of `dash_period_m[0]` every `dash_period_m[1]` metres."""
    dash, period = dash_period_m
    half = 0.5 * width_m
    for begin in np.arange(span_m[0], span_m[1] - 0.5, period):
        finish = min(begin + dash, span_m[1])
        plan = [(begin, aside_m - half), (finish, aside_m - half), (finish, aside_m + half), (begin, aside_m + half)]
        corners = kerb.start_m + np.array([along * kerb.along + aside * kerb.aside for along, aside in plan])
        yield surface, kerb.plan.warp(corners)


def draw_map_mask(plan: TownPlan) -> NDArray[np.uint8]:
    """The devkit's semantic prior: 255 on carriageways and sidewalks, 0 elsewhere, 0.1 m a pixel, y upwards."""
    width, height = (np.ceil(plan.extent_m / MAP_RESOLUTION_M)).astype(int)
    mask = np.zeros((height, width), dtype=np.uint8)
    cv2.fillPoly(mask, [_map_pixels(plan.outskirts_m(), height)], (255,))
    for block in plan.blocks:
        cv2.fillPoly(mask, [_map_pixels(plan.warp(block.outline(SIDEWALK_WIDTH_M)), height)], (0,))
    return mask


def _map_pixels(points_m: FloatArray, height_px: int) -> NDArray[np.int32]:
    x, y = (points_m / MAP_RESOLUTION_M).T
    pixels: NDArray[np.int32] = np.round(np.stack([x, height_px - y], axis=1)).astype(np.int32)
    return pixels


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
