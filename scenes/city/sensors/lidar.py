"""A spinning 32-beam lidar whose rays are cast against boxes and the ground."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scenes.city.layout.terrain import FLAT, Terrain, height_at
from scenes.compiled import compiled
from scenes.geometry import FloatArray

BEAMS: Final = 32
STEPS: Final = 1084
"""Rays of each beam in one turn."""

_HIGHEST_DEG: Final = 10.67
_LOWEST_DEG: Final = -30.67
_MAX_RANGE_M: Final = 100.0
_FADE_START_M: Final = 40.0
_KEEP_NEAR: Final = 0.92
NO_HIT: Final = -2
GROUND: Final = -1
_STRIDE_M: Final = 2.0
"""How far a ray is followed over sloping ground before it is asked again whether it is below."""
_HALVINGS: Final = 10


class GroundBelow(NamedTuple):
    """The ground, and where the sensor is above it.

    Attributes:
        terrain: of the town.
        x_m, y_m, z_m: global position of the sensor.
        heading_rad: global direction of the frame's x axis.
    """

    terrain: Terrain
    x_m: float
    y_m: float
    z_m: float
    heading_rad: float

    @classmethod
    def flat(cls, height_m: float) -> GroundBelow:
        """Flat ground below a sensor of some height."""
        return cls(FLAT, 0.0, 0.0, height_m, 0.0)


@dataclass(frozen=True, eq=False)
class Sweep:
    """One turn of the lidar.

    Attributes:
        points_m: (N, 3) returns in a level frame at the sensor, x along the ego vehicle's heading.
        ring: (N,) beam of each, 0 the lowest.
        target: (N,) index of the box that was hit, or `GROUND`.
    """

    points_m: FloatArray
    ring: NDArray[np.int64]
    target: NDArray[np.int64]


def cast_sweep(
    center_m: FloatArray,
    size_lwh_m: FloatArray,
    yaw_rad: FloatArray,
    ground: GroundBelow,
    rng: np.random.Generator,
) -> Sweep:
    """One turn of a sensor that is kept level.

    Args:
        center_m: (N, 3) centres of upright boxes, relative to the sensor, in the frame of the returns.
        size_lwh_m: (N, 3) length, width, height.
        yaw_rad: (N,) headings.
        ground: below the sensor.
        rng: draws which returns are lost, more of them the farther.
    """
    elevation = np.radians(np.linspace(_LOWEST_DEG, _HIGHEST_DEG, BEAMS))
    distance, target = _cast(center_m, size_lwh_m, yaw_rad, elevation, STEPS, ground, _MAX_RANGE_M)
    fade = np.clip((distance - _FADE_START_M) / (_MAX_RANGE_M - _FADE_START_M), 0.0, 1.0)
    kept = (target != NO_HIT) & (rng.random(distance.shape) < _KEEP_NEAR * (1.0 - fade))
    ring, step = np.nonzero(kept)
    azimuth = 2.0 * np.pi * step / STEPS
    hit = distance[kept]
    flat = hit * np.cos(elevation[ring])
    points = np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), hit * np.sin(elevation[ring])], axis=1)
    return Sweep(points, ring, target[kept])


@compiled(error_model="numpy")
def _cast(
    center: FloatArray,
    size_lwh: FloatArray,
    yaw: FloatArray,
    elevation: FloatArray,
    steps: int,
    ground: GroundBelow,
    max_range: float,
) -> tuple[FloatArray, NDArray[np.int64]]:
    """Distance (beams, steps) and index of what each ray meets first."""
    beams = len(elevation)
    distance = np.full((beams, steps), max_range)
    target = np.full((beams, steps), NO_HIT, dtype=np.int64)
    for beam in range(beams):
        for step in range(steps):
            reach = _ground_range(ground, elevation[beam], 2.0 * np.pi * step / steps, max_range)
            if reach < max_range:
                distance[beam, step] = reach
                target[beam, step] = GROUND
    for box in range(len(center)):
        first_step, last_step, low, high = _angles(center[box], size_lwh[box], yaw[box], steps)
        cos_yaw, sin_yaw = np.cos(yaw[box]), np.sin(yaw[box])
        half = 0.5 * size_lwh[box]
        # The sensor in the box's own axes.
        origin_x = -(cos_yaw * center[box, 0] + sin_yaw * center[box, 1])
        origin_y = sin_yaw * center[box, 0] - cos_yaw * center[box, 1]
        origin_z = -center[box, 2]
        for beam in range(beams):
            if elevation[beam] < low or elevation[beam] > high:
                continue
            flat = np.cos(elevation[beam])
            dz = np.sin(elevation[beam])
            for step in range(first_step, last_step + 1):
                azimuth = 2.0 * np.pi * step / steps - yaw[box]
                dx, dy = flat * np.cos(azimuth), flat * np.sin(azimuth)
                hit = _ray_box(origin_x, origin_y, origin_z, dx, dy, dz, half)
                column = step % steps
                if 0.0 < hit < distance[beam, column]:
                    distance[beam, column] = hit
                    target[beam, column] = box
    return distance, target


@compiled(error_model="numpy")
def _ground_range(ground: GroundBelow, elevation: float, azimuth: float, max_range: float) -> float:
    """Distance along a ray to the ground, `max_range` if it meets none."""
    rise = np.sin(elevation)
    if len(ground.terrain.amplitude_m) == 0:
        return -ground.z_m / rise if rise < 0.0 else max_range
    flat = np.cos(elevation)
    dx, dy = flat * np.cos(azimuth + ground.heading_rad), flat * np.sin(azimuth + ground.heading_rad)
    above, below = 0.0, _STRIDE_M
    while below < max_range and _clearance(ground, below * dx, below * dy, below * rise) > 0.0:
        above, below = below, below + _STRIDE_M
    if below >= max_range:
        return max_range
    for _ in range(_HALVINGS):
        middle = 0.5 * (above + below)
        if _clearance(ground, middle * dx, middle * dy, middle * rise) > 0.0:
            above = middle
        else:
            below = middle
    return 0.5 * (above + below)


@compiled(error_model="numpy", inline="always")
def _clearance(ground: GroundBelow, dx_m: float, dy_m: float, dz_m: float) -> float:
    """How high a point is above the ground, of its offset from the sensor."""
    return ground.z_m + dz_m - height_at(ground.terrain, ground.x_m + dx_m, ground.y_m + dy_m)


@compiled(error_model="numpy")
def _angles(center: FloatArray, size_lwh: FloatArray, yaw: float, steps: int) -> tuple[int, int, float, float]:
    """First and last azimuth step, lowest and highest elevation under which a box can be met."""
    middle = np.arctan2(center[1], center[0])
    cos_yaw, sin_yaw = np.cos(yaw), np.sin(yaw)
    reach = 0.0
    farthest = 0.0
    for corner in range(4):
        x = (0.5 if corner & 1 else -0.5) * size_lwh[0]
        y = (0.5 if corner & 2 else -0.5) * size_lwh[1]
        px, py = center[0] + cos_yaw * x - sin_yaw * y, center[1] + sin_yaw * x + cos_yaw * y
        turn = np.arctan2(py, px) - middle
        turn = abs((turn + np.pi) % (2.0 * np.pi) - np.pi)
        reach = max(reach, turn)
        farthest = max(farthest, np.hypot(px, py))
    diagonal = 0.5 * np.hypot(size_lwh[0], size_lwh[1])
    nearest = max(np.hypot(center[0], center[1]) - diagonal, 0.3)
    top, bottom = center[2] + 0.5 * size_lwh[2], center[2] - 0.5 * size_lwh[2]
    high = np.arctan2(top, nearest) if top > 0.0 else np.arctan2(top, farthest)
    low = np.arctan2(bottom, nearest) if bottom < 0.0 else np.arctan2(bottom, farthest)
    if reach > 0.5 * np.pi:
        return 0, steps - 1, low, high
    first = int(np.floor((middle - reach) / (2.0 * np.pi) * steps))
    last = int(np.ceil((middle + reach) / (2.0 * np.pi) * steps))
    return first, last, low, high


@compiled(error_model="numpy")
def _ray_box(ox: float, oy: float, oz: float, dx: float, dy: float, dz: float, half: FloatArray) -> float:
    """Distance along a unit ray to a box at the origin, -1 if it misses or starts inside (slab method)."""
    near, far = -np.inf, np.inf
    for axis in range(3):
        o = ox if axis == 0 else (oy if axis == 1 else oz)
        d = dx if axis == 0 else (dy if axis == 1 else dz)
        if abs(d) < 1e-9:
            if abs(o) > half[axis]:
                return -1.0
            continue
        a, b = (-half[axis] - o) / d, (half[axis] - o) / d
        near, far = max(near, min(a, b)), min(far, max(a, b))
    return near if 0.0 < near <= far else -1.0
