"""The plan of one town: streets on a bent grid, crossings between them, and blocks of buildings.

Everything is laid out in plan coordinates, where streets are straight and at right angles, and then carried into
the global frame by `Warp`, which turns the plan and bends its streets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from scenes.city.layout.polyline import Polyline, rounded_rectangle
from scenes.geometry import FloatArray

LANE_WIDTH_M: Final = 3.5
BIKE_LANE_WIDTH_M: Final = 1.5
PARKING_WIDTH_M: Final = 2.4
SIDEWALK_WIDTH_M: Final = 3.2
CORNER_RADIUS_M: Final = 4.0
CROSSWALK_START_M: Final = 2.5
CROSSWALK_WIDTH_M: Final = 3.0
STOP_LINE_M: Final = 7.0
"""Distances from the edge of the crossing street to the crosswalk and to the stop line."""

_EDGE_BLOCK_M: Final = 45.0
_STREETS: Final = 5
_MARGIN_M: Final = 25.0

EAST, NORTH, WEST, SOUTH = range(4)
DIRECTIONS: Final = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
"""Unit vectors of the four directions in plan coordinates; a step of one is a quarter turn to the left."""


@dataclass(frozen=True)
class Street:
    """A street from one end of the town to the other.

    Attributes:
        position_m: plan coordinate of its axis.
        lanes: car lanes in each direction.
        speed_limit_mps: what drivers aim for.
    """

    position_m: float
    lanes: int
    speed_limit_mps: float

    @property
    def half_width_m(self) -> float:
        """From the axis to the kerb: car lanes, a bicycle lane, a parking lane."""
        return self.lanes * LANE_WIDTH_M + BIKE_LANE_WIDTH_M + PARKING_WIDTH_M

    @property
    def parking_offset_m(self) -> float:
        """From the axis to the middle of a parking lane."""
        return self.half_width_m - 0.5 * PARKING_WIDTH_M


@dataclass(frozen=True, eq=False)
class Warp:
    """From plan to global coordinates: bend along two sines, turn, shift.

    Attributes:
        amplitude_m, wavelength_m, phase_rad: (2,) of the bend of x along y and of y along x.
        turn_rad: rotation of the plan.
        shift_m: (2,) global position of the plan's origin.
    """

    amplitude_m: FloatArray
    wavelength_m: FloatArray
    phase_rad: FloatArray
    turn_rad: float
    shift_m: FloatArray

    def __call__(self, plan_m: FloatArray) -> FloatArray:
        """(..., 2) global positions of plan positions."""
        plan = np.asarray(plan_m, dtype=np.float64)
        swapped = plan[..., ::-1]
        bent = plan + self.amplitude_m * np.sin(2.0 * np.pi * swapped / self.wavelength_m + self.phase_rad)
        cos, sin = np.cos(self.turn_rad), np.sin(self.turn_rad)
        turned: FloatArray = bent @ np.array([[cos, sin], [-sin, cos]]) + self.shift_m
        return turned

    def direction_rad(self, plan_m: FloatArray, direction: FloatArray) -> FloatArray:
        """(...,) global yaw of a plan direction (2,) at plan positions (..., 2)."""
        plan = np.asarray(plan_m, dtype=np.float64)
        step = self(plan + 0.5 * direction) - self(plan - 0.5 * direction)
        yaw: FloatArray = np.arctan2(step[..., 1], step[..., 0])
        return yaw


@dataclass(frozen=True)
class Block:
    """The ground between streets, in plan coordinates: `low_m` and `high_m` are opposite kerb corners."""

    column: int
    row: int
    low_m: tuple[float, float]
    high_m: tuple[float, float]
    is_edge: bool

    def outline(self, inset_m: float, spacing_m: float = 4.0) -> FloatArray:
        """(N, 2) closed plan outline, `inset_m` inside the kerb, with rounded corners."""
        low, high = np.array(self.low_m) + inset_m, np.array(self.high_m) - inset_m
        return rounded_rectangle(low, high, max(CORNER_RADIUS_M - inset_m, 1.0), spacing_m)


@dataclass(frozen=True, eq=False)
class TownPlan:
    """Streets and blocks of one town.

    Attributes:
        columns, rows: streets along y at increasing x, and along x at increasing y.
        blocks: the (columns + 1) x (rows + 1) cells between and around them.
        warp: from plan to global coordinates; all global coordinates of the town are positive.
        extent_m: (2,) size of the rectangle from the global origin that holds the town.
    """

    columns: tuple[Street, ...]
    rows: tuple[Street, ...]
    blocks: tuple[Block, ...]
    warp: Warp
    extent_m: FloatArray

    def node_m(self, column: int, row: int) -> FloatArray:
        """(2,) plan position of the crossing of two streets."""
        return np.array([self.columns[column].position_m, self.rows[row].position_m])

    def has_arm(self, column: int, row: int, direction: int) -> bool:
        """Whether a street leads on from a crossing in one of the four directions."""
        step = DIRECTIONS[direction]
        return bool(0 <= column + step[0] < len(self.columns) and 0 <= row + step[1] < len(self.rows))

    def street_along(self, column: int, row: int, direction: int) -> Street:
        """The street that an arm of a crossing belongs to."""
        return self.rows[row] if direction in (EAST, WEST) else self.columns[column]

    def street_across(self, column: int, row: int, direction: int) -> Street:
        """The street that crosses the one an arm belongs to."""
        return self.columns[column] if direction in (EAST, WEST) else self.rows[row]

    def block_at(self, column: int, row: int) -> Block:
        """The block left of street `column` and below street `row`."""
        return self.blocks[column * (len(self.rows) + 1) + row]

    def outskirts_m(self) -> FloatArray:
        """(N, 2) global outline of the paved area: where the outermost blocks end."""
        low, high = np.array(self.blocks[0].low_m), np.array(self.blocks[-1].high_m)
        return self.warp(rounded_rectangle(low, high, CORNER_RADIUS_M, 4.0))

    def sidewalk(self, block: Block) -> Polyline:
        """The closed global line that people walk around a block."""
        return Polyline.through(self.warp(block.outline(0.5 * SIDEWALK_WIDTH_M, 2.0)))


def draw_town_plan(rng: np.random.Generator) -> TownPlan:
    """A random town: five streets in each direction, some of them two lanes wide."""
    columns, rows = _draw_streets(rng), _draw_streets(rng)
    blocks = _blocks(columns, rows)
    warp = Warp(
        amplitude_m=rng.uniform(5.0, 12.0, 2),
        wavelength_m=rng.uniform(280.0, 420.0, 2),
        phase_rad=rng.uniform(0.0, 2.0 * np.pi, 2),
        turn_rad=float(rng.uniform(-0.6, 0.6)),
        shift_m=np.zeros(2),
    )
    outlines = np.concatenate([warp(block.outline(0.0)) for block in blocks])
    low, high = outlines.min(axis=0) - _MARGIN_M, outlines.max(axis=0) + _MARGIN_M
    placed = Warp(warp.amplitude_m, warp.wavelength_m, warp.phase_rad, warp.turn_rad, -low)
    return TownPlan(columns, rows, blocks, placed, high - low)


def _draw_streets(rng: np.random.Generator) -> tuple[Street, ...]:
    lanes = np.where(rng.random(_STREETS) < 0.4, 2, 1)
    # Outer streets meet at bends, where a lane that ends would trap its traffic: one lane on all of them.
    lanes[[0, -1]] = 1
    lanes[_STREETS // 2] = 2
    gaps = rng.uniform(88.0, 132.0, _STREETS - 1)
    positions = np.concatenate([[0.0], np.cumsum(gaps)])
    limits = np.where(lanes == 2, 13.9, rng.uniform(8.5, 11.5, _STREETS))
    return tuple(Street(float(p), int(n), float(v)) for p, n, v in zip(positions, lanes, limits, strict=True))


def _blocks(columns: tuple[Street, ...], rows: tuple[Street, ...]) -> tuple[Block, ...]:
    spans_x, spans_y = _spans(columns), _spans(rows)
    edges_x, edges_y = {0, len(spans_x) - 1}, {0, len(spans_y) - 1}
    return tuple(
        Block(i, j, (x[0], y[0]), (x[1], y[1]), is_edge=i in edges_x or j in edges_y)
        for i, x in enumerate(spans_x)
        for j, y in enumerate(spans_y)
    )


def _spans(streets: tuple[Street, ...]) -> list[tuple[float, float]]:
    """The intervals between the kerbs of neighbouring streets, and one beyond either end."""
    lows = [street.position_m - street.half_width_m for street in streets]
    highs = [street.position_m + street.half_width_m for street in streets]
    inner = list(zip(highs[:-1], lows[1:], strict=True))
    return [(lows[0] - _EDGE_BLOCK_M, lows[0]), *inner, (highs[-1], highs[-1] + _EDGE_BLOCK_M)]
