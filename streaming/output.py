"""`TrackedStep`: what the pipeline hands to its sinks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from scenes import Boxes3D, Frame
from streaming.events import RgbImage


@dataclass(frozen=True, eq=False)
class TrackedStep:
    """The objects after one step.

    Attributes:
        scene: its token.
        frame: time, pose and cameras of the step.
        images: by camera, those that came and could be read.
        seen: tracked objects in global coordinates, with `track_id`, where they are in the images.
        boxes: the same where they are at `at_us`.
        at_us: the moment of output, on the clock of the frames.
        latency_s: from the step's last image to the end of tracking.
    """

    scene: str
    frame: Frame
    images: Mapping[str, RgbImage]
    seen: Boxes3D
    boxes: Boxes3D
    at_us: int
    latency_s: float


class Sink(Protocol):
    """Takes the steps one after the other."""

    def publish(self, step: TrackedStep) -> None:
        """Hand on a step.

        Raises:
            OSError: it cannot be written.
        """

    def close(self) -> None:
        """Finish what was begun; called once, however the run ends."""
