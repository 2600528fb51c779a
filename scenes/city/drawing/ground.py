"""The ground of a town as coloured polygons: carriageways, sidewalks, markings. Also its map mask."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from scenes.city.layout.kerbs import SLOT_M, Kerb, kerbs
from scenes.city.layout.lane_graph import BIKE_LANE, LaneGraph, lane_offset_m
from scenes.city.layout.town_plan import (
    BIKE_LANE_WIDTH_M,
    CROSSWALK_WIDTH_M,
    LANE_WIDTH_M,
    PARKING_WIDTH_M,
    SIDEWALK_WIDTH_M,
    TownPlan,
)
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
