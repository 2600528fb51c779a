"""One town with everything that stays the same in all scenes that are set in it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from scenes.city.drawing.ground import GroundPolygons, build_ground
from scenes.city.drawing.rasterizer import Instances
from scenes.city.drawing.scenery import SignalPosts, build_scenery, build_signal_posts
from scenes.city.layout.lane_graph import LaneGraph, build_lane_graph
from scenes.city.layout.sidewalks import Sidewalks, build_sidewalks
from scenes.city.layout.town_plan import TownPlan, draw_town_plan

TOWNS: Final = 4
"""How many towns the scenes of a city are spread over."""


@dataclass(frozen=True, eq=False)
class Town:
    """Plan, lanes, sidewalks, houses, traffic lights and ground of one town."""

    plan: TownPlan
    graph: LaneGraph
    sidewalks: Sidewalks
    scenery: Instances
    signal_posts: SignalPosts
    ground: GroundPolygons


@lru_cache(maxsize=TOWNS)
def build_town(seed: int, index: int) -> Town:
    """The town number `index` of the city with that seed."""
    rng = np.random.default_rng([seed, _TOWN_STREAM, index])
    plan = draw_town_plan(rng)
    graph = build_lane_graph(plan)
    return Town(
        plan,
        graph,
        build_sidewalks(plan, graph),
        build_scenery(plan, rng),
        build_signal_posts(plan, graph),
        build_ground(plan, graph, rng),
    )


_TOWN_STREAM: Final = 1
