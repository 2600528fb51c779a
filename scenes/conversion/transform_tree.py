"""ROS's tree of coordinate frames (tf): static and moving transforms, and poses along the way between two frames."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Final

import numpy as np

from scenes.conversion.pose_track import PoseTrack
from scenes.errors import InputError
from scenes.geometry import FloatArray, invert_pose

_LONGEST_GAP_US: Final = 1_000_000


class TransformTree:
    """Frames, each with one parent.

    Args:
        path: of the recording, for messages.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._parent: dict[str, str] = {}
        self._static: dict[str, FloatArray] = {}
        self._moving: defaultdict[str, dict[int, FloatArray]] = defaultdict(dict)
        self._tracks: dict[str, PoseTrack] = {}

    def __contains__(self, frame: str) -> bool:
        return frame in self._parent or frame in self._parent.values()

    def add(self, parent: str, child: str, time_us: int | None, parent_from_child: FloatArray) -> None:
        """Take in a transform; `time_us` None of a static one.

        Raises:
            InputError: the child has another parent already.
        """
        known = self._parent.setdefault(child, parent)
        if known != parent:
            raise InputError(f"{self._path}: tf: frame {child!r} has two parents, {known!r} and {parent!r}")
        if time_us is None:
            self._static[child] = parent_from_child
        else:
            self._moving[child][time_us] = parent_from_child

    def root(self, frame: str) -> str:
        """The frame at the end of the way upwards.

        Raises:
            InputError: the way goes round.
        """
        return self._way_up(frame)[-1]

    def moves(self, frame: str) -> bool:
        """Whether anything on the way upwards moves."""
        return any(child in self._moving for child in self._way_up(frame)[:-1])

    def pose(self, a: str, b: str, time_us: int | None, what: str) -> FloatArray:
        """The (4, 4) pose `a_from_b` at a time.

        Args:
            a, b: frames. time_us: None where nothing on the way may move.
            what: has to be placed, for messages.

        Raises:
            InputError: there is no way between the frames, or no transform near the time.
        """
        up_from_a, up_from_b = (self._way_up(frame) for frame in (a, b))
        meeting = next((frame for frame in up_from_b if frame in up_from_a), None)
        if meeting is None:
            raise InputError(f"{self._path}: tf: no way from {b!r} to {a!r}, which {what} needs")
        from_a = self._pose_upwards(up_from_a[: up_from_a.index(meeting)], time_us, what)
        return invert_pose(from_a) @ self._pose_upwards(up_from_b[: up_from_b.index(meeting)], time_us, what)

    def _way_up(self, frame: str) -> list[str]:
        way = [frame]
        while way[-1] in self._parent:
            way.append(self._parent[way[-1]])
            if way[-1] in way[:-1]:
                raise InputError(f"{self._path}: tf: frame {way[-1]!r} is above itself")
        return way

    def _pose_upwards(self, way: list[str], time_us: int | None, what: str) -> FloatArray:
        """The pose of the first frame of a way in the parent of the last."""
        pose = np.eye(4)
        for child in way:
            pose = self._parent_from_child(child, time_us, what) @ pose
        return pose

    def _parent_from_child(self, child: str, time_us: int | None, what: str) -> FloatArray:
        if child in self._static:
            return self._static[child]
        if time_us is None:
            raise InputError(f"{self._path}: tf: frame {child!r} moves; {what} must be mounted firmly")
        if child not in self._tracks:
            times, poses = np.array(list(self._moving[child])), np.stack(list(self._moving[child].values()))
            self._tracks[child] = PoseTrack(times, poses, self._path, "us", _LONGEST_GAP_US)
        return self._tracks[child].at(time_us, what)
