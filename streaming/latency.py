"""How long the stages take: histograms that do not grow, and a table of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

_SHORTEST_S: Final = 1e-6
_LONGEST_S: Final = 1e4
_STEP: Final = 1.02
"""Neighbouring bins differ by this factor, so that a percentile is right to two percent."""
_BINS: Final = math.ceil(math.log(_LONGEST_S / _SHORTEST_S) / math.log(_STEP)) + 1


class Durations:
    """Durations, counted in bins."""

    def __init__(self) -> None:
        self._counts = np.zeros(_BINS, dtype=np.int64)
        self._longest_s = 0.0

    def __len__(self) -> int:
        return int(self._counts.sum())

    def add(self, seconds: float) -> None:
        """Count one."""
        bounded = min(max(seconds, _SHORTEST_S), _LONGEST_S)
        self._counts[int(math.log(bounded / _SHORTEST_S) / math.log(_STEP))] += 1
        self._longest_s = max(self._longest_s, seconds)

    def percentile(self, percent: float) -> float:
        """Seconds within which so many of them lie; NaN where there are none."""
        total = len(self)
        if not total:
            return math.nan
        rank = max(1, math.ceil(total * percent / 100))
        bin_ = int(np.searchsorted(np.cumsum(self._counts), rank))
        return float(min(_SHORTEST_S * _STEP ** (bin_ + 0.5), self._longest_s))


@dataclass
class StageStatistics:
    """What one stage did.

    Attributes:
        durations: of its work, step by step.
        dropped: steps that waited for it and had to make place for newer ones.
    """

    durations: Durations = field(default_factory=Durations)
    dropped: int = 0


@dataclass(frozen=True)
class Statistics:
    """What a run did.

    Attributes:
        stages: in the order of the work; `whole` is the time from a step's last image to its publication.
        faults: numbers by kind.
    """

    stages: Mapping[str, StageStatistics]
    faults: Mapping[str, int]

    def rows(self) -> list[tuple[str, str, str, str, str, str]]:
        """Stage, steps, p50, p95, p99 in milliseconds, steps dropped before it."""
        return [
            (
                name,
                str(len(stage.durations)),
                *(f"{1e3 * stage.durations.percentile(percent):.1f}" for percent in (50, 95, 99)),
                str(stage.dropped) if name != WHOLE else str(self.dropped),
            )  # type: ignore[misc]
            for name, stage in self.stages.items()
        ]

    @property
    def dropped(self) -> int:
        """Steps that were dropped anywhere."""
        return sum(stage.dropped for stage in self.stages.values())


WHOLE: Final = "whole"
