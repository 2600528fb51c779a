"""Runs the traffic of one scene, picks the car that becomes the ego vehicle, and gathers who is near its drive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.distance import cdist

from scenes.city.catalog import KIND_INDEX, KINDS, Activity, draw_size
from scenes.city.layout.lane_graph import BIKE_LANE, LaneGraph
from scenes.city.layout.polyline import Polyline
from scenes.city.layout.signals import Signals
from scenes.city.layout.terrain import FLAT, Terrain
from scenes.city.layout.town_plan import TownPlan
from scenes.city.life.actors import LEAD_S, STEP_S, Actor, Cast, moving_actor, recorded_times
from scenes.city.life.placement import furnish
from scenes.city.life.traffic import Driver, Traffic
from scenes.city.life.walkers import Walkers
from scenes.city.mix import NATURAL, Mix
from scenes.city.town import Town
from scenes.geometry import FloatArray, pose_matrix, rotation_from_yaw

_WARM_UP_S: Final = 16.0
_NEAR_M: Final = 115.0
_TRAILER_GAP_M: Final = 0.5
_EGO_REAR_AXLE_M: Final = 3.3
_EGO_FRONT_AXLE_M: Final = 0.75
"""Distances of the ego vehicle's axles from its front; its frame sits on the rear one."""

_WHEELBASE_M: Final = _EGO_REAR_AXLE_M - _EGO_FRONT_AXLE_M
_TRACK_M: Final = 1.6

_EGO_KINDS: Final = frozenset({"sedan", "hatchback", "suv"})
_SLUGGISH: Final = {"box_truck": 1.1, "bus": 1.0, "tractor": 0.8, "loader": 0.7}
_TOP_SPEED_MPS: Final = {"loader": 5.5, "cyclist": 5.5, "tractor": 12.0}


@dataclass(frozen=True, eq=False)
class EgoMotion:
    """The drive of the ego vehicle.

    Attributes:
        position_m: (T, 2) of the middle of the rear axle at the recorded times.
        yaw_rad: (T,) unwrapped.
        terrain: on which its wheels stand.
    """

    position_m: FloatArray
    yaw_rad: FloatArray
    terrain: Terrain

    def pose_at(self, time_s: float) -> FloatArray:
        """(4, 4) `global_from_ego`, `time_s` after the first key frame."""
        place = np.clip((time_s + LEAD_S) / STEP_S, 0.0, len(self.yaw_rad) - 1.0)
        index = min(int(place), len(self.yaw_rad) - 2)
        ratio = place - index
        x, y = (1.0 - ratio) * self.position_m[index] + ratio * self.position_m[index + 1]
        yaw = (1.0 - ratio) * self.yaw_rad[index] + ratio * self.yaw_rad[index + 1]
        level = pose_matrix((x, y, 0.0), rotation_from_yaw(yaw)[0].tolist())
        return level if self.terrain.is_flat else _standing(level, self.terrain)


def _standing(level: FloatArray, terrain: Terrain) -> FloatArray:
    """(4, 4) pose of a vehicle whose frame would be `level` on flat ground."""
    wheels = np.array([[0.0, 0.0], [_WHEELBASE_M, 0.0], [0.0, 0.5 * _TRACK_M], [0.0, -0.5 * _TRACK_M]])
    rear, front, left, right = terrain.height_m(wheels @ level[:2, :2].T + level[:2, 3]).tolist()
    ahead = np.append(level[:2, 0], (front - rear) / _WHEELBASE_M)
    aside = np.append(level[:2, 1], (left - right) / _TRACK_M)
    ahead /= np.linalg.norm(ahead)
    up = np.cross(ahead, aside)
    up /= np.linalg.norm(up)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([ahead, np.cross(up, ahead), up], axis=1)
    pose[:3, 3] = (*level[:2, 3], rear)
    return pose


@dataclass(frozen=True, eq=False)
class Drive:
    """What one scene shows: the ego vehicle's motion, everybody near it, and the traffic lights."""

    ego: EgoMotion
    cast: Cast
    signals: Signals

    def clock_s(self, time_s: float) -> float:
        """The traffic lights' time, `time_s` after the first key frame."""
        return time_s + LEAD_S + _WARM_UP_S


@dataclass(frozen=True, eq=False)
class _Vehicle:
    """A driver with its vehicle: the kinds and sizes of the parts, from the front."""

    driver: Driver
    parts: tuple[tuple[str, FloatArray], ...]
    activity: Activity


def simulate_drive(
    town: Town, duration_s: float, rng: np.random.Generator, mix: Mix = NATURAL, terrain: Terrain = FLAT
) -> Drive:
    """Simulate one scene.

    Args:
        town: where it is set.
        duration_s: time from the first to the last key frame.
        rng: draws everything.
        mix: how often what is met.
        terrain: of the ground, which traffic does not mind.
    """
    signals = Signals(town.graph.signalled, rng)
    vehicles = _draw_vehicles(town.graph, mix, rng)
    traffic = Traffic(town.graph, signals, [vehicle.driver for vehicle in vehicles], rng)
    pace = np.clip(rng.normal(1.3, 0.2, int(rng.integers(110, 230))), 0.7, 1.7)
    walkers = Walkers(town.sidewalks, town.graph, signals, pace, rng)
    times = recorded_times(duration_s)
    driven, walked = _run(traffic, walkers, times)

    ego_index = _pick_ego(town.plan, traffic, vehicles, driven, rng)
    ego = _ego_motion(traffic.path(ego_index), vehicles[ego_index].driver.front_m + driven[:, ego_index], terrain)

    def near(positions_m: FloatArray) -> bool:
        return bool(cdist(ego.position_m[::5], positions_m).min() < _NEAR_M)

    actors = [
        part
        for index, vehicle in enumerate(vehicles)
        if index != ego_index
        for part in _parts(vehicle, traffic.path(index), driven[:, index], rng)
    ]
    actors += [person for index in range(len(pace)) for person in _people(walkers.path(index), walked[:, index], rng)]
    nearby = [actor for actor in actors if near(actor.position_m[::10])]
    return Drive(ego, Cast([*nearby, *furnish(town.plan, near, times, rng, mix)], times), signals)


def _run(traffic: Traffic, walkers: Walkers, times: int) -> tuple[FloatArray, FloatArray]:
    """(T, N) odometers of vehicles and people at the recorded times, after a warm-up."""
    warm_up = round(_WARM_UP_S / STEP_S)
    driven = np.empty((times, len(traffic.odometer_m)))
    walked = np.empty((times, len(walkers.odometer_m)))
    for step in range(warm_up + times):
        if step >= warm_up:
            driven[step - warm_up] = traffic.odometer_m
            walked[step - warm_up] = walkers.odometer_m
        time_s = step * STEP_S
        traffic.step(time_s, STEP_S, walkers.on_crosswalk)
        walkers.step(time_s, STEP_S, traffic)
    return driven, walked


def _draw_vehicles(graph: LaneGraph, mix: Mix, rng: np.random.Generator) -> list[_Vehicle]:
    """Vehicles on all lanes, with gaps that depend on how busy the scene is."""
    mean_gap_m = rng.uniform(32.0, 85.0)
    vehicles = []
    for index, lane in enumerate(graph.lanes):
        if lane.is_connector:
            continue
        bike_lane = lane.number == BIKE_LANE
        front = lane.path.length_m - rng.exponential(mix.cyclist_gap_m / 1.2 if bike_lane else 0.5 * mean_gap_m)
        while True:
            vehicle = _draw_vehicle(index, front, bike_lane, mix, rng)
            if front - vehicle.driver.length_m < 1.0:
                break
            vehicles.append(vehicle)
            front -= vehicle.driver.length_m + 5.0 + rng.exponential(mix.cyclist_gap_m if bike_lane else mean_gap_m)
    return vehicles


def _draw_vehicle(lane: int, front_m: float, bike_lane: bool, mix: Mix, rng: np.random.Generator) -> _Vehicle:
    name = "cyclist" if bike_lane else _draw_name(mix.driven, rng)
    parts = [(name, draw_size(KINDS[KIND_INDEX[name]], rng))]
    length = float(parts[0][1][1])
    if name == "tractor":
        trailer = draw_size(KINDS[KIND_INDEX["trailer"]], rng)
        parts.append(("trailer", trailer))
        length += _TRAILER_GAP_M + float(trailer[1])
    stops = name == "bus" and rng.random() < 0.7
    driver = Driver(
        lane=lane,
        front_m=front_m,
        length_m=length,
        top_speed_mps=_TOP_SPEED_MPS.get(name, 20.0) * rng.uniform(0.8, 1.0),
        speed_factor=float(np.clip(rng.normal(0.95, 0.1), 0.7, 1.15)),
        acceleration_mps2=_SLUGGISH.get(name, 1.8) * rng.uniform(0.85, 1.15),
        headway_s=rng.uniform(1.1, 1.8),
        pause_at_m=rng.uniform(60.0, 220.0) if stops else np.inf,
        pause_s=rng.uniform(6.0, 14.0) if stops else 0.0,
    )
    activity = Activity.RIDDEN if name in ("cyclist", "motorcyclist") else Activity.DRIVEN
    return _Vehicle(driver, tuple(parts), activity)


def _draw_name(weights: Mapping[str, float], rng: np.random.Generator) -> str:
    """One of the names, by their weights."""
    share = np.array(list(weights.values()))
    return str(rng.choice(list(weights), p=share / share.sum()))


def _parts(vehicle: _Vehicle, path: Polyline, driven_m: FloatArray, rng: np.random.Generator) -> list[Actor]:
    """The actors of one vehicle: itself and what it tows."""
    front = vehicle.driver.front_m + driven_m
    actors = []
    for name, size in vehicle.parts:
        actors.append(moving_actor(name, vehicle.activity, size, path, front, rng))
        front = front - size[1] - _TRAILER_GAP_M
    return actors


_COMPANION_PROBABILITY: Final = 0.3
_COMPANION_ASIDE_M: Final = 0.72
_COMPANION_SMOOTHING_S: Final = 0.4


def _people(path: Polyline, walked_m: FloatArray, rng: np.random.Generator) -> list[Actor]:
    """A walker, and sometimes somebody who walks beside."""
    name = str(rng.choice(["adult", "child", "worker", "officer"], p=[0.93, 0.03, 0.03, 0.01]))
    size = draw_size(KINDS[KIND_INDEX[name]], rng)
    walker = moving_actor(name, Activity.ON_FOOT, size, path, walked_m + 0.5 * size[1], rng)
    if rng.random() >= _COMPANION_PROBABILITY:
        return [walker]
    name = "child" if rng.random() < 0.2 else "adult"
    size = draw_size(KINDS[KIND_INDEX[name]], rng)
    companion = moving_actor(name, Activity.ON_FOOT, size, path, walked_m + 0.5 * size[1] + rng.normal(0.0, 0.12), rng)
    aside = _COMPANION_ASIDE_M * np.stack([-np.sin(companion.yaw_rad), np.cos(companion.yaw_rad)], axis=1)
    return [walker, _moved(companion, aside)]


def _moved(actor: Actor, by_m: FloatArray) -> Actor:
    """An actor beside another's path, (T, 2) away from it; whoever walks on the outside cuts corners."""
    smooth = gaussian_filter1d(actor.position_m + by_m, _COMPANION_SMOOTHING_S / STEP_S, axis=0, mode="nearest")
    return replace(actor, position_m=smooth)


def _pick_ego(
    plan: TownPlan,
    traffic: Traffic,
    vehicles: list[_Vehicle],
    driven_m: FloatArray,
    rng: np.random.Generator,
) -> int:
    """One of the cars that cover the most ground away from the edge of the town."""
    middle = 0.5 * plan.extent_m
    scores = []
    for index, vehicle in enumerate(vehicles):
        if vehicle.parts[0][0] not in _EGO_KINDS:
            continue
        path = traffic.path(index)
        arcs = vehicle.driver.front_m + driven_m[[0, -1], index]
        off_centre = np.abs(path.at(arcs) - middle).max() / middle.max()
        distance = driven_m[-1, index] - driven_m[0, index]
        scores.append((distance - 120.0 * max(off_centre - 0.35, 0.0), index))
    best: NDArray[np.int64] = np.array([index for _, index in sorted(scores, reverse=True)[:_EGO_CANDIDATES]])
    return int(rng.choice(best))


_EGO_CANDIDATES: Final = 15


def _ego_motion(path: Polyline, front_arc_m: FloatArray, terrain: Terrain) -> EgoMotion:
    rear = path.at(front_arc_m - _EGO_REAR_AXLE_M)
    along = path.at(front_arc_m - _EGO_FRONT_AXLE_M) - rear
    return EgoMotion(rear, np.unwrap(np.arctan2(along[:, 1], along[:, 0])), terrain)
