"""What sources deliver, one event after the other: the cameras of a scene, their images, and the passing of time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scenes import Camera, Taxonomy
from scenes.geometry import FloatArray

RgbImage = NDArray[np.uint8]
"""(H, W, 3) uint8."""


@dataclass(frozen=True, eq=False)
class Start:
    """A scene begins: whatever was remembered of the one before is of no use in it.

    Attributes:
        scene: its token.
        cameras: of the rig, with their calibration; images and poses in them mean nothing.
        ego_from_lidar: (4, 4) mounting of the lidar, in whose frame detectors of the data root think; None without one.
    """

    scene: str
    cameras: tuple[Camera, ...]
    ego_from_lidar: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class Moment:
    """The key frame of a data root that an image belongs to."""

    token: str
    timestamp_us: int
    global_from_ego: FloatArray


@dataclass(frozen=True, eq=False)
class Shot:
    """One image of one camera.

    Attributes:
        camera: calibration, time of exposure by the camera's own clock, and ego pose at that time.
        arrival_us: when it was there, by a clock that never jumps; of a recording the time at which it was recorded.
        read: gives its pixels; raises InputError where they are missing or broken.
        moment: the key frame that it belongs to; None where images are put together by their times.
    """

    camera: Camera
    arrival_us: int
    read: Callable[[], RgbImage]
    moment: Moment | None = None


@dataclass(frozen=True)
class Tick:
    """Nothing has come, and time has passed."""

    arrival_us: int


Event = Start | Shot | Tick


class Source(Protocol):
    """Where images come from.

    Attributes:
        name: for messages.
        taxonomy: the classes of its data; None where it has none of its own.
        is_live: whether its images come when they are taken. Others are played, and can be read again from the start.
    """

    @property
    def name(self) -> str: ...
    @property
    def taxonomy(self) -> Taxonomy | None: ...
    @property
    def is_live(self) -> bool: ...

    def events(self, stopped: threading.Event) -> Iterator[Event]:
        """The events in the order of their arrival, from the start; a `Start` comes first. Ends when `stopped` is set.

        Raises:
            InputError: nothing can be read any more.
        """
