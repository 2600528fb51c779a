"""Lanes, the connectors that join them at crossings, which connectors get in each other's way, and crosswalks."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.spatial.distance import cdist

from scenes.city.layout.polyline import Polyline, straight, turn
from scenes.city.layout.town_plan import (
    BIKE_LANE_WIDTH_M,
    CROSSWALK_START_M,
    CROSSWALK_WIDTH_M,
    DIRECTIONS,
    LANE_WIDTH_M,
    SIDEWALK_WIDTH_M,
    STOP_LINE_M,
    Street,
    TownPlan,
)
from scenes.geometry import FloatArray

BIKE_LANE: Final = -1
"""Lane number of a bicycle lane; car lanes count from 0 at the street's axis."""

STRAIGHT, LEFT, RIGHT = 0, 1, 3
"""Quarter turns to the left from the incoming to the outgoing direction."""

_LATERAL_ACCELERATION_MPS2: Final = 2.2
_CONFLICT_DISTANCE_M: Final = 2.7
_BIKE_CONFLICT_DISTANCE_M: Final = 1.9


@dataclass(frozen=True, eq=False)
class Lane:
    """One lane between two crossings, or one connector across a crossing.

    Attributes:
        path: global centre line in driving direction.
        speed_limit_mps: on it.
        node: the crossing at which a lane ends, or that a connector crosses.
        direction: plan direction at the start.
        number: 0 at the street's axis, or `BIKE_LANE`.
        successors: lanes or connectors that follow.
        origin: the lane that a connector comes from, -1 for a lane.
        turn: quarter turns to the left on a connector.
        crosswalks: those that a connector crosses.
    """

    path: Polyline
    speed_limit_mps: float
    node: tuple[int, int]
    direction: int
    number: int
    successors: tuple[int, ...]
    origin: int = -1
    turn: int = STRAIGHT
    crosswalks: tuple[int, ...] = ()

    @property
    def is_connector(self) -> bool:
        return self.origin >= 0


@dataclass(frozen=True, eq=False)
class Crosswalk:
    """A crosswalk over one arm of a crossing.

    Attributes:
        node, direction: the arm.
        blocks: (column, row) of the blocks that it joins.
        path: global line from the sidewalk of the first to that of the second.
    """

    node: tuple[int, int]
    direction: int
    blocks: tuple[tuple[int, int], tuple[int, int]]
    path: Polyline


@dataclass(frozen=True, eq=False)
class LaneGraph:
    """All lanes and connectors of a town.

    Attributes:
        lanes: lanes and connectors; `successors` and `origin` index it.
        conflicts: for each lane the connectors that must be free before it is entered; empty for plain lanes.
        crosswalks: of all crossings with more than two arms.
        signalled: crossings with traffic lights.
    """

    lanes: tuple[Lane, ...]
    conflicts: tuple[frozenset[int], ...]
    crosswalks: tuple[Crosswalk, ...]
    signalled: frozenset[tuple[int, int]]


def build_lane_graph(plan: TownPlan) -> LaneGraph:
    """Lanes, connectors and crosswalks of a town."""
    nodes = [(i, j) for i in range(len(plan.columns)) for j in range(len(plan.rows))]
    signalled = frozenset(node for node in nodes if _arm_count(plan, node) > 2)
    crosswalks = _crosswalks(plan, sorted(signalled))
    lanes = [lane for node in nodes for lane in _lanes_from(plan, node)]
    connectors = _connectors(plan, lanes, crosswalks)
    followers: dict[int, list[int]] = defaultdict(list)
    for index, connector in enumerate(connectors, start=len(lanes)):
        followers[connector.origin].append(index)
    joined = [
        Lane(lane.path, lane.speed_limit_mps, lane.node, lane.direction, lane.number, tuple(followers[index]))
        for index, lane in enumerate(lanes)
    ]
    all_lanes = (*joined, *connectors)
    return LaneGraph(all_lanes, _conflicts(all_lanes), crosswalks, signalled)


def lane_offset_m(street: Street, number: int) -> float:
    """From a street's axis to the middle of a lane."""
    if number == BIKE_LANE:
        return street.lanes * LANE_WIDTH_M + 0.5 * BIKE_LANE_WIDTH_M
    return (number + 0.5) * LANE_WIDTH_M


def _arm_count(plan: TownPlan, node: tuple[int, int]) -> int:
    return sum(plan.has_arm(*node, direction) for direction in range(4))


def _right_of(direction: int) -> FloatArray:
    right: FloatArray = DIRECTIONS[(direction + 3) % 4]
    return right


def _lane_numbers(street: Street) -> list[int]:
    return [*range(street.lanes), BIKE_LANE]


def _next_node(node: tuple[int, int], direction: int) -> tuple[int, int]:
    step = DIRECTIONS[direction]
    return node[0] + int(step[0]), node[1] + int(step[1])


def _lanes_from(plan: TownPlan, node: tuple[int, int]) -> list[Lane]:
    """The lanes that lead away from a crossing, each up to the stop line of the next."""
    lanes = []
    for direction in range(4):
        if not plan.has_arm(*node, direction):
            continue
        end_node = _next_node(node, direction)
        street = plan.street_along(*node, direction)
        ahead = DIRECTIONS[direction]
        start = plan.node_m(*node) + ahead * (plan.street_across(*node, direction).half_width_m + STOP_LINE_M)
        end = plan.node_m(*end_node) - ahead * (plan.street_across(*end_node, direction).half_width_m + STOP_LINE_M)
        for number in _lane_numbers(street):
            aside = _right_of(direction) * lane_offset_m(street, number)
            path = Polyline.through(plan.warp(straight(start + aside, end + aside, 2.0)))
            lanes.append(Lane(path, street.speed_limit_mps, end_node, direction, number, ()))
    return lanes


def _connectors(plan: TownPlan, lanes: list[Lane], crosswalks: tuple[Crosswalk, ...]) -> list[Lane]:
    starts = {(_start_node(lane), lane.direction, lane.number): index for index, lane in enumerate(lanes)}
    crossed = {(walk.node, walk.direction): index for index, walk in enumerate(crosswalks)}
    connectors = []
    for origin, lane in enumerate(lanes):
        for turn_, number in _onward(plan, lane):
            direction = (lane.direction + turn_) % 4
            target = starts[(lane.node, direction, number)]
            arms = ((lane.direction + 2) % 4, direction)
            connectors.append(
                Lane(
                    path=Polyline.through(_connector_points(plan, lane, direction, turn_, number)),
                    speed_limit_mps=_connector_speed(plan, lane, turn_),
                    node=lane.node,
                    direction=lane.direction,
                    number=lane.number,
                    successors=(target,),
                    origin=origin,
                    turn=turn_,
                    crosswalks=tuple(crossed[(lane.node, arm)] for arm in arms if (lane.node, arm) in crossed),
                )
            )
    return connectors


def _start_node(lane: Lane) -> tuple[int, int]:
    return _next_node(lane.node, (lane.direction + 2) % 4)


def _onward(plan: TownPlan, lane: Lane) -> list[tuple[int, int]]:
    """Which (turn, lane number) a lane leads on to: right turns from the outer lane, left turns from the inner."""
    arms = [t for t in (STRAIGHT, LEFT, RIGHT) if plan.has_arm(*lane.node, (lane.direction + t) % 4)]
    street = plan.street_along(*lane.node, lane.direction)
    if lane.number == BIKE_LANE:
        allowed = [t for t in arms if t != LEFT] or arms
        return [(t, BIKE_LANE) for t in allowed]
    onward = []
    for turn_ in arms:
        target = plan.street_along(*lane.node, (lane.direction + turn_) % 4)
        if turn_ == STRAIGHT:
            onward.append((turn_, lane.number))
        elif turn_ == LEFT and lane.number == 0:
            onward.append((turn_, 0))
        elif turn_ == RIGHT and lane.number == street.lanes - 1:
            onward.append((turn_, target.lanes - 1))
    return onward


_TURN_RADIUS_M: Final = {LEFT: 14.0, RIGHT: 8.5}
_BIKE_TURN_RADIUS_M: Final = 7.0


def _turn_radius_m(turn_: int, number: int) -> float:
    return _BIKE_TURN_RADIUS_M if number == BIKE_LANE else _TURN_RADIUS_M[turn_]


def _connector_speed(plan: TownPlan, lane: Lane, turn_: int) -> float:
    limit = plan.street_along(*lane.node, lane.direction).speed_limit_mps
    if turn_ == STRAIGHT:
        return limit
    return min(limit, float(np.sqrt(_LATERAL_ACCELERATION_MPS2 * _turn_radius_m(turn_, lane.number))))


def _connector_points(plan: TownPlan, lane: Lane, direction: int, turn_: int, number: int) -> FloatArray:
    node = plan.node_m(*lane.node)
    street = plan.street_along(*lane.node, lane.direction)
    target = plan.street_along(*lane.node, direction)
    aside_in = _right_of(lane.direction) * lane_offset_m(street, lane.number)
    aside_out = _right_of(direction) * lane_offset_m(target, number)
    across_in = plan.street_across(*lane.node, lane.direction).half_width_m
    across_out = plan.street_across(*lane.node, direction).half_width_m
    start = node - DIRECTIONS[lane.direction] * (across_in + STOP_LINE_M) + aside_in
    end = node + DIRECTIONS[direction] * (across_out + STOP_LINE_M) + aside_out
    if turn_ == STRAIGHT:
        return plan.warp(straight(start, end, 1.0))
    return plan.warp(turn(start, node + aside_in + aside_out, end, _turn_radius_m(turn_, lane.number)))


def _crosswalks(plan: TownPlan, nodes: list[tuple[int, int]]) -> tuple[Crosswalk, ...]:
    walks = []
    for node in nodes:
        for direction in range(4):
            if not plan.has_arm(*node, direction):
                continue
            reach = plan.street_across(*node, direction).half_width_m + CROSSWALK_START_M + 0.5 * CROSSWALK_WIDTH_M
            centre = plan.node_m(*node) + DIRECTIONS[direction] * reach
            half = plan.street_along(*node, direction).half_width_m + 0.5 * SIDEWALK_WIDTH_M
            right = _right_of(direction)
            ends = centre + right * half, centre - right * half
            blocks = tuple(_block_of(plan, end) for end in ends)
            path = Polyline.through(plan.warp(straight(ends[0], ends[1], 1.0)))
            walks.append(Crosswalk(node, direction, (blocks[0], blocks[1]), path))
    return tuple(walks)


def _block_of(plan: TownPlan, point_m: FloatArray) -> tuple[int, int]:
    column = int(np.searchsorted([street.position_m for street in plan.columns], point_m[0]))
    row = int(np.searchsorted([street.position_m for street in plan.rows], point_m[1]))
    return column, row


def _conflicts(lanes: tuple[Lane, ...]) -> tuple[frozenset[int], ...]:
    """For each connector the others of its crossing that share ground with it."""
    by_node: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, lane in enumerate(lanes):
        if lane.is_connector:
            by_node[lane.node].append(index)
    conflicts: list[set[int]] = [set() for _ in lanes]
    for members in by_node.values():
        for position, a in enumerate(members):
            for b in members[position + 1 :]:
                if _share_ground(lanes[a], lanes[b]):
                    conflicts[a].add(b)
                    conflicts[b].add(a)
    return tuple(frozenset(others) for others in conflicts)


def _share_ground(a: Lane, b: Lane) -> bool:
    bike = BIKE_LANE in (a.number, b.number)
    limit = _BIKE_CONFLICT_DISTANCE_M if bike else _CONFLICT_DISTANCE_M
    return bool(cdist(a.path.points_m, b.path.points_m).min() < limit)
