"""In which directions a detector has seen anything: what it cannot see it does not miss.

A track that leaves the view of the cameras is not hidden for a moment, it is gone from the results. Nobody tells a
tracker of boxes where the cameras look; the boxes do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scenes.geometry import FloatArray, pose_heading_rad

_N_DIRECTIONS: Final = 72


@dataclass(frozen=True)
class Viewpoint:
    """Where the ego vehicle stands and looks: its place (2,) in the ground plane and its heading, global."""

    xy_m: FloatArray
    heading_rad: float

    @classmethod
    def of_pose(cls, global_from_ego: FloatArray) -> Viewpoint:
        """That of a pose (4, 4)."""
        pose = np.asarray(global_from_ego, dtype=np.float64)
        return cls(pose[:2, 3], pose_heading_rad(pose))

    def directions(self, xy_m: FloatArray) -> NDArray[np.int64]:
        """(N,) in which of the directions around the ego vehicle places (N, 2) lie."""
        offset_m = xy_m - self.xy_m
        turns = (np.arctan2(offset_m[:, 1], offset_m[:, 0]) - self.heading_rad) / (2.0 * np.pi)
        # Of a turn that is negative by less than rounding the remainder is a whole one.
        directions: NDArray[np.int64] = np.floor(turns % 1.0 * _N_DIRECTIONS).astype(np.int64) % _N_DIRECTIONS
        return directions


@dataclass(frozen=True)
class FieldOfView:
    """The directions, relative to the heading, that boxes have come from, or from next to them.

    Attributes:
        seen: (72,) of five degrees each.
    """

    seen: NDArray[np.bool_]

    @classmethod
    def unknown(cls) -> FieldOfView:
        """Nothing seen yet."""
        return cls(np.zeros(_N_DIRECTIONS, dtype=np.bool_))

    def with_boxes(self, xy_m: FloatArray, viewpoint: Viewpoint) -> FieldOfView:
        """What is known when boxes at places (B, 2) have been seen from a viewpoint."""
        seen, directions = self.seen.copy(), viewpoint.directions(xy_m)
        for neighbour in (-1, 0, 1):
            seen[(directions + neighbour) % _N_DIRECTIONS] = True
        return FieldOfView(seen)

    def holds(self, xy_m: FloatArray, viewpoint: Viewpoint) -> NDArray[np.bool_]:
        """(N,) whether places (N, 2) lie where boxes have come from."""
        held: NDArray[np.bool_] = self.seen[viewpoint.directions(xy_m)]
        return held
