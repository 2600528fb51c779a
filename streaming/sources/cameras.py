"""Cameras as OpenCV opens them: devices by number or path, streams by address. The rig stands still."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from scenes import Camera, InputError, Taxonomy
from scenes.conversion.folder import CAMERA_AXES, CameraSettings, lens_of, mounting, read_calibration
from scenes.conversion.lens import Lens
from streaming.channel import Channel
from streaming.events import Event, RgbImage, Shot, Start, Tick
from streaming.journal import Journal

_RETRY_S: Final = 1.0
_SCENE: Final = "cameras"
"""All runs of a rig are one scene: a restart goes on in it."""
_TICK_S: Final = 0.05
_WAITING_IMAGES: Final = 16


@dataclass(frozen=True, eq=False)
class LiveCamera:
    """One camera: how OpenCV opens it, and how it is calibrated."""

    name: str
    address: str
    lens: Lens
    ego_from_camera: np.ndarray[Any, Any]

    def at(self, time_us: int) -> Camera:
        """The camera as it takes an image."""
        intrinsic, size_px = self.lens.intrinsic, self.lens.size_px
        return Camera(self.name, time_us, Path(self.name), size_px, intrinsic, self.ego_from_camera, np.eye(4))


def open_capture(address: str) -> Any:
    """OpenCV's capture of a device's number or path, or of a stream's address."""
    return cv2.VideoCapture(int(address) if address.isdigit() else address)


@dataclass(frozen=True)
class CameraSource:
    """Cameras, each read by a thread of its own. One that dies is opened again until it comes back.

    Times are those at which images are there, so that no clock of a camera can jump.

    Attributes:
        name: the calibration file.
        cameras: of the rig.
        journal: told when a camera dies or comes back.
        capture: gives a capture of an address, as `open_capture` does.
    """

    name: str
    cameras: tuple[LiveCamera, ...]
    journal: Journal = field(repr=False)
    capture: Callable[[str], Any] = open_capture
    taxonomy: Taxonomy | None = None
    is_live: bool = True

    @classmethod
    def open(cls, path: Path, journal: Journal, capture: Callable[[str], Any] = open_capture) -> CameraSource:
        """The cameras of a calibration file, in which `images` says what OpenCV opens.

        Raises:
            InputError: the file cannot be used, or none of its cameras gives an image.
        """
        settings = read_calibration(path).cameras
        cameras = []
        for name, camera in settings.items():
            where = f"{path}: camera {name}"
            cameras.append(_live_camera(name, camera, where))
        found = cls(str(path), tuple(cameras), journal, capture)
        found._check_that_one_lives()
        return found

    def _check_that_one_lives(self) -> None:
        for camera in self.cameras:
            stream = _Stream(self.capture, camera.address)
            alive = stream.read() is not None
            stream.release()
            if alive:
                return
        names = ", ".join(f"{camera.name} ({camera.address})" for camera in self.cameras)
        raise InputError(f"{self.name}: no camera gives an image: {names}")

    def events(self, stopped: threading.Event) -> Iterator[Event]:
        yield Start(_SCENE, tuple(camera.at(0) for camera in self.cameras))
        taken: Channel[Shot] = Channel(_WAITING_IMAGES, waits=False)
        clock = _Clock()
        threads = [
            threading.Thread(target=self._watch, args=(camera, taken, clock, stopped), daemon=True)
            for camera in self.cameras
        ]
        for thread in threads:
            thread.start()
        while not stopped.is_set():
            yield taken.take(_TICK_S) or Tick(clock.now_us())

    def _watch(self, camera: LiveCamera, taken: Channel[Shot], clock: _Clock, stopped: threading.Event) -> None:
        """Read a camera until the run stops."""
        died = False
        while not stopped.is_set():
            stream = _Stream(self.capture, camera.address)
            while not stopped.is_set() and (image := stream.read()) is not None:
                if died:
                    self.journal.note(camera.name, "delivers again")
                died = False
                taken.put(self._shot(camera, image, clock.now_us()))
            stream.release()
            if not died and not stopped.is_set():
                text = f"{camera.address} gives no image{stream.complaint}; it is opened again every {_RETRY_S:g} s"
                self.journal.fault("camera dead", camera.name, text)
            died = True
            stopped.wait(_RETRY_S)

    def _shot(self, camera: LiveCamera, image: Any, time_us: int) -> Shot:
        return Shot(camera.at(time_us), time_us, lambda: _pixels(image, camera))


class _Stream:
    """A capture that gives no image instead of raising an error.

    Args:
        capture, address: see `CameraSource`.

    Attributes:
        complaint: what it raised first, in brackets; empty where it raised nothing.
    """

    def __init__(self, capture: Callable[[str], Any], address: str) -> None:
        self.complaint = ""
        self._stream = self._tried(lambda: capture(address))

    def read(self) -> Any:
        """The next image, (H, W, 3) uint8 BGR; None where there is none."""
        return self._tried(self._read)

    def release(self) -> None:
        if self._stream is not None:
            self._tried(self._stream.release)

    def _read(self) -> Any:
        if self._stream is None or not self._stream.isOpened():
            return None
        is_read, image = self._stream.read()
        return image if is_read else None

    def _tried(self, do: Callable[[], Any]) -> Any:
        try:
            return do()
        except Exception as error:  # what drivers and decoders raise is their own
            self.complaint = self.complaint or f" ({' '.join(str(error).split()) or type(error).__name__})"
            return None


class _Clock:
    """Microseconds since 1970 at the start of the run, and steadily from there."""

    def __init__(self) -> None:
        self._start_us = time.time_ns() // 1000 - time.monotonic_ns() // 1000

    def now_us(self) -> int:
        return self._start_us + time.monotonic_ns() // 1000


def _live_camera(name: str, settings: CameraSettings, where: str) -> LiveCamera:
    if settings.size is None:
        raise InputError(f"{where}: a live camera needs the size of its images")
    lens = lens_of(settings, settings.size, where)
    return LiveCamera(name, settings.images, lens, mounting(settings, CAMERA_AXES, where))


def _pixels(image: Any, camera: LiveCamera) -> RgbImage:
    if image.shape[1::-1] != camera.lens.size_px:
        found, expected = ("{}x{}".format(*size) for size in (image.shape[1::-1], camera.lens.size_px))
        raise InputError(f"{camera.name}: {found} pixels, where the calibration is of {expected}")
    pixels = camera.lens.undistort(image) if camera.lens.coefficients else image
    return np.ascontiguousarray(pixels[..., ::-1])
