"""How often what is met in a city: as in a town, or so that a detector learns from it.

A mix changes probabilities and ranges only. Whatever it says, the same random numbers are drawn in the same order, so
that a city of the natural mix has the bytes that it always had.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class RigSpread:
    """How far a scene's cameras may be mounted away from the usual rig. Uniform, both ways, unless said otherwise.

    Attributes:
        height_m: lowest and highest shift of all cameras together.
        yaw_deg, pitch_deg, roll_deg: of each camera.
        focal: lowest and highest factor of the focal length, for all cameras together.
        center_px: of each principal point, at 1600 x 900.
    """

    height_m: tuple[float, float]
    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    focal: tuple[float, float]
    center_px: float


@dataclass(frozen=True)
class Mix:
    """Probabilities of what is in a scene.

    Attributes:
        driven: weights of the kinds of vehicles in traffic.
        cyclist_gap_m: mean gap between cyclists.
        parked: weights of the kinds of vehicles that park.
        parked_trailer, parked_motorcycles: probability that a slot begins with one.
        work_zone, machine: probability of a work zone at a kerb, and of a machine in it.
        bicycle_rack, lone_bicycle: probability of one at a kerb.
        dusk: probability that a scene is set at dusk.
        most_overcast: greatest loss of the sun by clouds, in [0, 1].
        fog: probability of fog.
        fog_m: nearest and farthest range of fog, at which half of the light is lost.
        rig: how far the cameras may be from the usual rig; None for the usual one.
        sloping: probability that the ground is not flat.
        steepest: then, metres of height for a metre of way that no place exceeds.
    """

    driven: Mapping[str, float]
    cyclist_gap_m: float
    parked: Mapping[str, float]
    parked_trailer: float
    parked_motorcycles: float
    work_zone: float
    machine: float
    bicycle_rack: float
    lone_bicycle: float
    dusk: float
    most_overcast: float
    fog: float
    fog_m: tuple[float, float]
    rig: RigSpread | None
    sloping: float
    steepest: float


NATURAL: Final = Mix(
    driven={
        "sedan": 0.28,
        "hatchback": 0.19,
        "suv": 0.22,
        "van": 0.06,
        "pickup": 0.05,
        "box_truck": 0.065,
        "bus": 0.065,
        "tractor": 0.025,
        "motorcyclist": 0.025,
        "loader": 0.01,
    },
    cyclist_gap_m=300.0,
    parked={"sedan": 0.32, "hatchback": 0.27, "suv": 0.25, "van": 0.07, "pickup": 0.06, "box_truck": 0.03},
    parked_trailer=0.015,
    parked_motorcycles=0.005,
    work_zone=0.2,
    machine=0.55,
    bicycle_rack=0.06,
    lone_bicycle=0.15,
    dusk=0.3,
    most_overcast=0.6,
    fog=0.0,
    fog_m=(420.0, 420.0),
    rig=None,
    sloping=0.0,
    steepest=0.0,
)
BALANCED: Final = Mix(
    driven={
        "sedan": 0.15,
        "hatchback": 0.11,
        "suv": 0.13,
        "van": 0.05,
        "pickup": 0.06,
        "box_truck": 0.11,
        "bus": 0.12,
        "tractor": 0.08,
        "motorcyclist": 0.13,
        "loader": 0.06,
    },
    cyclist_gap_m=70.0,
    parked={"sedan": 0.24, "hatchback": 0.2, "suv": 0.2, "van": 0.1, "pickup": 0.12, "box_truck": 0.14},
    parked_trailer=0.04,
    parked_motorcycles=0.04,
    work_zone=0.5,
    machine=0.85,
    bicycle_rack=0.2,
    lone_bicycle=0.45,
    dusk=0.35,
    most_overcast=1.0,
    fog=0.3,
    fog_m=(110.0, 420.0),
    rig=RigSpread(height_m=(-0.25, 0.55), yaw_deg=4.0, pitch_deg=2.5, roll_deg=1.5, focal=(0.8, 1.3), center_px=25.0),
    sloping=0.6,
    steepest=0.08,
)
MIXES: Final[Mapping[str, Mix]] = {"natural": NATURAL, "balanced": BALANCED}
