"""What a timestamp counts: microseconds since 1970, or what people write instead."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Final

import numpy as np

from scenes.geometry import FloatArray

MICROSECOND_S: Final = 1e-6

UNITS: Final = {1e-6: "microseconds", 1e-9: "nanoseconds", 1e-3: "milliseconds", 1.0: "seconds"}
"""Names of ticks. Microseconds come first: what can be them, is."""

_EARLIEST_S: Final = 946_684_800.0  # the year 2000
_LATEST_S: Final = 4_102_444_800.0  # the year 2100
_SURE_BELOW_S: Final = 1e-4
"""Dates in micro- or nanoseconds are numbers that nothing else comes to; those in larger units may be nanoseconds since
the recording began."""
_SHORTEST_STEP_S: Final = 2e-3  # no camera or lidar of a vehicle gives five hundred frames a second
_LONGEST_STEP_S: Final = 10.0  # nothing can be followed from a frame to the next


def tick_s(stamps: FloatArray, groups: Sequence[Hashable] | None = None) -> float:
    """How long one step of timestamps lasts: the unit in which they are dates of this century, if there is one.

    Times that do not count from 1970 are judged by their steps: between frames of a recording lie milliseconds to
    seconds. Where nothing fits, microseconds are assumed.

    Args:
        stamps: (N,) timestamps, NaN where there is none.
        groups: N keys of what was recorded in one go, in any order; None for times that are no series.
    """
    known = stamps[np.isfinite(stamps)]
    if not len(known):
        return MICROSECOND_S
    middle = float(np.median(known))
    step = None if groups is None else _median_step(stamps, groups)
    for tick in UNITS:
        is_date = _EARLIEST_S <= middle * tick <= _LATEST_S
        if is_date and (tick < _SURE_BELOW_S or step is None or _is_step(step * tick)):
            return tick
    return next((tick for tick in UNITS if step is not None and _is_step(step * tick)), MICROSECOND_S)


def _is_step(seconds: float) -> bool:
    """Whether that may lie between two frames of a recording."""
    return _SHORTEST_STEP_S <= seconds <= _LONGEST_STEP_S


def _median_step(stamps: FloatArray, groups: Sequence[Hashable]) -> float | None:
    """The median step from one timestamp to the next of its group; None where there is none."""
    of_group: dict[Hashable, list[float]] = {}
    for key, stamp in zip(groups, stamps.tolist(), strict=True):
        of_group.setdefault(key, []).append(stamp)
    steps = np.concatenate([[], *(np.diff(np.sort(times)) for times in of_group.values())])
    steps = steps[steps > 0]  # NaN is not
    return float(np.median(steps)) if len(steps) else None
