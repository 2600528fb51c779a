"""Whether a detector's query identities are worth listening to, learned from the tracks that it has made so far.

Motion alone continues most tracks. Where the boxes of a continued track seldom share their query, a query that does
come back is more likely another object's than the track's own: then identities are left alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from scenes import NO_QUERY
from tracking.association import IndexArray

_PRIOR_KEPT: Final = 8.0
_PRIOR_CHANGED: Final = 2.0
_LEAST_KEPT: Final = 0.5


@dataclass(frozen=True)
class IdentityTrust:
    """How often continued tracks kept their query, and how often it changed; counts, with what is assumed at first."""

    kept: float = _PRIOR_KEPT
    changed: float = _PRIOR_CHANGED

    @property
    def deserved(self) -> bool:
        """Whether queries stay with their objects often enough to be listened to."""
        return self.kept >= _LEAST_KEPT * (self.kept + self.changed)

    def after(self, tracks_query: IndexArray, boxes_query: IndexArray) -> IdentityTrust:
        """With one more frame.

        Args:
            tracks_query: (P,) queries of the tracks that were continued, `NO_QUERY` without one.
            boxes_query: (P,) queries of the boxes that continued them.
        """
        known = (tracks_query != NO_QUERY) & (boxes_query != NO_QUERY)
        kept = int(np.count_nonzero(known & (tracks_query == boxes_query)))
        return IdentityTrust(self.kept + kept, self.changed + int(np.count_nonzero(known)) - kept)
