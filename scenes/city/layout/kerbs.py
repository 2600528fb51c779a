"""The sides of a town's streets, where cars park and people walk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from scenes.city.layout.town_plan import DIRECTIONS, EAST, NORTH, STOP_LINE_M, Street, TownPlan
from scenes.geometry import FloatArray

SLOT_M: Final = 6.2
"""Length of a parking slot."""


@dataclass(frozen=True, eq=False)
class Kerb:
    """One side of a street between two crossings, with a row of parking slots.

    Attributes:
        plan: the town.
        street: the street.
        start_m: (2,) plan position on the street's axis where the row starts.
        along: (2,) plan direction of the traffic on this side.
        aside: (2,) plan direction from the axis to this kerb.
        slots: how many slots of `SLOT_M` there are.
    """

    plan: TownPlan
    street: Street
    start_m: FloatArray
    along: FloatArray
    aside: FloatArray
    slots: int

    @property
    def length_m(self) -> float:
        """Of the row of parking slots."""
        return self.slots * SLOT_M

    def at(self, along_m: float, aside_m: float) -> FloatArray:
        """(2,) global position `along_m` from the start and `aside_m` from the axis."""
        return self.plan.warp(self.start_m + along_m * self.along + aside_m * self.aside)

    def yaw_rad(self, along_m: float) -> float:
        """Global direction of the traffic on this side."""
        return float(self.plan.warp.direction_rad(self.start_m + along_m * self.along, self.along))


def kerbs(plan: TownPlan) -> list[Kerb]:
    """Both sides of every piece of street."""
    found = []
    for column in range(len(plan.columns)):
        for row in range(len(plan.rows)):
            for direction in (EAST, NORTH):
                if plan.has_arm(column, row, direction):
                    found += [_kerb(plan, (column, row), direction, side) for side in (-1, 1)]
    return found


def _kerb(plan: TownPlan, node: tuple[int, int], direction: int, side: int) -> Kerb:
    step = DIRECTIONS[direction]
    end = node[0] + int(step[0]), node[1] + int(step[1])
    clear_start = plan.street_across(*node, direction).half_width_m + STOP_LINE_M + 1.0
    clear_end = plan.street_across(*end, direction).half_width_m + STOP_LINE_M + 1.0
    low = plan.node_m(*node) + step * clear_start
    high = plan.node_m(*end) - step * clear_end
    # Traffic drives on the right: the side to the left of `step` belongs to the traffic that comes back.
    along = -step * side
    aside = np.array([along[1], -along[0]])
    start = high if side > 0 else low
    slots = int(np.linalg.norm(high - low) // SLOT_M)
    return Kerb(plan, plan.street_along(*node, direction), start, along, aside, slots)
