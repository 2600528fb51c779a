"""What can stand or move in the city: categories, sizes, shapes and colours.

Mean sizes and spreads are rounded from the published nuScenes class statistics.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np

from scenes.geometry import FloatArray


class Activity(IntEnum):
    """What an actor does, which together with its category decides its attribute."""

    DRIVEN = 0
    PARKED = 1
    RIDDEN = 2
    LEFT = 3
    ON_FOOT = 4
    SITTING = 5
    INERT = 6


@dataclass(frozen=True)
class Kind:
    """One sort of actor.

    Attributes:
        name: short name, which also names its mesh.
        category: nuScenes category.
        size_wlh_m: mean width, length, height.
        spread: relative standard deviation of the size, common to the three.
        colors: RGB body colours to draw from.
    """

    name: str
    category: str
    size_wlh_m: tuple[float, float, float]
    spread: float
    colors: tuple[tuple[int, int, int], ...]


_CAR_COLORS: Final = (
    (224, 226, 228),
    (224, 226, 228),
    (168, 172, 177),
    (120, 124, 130),
    (38, 40, 44),
    (38, 40, 44),
    (58, 62, 70),
    (140, 28, 30),
    (34, 60, 120),
    (52, 92, 140),
    (30, 72, 58),
    (196, 186, 164),
    (176, 92, 36),
)
_VAN_COLORS: Final = ((232, 232, 230), (232, 232, 230), (190, 194, 198), (214, 170, 40), (44, 84, 142))
_BUS_COLORS: Final = ((196, 52, 44), (36, 96, 160), (44, 128, 92), (226, 160, 44))
_CLOTHES: Final = (
    (46, 58, 92),
    (150, 44, 48),
    (64, 96, 72),
    (188, 178, 160),
    (42, 44, 48),
    (122, 82, 132),
    (206, 150, 60),
    (92, 130, 168),
    (218, 218, 214),
    (104, 78, 58),
)
_YELLOW: Final = ((226, 168, 24), (232, 150, 20))

KINDS: Final = (
    Kind("sedan", "vehicle.car", (1.90, 4.65, 1.55), 0.04, _CAR_COLORS),
    Kind("hatchback", "vehicle.car", (1.84, 4.15, 1.56), 0.04, _CAR_COLORS),
    Kind("suv", "vehicle.car", (2.00, 4.75, 1.80), 0.04, _CAR_COLORS),
    Kind("van", "vehicle.car", (2.04, 5.20, 2.10), 0.05, _VAN_COLORS),
    Kind("pickup", "vehicle.truck", (2.08, 5.60, 1.92), 0.04, _CAR_COLORS),
    Kind("box_truck", "vehicle.truck", (2.50, 7.60, 3.15), 0.08, _VAN_COLORS),
    Kind("bus", "vehicle.bus.rigid", (2.85, 11.20, 3.35), 0.04, _BUS_COLORS),
    Kind("trailer", "vehicle.trailer", (2.60, 10.50, 3.60), 0.08, _VAN_COLORS),
    Kind("tractor", "vehicle.truck", (2.50, 5.90, 3.30), 0.04, _BUS_COLORS),
    Kind("excavator", "vehicle.construction", (2.60, 6.40, 3.10), 0.06, _YELLOW),
    Kind("loader", "vehicle.construction", (2.45, 6.10, 2.95), 0.06, _YELLOW),
    Kind("motorcycle", "vehicle.motorcycle", (0.78, 2.10, 1.15), 0.05, _CAR_COLORS),
    Kind("motorcyclist", "vehicle.motorcycle", (0.80, 2.12, 1.62), 0.05, _CAR_COLORS),
    Kind("bicycle", "vehicle.bicycle", (0.56, 1.72, 1.08), 0.05, _CAR_COLORS),
    Kind("cyclist", "vehicle.bicycle", (0.62, 1.74, 1.72), 0.04, _CAR_COLORS),
    Kind("adult", "human.pedestrian.adult", (0.66, 0.74, 1.75), 0.06, _CLOTHES),
    Kind("child", "human.pedestrian.child", (0.50, 0.54, 1.25), 0.10, _CLOTHES),
    Kind("worker", "human.pedestrian.construction_worker", (0.70, 0.76, 1.78), 0.04, ((238, 120, 24),)),
    Kind("officer", "human.pedestrian.police_officer", (0.70, 0.76, 1.80), 0.03, ((28, 34, 66),)),
    Kind("sitter", "human.pedestrian.adult", (0.68, 0.86, 1.28), 0.05, _CLOTHES),
    Kind("cone", "movable_object.trafficcone", (0.40, 0.40, 0.85), 0.10, ((236, 92, 20),)),
    Kind("barrier", "movable_object.barrier", (2.40, 0.52, 0.98), 0.03, ((206, 64, 44), (190, 190, 186))),
    Kind("bicycle_rack", "static_object.bicycle_rack", (2.00, 6.50, 1.20), 0.05, ((150, 154, 160),)),
)

KIND_INDEX: Final = {kind.name: index for index, kind in enumerate(KINDS)}


def draw_size(kind: Kind, rng: np.random.Generator) -> FloatArray:
    """(3,) width, length, height of one individual, metres: one common scale and a little for each side."""
    common = rng.normal(1.0, 0.8 * kind.spread)
    sides = rng.normal(1.0, 0.6 * kind.spread, 3)
    scale = np.clip(common * sides, 1.0 - 2.5 * kind.spread, 1.0 + 2.5 * kind.spread)
    mean = np.array(kind.size_wlh_m, dtype=np.float64)
    return np.round(mean * scale, 3)


def draw_color(kind: Kind, rng: np.random.Generator) -> FloatArray:
    """(3,) RGB body colour of one individual."""
    color = np.array(kind.colors[rng.integers(len(kind.colors))], dtype=np.float64)
    shade = float(rng.uniform(0.88, 1.08))
    return np.clip(shade * color, 0.0, 255.0)


def attribute_name(kind: Kind, activity: Activity, speed_mps: float) -> str:
    """The nuScenes attribute of an actor at one moment, "" for what has none."""
    moving = speed_mps > MOVING_SPEED_MPS
    if activity is Activity.SITTING:
        return "pedestrian.sitting_lying_down"
    if activity is Activity.ON_FOOT:
        return "pedestrian.moving" if moving else "pedestrian.standing"
    if activity is Activity.RIDDEN:
        return "cycle.with_rider"
    if activity is Activity.LEFT:
        return "cycle.without_rider"
    if activity is Activity.INERT:
        return ""
    if moving:
        return "vehicle.moving"
    return "vehicle.parked" if activity is Activity.PARKED else "vehicle.stopped"


MOVING_SPEED_MPS: Final = 0.25
"""Slower than this counts as standing."""
