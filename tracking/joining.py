"""Tracks of several files that follow one object: joined by how often they are at one place.

Tracks are joined greedily, those that agree for longest first, as long as no file has two of a joined track's in one
frame: so what one tracker tore apart is held together by another one's track, and what two keep apart stays apart.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence

Track = tuple[int, Hashable]
"""The number of a file and an identity in it."""


def joined_tracks(frames: Iterable[Sequence[Sequence[Track]]]) -> dict[Track, int]:
    """The number, from 0 on, of the joined track that each track is part of.

    Numbers ascend with the first frame.

    Args:
        frames: for each frame of a drive the objects in it, and for each object the tracks that have a box there.
    """
    present: dict[Track, int] = defaultdict(int)
    """The frames of each track as bits."""
    together: Counter[tuple[Track, Track]] = Counter()
    for frame, objects in enumerate(frames):
        for tracks in objects:
            for track in tracks:
                present[track] |= 1 << frame
            together.update((first, second) for at, first in enumerate(tracks) for second in tracks[at + 1 :])
    joined = _Joined(present)
    order = {track: place for place, track in enumerate(present)}
    pairs = sorted(together.items(), key=lambda item: (-item[1], order[item[0][0]], order[item[0][1]]))
    for (first, second), count in pairs:
        if 2 * count > (present[first] & present[second]).bit_count():
            joined.join(first, second)
    numbers: dict[Track, int] = {}
    return {track: numbers.setdefault(joined.root(track), len(numbers)) for track in present}


class _Joined:
    """Sets of tracks, each with the frames that its tracks of each file take."""

    def __init__(self, present: dict[Track, int]) -> None:
        self._parent = {track: track for track in present}
        self._taken = {track: {track[0]: frames} for track, frames in present.items()}

    def root(self, track: Track) -> Track:
        """The track that stands for the set of another."""
        while self._parent[track] != track:
            self._parent[track] = track = self._parent[self._parent[track]]
        return track

    def join(self, first: Track, second: Track) -> None:
        """Make one set of two, unless a file has two of its tracks in one frame."""
        first, second = self.root(first), self.root(second)
        if first == second:
            return
        own, other = self._taken[first], self._taken[second]
        if any(own.get(file, 0) & frames for file, frames in other.items()):
            return
        for file, frames in self._taken.pop(second).items():
            own[file] = own.get(file, 0) | frames
        self._parent[second] = first
