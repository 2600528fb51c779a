"""Which moments of a drive become key frames, and which recordings belong to them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scenes.errors import InputError
from scenes.geometry import FloatArray

_FARTHEST_US = 500_000
"""A recording farther from every key frame belongs to none."""
_SHORTEST_GAP_S = 1e-3
_LONGEST_GAP_S = 30.0

IntArray = NDArray[np.int64]


def check_times(timestamps_us: Sequence[int], where: str) -> None:
    """Refuse times that are out of order, or in other units.

    Args:
        timestamps_us: of frames or recordings that follow one another.
        where: file, or what the times are of.

    Raises:
        InputError: naming the first time that does not come after the one before, or the gap that cannot be.
    """
    times = np.asarray(timestamps_us, dtype=np.int64)
    gaps = np.diff(times)
    if len(times) and (times.min() < 0 or times.max() > 2**53):
        raise InputError(f"{where}: {int(times.min())} to {int(times.max())} us are no times; are they in other units?")
    if (gaps <= 0).any():
        index = int(np.argmax(gaps <= 0))
        same = "is there twice" if gaps[index] == 0 else f"comes after {times[index]} us"
        raise InputError(f"{where}: time {times[index + 1]} us {same}")
    if len(gaps) and not _SHORTEST_GAP_S <= (gap_s := 1e-6 * float(np.median(gaps))) <= _LONGEST_GAP_S:
        raise InputError(f"{where}: the times lie {gap_s:g} s apart; are they in other units?")


def choose_key_frames(timestamps_us: Sequence[int], rate_hz: float | None) -> IntArray:
    """The indices of the moments that become key frames.

    Args:
        timestamps_us: in ascending order.
        rate_hz: the moment nearest to each multiple of its inverse is chosen; None chooses all.
    """
    times = np.asarray(timestamps_us, dtype=np.int64)
    if rate_hz is None:
        return np.arange(len(times))
    # The last wanted moment may lie behind the last frame by half of what lies between two of them.
    reach_us = times[-1] - times[0] + (0.5 * np.median(np.diff(times)) if len(times) > 1 else 0.0)
    wanted = times[0] + np.arange(int(reach_us * 1e-6 * rate_hz) + 1) * (1e6 / rate_hz)
    return np.unique(nearest_indices(times, wanted))


def nearest_indices(sorted_times: IntArray, wanted: IntArray | FloatArray) -> IntArray:
    """For each wanted time the index of the nearest one; of two as near the earlier."""
    after = np.searchsorted(sorted_times, wanted).clip(1, max(1, len(sorted_times) - 1))
    before = after - 1
    if len(sorted_times) == 1:
        return np.zeros(len(wanted), dtype=np.int64)
    nearer = np.abs(sorted_times[after] - wanted) < np.abs(wanted - sorted_times[before])
    indices: IntArray = np.where(nearer, after, before)
    return indices


def recordings_of_key_frames(recorded_us: IntArray, key_us: IntArray) -> dict[int, int]:
    """The key frame of each recording that is one's: index of the recording to index of the key frame.

    A recording and a key frame belong together where each is the nearest of the other.
    """
    if not len(recorded_us):
        return {}
    of_key = nearest_indices(recorded_us, key_us)
    of_recording = nearest_indices(key_us, recorded_us)
    return {
        int(recording): key
        for key, recording in enumerate(of_key.tolist())
        if of_recording[recording] == key and abs(int(recorded_us[recording]) - int(key_us[key])) <= _FARTHEST_US
    }
