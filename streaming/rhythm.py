"""`Rhythm`: how far steps are apart, and when in a step each camera usually takes its image."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Final

import numpy as np

_SHARE: Final = 0.125
"""How much a step counts in what is usual."""

_MUCH_LARGER: Final = 1.5
"""A pause between cameras that is so much longer than the one between steps is where steps should begin."""


class Rhythm:
    """Tells to which step an image belongs, by its time, from the steps that were put together before.

    Cameras of a rig expose one after the other, in the same order each time. An image that is there when another one is
    missing must not take the place of that one: all steps after it would be of two moments.
    """

    def __init__(self) -> None:
        self._phase_us: dict[str, float] = {}
        self._origin_us: float | None = None
        self.gap_us = 0.0
        """Between steps, as usual; 0 before there were two."""

    def steps_after(self, name: str, time_us: int, step_us: Mapping[str, int] | None = None) -> int | None:
        """How many steps after a step a camera takes an image at a time.

        Args:
            name: of the camera.
            time_us: of the image.
            step_us: times of the images of that step; None for the one learned from last.

        Returns:
            0 for an image of that step; None where it cannot be told yet.
        """
        origin_us = self._origin_us if step_us is None else self._origin(step_us)
        if not self.gap_us or origin_us is None or name not in self._phase_us:
            return None
        return round((time_us - self._phase_us[name] - origin_us) / self.gap_us)

    def learn(self, times_us: Mapping[str, int]) -> None:
        """Learn from the times of a step's images."""
        origin_us = self._origin(times_us)
        if origin_us is None:
            origin_us = min(times_us.values())
        if self._origin_us is not None:
            self._learn_gap(origin_us - self._origin_us)
        self._origin_us = origin_us
        for name, time_us in times_us.items():
            phase_us = self._phase_us.setdefault(name, time_us - origin_us)
            self._phase_us[name] += _SHARE * (time_us - origin_us - phase_us)
        self._begin_steps_after_the_longest_pause()

    def forget(self, name: str) -> None:
        """Forget when a camera takes its images."""
        self._phase_us.pop(name, None)

    def _origin(self, times_us: Mapping[str, int]) -> float | None:
        known = [time_us - self._phase_us[name] for name, time_us in times_us.items() if name in self._phase_us]
        return float(np.median(known)) if known else None

    def _learn_gap(self, gap_us: float) -> None:
        if gap_us <= 0:
            return
        if not self.gap_us:
            self.gap_us = gap_us
        # A pause, or two steps in one time, is not the rule, unless it goes on.
        self.gap_us += _SHARE * (min(max(gap_us, 0.5 * self.gap_us), 2.0 * self.gap_us) - self.gap_us)

    def _begin_steps_after_the_longest_pause(self) -> None:
        """A stream may begin in the middle of a round of the cameras."""
        phases_us = sorted(self._phase_us.values())
        if not self.gap_us or len(phases_us) < 2:
            return
        between_steps_us = self.gap_us - (phases_us[-1] - phases_us[0])
        longest_us, last_us = max((after - before, before) for before, after in pairwise(phases_us))
        if longest_us > _MUCH_LARGER * max(between_steps_us, 0.0):
            for name, phase_us in self._phase_us.items():
                if phase_us > last_us:
                    self._phase_us[name] -= self.gap_us
