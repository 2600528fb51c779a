"""What stands in a town and is not annotated: houses, trees, lamps, traffic lights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from scenes.city.drawing.meshes import MESH_INDEX
from scenes.city.drawing.rasterizer import Instances
from scenes.city.layout.kerbs import kerbs
from scenes.city.layout.lane_graph import LaneGraph
from scenes.city.layout.signals import Node, Signals
from scenes.city.layout.town_plan import DIRECTIONS, SIDEWALK_WIDTH_M, Block, TownPlan
from scenes.geometry import FloatArray

_SETBACK_M: Final = 3.4
_FACADES: Final = (
    (178, 118, 92),
    (200, 182, 150),
    (156, 150, 142),
    (214, 206, 192),
    (132, 96, 82),
    (170, 176, 180),
    (222, 196, 140),
    (146, 158, 150),
    (188, 148, 128),
)
_LEAVES: Final = ((74, 112, 52), (92, 128, 58), (62, 98, 56), (116, 132, 60))


class _Collector:
    """Gathers instances one by one."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, FloatArray, float, FloatArray, FloatArray]] = []

    def add(self, mesh: str, foot_m: FloatArray, yaw_rad: float, size_lwh_m: FloatArray, color: FloatArray) -> None:
        center = np.array([foot_m[0], foot_m[1], 0.5 * size_lwh_m[2]])
        self._rows.append((MESH_INDEX[mesh], center, yaw_rad, size_lwh_m, color))

    def instances(self) -> Instances:
        mesh, center, yaw, size, color = zip(*self._rows, strict=True)
        return Instances(
            np.array(mesh), np.array(center), np.array(yaw), np.array(size), np.array(color), np.array(color)
        )


def build_scenery(plan: TownPlan, rng: np.random.Generator) -> Instances:
    """Houses around every block, trees and lamps along every kerb."""
    collector = _Collector()
    for block in plan.blocks:
        _add_buildings(collector, plan, block, rng)
    for kerb in kerbs(plan):
        for place in np.arange(2.0, kerb.length_m, 9.5):
            if rng.random() < 0.45:
                spread = rng.uniform(3.2, 5.0)
                size = np.array([spread, spread, rng.uniform(5.0, 7.5)])
                color = np.array(_LEAVES[rng.integers(len(_LEAVES))]) * rng.uniform(0.85, 1.1)
                spot = kerb.at(place, kerb.street.half_width_m + 0.45)
                collector.add("tree", spot, rng.uniform(-np.pi, np.pi), size, color)
        for place in np.arange(8.0, kerb.length_m, 30.0):
            spot = kerb.at(place, kerb.street.half_width_m - 0.35)
            yaw = kerb.yaw_rad(place) + np.pi
            collector.add("lamp_post", spot, yaw, np.array([0.24, 1.97, 7.0]), np.full(3, 120.0))
    return collector.instances()


def _add_buildings(collector: _Collector, plan: TownPlan, block: Block, rng: np.random.Generator) -> None:
    inset = SIDEWALK_WIDTH_M + _SETBACK_M
    low, high = np.array(block.low_m) + inset, np.array(block.high_m) - inset
    depth = min(rng.uniform(11.0, 15.0), 0.3 * float((high - low).min()))
    for side in range(4):
        outward = DIRECTIONS[side]
        along = np.array([-outward[1], outward[0]])
        # Houses on the two sides along y leave the corners to those along x.
        spare = depth if side % 2 == 0 else 0.0
        span = float(np.abs(along) @ (high - low)) - 2.0 * spare
        middle = 0.5 * (low + high)
        wall = middle + outward * (0.5 * float(np.abs(outward) @ (high - low)))
        place = -0.5 * span
        while place < 0.5 * span - 6.0:
            width = min(rng.uniform(11.0, 24.0), 0.5 * span - place)
            if rng.random() > 0.12:
                foot = wall + along * (place + 0.5 * width) - outward * 0.5 * depth
                _add_building(collector, plan, foot, outward, (width - 0.4, depth), rng)
            place += width


def _add_building(
    collector: _Collector,
    plan: TownPlan,
    foot_m: FloatArray,
    outward: FloatArray,
    size_m: tuple[float, float],
    rng: np.random.Generator,
) -> None:
    color = np.array(_FACADES[rng.integers(len(_FACADES))]) * rng.uniform(0.88, 1.08)
    gabled = rng.random() < 0.35
    floors = rng.integers(2, 4) if gabled else rng.integers(3, 9)
    height = 3.1 * floors + 1.0
    total = height / 0.68 if gabled else height / 0.96
    yaw = float(plan.warp.direction_rad(foot_m, np.array([-outward[1], outward[0]])))
    size = np.array([size_m[0], size_m[1], total])
    collector.add("house" if gabled else "building", plan.warp(foot_m), yaw, size, color)


@dataclass(frozen=True, eq=False)
class SignalPosts:
    """The traffic lights of a town, one right of every arm's stop line.

    Attributes:
        arms: crossing and direction of each of N.
        posts: N instances, as if all were red.
    """

    arms: tuple[tuple[Node, int], ...]
    posts: Instances


def build_signal_posts(plan: TownPlan, graph: LaneGraph) -> SignalPosts:
    """Where traffic lights stand, and which arm each is for."""
    collector = _Collector()
    arms = []
    for node in sorted(graph.signalled):
        for direction in range(4):
            if not plan.has_arm(*node, (direction + 2) % 4):
                continue
            street, across = plan.street_along(*node, direction), plan.street_across(*node, direction)
            right = DIRECTIONS[(direction + 3) % 4]
            ahead = DIRECTIONS[direction]
            spot = plan.node_m(*node) - ahead * (across.half_width_m + 1.5) + right * (street.half_width_m + 0.5)
            yaw = float(plan.warp.direction_rad(spot, ahead))
            collector.add("signal_red", plan.warp(spot), yaw, np.array([0.29, 0.38, 3.55]), np.full(3, 90.0))
            arms.append((node, direction))
    return SignalPosts(tuple(arms), collector.instances())


def signal_instances(posts: SignalPosts, signals: Signals, time_s: float) -> Instances:
    """The traffic lights as they are at one moment of the simulation."""
    meshes = [MESH_INDEX["signal_" + signals.color(node, direction, time_s)] for node, direction in posts.arms]
    return replace(posts.posts, mesh=np.array(meshes, dtype=np.int64))
