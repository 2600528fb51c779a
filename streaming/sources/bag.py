"""Plays a ROS bag, of ROS 1 and ROS 2, in MCAP too, without ROS: images in the order in which they were recorded."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from scenes import Camera, InputError, Taxonomy
from scenes.conversion.bag_topics import TopicMessages, header_of, image_pixels, open_bag
from scenes.conversion.rosbag import BagCamera, BagReader
from streaming.events import Event, RgbImage, Shot, Start
from streaming.journal import Journal


@dataclass(frozen=True)
class BagSource:
    """A bag.

    Attributes:
        name: its path.
        path: of it.
        reader: calibration and poses.
        cameras: by the topic of their images.
        journal: told of images that cannot be placed.
    """

    name: str
    path: Path
    reader: BagReader
    cameras: dict[str, BagCamera]
    journal: Journal = field(repr=False)
    taxonomy: Taxonomy | None = None
    is_live: bool = False

    @classmethod
    def open(cls, path: Path, journal: Journal) -> BagSource:
        """A bag, of which one image of each camera is looked at.

        Raises:
            InputError: it cannot be read, has no calibrated camera, or images of an encoding that is not known.
        """
        reader = BagReader(path, path.stem)
        cameras = {camera.topic: camera for camera in reader.cameras()}
        if not cameras:
            raise InputError(f"{path}: no images with a camera_info")
        for topic in cameras:
            messages = TopicMessages(path, topic)
            image_pixels(messages.message(0), f"{messages.where}, message 0")
        return cls(str(path), path, reader, cameras, journal)

    def events(self, stopped: threading.Event) -> Iterator[Event]:
        start_pose = np.eye(4)
        rig = tuple(_camera(camera, 0, start_pose) for camera in self.cameras.values())
        yield Start(self.path.stem, rig, self.reader.ego_from_lidar)
        with open_bag(self.path) as bag:
            connections = [connection for connection in bag.connections if connection.topic in self.cameras]
            # Images are decoded later, when the reader may be closed: it forgets the types then.
            types = bag.typestore
            decode = types.deserialize_cdr if bag.is2 else types.deserialize_ros1
            for connection, recorded_ns, raw in bag.messages(connections):
                if stopped.is_set():
                    return
                shot = self._shot(connection, recorded_ns // 1000, raw, bag.is2, decode)
                if shot is not None:
                    yield shot

    def _shot(
        self, connection: Any, recorded_us: int, raw: bytes, is2: bool, decode: Callable[[bytes, str], Any]
    ) -> Shot | None:
        camera = self.cameras[connection.topic]
        try:
            time_us, _ = header_of(raw, is2)
            pose = self.reader.global_from_ego(time_us, f"an image of {camera.topic}")
        except (InputError, struct.error, IndexError) as error:
            reason = str(error) if isinstance(error, InputError) else "a message without a header"
            self.journal.fault("no pose", camera.channel, f"{reason}; the image is left out")
            return None
        where = f"{self.path}: {camera.topic} at {time_us * 1e-6:.3f} s"
        message = partial(decode, raw, connection.msgtype)
        return Shot(_camera(camera, time_us, pose), recorded_us, partial(_pixels, message, camera, where))


def _camera(camera: BagCamera, time_us: int, global_from_ego: np.ndarray[Any, Any]) -> Camera:
    return Camera(
        camera.channel,
        time_us,
        Path(camera.topic),
        camera.size_px,
        camera.intrinsic,
        camera.ego_from_camera,
        global_from_ego,
    )


def _pixels(decode: Callable[[], Any], camera: BagCamera, where: str) -> RgbImage:
    try:
        message = decode()
    except Exception as error:  # what the readers of broken messages raise is their own
        raise InputError(f"{where}: cannot be decoded: {' '.join(str(error).split())}") from None
    image = image_pixels(message, where)
    if image.shape[1::-1] != camera.size_px:
        found, expected = ("{}x{}".format(*size) for size in (image.shape[1::-1], camera.size_px))
        raise InputError(f"{where}: {found} pixels, where the camera has {expected}")
    if camera.undistort is not None:
        image = camera.undistort.undistort(image)
    return np.ascontiguousarray(image[..., ::-1])
