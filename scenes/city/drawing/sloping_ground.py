"""Sloping ground in pictures: cells that are drawn as faces, and maps from above that say what is where on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from scenes.city.drawing.ground import GroundPolygons, Surface
from scenes.city.drawing.meshes import MESH_INDEX
from scenes.city.drawing.rasterizer import Instances
from scenes.city.layout.terrain import Terrain
from scenes.geometry import FloatArray

_NEAR_CELL_M: Final = 4.0
_NEAR_REACH_M: Final = 72.0
_FAR_CELL_M: Final = 18.0
_FAR_REACH_M: Final = 450.0
_FAR_SINK_M: Final = 0.15
"""The far cells, which are everywhere, lie this much lower: they show through the seams of the near ones only."""
_FIXED_POINT_BITS: Final = 4


class SurfaceMap(NamedTuple):
    """What lies where on the ground, seen from above.

    Attributes:
        surface: (H, W) numbers of surfaces, rows along global y and columns along x.
        low_m: (2,) global place of the outer corner of the first pixel.
        pixels_per_m: in both directions.
    """

    surface: NDArray[np.uint8]
    low_m: FloatArray
    pixels_per_m: float


@dataclass(frozen=True, eq=False)
class SlopingGround:
    """The ground of a scene that is not flat.

    Attributes:
        terrain: how high it lies.
        painted: `Surface` of the part that is seen.
    """

    terrain: Terrain
    painted: SurfaceMap


def draw_surface_map(
    polygons: GroundPolygons, low_m: FloatArray, high_m: FloatArray, pixels_per_m: float, beyond: int
) -> SurfaceMap:
    """Polygons from above, later ones over earlier ones.

    Args:
        polygons: on the ground.
        low_m, high_m: (2,) global corners of what is drawn.
        pixels_per_m: in both directions.
        beyond: the number where there is no polygon.
    """
    width, height = np.ceil((high_m - low_m) * pixels_per_m).astype(int)
    surface = np.full((height, width), beyond, dtype=np.uint8)
    pixels = (polygons.points_m - low_m) * pixels_per_m - 0.5
    fixed = np.round(pixels * 2**_FIXED_POINT_BITS).astype(np.int32)
    near = np.all(
        (polygons.center_m + polygons.radius_m[:, None] >= low_m)
        & (polygons.center_m - polygons.radius_m[:, None] <= high_m),
        axis=1,
    )
    for index in np.flatnonzero(near).tolist():
        corners: Any = fixed[polygons.starts[index] : polygons.starts[index + 1]]
        cv2.fillPoly(surface, [corners], (int(polygons.surface[index]),), cv2.LINE_8, _FIXED_POINT_BITS)
    return SurfaceMap(surface, low_m, pixels_per_m)


def no_surface_map() -> SurfaceMap:
    """The map of a flat ground, which needs none."""
    return SurfaceMap(np.zeros((0, 0), dtype=np.uint8), np.zeros(2), 1.0)


def sloping_ground(terrain: Terrain, polygons: GroundPolygons, way_m: FloatArray) -> SlopingGround:
    """The ground around the places (N, 2) that a scene is seen from."""
    low, high = way_m.min(axis=0) - _PAINTED_REACH_M, way_m.max(axis=0) + _PAINTED_REACH_M
    return SlopingGround(terrain, draw_surface_map(polygons, low, high, _PAINTED_PIXELS_PER_M, int(Surface.GRASS)))


_PAINTED_REACH_M: Final = 140.0
_PAINTED_PIXELS_PER_M: Final = 20.0


def ground_cells(around_m: FloatArray) -> Instances:
    """The cells around a place (2,), small ones and below them large ones, at fixed places of the world."""
    near = _cells(around_m, _NEAR_CELL_M, _NEAR_REACH_M, 0.0)
    return Instances.concatenate([near, _cells(around_m, _FAR_CELL_M, _FAR_REACH_M, _FAR_SINK_M)])


def _cells(around_m: FloatArray, side_m: float, reach_m: float, sink_m: float) -> Instances:
    """Square cells as far as `reach_m`."""
    steps = np.arange(-round(reach_m / side_m), round(reach_m / side_m)) + 0.5
    offsets = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    middle_m = side_m * (np.round(around_m / side_m) + offsets)
    count = len(offsets)
    return Instances(
        mesh=np.full(count, MESH_INDEX["ground_cell"], dtype=np.int64),
        center_m=np.column_stack([middle_m, np.full(count, -sink_m)]),
        yaw_rad=np.zeros(count),
        size_lwh_m=np.tile([side_m, side_m, 0.0], (count, 1)),
        color=np.zeros((count, 3)),
        second_color=np.zeros((count, 3)),
    )
