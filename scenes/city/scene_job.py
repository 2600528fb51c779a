"""What a scene is to become, and what its sensors take when."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from scenes.city.nuscenes_rows import LIDAR_CHANNEL
from scenes.city.sensors.rig import CAMERAS
from scenes.city.town import TOWNS
from scenes.geometry import FloatArray
from scenes.new_rows import token_of

_EPOCH_US: Final = 1_700_000_000_000_000
_SCENE_INTERVAL_US: Final = 60_000_000
_EXPOSURE_US: Final = {LIDAR_CHANNEL: 0, **{mount.channel: round(1e3 * mount.exposure_ms) for mount in CAMERAS}}


@dataclass(frozen=True)
class SceneJob:
    """What a scene is to become.

    Attributes:
        seed: of the city.
        index: number of the scene, from 0.
        frames: key frames.
        width_px, height_px: of the images.
        root: data root to write images and sweeps to.
        images: whether to write them at all.
        mix: name of the mix, see `MIXES`.
        slope: how steep its ground may be, metres for a metre; None for what the mix says.
        sweeps: images and lidar sweeps of each sensor between two key frames.
    """

    seed: int
    index: int
    frames: int
    width_px: int
    height_px: int
    root: Path
    images: bool
    mix: str = "natural"
    slope: float | None = None
    sweeps: int = 0

    @property
    def name(self) -> str:
        return f"city-{self.index + 1:04d}"

    @property
    def town(self) -> int:
        return self.index % TOWNS

    @property
    def log_name(self) -> str:
        return f"{self.name}-log"

    def token(self, *name: object) -> str:
        """A token of this scene."""
        return token_of(self.seed, self.name, *name)


@dataclass(frozen=True)
class Capture:
    """One image or lidar sweep.

    Attributes:
        frame: key frame that it belongs to: its own, or the one that follows.
        number: 0 of a key frame, else its place among those since the last one, from 1.
        timestamp_us: when it was taken.
        time_s: the same, after the first key frame.
        filename: from the data root.
    """

    frame: int
    number: int
    timestamp_us: int
    time_s: float
    filename: str

    @property
    def is_key_frame(self) -> bool:
        return self.number == 0

    @property
    def name(self) -> tuple[int, ...]:
        """What its token says of it."""
        return (self.frame,) if self.is_key_frame else (self.frame, self.number)


class Timetable:
    """When the sensors of a scene take what.

    Attributes:
        times_s: (frames,) of the key frames, after the first.
        timestamps_us: of the key frames.
    """

    def __init__(self, job: SceneJob, times_s: FloatArray) -> None:
        self._job = job
        self._start_us = _EPOCH_US + job.index * _SCENE_INTERVAL_US
        self.times_s = times_s
        self.timestamps_us = [self._start_us + round(1e6 * time_s) for time_s in times_s.tolist()]

    def captures(self, channel: str) -> list[Capture]:
        """What a sensor takes, in the order of time."""
        captures = []
        for frame, timestamp_us in enumerate(self.timestamps_us):
            if frame:
                steps = np.linspace(self.timestamps_us[frame - 1], timestamp_us, self._job.sweeps + 2)
                between = steps[1:-1].round().astype(int).tolist()
                captures += [self._capture(channel, frame, k, time_us) for k, time_us in enumerate(between, start=1)]
            captures.append(self._capture(channel, frame, 0, timestamp_us))
        return captures

    def _capture(self, channel: str, frame: int, number: int, timestamp_us: int) -> Capture:
        """That of a sensor at a time, which it anticipates by its exposure."""
        taken_us = timestamp_us + _EXPOSURE_US[channel]
        folder = "sweeps" if number else "samples"
        suffix = "pcd.bin" if channel == LIDAR_CHANNEL else "jpg"
        filename = f"{folder}/{channel}/{self._job.log_name}__{channel}__{taken_us}.{suffix}"
        return Capture(frame, number, taken_us, 1e-6 * (taken_us - self._start_us), filename)
