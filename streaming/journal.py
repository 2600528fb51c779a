"""`Journal`: what goes wrong in a run, said in the log as it happens, and counted."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from typing import Final

_logger = logging.getLogger("streaming")

_KEPT_LINES: Final = 200
_QUIET_S: Final = 1.0


class Journal:
    """Faults by kind and by whom they concern.

    The first of a kind is said at once; more of them within a second are counted, and told with the next. Every thread
    may write.

    Attributes:
        is_muted: whether nothing is said or counted: what is read again has been said before.
        counts: faults by kind.
        lines: the last things said, the newest at the end.
    """

    def __init__(self) -> None:
        self.is_muted = False
        self.counts: Counter[str] = Counter()
        self.lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._said_s: dict[tuple[str, str], float] = {}
        self._unsaid: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def fault(self, kind: str, who: str, text: str) -> None:
        """Something is wrong and the run goes on.

        Args:
            kind: by which faults are counted.
            who: a camera, a stage, the clock.
            text: what is wrong and what is done about it.
        """
        if self.is_muted:
            return
        key, now_s = (kind, who), time.monotonic()
        with self._lock:
            self.counts[kind] += 1
            if now_s - self._said_s.get(key, -_QUIET_S) < _QUIET_S:
                self._unsaid[key] += 1
                return
            self._said_s[key] = now_s
            more = self._unsaid.pop(key, 0)
            line = f"{who}: {text}" + (f" (and {more} more before)" if more else "")
            self.lines.append(line)
        _logger.warning("%s", line)

    def note(self, who: str, text: str) -> None:
        """Something worth knowing that is no fault."""
        with self._lock:
            self.lines.append(f"{who}: {text}")
        _logger.info("%s: %s", who, text)
