"""Which boxes are followed by another one where their motion says: true ones mostly, clutter seldom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenes import Boxes3D, InputError
from scenes.geometry import FloatArray
from tracking.association import near_pairs
from tracking.class_table import ClassTable
from tracking.measurement import believable_velocity, usable
from tracking.score_scale import ScoreScale

_SHORTEST_S, _LONGEST_S = 0.4, 1.5
"""Boxes are compared with those of a frame that comes so much later: one key frame, whatever the frame rate."""
_SHARE_OF_GATE = 0.5
"""How far from the expected place the following box may lie, as a share of the class's gate."""


@dataclass(frozen=True)
class Waiting:
    """Boxes of the last frame of which it is not known yet whether they are followed.

    Attributes:
        since_us: the frame's time.
        xy_m, velocity_mps: (W, 2), global; unknown velocities are 0. label, score: (W,).
    """

    since_us: int
    xy_m: FloatArray
    velocity_mps: FloatArray
    label: NDArray[np.int64]
    score: FloatArray

    @classmethod
    def nothing(cls) -> Waiting:
        """No box."""
        return cls(0, np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0, dtype=np.int64), np.zeros(0))

    @classmethod
    def of(cls, boxes: Boxes3D, timestamp_us: int, table: ClassTable) -> Waiting:
        """Those boxes of a frame that can be tracked."""
        boxes = boxes.select(np.flatnonzero(usable(boxes, table)))
        velocity, _ = believable_velocity(boxes, table)
        return cls(timestamp_us, boxes.center_m[:, :2], velocity, boxes.label, boxes.score)

    def are_followed(self, later: Waiting, table: ClassTable) -> NDArray[np.bool_]:
        """(W,) by a box of their class in a later frame, near the place that they are expected at."""
        expected_m = self.xy_m + 1e-6 * (later.since_us - self.since_us) * self.velocity_mps
        reach_m = _SHARE_OF_GATE * table.gate_m[:, None]
        row, _ = near_pairs(
            expected_m / reach_m[self.label], self.label, later.xy_m / reach_m[later.label], later.label, 1.0
        )
        followed = np.zeros(len(self.label), dtype=np.bool_)
        followed[row] = True
        return followed


class ScoreLearner:
    """Learns what a detector's scores mean, frame after frame of one drive.

    Args:
        table: the tracker's class settings.
        scale: what is known already.
        waiting: the boxes of the last frame.
    """

    def __init__(self, table: ClassTable, scale: ScoreScale | None = None, waiting: Waiting | None = None) -> None:
        self._table = table
        self.scale = scale or ScoreScale.unknown()
        self.waiting = waiting or Waiting.nothing()

    def see(self, boxes: Boxes3D, timestamp_us: int) -> None:
        """Learn from a frame's boxes in global coordinates."""
        elapsed_s = (timestamp_us - self.waiting.since_us) * 1e-6
        if len(self.waiting.score) and 0.0 <= elapsed_s < _SHORTEST_S:
            return
        now = Waiting.of(boxes, timestamp_us, self._table)
        if 0.0 <= elapsed_s <= _LONGEST_S:
            followed = self.waiting.are_followed(now, self._table).astype(np.float64)
            self.scale = self.scale.with_frame(now.score, self.waiting.score, followed)
        else:
            self.scale = self.scale.with_frame(now.score)
        self.waiting = now

    def state(self) -> dict[str, NDArray[Any]]:
        """All that has been learned, as arrays."""
        parts: dict[str, ScoreScale | Waiting] = {"scale": self.scale, "waiting": self.waiting}
        return {
            f"{name}.{field.name}": np.array(getattr(part, field.name))
            for name, part in parts.items()
            for field in fields(part)
        }

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on where the learner was that gave `state`, whose types and shapes are right.

        Raises:
            InputError: columns differ in length.
        """
        own: dict[str, dict[str, Any]] = {"scale": {}, "waiting": {}}
        for key, expected in self.state().items():
            part, name = key.split(".")
            own[part][name] = np.array(state[key]) if expected.ndim else int(state[key])
        for part, columns in own.items():
            if len({len(column) for column in columns.values() if not isinstance(column, int)}) != 1:
                raise InputError(f"tracker state: the columns of '{part}' differ in length")
        self.scale, self.waiting = ScoreScale(**own["scale"]), Waiting(**own["waiting"])


def learn_from_drives(drives: Iterable[Iterable[tuple[Boxes3D, int]]], table: ClassTable) -> ScoreScale:
    """What a detector's scores mean, from whole drives.

    Args:
        drives: boxes in global coordinates and time in microseconds of each frame.
        table: the tracker's class settings.
    """
    scale = ScoreScale.unknown()
    for drive in drives:
        learner = ScoreLearner(table, scale)
        for boxes, timestamp_us in drive:
            learner.see(boxes, timestamp_us)
        scale = learner.scale
    return scale
