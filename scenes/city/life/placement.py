"""What stands still beside the lanes: parked rows, work zones, bicycle racks, people who stand or sit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from scenes.city.catalog import KIND_INDEX, KINDS, Activity, draw_size
from scenes.city.layout.kerbs import SLOT_M, Kerb, kerbs
from scenes.city.layout.polyline import Polyline
from scenes.city.layout.town_plan import SIDEWALK_WIDTH_M, TownPlan
from scenes.city.life.actors import Actor, moving_actor, resting_actor
from scenes.city.mix import Mix
from scenes.geometry import FloatArray

_LONG_SLOTS: Final = 2
_ZONE_SLOTS: Final = 4


def furnish(
    plan: TownPlan, near: Callable[[FloatArray], bool], times: int, rng: np.random.Generator, mix: Mix
) -> list[Actor]:
    """All resting actors of a scene.

    Args:
        plan: the town.
        near: whether one of some global positions (N, 2) is close enough to the drive to matter.
        times: recorded positions of actors that move about.
        rng: draws everything.
        mix: how often what is met.
    """
    actors: list[Actor] = []
    for kerb in kerbs(plan):
        # One generator a kerb: what stands here does not depend on what was left out elsewhere.
        own = np.random.default_rng(rng.integers(2**63))
        middle = 0.5 * kerb.length_m
        if near(np.array([kerb.at(place, 0.0) for place in (0.0, middle, 2.0 * middle)])):
            actors += _furnish_kerb(kerb, times, own, mix)
    return [actor for actor in actors if near(actor.position_m[:1])]


def _furnish_kerb(kerb: Kerb, times: int, rng: np.random.Generator, mix: Mix) -> list[Actor]:
    density = rng.beta(1.3, 1.9)
    zone_at = int(rng.integers(1, max(kerb.slots - _ZONE_SLOTS, 2))) if rng.random() < mix.work_zone else None
    actors: list[Actor] = []
    slot = 0
    while slot < kerb.slots:
        if zone_at is not None and zone_at <= slot < zone_at + _ZONE_SLOTS and slot + _ZONE_SLOTS <= kerb.slots:
            actors += _work_zone(kerb, slot * SLOT_M, times, rng, mix)
            zone_at = None
            slot += _ZONE_SLOTS
        else:
            placed, used = _occupy_slot(kerb, slot, density, rng, mix)
            actors += placed
            slot += used
    return actors + _sidewalk_life(kerb, rng, mix)


def _occupy_slot(kerb: Kerb, slot: int, density: float, rng: np.random.Generator, mix: Mix) -> tuple[list[Actor], int]:
    """What parks from this slot on, and how many slots it takes."""
    chance = rng.random()
    if chance < mix.parked_trailer and slot + _LONG_SLOTS <= kerb.slots:
        return [_parked(kerb, "trailer", (slot + 0.5 * _LONG_SLOTS) * SLOT_M, rng)], _LONG_SLOTS
    if chance < mix.parked_trailer + mix.parked_motorcycles:
        return _parked_motorcycles(kerb, slot, rng), 1
    if rng.random() > density:
        return [], 1
    name = str(rng.choice(list(mix.parked), p=list(mix.parked.values())))
    if name == "box_truck" and slot + _LONG_SLOTS <= kerb.slots:
        return [_parked(kerb, name, (slot + 0.5 * _LONG_SLOTS) * SLOT_M, rng)], _LONG_SLOTS
    return [_parked(kerb, "sedan" if name == "box_truck" else name, (slot + 0.5) * SLOT_M, rng)], 1


def _parked(kerb: Kerb, name: str, along_m: float, rng: np.random.Generator) -> Actor:
    size = draw_size(KINDS[KIND_INDEX[name]], rng)
    slack = 0.4 * max(SLOT_M - size[1], 0.0)
    place = along_m + rng.uniform(-slack, slack)
    aside = kerb.street.parking_offset_m + rng.normal(0.0, 0.06)
    yaw = kerb.yaw_rad(place) + rng.normal(0.0, 0.012)
    return resting_actor(name, Activity.PARKED, kerb.at(place, aside), yaw, rng, size)


def _parked_motorcycles(kerb: Kerb, slot: int, rng: np.random.Generator) -> list[Actor]:
    """A row of motorcycles that stand across the slot."""
    count = int(rng.integers(2, 5))
    places = (slot + 0.5) * SLOT_M + 1.3 * (np.arange(count) - 0.5 * (count - 1))
    aside = kerb.street.parking_offset_m
    return [
        resting_actor(
            "motorcycle",
            Activity.LEFT,
            kerb.at(place, aside + rng.normal(0.0, 0.05)),
            kerb.yaw_rad(place) - 0.5 * np.pi + rng.normal(0.0, 0.1),
            rng,
        )
        for place in places
    ]


def _work_zone(kerb: Kerb, start_m: float, times: int, rng: np.random.Generator, mix: Mix) -> list[Actor]:
    """A closed stretch of the parking lane: barriers to the traffic, cones at its ends, a machine, workers."""
    length = _ZONE_SLOTS * SLOT_M
    inner = kerb.street.parking_offset_m - 1.0
    actors = [
        resting_actor(
            "barrier",
            Activity.INERT,
            kerb.at(start_m + place, inner + rng.normal(0.0, 0.04)),
            kerb.yaw_rad(start_m + place) + 0.5 * np.pi + rng.normal(0.0, 0.03),
            rng,
        )
        for place in np.arange(3.6, length - 3.0, 2.75)
    ]
    for end, sign in ((start_m + 2.0, -1.0), (start_m + length - 2.0, 1.0)):
        for step in range(int(rng.integers(2, 4))):
            spot = kerb.at(end + sign * 0.4 * step, inner + 0.25 + 0.6 * step)
            actors.append(resting_actor("cone", Activity.INERT, spot, rng.uniform(-np.pi, np.pi), rng))
    yard = kerb.street.half_width_m + 0.5 * SIDEWALK_WIDTH_M
    for _ in range(int(rng.integers(1, 4))):
        spot = kerb.at(start_m + rng.uniform(1.0, length - 1.0), kerb.street.half_width_m + rng.uniform(0.1, 0.5))
        actors.append(resting_actor("worker", Activity.ON_FOOT, spot, rng.uniform(-np.pi, np.pi), rng))
    for _ in range(int(rng.integers(0, 3))):
        spot = kerb.at(start_m + rng.uniform(0.0, length), yard + 0.5 * SIDEWALK_WIDTH_M + rng.uniform(0.2, 0.8))
        actors.append(resting_actor("cone", Activity.INERT, spot, rng.uniform(-np.pi, np.pi), rng))
    if rng.random() < mix.machine:
        actors.append(_machine(kerb, start_m + 0.5 * length, times, rng))
    return actors


def _machine(kerb: Kerb, along_m: float, times: int, rng: np.random.Generator) -> Actor:
    """An excavator or loader in a work zone, at rest or creeping up and down."""
    name = "excavator" if rng.random() < 0.6 else "loader"
    size = draw_size(KINDS[KIND_INDEX[name]], rng)
    size[0] = min(size[0], 2.3)
    aside = kerb.street.parking_offset_m + 0.55
    if rng.random() < 0.5:
        return resting_actor(name, Activity.PARKED, kerb.at(along_m, aside), kerb.yaw_rad(along_m), rng, size)
    path = Polyline.through(np.array([kerb.at(along_m + place, aside) for place in np.arange(-9.0, 9.5, 0.5)]))
    seconds = 0.1 * np.arange(times)
    swing = 2.5 * np.sin(2.0 * np.pi * seconds / rng.uniform(18.0, 28.0) + rng.uniform(0.0, 2.0 * np.pi))
    return moving_actor(name, Activity.DRIVEN, size, path, 9.0 + 0.5 * size[1] + swing, rng)


def _sidewalk_life(kerb: Kerb, rng: np.random.Generator, mix: Mix) -> list[Actor]:
    """A bicycle rack, and people who stand about or sit, between the sidewalk and the houses."""
    length = kerb.length_m
    front = kerb.street.half_width_m + SIDEWALK_WIDTH_M
    actors: list[Actor] = []
    if rng.random() < mix.bicycle_rack and length > 20.0:
        actors += _bicycle_rack(kerb, rng.uniform(6.0, length - 6.0), front + 1.4, rng)
    for _ in range(rng.poisson(0.7)):
        actors += _standing_group(kerb, rng.uniform(0.0, length), front - 0.3, rng)
    for _ in range(rng.poisson(0.2)):
        place = rng.uniform(0.0, length)
        yaw = kerb.yaw_rad(place) + 0.5 * np.pi
        actors.append(resting_actor("sitter", Activity.SITTING, kerb.at(place, front + 0.7), yaw, rng))
    if rng.random() < mix.lone_bicycle:
        place = rng.uniform(0.0, length)
        spot = kerb.at(place, front + rng.uniform(0.4, 1.2))
        yaw = kerb.yaw_rad(place) + rng.uniform(-0.3, 0.3)
        actors.append(resting_actor("bicycle", Activity.LEFT, spot, yaw, rng))
    return actors


def _standing_group(kerb: Kerb, along_m: float, aside_m: float, rng: np.random.Generator) -> list[Actor]:
    """One to three people who stand and talk."""
    count = int(rng.integers(1, 4))
    turn = rng.uniform(0.0, 2.0 * np.pi)
    angles = turn + 2.0 * np.pi * np.arange(count) / count
    radius = 0.6 if count > 1 else 0.0
    heading = kerb.yaw_rad(along_m)
    names = rng.choice(["adult", "adult", "adult", "adult", "child", "officer"], count)
    return [
        resting_actor(
            str(name),
            Activity.ON_FOOT,
            kerb.at(along_m + radius * np.cos(angle), aside_m + 0.4 * radius * np.sin(angle)),
            float(heading + np.pi - angle + rng.normal(0.0, 0.3)),
            rng,
        )
        for name, angle in zip(names, angles, strict=True)
    ]


def _bicycle_rack(kerb: Kerb, along_m: float, aside_m: float, rng: np.random.Generator) -> list[Actor]:
    """A rack and the bicycles that stand across it."""
    yaw = kerb.yaw_rad(along_m)
    rack = resting_actor("bicycle_rack", Activity.INERT, kerb.at(along_m, aside_m), yaw, rng)
    half = 0.5 * rack.size_wlh_m[1] - 0.5
    places = np.arange(-half, half + 0.01, 0.75)
    bikes = [
        resting_actor(
            "bicycle",
            Activity.LEFT,
            kerb.at(along_m + place, aside_m),
            yaw + 0.5 * np.pi + rng.normal(0.0, 0.06),
            rng,
        )
        for place in places
        if rng.random() < 0.6
    ]
    return [rack, *bikes]
