"""`StreamClock`: times of one camera that go on steadily where its own clock jumps."""

from __future__ import annotations

from typing import Final

from streaming.journal import Journal

JUMP_US: Final = 1_000_000
"""Clocks that differ by more than this from what has passed have jumped; by less, an image was late."""


class StreamClock:
    """Puts the stamps of one clock in line with the time that passes.

    What passes is told by arrivals, whose clock never jumps. The least delay so far between a stamp and its arrival is
    what the way from the camera takes. A stamp ahead of that by more than a second comes from a clock that was set
    forward. One that lies more than a second before the last is late, or comes from a clock that was set back: the next
    one tells.

    Args:
        who: whose clock it is, for the journal.
        journal: told of jumps.
    """

    def __init__(self, who: str, journal: Journal) -> None:
        self._who = who
        self._journal = journal
        self._offset_us = 0
        self._least_delay_us: int | None = None
        self._last_us = 0
        self._suspect_us: int | None = None

    def at(self, stamp_us: int, arrival_us: int) -> int | None:
        """The steady time of a stamp; None for one that is too old to be of use."""
        delay_us = arrival_us - stamp_us
        if self._least_delay_us is None:
            self._least_delay_us = delay_us
        elif delay_us < self._least_delay_us - JUMP_US:
            self._jump(self._least_delay_us - delay_us)
        elif stamp_us < self._last_us - JUMP_US:
            is_new_clock = self._suspect_us is not None and stamp_us > self._suspect_us
            self._suspect_us = stamp_us
            if not is_new_clock:
                return None
            self._jump(self._least_delay_us - delay_us)
        self._suspect_us = None
        self._least_delay_us = min(self._least_delay_us, delay_us)
        self._last_us = stamp_us
        return stamp_us + self._offset_us

    def _jump(self, ahead_us: int) -> None:
        assert self._least_delay_us is not None
        self._offset_us -= ahead_us
        self._least_delay_us -= ahead_us
        text = f"the clock jumps by {ahead_us * 1e-6:+.3f} s; times go on by when images arrive"
        self._journal.fault("clock jump", self._who, text)
