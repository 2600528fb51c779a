"""The ego poses of a drive at any time of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scenes.errors import InputError
from scenes.geometry import FloatArray, interpolate_pose

IntArray = NDArray[np.int64]


class PoseTrack:
    """Poses that follow one another; between two of them both are interpolated.

    Args:
        times: (N,) integers of any unit, at least one; in any order.
        poses: (N, 4, 4) `global_from_ego`.
        path: file that holds them, for messages.
        unit: of the times, for messages.
        longest_gap: across a longer one none is interpolated, and so far the first and the last pose reach.
    """

    def __init__(self, times: IntArray, poses: FloatArray, path: Path, unit: str, longest_gap: int) -> None:
        order = np.argsort(times, kind="stable")
        self._times, self._poses = times[order], poses[order]
        self._path = path
        self._unit = unit
        self._longest_gap = longest_gap

    def at(self, time: int, what: str) -> FloatArray:
        """The (4, 4) pose at a time.

        Raises:
            InputError: the time, of `what`, lies outside the poses or in a gap of them.
        """
        after = int(np.searchsorted(self._times, time))
        nearest = int(np.argmin(np.abs(self._times[max(0, after - 1) : after + 1] - time))) + max(0, after - 1)
        inside = 0 < after < len(self._times)
        near = abs(int(self._times[nearest]) - time) <= self._longest_gap // 2
        bridged = inside and self._times[after] - self._times[after - 1] <= self._longest_gap
        if not (bridged or near):
            raise InputError(f"{self._path}: no pose near {time} {self._unit}, the time of {what}")
        if not bridged or self._times[nearest] == time:
            pose: FloatArray = self._poses[nearest]
            return pose
        start, end = self._times[after - 1 : after + 1].tolist()
        return interpolate_pose(self._poses[after - 1], self._poses[after], (time - start) / (end - start))
