"""How high the ground lies: a sum of long waves. What stands in a flat town is lifted by it, each point by its own.

Lines that are upright stay upright and as long as they are; what lies on the ground follows it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from scenes.compiled import compiled
from scenes.geometry import FloatArray

_WAVES: Final = 3
_LENGTH_M: Final = (130.0, 380.0)


class Terrain(NamedTuple):
    """Waves of the ground. Without any it is flat.

    Attributes:
        amplitude_m: (K,).
        wave: (K, 2) by which the phase grows with each metre along global x and y.
        phase_rad: (K,) at the global origin.
    """

    amplitude_m: FloatArray
    wave: FloatArray
    phase_rad: FloatArray

    @property
    def is_flat(self) -> bool:
        """Whether all of it has the height 0."""
        return not len(self.amplitude_m)

    def height_m(self, places_m: FloatArray) -> FloatArray:
        """(N,) heights at global places (N, 2), from 0 up."""
        return _heights(self, np.ascontiguousarray(places_m))


FLAT: Final = Terrain(np.zeros(0), np.zeros((0, 2)), np.zeros(0))


def draw_terrain(steepest: float, rng: np.random.Generator) -> Terrain:
    """Sloping ground.

    Args:
        steepest: metres of height for a metre of way that no place exceeds.
        rng: draws the waves.
    """
    length = rng.uniform(*_LENGTH_M, _WAVES)
    toward = rng.uniform(0.0, 2.0 * np.pi, _WAVES)
    share = rng.dirichlet(np.full(_WAVES, 3.0))
    per_metre = 2.0 * np.pi / length
    return Terrain(
        amplitude_m=steepest * share / per_metre,
        wave=per_metre[:, None] * np.stack([np.cos(toward), np.sin(toward)], axis=1),
        phase_rad=rng.uniform(0.0, 2.0 * np.pi, _WAVES),
    )


def lifted(points_m: FloatArray, terrain: Terrain) -> FloatArray:
    """(N, 3) global points of a flat world where they are on a terrain."""
    if terrain.is_flat:
        return points_m
    return np.column_stack([points_m[:, :2], points_m[:, 2] + terrain.height_m(points_m[:, :2])])


@compiled(error_model="numpy", inline="always")
def height_at(terrain: Terrain, x_m: float, y_m: float) -> float:
    """See `Terrain.height_m`, for compiled code."""
    height = 0.0
    for k in range(len(terrain.amplitude_m)):
        phase = terrain.wave[k, 0] * x_m + terrain.wave[k, 1] * y_m + terrain.phase_rad[k]
        height += terrain.amplitude_m[k] * (1.0 + np.sin(phase))
    return height


@compiled(error_model="numpy")
def _heights(terrain: Terrain, places_m: FloatArray) -> FloatArray:
    height = np.empty(len(places_m))
    for place in range(len(places_m)):
        height[place] = height_at(terrain, places_m[place, 0], places_m[place, 1])
    return height
