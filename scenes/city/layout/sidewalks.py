"""Where people walk: a line around every block, and the gates at which crosswalks start from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scenes.city.layout.lane_graph import LaneGraph
from scenes.city.layout.polyline import Polyline
from scenes.city.layout.town_plan import TownPlan
from scenes.geometry import FloatArray


@dataclass(frozen=True)
class Gate:
    """One end of a crosswalk on a block's sidewalk.

    Attributes:
        arc_m: where on the sidewalk's line it is.
        crosswalk: which one.
        block: (column, row) of the block to which it leads.
        arc_beyond_m: where on that block's line it ends.
        forward: whether the crosswalk's path starts here.
    """

    arc_m: float
    crosswalk: int
    block: tuple[int, int]
    arc_beyond_m: float
    forward: bool


@dataclass(frozen=True, eq=False)
class Sidewalks:
    """For each block, by (column, row): the closed global line around it, and the gates on that line."""

    lines: dict[tuple[int, int], Polyline]
    gates: dict[tuple[int, int], list[Gate]]


def build_sidewalks(plan: TownPlan, graph: LaneGraph) -> Sidewalks:
    """The sidewalks of a town."""
    lines = {(block.column, block.row): plan.sidewalk(block) for block in plan.blocks}
    return Sidewalks(lines, _gates(graph, lines))


def _gates(graph: LaneGraph, lines: dict[tuple[int, int], Polyline]) -> dict[tuple[int, int], list[Gate]]:
    """For each block the ends of crosswalks on its sidewalk."""
    gates: dict[tuple[int, int], list[Gate]] = {block: [] for block in lines}
    for index, walk in enumerate(graph.crosswalks):
        arcs = [_nearest_arc(lines[block], end) for block, end in zip(walk.blocks, _ends(walk.path), strict=True)]
        for side in (0, 1):
            gates[walk.blocks[side]].append(
                Gate(arcs[side], index, walk.blocks[1 - side], arcs[1 - side], forward=side == 0)
            )
    return gates


def _ends(path: Polyline) -> FloatArray:
    return path.points_m[[0, -1]]


def _nearest_arc(line: Polyline, point_m: FloatArray) -> float:
    arcs = np.arange(0.0, line.length_m, 0.1)
    return float(arcs[np.argmin(np.linalg.norm(line.at(arcs) - point_m, axis=1))])
