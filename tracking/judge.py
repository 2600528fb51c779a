"""What judges tracks: this room makes them, and is told by its caller what they are worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from scenes import Results, Scene


class Judgement(Protocol):
    """The official metrics of tracks, as `evaluation.Evaluation` holds them."""

    @property
    def summary(self) -> Mapping[str, Any]:
        """Metrics by the names of the devkit's `metrics_summary.json`: `amota`, `ids`, ..."""


Judge = Callable[[Results, list[Scene]], Judgement]
"""From tracks and annotated scenes to the metrics, such as `evaluation.tracking.tracking_metrics`."""
