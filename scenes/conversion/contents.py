"""What the file of a recording will hold: an image or a point cloud of the source, checked as it is placed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from scenes.errors import InputError, shown
from scenes.image_size import image_size_px

_JPEG_QUALITY = 95

PointArray = NDArray[np.float32]
"""(P, 5) points as in nuScenes' files: x, y, z in the sensor's frame, intensity 0 to 255, ring."""


class Content(Protocol):
    """What a recording's file will hold."""

    @property
    def suffix(self) -> str:
        """Of the file's name, with the dot."""

    def place(self, path: Path, link: bool) -> None:
        """Write the file, or link to the source's where that is the same.

        Raises:
            InputError: the source's file is missing or cannot be used.
        """


@dataclass(frozen=True)
class Absent:
    """A recording whose file the source does not hold: the tables name where it would lie."""

    suffix: str

    def place(self, path: Path, link: bool) -> None:
        """Write nothing."""


@dataclass(frozen=True)
class ImageFile:
    """An image of the source, taken as it is.

    Attributes:
        path: of the source's file.
        size_px: width and height that it must have.
    """

    path: Path
    size_px: tuple[int, int] | None

    @property
    def suffix(self) -> str:
        return self.path.suffix.lower()

    def place(self, path: Path, link: bool) -> None:
        size_px = image_size_px(self.path)
        if self.size_px and size_px != self.size_px:
            found, expected = ("{}x{}".format(*size) for size in (size_px, self.size_px))
            raise InputError(f"{self.path}: {found} pixels, where the camera has {expected}")
        check_end_of_image(self.path)
        place_file(self.path, path, link)


@dataclass(frozen=True)
class PlainFile:
    """Any file of the source, taken as it is."""

    path: Path

    @property
    def suffix(self) -> str:
        return ".pcd.bin" if self.path.name.endswith(".pcd.bin") else self.path.suffix

    def place(self, path: Path, link: bool) -> None:
        place_file(self.path, path, link)


@dataclass(frozen=True)
class DecodedImage:
    """An image that is no file of its own, or has to be changed: it is written as JPEG.

    Attributes:
        read: gives its pixels (H, W, 3) in the order blue, green, red.
        size_px: width and height that it must have.
        where: file and record that it comes from.
    """

    read: Callable[[], NDArray[np.uint8]]
    size_px: tuple[int, int]
    where: str
    suffix: str = ".jpg"

    def place(self, path: Path, link: bool) -> None:
        image = self.read()
        if image.shape[1::-1] != self.size_px:
            found, expected = ("{}x{}".format(*size) for size in (image.shape[1::-1], self.size_px))
            raise InputError(f"{self.where}: {found} pixels, where the camera has {expected}")
        _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(encoded.tobytes())


class PointCloud:
    """A point cloud of the source, written as nuScenes has them."""

    suffix = ".pcd.bin"

    def points(self) -> PointArray:
        """The points in the sensor's frame.

        Raises:
            InputError: they are missing or cannot be used.
        """
        raise NotImplementedError

    def place(self, path: Path, link: bool) -> None:
        write_points(path, self.points())


@dataclass(frozen=True)
class PointFile(PointCloud):
    """A point cloud in a file.

    Attributes:
        path: of the source's file.
        read: gives its points.
    """

    path: Path
    read: Callable[[Path], PointArray]

    def points(self) -> PointArray:
        if not self.path.is_file():
            raise InputError(f"{self.path}: no such file")
        points = self.read(self.path)
        if not np.isfinite(points[:, :3]).all():
            raise InputError(f"{self.path}: point {int(np.argmin(np.isfinite(points[:, :3]).all(axis=1)))} is no point")
        return points


def write_points(path: Path, points: PointArray) -> None:
    """Write points as nuScenes' files hold them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(np.ascontiguousarray(points, dtype="<f4").tobytes())


def place_file(source: Path, path: Path, link: bool) -> None:
    """Link to a file of the source, or copy it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # of a run that was stopped
    if link:
        path.symlink_to(source.resolve())
    else:
        shutil.copyfile(source, path)


_ENDS = {b"\x89PNG": b"IEND\xaeB`\x82", b"\xff\xd8\xff": b"\xff\xd9"}
"""How the files of some image formats begin and end."""

_TAIL_BYTES = 65536
"""Cameras write more behind a JPEG image, seldom as much as this."""


def check_end_of_image(path: Path) -> None:
    """Refuse an image that was cut off, without decoding it.

    Raises:
        InputError: a PNG or JPEG image has no end.
    """
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        if not has_end(start, file.read()):
            raise InputError(f"{path}: the image is cut off")


def has_end(start: bytes, tail: bytes) -> bool:
    """Whether an image that begins like this ends as its format has it; images of other formats do.

    Args:
        start: the first bytes. tail: the last ones, `_TAIL_BYTES` of them where there are so many.
    """
    end = next((end for begin, end in _ENDS.items() if start.startswith(begin)), b"")
    return end in tail


def path_below(root: Path, name: str, where: str) -> Path:
    """The path of a file that some file of the source names.

    Args:
        root: the folder that the name must lie below.
        where: file and record that name it.

    Raises:
        InputError: it lies elsewhere.
    """
    if not name or "\0" in name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise InputError(f"{where}: {shown(name)} is no path below {root}")
    return root / name
