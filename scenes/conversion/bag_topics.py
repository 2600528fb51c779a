"""Messages of a ROS bag, topic by topic in the order of the file; needs the extra `rosbag`."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from scenes.conversion.contents import PointArray, has_end
from scenes.errors import InputError

_COLORS: Final = {
    "bgr8": None,
    "8UC3": None,
    "rgb8": cv2.COLOR_RGB2BGR,
    "bgra8": cv2.COLOR_BGRA2BGR,
    "rgba8": cv2.COLOR_RGBA2BGR,
    "mono8": cv2.COLOR_GRAY2BGR,
    "8UC1": cv2.COLOR_GRAY2BGR,
    # OpenCV names a pattern by its second row.
    "bayer_rggb8": cv2.COLOR_BayerBG2BGR,
    "bayer_bggr8": cv2.COLOR_BayerRG2BGR,
    "bayer_gbrg8": cv2.COLOR_BayerGR2BGR,
    "bayer_grbg8": cv2.COLOR_BayerGB2BGR,
}
_CHANNELS: Final = {"bgr8": 3, "8UC3": 3, "rgb8": 3, "bgra8": 4, "rgba8": 4}
_FIELD_TYPES: Final = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}


@contextmanager
def open_bag(path: Path) -> Iterator[Any]:
    """The reader of a bag: ROS 1 (.bag), ROS 2 (a folder, .db3, .mcap).

    Raises:
        InputError: it is cut off, or no bag.
        ModuleNotFoundError: rosbags is not installed.
    """
    from rosbags.highlevel import AnyReader
    from rosbags.typesys import Stores, get_typestore

    try:
        with AnyReader([path], default_typestore=get_typestore(Stores.ROS2_HUMBLE)) as reader:
            yield reader
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except Exception as error:  # broken bags end in exceptions of sqlite, lz4, zstd and the readers themselves
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: cannot be read as a bag (is it cut off?): {reason}") from None


def header_of(raw: bytes, is2: bool) -> tuple[int, str]:
    """Time in microseconds and frame of a message that begins with a header, without decoding the rest.

    Raises:
        struct.error: the message is too short.
    """
    if is2:
        order = "<" if raw[1] & 1 else ">"
        seconds, nanoseconds, length = struct.unpack_from(f"{order}iII", raw, 4)
        name = raw[16 : 16 + length].rstrip(b"\0")
    else:
        _, seconds, nanoseconds, length = struct.unpack_from("<IIII", raw, 0)
        name = raw[16 : 16 + length]
    return seconds * 1_000_000 + nanoseconds // 1000, name.decode("utf-8", "replace").lstrip("/")


class TopicMessages:
    """The messages of a topic, asked for in ascending order.

    Args:
        path: the bag. topic: its name.
    """

    def __init__(self, path: Path, topic: str) -> None:
        self._path = path
        self._topic = topic
        self._messages: Iterator[tuple[int, Any]] | None = None
        self._next = 0

    @property
    def where(self) -> str:
        """Bag and topic."""
        return f"{self._path}: {self._topic}"

    def message(self, index: int) -> Any:
        """The decoded message of a number.

        Raises:
            InputError: there is none, or it or the bag cannot be read.
        """
        if self._messages is None or index < self._next:
            self._messages, self._next = self._read(), 0
        for number, read in self._messages:
            self._next = number + 1
            if number == index:
                try:
                    return read()
                except Exception as error:  # what the readers of broken messages raise is their own
                    reason = " ".join(str(error).split())
                    raise InputError(f"{self.where}, message {index}: cannot be decoded: {reason}") from None
        raise InputError(f"{self.where}: no message {index}")

    def _read(self) -> Iterator[tuple[int, Any]]:
        with open_bag(self._path) as reader:
            connections = [connection for connection in reader.connections if connection.topic == self._topic]
            for number, (connection, _, raw) in enumerate(reader.messages(connections)):
                yield number, lambda raw=raw, kind=connection.msgtype: reader.deserialize(raw, kind)


def image_pixels(message: Any, where: str) -> NDArray[np.uint8]:
    """The pixels (H, W, 3), blue, green, red, of an Image or a CompressedImage.

    Raises:
        InputError: the encoding is not known, or the image is cut off.
    """
    data = np.asarray(message.data, dtype=np.uint8)
    if not hasattr(message, "encoding"):
        packed = data.tobytes()
        if not has_end(packed[:4], packed):
            raise InputError(f"{where}: the image is cut off")
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
        if image is None:
            raise InputError(f"{where}: an image of format {message.format!r} that cannot be decoded")
        return np.asarray(image, dtype=np.uint8)
    if message.encoding not in _COLORS:
        raise InputError(f"{where}: encoding {message.encoding!r} is none of {', '.join(_COLORS)}")
    channels = _CHANNELS.get(message.encoding, 1)
    if len(data) != message.height * message.step or message.step < message.width * channels:
        raise InputError(f"{where}: {len(data)} bytes are no image of {message.width}x{message.height} pixels")
    rows = data.reshape(message.height, message.step)[:, : message.width * channels]
    image = np.ascontiguousarray(rows.reshape(message.height, message.width, channels))
    color = _COLORS[message.encoding]
    return np.asarray(image if color is None else cv2.cvtColor(image, color), dtype=np.uint8)


def cloud_points(message: Any, where: str) -> PointArray:
    """The finite points of a PointCloud2.

    Raises:
        InputError: it has no x, y, z, or is cut off.
    """
    fields = {field.name: field for field in message.fields}
    if missing := [name for name in "xyz" if name not in fields]:
        raise InputError(f"{where}: points without {missing[0]}")
    try:
        layout = _point_layout(message, fields)
    except (KeyError, ValueError) as error:
        raise InputError(f"{where}: fields that no point of {message.point_step} bytes has: {error}") from None
    data = np.asarray(message.data, dtype=np.uint8).tobytes()
    if len(data) < message.height * message.row_step or message.row_step < message.width * message.point_step:
        raise InputError(f"{where}: {len(data)} bytes are no {message.height}x{message.width} points")
    rows = [np.frombuffer(data, layout, message.width, offset=row * message.row_step) for row in range(message.height)]
    table = np.concatenate(rows) if rows else np.zeros(0, layout)
    points = np.zeros((len(table), 5), dtype=np.float32)
    for column, name in enumerate(("x", "y", "z", "intensity", "ring")):
        if name in fields:
            points[:, column] = table[name]
    finite: PointArray = points[np.isfinite(points[:, :3]).all(axis=1)]
    return finite


def _point_layout(message: Any, fields: Mapping[str, Any]) -> np.dtype[Any]:
    """How the numbers of a point lie in its bytes."""
    order = ">" if message.is_bigendian else "<"
    names = [name for name in ("x", "y", "z", "intensity", "ring") if name in fields]
    return np.dtype(
        {
            "names": names,
            "formats": [order + _FIELD_TYPES[fields[name].datatype] for name in names],
            "offsets": [fields[name].offset for name in names],
            "itemsize": message.point_step,
        }
    )
