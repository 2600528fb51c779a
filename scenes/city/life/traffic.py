"""Vehicles that follow lanes, keep their distance, stop at lights and give way at crossings.

Car following is the Intelligent Driver Model (Treiber, Hennecke, Helbing: Congested traffic states in empirical
observations and microscopic simulations, Phys. Rev. E 62, 2000). A crossing is entered by reservation: a vehicle
gets its connector when the light is green, no conflicting connector is taken, nobody is on the crosswalks of the
connector, and there is room behind the crossing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scenes.city.layout.lane_graph import LEFT, RIGHT, STRAIGHT, LaneGraph
from scenes.city.layout.polyline import Polyline
from scenes.city.layout.signals import Signals
from scenes.geometry import FloatArray

_COMFORTABLE_BRAKING_MPS2: Final = 2.2
_HARDEST_BRAKING_MPS2: Final = 7.0
_STANDSTILL_GAP_M: Final = 2.0
_REQUEST_MARGIN_M: Final = 8.0
_CLEAR_OF_SIBLING_M: Final = 10.0
_STOP_LINE_GAP_M: Final = 0.6
_FAR_M: Final = 1e3
_TURN_WEIGHTS: Final = {STRAIGHT: 0.55, LEFT: 0.2, RIGHT: 0.25}
_GRANT_ORDER: Final = {STRAIGHT: 0, RIGHT: 1, LEFT: 2}


@dataclass(frozen=True)
class Driver:
    """One vehicle that takes part in traffic, and who drives it.

    Attributes:
        lane, front_m: where its front stands at the start.
        length_m: front to rear, a towed trailer included.
        top_speed_mps: what it never exceeds.
        speed_factor: times the speed limit is what its driver wants.
        acceleration_mps2, headway_s: parameters of the driver model.
        pause_at_m, pause_s: a stop at that distance from the start (a bus at its stop).
    """

    lane: int
    front_m: float
    length_m: float
    top_speed_mps: float
    speed_factor: float
    acceleration_mps2: float
    headway_s: float
    pause_at_m: float = np.inf
    pause_s: float = 0.0


@dataclass
class _Reservations:
    """Which connectors are taken: how many vehicles hold each, and which each vehicle holds."""

    holders: NDArray[np.int64]
    held: list[list[int]] = field(default_factory=list)

    def take(self, vehicle: int, connector: int) -> None:
        self.holders[connector] += 1
        self.held[vehicle].append(connector)

    def release(self, vehicle: int) -> None:
        self.holders[self.held[vehicle].pop(0)] -= 1


class Traffic:
    """All driving vehicles; `step` moves them on by one time step.

    Attributes:
        speed_mps: (N,) now.
        odometer_m: (N,) driven since the start.
    """

    def __init__(self, graph: LaneGraph, signals: Signals, drivers: list[Driver], rng: np.random.Generator) -> None:
        self._graph = graph
        self._signals = signals
        self._rng = rng
        self._lane_length_m = np.array([lane.path.length_m for lane in graph.lanes])
        self._lane_speed_mps = np.array([lane.speed_limit_mps for lane in graph.lanes])
        self._origin = np.array([lane.origin for lane in graph.lanes])
        self._drivers = drivers
        self._lane = np.array([driver.lane for driver in drivers], dtype=np.int64)
        self._front_m = np.array([driver.front_m for driver in drivers])
        self._length_m = np.array([driver.length_m for driver in drivers])
        self._top_speed_mps = np.array([driver.top_speed_mps for driver in drivers])
        self._speed_factor = np.array([driver.speed_factor for driver in drivers])
        self._acceleration_mps2 = np.array([driver.acceleration_mps2 for driver in drivers])
        self._headway_s = np.array([driver.headway_s for driver in drivers])
        self._pause_at_m = np.array([driver.pause_at_m for driver in drivers])
        self._pause_left_s = np.array([driver.pause_s for driver in drivers])
        self._next = np.array([self._choose(lane) for lane in self._lane], dtype=np.int64)
        self._granted = np.zeros(len(drivers), dtype=np.bool_)
        self._reservations = _Reservations(np.zeros(len(graph.lanes), np.int64), [[] for _ in drivers])
        self._routes: list[list[int]] = [[int(lane)] for lane in self._lane]
        self._over_crosswalk = [
            [index for index, lane in enumerate(graph.lanes) if walk in lane.crosswalks]
            for walk in range(len(graph.crosswalks))
        ]
        self.speed_mps = 0.6 * np.minimum(self._top_speed_mps, self._lane_speed_mps[self._lane])
        self.odometer_m = np.zeros(len(drivers))

    def connectors_taken(self, crosswalk: int) -> bool:
        """Whether a vehicle is crossing a crosswalk or has been let through to it."""
        return bool(self._reservations.holders[self._over_crosswalk[crosswalk]].any())

    def path(self, vehicle: int) -> Polyline:
        """The line that a vehicle's front has followed and will follow next, from its first lane's start on."""
        route = [*self._routes[vehicle], int(self._next[vehicle])]
        return Polyline.through(np.concatenate([self._graph.lanes[lane].path.points_m for lane in route]))

    def step(self, time_s: float, step_s: float, walkers_on: NDArray[np.int64]) -> None:
        """Let lights and give-way rules decide, then accelerate and move every vehicle.

        Args:
            time_s: now.
            step_s: length of the time step.
            walkers_on: people on each crosswalk.
        """
        order = np.lexsort((self._front_m, self._lane))
        tails = self._tails(order)
        leader = _leaders(order, self._lane)
        self._grant(time_s, leader, tails, walkers_on)
        acceleration = self._accelerations(leader, tails)
        self._pause(step_s)
        speed = np.maximum(self.speed_mps + acceleration * step_s, 0.0)
        moved = 0.5 * (self.speed_mps + speed) * step_s
        self.speed_mps = speed
        self._front_m = self._front_m + moved
        self.odometer_m = self.odometer_m + moved
        self._advance()

    def _tails(self, order: NDArray[np.int64]) -> _Tails:
        sorted_lanes = self._lane[order]
        rearmost = order[np.concatenate([[True], sorted_lanes[1:] != sorted_lanes[:-1]])]
        lane = self._lane[rearmost]
        rear = np.full(len(self._lane_length_m), _FAR_M)
        speed = np.zeros(len(rear))
        rear[lane] = self._front_m[rearmost] - self._length_m[rearmost]
        speed[lane] = self.speed_mps[rearmost]
        origin_rear, origin_speed = np.full(len(rear), _FAR_M), np.zeros(len(rear))
        for connector in lane[self._origin[lane] >= 0].tolist():
            origin = self._origin[connector]
            if rear[connector] < origin_rear[origin]:
                origin_rear[origin], origin_speed[origin] = rear[connector], speed[connector]
        return _Tails(rear, speed, origin_rear, origin_speed)

    def _grant(self, time_s: float, leader: NDArray[np.int64], tails: _Tails, walkers_on: NDArray[np.int64]) -> None:
        left_m = self._lane_length_m[self._lane] - self._front_m
        braking_m = self.speed_mps**2 / (2.0 * _COMFORTABLE_BRAKING_MPS2) + _REQUEST_MARGIN_M
        asking = np.flatnonzero((self._origin[self._lane] < 0) & ~self._granted & (left_m < braking_m))
        lanes = self._graph.lanes
        ranked = sorted(asking.tolist(), key=lambda i: (_GRANT_ORDER[lanes[self._next[i]].turn], left_m[i]))
        for vehicle in ranked:
            if self._may_enter(vehicle, time_s, leader, tails, walkers_on):
                self._granted[vehicle] = True
                self._reservations.take(vehicle, int(self._next[vehicle]))

    def _may_enter(
        self, vehicle: int, time_s: float, leader: NDArray[np.int64], tails: _Tails, walkers_on: NDArray[np.int64]
    ) -> bool:
        index = int(self._next[vehicle])
        connector = self._graph.lanes[index]
        if not self._light_permits(vehicle, time_s):
            return False
        ahead = leader[vehicle]
        if ahead >= 0 and not (self._granted[ahead] and self._next[ahead] == index):
            return False
        if any(walkers_on[walk] for walk in connector.crosswalks):
            return False
        for other in self._graph.conflicts[index]:
            if self._reservations.holders[other] and not self._is_sibling_well_ahead(other, connector.origin, tails):
                return False
        target = connector.successors[0]
        queued_m = 7.0 * self._reservations.holders[index]
        room_m = tails.rear_m[target] - queued_m - self._length_m[vehicle] - _STANDSTILL_GAP_M
        return bool(room_m > 0.0 or tails.speed_mps[target] > 3.0)

    def _light_permits(self, vehicle: int, time_s: float) -> bool:
        connector = self._graph.lanes[self._next[vehicle]]
        if self._signals.is_green(connector.node, connector.direction, time_s):
            return True
        # Whoever has waited for a gap to turn left leaves with the yellow light.
        waiting = connector.turn == LEFT and self.speed_mps[vehicle] < 2.0
        return bool(waiting and self._signals.is_yellow(connector.node, connector.direction, time_s))

    def _is_sibling_well_ahead(self, other: int, origin: int, tails: _Tails) -> bool:
        """Whether the traffic on a connector that starts from the same lane no longer shares the ground."""
        return bool(self._origin[other] == origin and tails.rear_m[other] > _CLEAR_OF_SIBLING_M)

    def _accelerations(self, leader: NDArray[np.int64], tails: _Tails) -> FloatArray:
        """(N,) of the Intelligent Driver Model, against the nearest of everything that is ahead."""
        wanted = self._wanted_speed()
        free = 1.0 - (self.speed_mps / wanted) ** 4
        interaction = np.zeros(len(wanted))
        for gap_m, speed_mps in self._obstacles(leader, tails):
            approach = self.speed_mps * (self.speed_mps - speed_mps)
            braking = 2.0 * np.sqrt(self._acceleration_mps2 * _COMFORTABLE_BRAKING_MPS2)
            desired_m = _STANDSTILL_GAP_M + np.maximum(self.speed_mps * self._headway_s + approach / braking, 0.0)
            interaction = np.maximum(interaction, (desired_m / np.maximum(gap_m, 0.1)) ** 2)
        acceleration = self._acceleration_mps2 * (np.maximum(free, -2.0) - interaction)
        limited: FloatArray = np.maximum(acceleration, -_HARDEST_BRAKING_MPS2)
        return limited

    def _wanted_speed(self) -> FloatArray:
        """(N,) what drivers aim for here, given the bend that comes next."""
        here = self._speed_on(self._lane)
        left_m = np.maximum(self._lane_length_m[self._lane] - self._front_m, 0.0)
        before_bend = np.sqrt(self._speed_on(self._next) ** 2 + 2.0 * 1.5 * left_m)
        # A long vehicle keeps the speed of a bend until its rear has left it; the lane before is known by the route.
        previous = np.array([route[-2] if len(route) > 1 else route[-1] for route in self._routes])
        in_bend = self._front_m < self._length_m
        behind = np.where(in_bend, self._speed_on(previous), np.inf)
        wanted: FloatArray = np.maximum(np.minimum(np.minimum(here, before_bend), behind), 0.5)
        return wanted

    def _speed_on(self, lane: NDArray[np.int64]) -> FloatArray:
        turning = self._origin[lane] >= 0
        factor = np.where(turning, np.minimum(self._speed_factor, 1.0), self._speed_factor)
        speed: FloatArray = np.minimum(self._lane_speed_mps[lane] * factor, self._top_speed_mps)
        return speed

    def _obstacles(self, leader: NDArray[np.int64], tails: _Tails) -> list[tuple[FloatArray, FloatArray]]:
        """Gaps (N,) and speeds (N,) of what each vehicle has to mind; where there is nothing the gap is far."""
        still = np.zeros(len(self._lane))
        left_m = self._lane_length_m[self._lane] - self._front_m
        has_leader = leader >= 0
        leader_gap = np.where(has_leader, self._front_m[leader] - self._length_m[leader] - self._front_m, _FAR_M)
        second = np.array([self._graph.lanes[lane].successors[0] for lane in self._next])
        next_gap = left_m + tails.rear_m[self._next]
        second_gap = left_m + self._lane_length_m[self._next] + tails.rear_m[second]
        on_lane = self._origin[self._lane] < 0
        sibling_gap = left_m + tails.origin_rear_m[self._lane]
        sibling_near = on_lane & (tails.origin_rear_m[self._lane] < 3.0)
        held_back = on_lane & ~self._granted
        pause_gap = np.where(self._pause_left_s > 0.0, self._pause_at_m - self.odometer_m, _FAR_M)
        return [
            (leader_gap, np.where(has_leader, self.speed_mps[leader], 0.0)),
            (np.where(has_leader, _FAR_M, next_gap), tails.speed_mps[self._next]),
            (np.where(has_leader, _FAR_M, second_gap), tails.speed_mps[second]),
            (np.where(sibling_near, sibling_gap, _FAR_M), tails.origin_speed_mps[self._lane]),
            (np.where(held_back, left_m - _STOP_LINE_GAP_M + _STANDSTILL_GAP_M, _FAR_M), still),
            (np.maximum(pause_gap, 0.5) + 1.0, still),
        ]

    def _pause(self, step_s: float) -> None:
        at_stop = (self.speed_mps < 0.3) & (self._pause_at_m - self.odometer_m < 3.0)
        self._pause_left_s = np.where(at_stop, self._pause_left_s - step_s, self._pause_left_s)

    def _advance(self) -> None:
        """Move vehicles that have passed the end of their lane to the next, and free connectors left behind."""
        for vehicle in np.flatnonzero(self._front_m > self._lane_length_m[self._lane]).tolist():
            self._front_m[vehicle] -= self._lane_length_m[self._lane[vehicle]]
            self._lane[vehicle] = self._next[vehicle]
            self._granted[vehicle] = False
            self._routes[vehicle].append(int(self._lane[vehicle]))
            self._next[vehicle] = self._choose(int(self._lane[vehicle]))
        clear = (self._origin[self._lane] < 0) & (self._front_m - self._length_m > 0.5)
        for vehicle in np.flatnonzero(clear).tolist():
            if self._reservations.held[vehicle] and not self._granted[vehicle]:
                self._reservations.release(vehicle)

    def _choose(self, lane: int) -> int:
        """What a vehicle on `lane` takes next."""
        options = self._graph.lanes[lane].successors
        if len(options) == 1:
            return options[0]
        weights = np.array([_TURN_WEIGHTS[self._graph.lanes[option].turn] for option in options])
        return int(self._rng.choice(options, p=weights / weights.sum()))


def _leaders(order: NDArray[np.int64], lane: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) the vehicle right ahead on the same lane, -1 without one."""
    leader = np.full(len(order), -1, dtype=np.int64)
    same = lane[order[:-1]] == lane[order[1:]]
    leader[order[:-1][same]] = order[1:][same]
    return leader


@dataclass(frozen=True)
class _Tails:
    """The rearmost vehicle of each lane: where its rear is and how fast it goes; far where the lane is empty.

    `origin_*` is the same over all connectors that start from a lane.
    """

    rear_m: FloatArray
    speed_mps: FloatArray
    origin_rear_m: FloatArray
    origin_speed_mps: FloatArray
