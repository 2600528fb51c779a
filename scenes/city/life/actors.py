"""Everything that is annotated: who it is, and where it is at any moment of a scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scenes.city.catalog import KIND_INDEX, KINDS, Activity, draw_color, draw_size
from scenes.city.layout.polyline import Polyline
from scenes.geometry import FloatArray

STEP_S: Final = 0.1
"""Time between two recorded positions of an actor."""

LEAD_S: Final = 0.5
"""How long before the first key frame, and after the last, positions are recorded."""

_AXLE_SHARE: Final = 0.3
"""A vehicle's axles lie this share of its length before and behind its centre."""

_SHORTEST_REACH_M: Final = 0.8
"""What has no axles, a person, turns as if they were this far from its centre: nobody turns on the spot."""


@dataclass(frozen=True, eq=False)
class Actor:
    """One individual and its motion.

    Attributes:
        kind: index into `KINDS`.
        activity: what it does throughout the scene.
        size_wlh_m: (3,).
        color, second_color: (3,) RGB of the body and of what else is coloured (trousers).
        position_m: (T, 2) global centre on the ground at the recorded times, or (1, 2) if it never moves.
        yaw_rad: (T,) unwrapped heading, or (1,).
        odometer_m: (T,) distance covered, or (1,).
    """

    kind: int
    activity: Activity
    size_wlh_m: FloatArray
    color: FloatArray
    second_color: FloatArray
    position_m: FloatArray
    yaw_rad: FloatArray
    odometer_m: FloatArray


@dataclass(frozen=True, eq=False)
class ActorState:
    """Where N actors are at one moment.

    Attributes:
        center_m: (N, 3) global box centres.
        yaw_rad: (N,).
        speed_mps: (N,).
        odometer_m: (N,).
    """

    center_m: FloatArray
    yaw_rad: FloatArray
    speed_mps: FloatArray
    odometer_m: FloatArray


class Cast:
    """All actors of a scene in arrays, so that they can be asked for any moment at once.

    Attributes:
        kind: (N,) indices into `KINDS`.
        activity: (N,).
        size_wlh_m: (N, 3).
        color, second_color: (N, 3) RGB.
    """

    def __init__(self, actors: Sequence[Actor], times: int) -> None:
        count = len(actors)
        self.kind: NDArray[np.int64] = np.array([actor.kind for actor in actors], dtype=np.int64)
        self.activity = [actor.activity for actor in actors]
        self.size_wlh_m = np.array([actor.size_wlh_m for actor in actors]).reshape(count, 3)
        self.color = np.array([actor.color for actor in actors]).reshape(count, 3)
        self.second_color = np.array([actor.second_color for actor in actors]).reshape(count, 3)
        self._position_m = np.empty((times, count, 2))
        self._yaw_rad = np.empty((times, count))
        self._odometer_m = np.empty((times, count))
        for index, actor in enumerate(actors):
            self._position_m[:, index] = actor.position_m
            self._yaw_rad[:, index] = actor.yaw_rad
            self._odometer_m[:, index] = actor.odometer_m

    def __len__(self) -> int:
        return len(self.kind)

    def at(self, time_s: float) -> ActorState:
        """The actors `time_s` after the first key frame."""
        position, yaw, odometer = (self._interpolated(a, time_s) for a in self._recordings())
        before = self._interpolated(self._odometer_m, time_s - STEP_S)
        after = self._interpolated(self._odometer_m, time_s + STEP_S)
        center = np.column_stack([position, 0.5 * self.size_wlh_m[:, 2]])
        return ActorState(center, yaw, (after - before) / (2.0 * STEP_S), odometer)

    def _recordings(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        return self._position_m, self._yaw_rad, self._odometer_m

    def _interpolated(self, recorded: FloatArray, time_s: float) -> FloatArray:
        place = np.clip((time_s + LEAD_S) / STEP_S, 0.0, len(recorded) - 1.0)
        index = min(int(place), len(recorded) - 2)
        ratio = place - index
        value: FloatArray = (1.0 - ratio) * recorded[index] + ratio * recorded[index + 1]
        return value


def recorded_times(duration_s: float) -> int:
    """How many positions cover a scene of `duration_s` between its first and last key frame."""
    return int(np.ceil((duration_s + 2.0 * LEAD_S) / STEP_S)) + 1


def moving_actor(
    name: str,
    activity: Activity,
    size_wlh_m: FloatArray,
    path: Polyline,
    front_arc_m: FloatArray,
    rng: np.random.Generator,
) -> Actor:
    """An actor whose front follows a path.

    Args:
        name: of its kind.
        activity: what it does.
        size_wlh_m: (3,).
        path: global line.
        front_arc_m: (T,) arc length of its front at the recorded times.
        rng: draws its colours.
    """
    length = size_wlh_m[1]
    center_arc = front_arc_m - 0.5 * length
    reach = max(_AXLE_SHARE * length, _SHORTEST_REACH_M)
    front, rear = path.at(center_arc + reach), path.at(center_arc - reach)
    along = front - rear
    yaw = np.unwrap(np.arctan2(along[:, 1], along[:, 0]))
    return _individual(name, activity, size_wlh_m, 0.5 * (front + rear), yaw, front_arc_m, rng)


def resting_actor(
    name: str,
    activity: Activity,
    position_m: FloatArray,
    yaw_rad: float,
    rng: np.random.Generator,
    size_wlh_m: FloatArray | None = None,
) -> Actor:
    """An actor that stays where it is; its size is drawn if it is not given."""
    size = draw_size(KINDS[KIND_INDEX[name]], rng) if size_wlh_m is None else size_wlh_m
    position = np.asarray(position_m, dtype=np.float64)[None]
    return _individual(name, activity, size, position, np.array([yaw_rad]), np.zeros(1), rng)


def _individual(
    name: str,
    activity: Activity,
    size_wlh_m: FloatArray,
    position_m: FloatArray,
    yaw_rad: FloatArray,
    odometer_m: FloatArray,
    rng: np.random.Generator,
) -> Actor:
    kind = KINDS[KIND_INDEX[name]]
    color = draw_color(kind, rng)
    second = draw_color(KINDS[KIND_INDEX["adult"]], rng) * 0.7
    return Actor(KIND_INDEX[name], activity, size_wlh_m, color, second, position_m, yaw_rad, odometer_m)
