"""People on foot: they walk around blocks on the sidewalk and cross streets at crosswalks when the traffic has red."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from scenes.city.layout.lane_graph import LaneGraph
from scenes.city.layout.polyline import Polyline
from scenes.city.layout.sidewalks import Gate, Sidewalks
from scenes.city.layout.signals import Signals
from scenes.city.life.traffic import Traffic
from scenes.geometry import FloatArray

_CROSSING_PROBABILITY: Final = 0.4
_PATIENCE_S: Final = 30.0
_ASKING_INTERVAL_S: Final = 0.5
_HURRY: Final = 1.15
"""People walk this much faster on a crosswalk."""
_KEEP_RIGHT_M: Final = 0.7
_BEYOND_CROSSWALK_M: Final = 1.5
"""Where the sidewalk is joined after a crosswalk, away from the crosswalk's middle."""


@dataclass
class _Walker:
    """One person: what is walked so far and what comes next.

    `legs` are pieces of the global path; the last one ends at the next decision, `leg_end_m` along the odometer.
    """

    block: tuple[int, int]
    arc_m: float
    direction: int
    legs: list[FloatArray]
    leg_end_m: float = 0.0
    gate: Gate | None = None
    crossing: int = -1
    waits_since_s: float | None = None
    next_question_s: float = 0.0


class Walkers:
    """All walking people; `step` moves them on.

    Attributes:
        odometer_m: (N,) walked since the start.
        speed_mps: (N,) now.
        on_crosswalk: people on each crosswalk.
    """

    def __init__(
        self,
        sidewalks: Sidewalks,
        graph: LaneGraph,
        signals: Signals,
        pace_mps: FloatArray,
        rng: np.random.Generator,
    ) -> None:
        self._graph = graph
        self._signals = signals
        self._rng = rng
        self._lines = sidewalks.lines
        self._gates = sidewalks.gates
        self._pace_mps = pace_mps
        self._walkers = [self._spawn() for _ in pace_mps]
        self.on_crosswalk = np.zeros(len(graph.crosswalks), dtype=np.int64)
        self.odometer_m = np.zeros(len(pace_mps))
        self.speed_mps = np.zeros(len(pace_mps))
        self._leg_end_m = np.array([walker.leg_end_m for walker in self._walkers])

    def path(self, walker: int) -> Polyline:
        """The global line that a person has walked and will walk next."""
        return Polyline.through(np.concatenate(self._walkers[walker].legs))

    def step(self, time_s: float, step_s: float, traffic: Traffic) -> None:
        """Move everybody on by one time step."""
        crossing = np.array([walker.crossing >= 0 for walker in self._walkers], dtype=np.bool_)
        pace = np.where(crossing, _HURRY * self._pace_mps, self._pace_mps)
        moved = np.minimum(pace * step_s, np.maximum(self._leg_end_m - self.odometer_m, 0.0))
        self.odometer_m = self.odometer_m + moved
        self.speed_mps = moved / step_s
        for index in np.flatnonzero(self._leg_end_m - self.odometer_m < 1e-9).tolist():
            walker = self._walkers[index]
            self._decide(walker, time_s, traffic, self._pace_mps[index])
            self._leg_end_m[index] = walker.leg_end_m

    def _spawn(self) -> _Walker:
        blocks = sorted(self._lines)
        block = blocks[self._rng.integers(len(blocks))]
        arc = float(self._rng.uniform(0.0, self._lines[block].length_m))
        walker = _Walker(block, arc, 1 if self._rng.random() < 0.5 else -1, [])
        self._walk_to_next_gate(walker)
        return walker

    def _decide(self, walker: _Walker, time_s: float, traffic: Traffic, pace_mps: float) -> None:
        """At the end of a leg: leave a crosswalk, keep waiting for one, or walk on."""
        if walker.crossing >= 0:
            self._leave_crosswalk(walker)
        elif walker.waits_since_s is None:
            if walker.gate is not None and self._rng.random() < _CROSSING_PROBABILITY:
                walker.waits_since_s, walker.next_question_s = time_s, time_s
            else:
                self._walk_to_next_gate(walker)
        elif time_s >= walker.next_question_s:
            walker.next_question_s = time_s + _ASKING_INTERVAL_S
            self._keep_waiting(walker, time_s, traffic, pace_mps)

    def _keep_waiting(self, walker: _Walker, time_s: float, traffic: Traffic, pace_mps: float) -> None:
        gate, since_s = walker.gate, walker.waits_since_s
        assert gate is not None and since_s is not None
        if self._may_cross(gate.crosswalk, time_s, traffic, pace_mps):
            walker.waits_since_s = None
            self._enter_crosswalk(walker, gate)
        elif time_s - since_s > _PATIENCE_S:
            walker.waits_since_s = None
            self._walk_to_next_gate(walker)

    def _may_cross(self, crosswalk: int, time_s: float, traffic: Traffic, pace_mps: float) -> bool:
        walk = self._graph.crosswalks[crosswalk]
        needed_s = walk.path.length_m / (_HURRY * pace_mps)
        red_left_s = self._signals.red_left_s(walk.node, walk.direction, time_s)
        return red_left_s > needed_s and not traffic.connectors_taken(crosswalk)

    def _enter_crosswalk(self, walker: _Walker, gate: Gate) -> None:
        walk = self._graph.crosswalks[gate.crosswalk].path.points_m
        over = walk if gate.forward else walk[::-1]
        # Nobody steps back to the middle of the sidewalk or of the crosswalk: on they go, from where they stand.
        came = walker.legs[-1][-1] - walker.legs[-1][-2]
        points = over[1:-1] + self._rng.uniform(0.2, 1.0) * came / np.linalg.norm(came)
        self.on_crosswalk[gate.crosswalk] += 1
        walker.crossing = gate.crosswalk
        walker.block, walker.arc_m = gate.block, gate.arc_beyond_m
        self._append(walker, points)

    def _leave_crosswalk(self, walker: _Walker) -> None:
        self.on_crosswalk[walker.crossing] -= 1
        walker.crossing = -1
        walker.direction = 1 if self._rng.random() < 0.5 else -1
        walker.arc_m += walker.direction * _BEYOND_CROSSWALK_M
        self._walk_to_next_gate(walker)

    def _walk_to_next_gate(self, walker: _Walker) -> None:
        """Append the sidewalk up to the next end of a crosswalk, or half way around a block that has none."""
        sidewalk = self._lines[walker.block]
        gates = self._gates[walker.block]
        ahead = [(walker.direction * (gate.arc_m - walker.arc_m)) % sidewalk.length_m for gate in gates]
        candidates = [(distance, position) for position, distance in enumerate(ahead) if distance > 1.0]
        distance = 0.5 * sidewalk.length_m
        walker.gate = None
        if candidates:
            distance, position = min(candidates)
            walker.gate = gates[position]
        count = max(2, int(np.ceil(distance)) + 1)
        arcs = walker.arc_m + walker.direction * np.linspace(0.0, distance, count)
        points = sidewalk.at(arcs % sidewalk.length_m)
        self._append(walker, _keep_right(points))
        walker.arc_m = float(arcs[-1] % sidewalk.length_m)

    def _append(self, walker: _Walker, points_m: FloatArray) -> None:
        """Extend the path, the step over to the new piece included."""
        joined = points_m if not walker.legs else np.concatenate([walker.legs[-1][-1:], points_m])
        walker.leg_end_m += float(np.linalg.norm(np.diff(joined, axis=0), axis=1).sum())
        walker.legs.append(points_m)


def _keep_right(points_m: FloatArray) -> FloatArray:
    """The line shifted to its right, so that people who meet pass each other."""
    ahead = np.gradient(points_m, axis=0)
    ahead /= np.maximum(np.linalg.norm(ahead, axis=1, keepdims=True), 1e-9)
    shifted: FloatArray = points_m + _KEEP_RIGHT_M * np.stack([ahead[:, 1], -ahead[:, 0]], axis=1)
    return shifted
