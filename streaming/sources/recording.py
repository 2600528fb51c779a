"""Plays a recording of one's own: a folder with a video or a folder of images a camera, and `calibration.yaml`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from detection.data.image_reading import read_image
from scenes import Camera, InputError, Taxonomy
from scenes.conversion.contents import Content, DecodedImage, ImageFile
from scenes.conversion.drive import Drive, Recording, Sensor
from scenes.conversion.folder import FolderSource
from streaming.events import Event, RgbImage, Shot, Start


@dataclass(frozen=True)
class RecordingSource:
    """A drive of a folder, image by image in the order of their times.

    Attributes:
        name: the folder.
        drive: what it holds.
    """

    name: str
    drive: Drive
    taxonomy: Taxonomy | None = None
    is_live: bool = False

    @classmethod
    def open(cls, path: Path) -> RecordingSource:
        """The recording in a folder.

        Raises:
            InputError: it holds several, or cannot be read.
        """
        source = FolderSource(path)
        names = source.drives()
        if len(names) > 1:
            raise InputError(f"{path}: holds {len(names)} recordings, such as {path / names[0]}: name one of them")
        return cls(str(path), source.read(names[0]))

    def events(self, stopped: threading.Event) -> Iterator[Event]:
        cameras = [sensor for sensor in self.drive.sensors if sensor.modality == "camera"]
        lidar = next((sensor for sensor in self.drive.sensors if sensor.modality == "lidar"), None)
        rig = tuple(_camera(sensor, sensor.recordings[0]) for sensor in cameras)
        yield Start(self.drive.name, rig, None if lidar is None else lidar.ego_from_sensor)
        recorded = [
            (recording.timestamp_us, sensor, recording) for sensor in cameras for recording in sensor.recordings
        ]
        for time_us, sensor, recording in sorted(recorded, key=lambda entry: entry[0]):
            if stopped.is_set():
                return
            yield Shot(_camera(sensor, recording), time_us, partial(_pixels, recording.content))


def _camera(sensor: Sensor, recording: Recording) -> Camera:
    assert sensor.intrinsic is not None  # of a camera
    return Camera(
        sensor.channel,
        recording.timestamp_us,
        Path(sensor.channel),
        sensor.size_px,
        sensor.intrinsic,
        sensor.ego_from_sensor,
        recording.global_from_ego,
    )


def _pixels(content: Content) -> RgbImage:
    if isinstance(content, ImageFile):
        return read_image(content.path)
    assert isinstance(content, DecodedImage)  # the other content of a camera
    return np.ascontiguousarray(content.read()[..., ::-1])
