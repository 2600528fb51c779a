"""Reads image files of any kind as RGB."""

from __future__ import annotations

import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from scenes import InputError
from scenes.image_files import LARGEST_IMAGE_PIXELS, read_image_file

RgbImage = NDArray[np.uint8]
"""(H, W, 3) uint8."""

_MOST_OF_16_BITS: Final = 65535

_ORIENTATION: Final = 0x0112
_TURNED: Final = (5, 6, 7, 8)
"""Orientations by EXIF that exchange width and height."""

_BROKEN: Final = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    OverflowError,
    MemoryError,
    KeyError,
    IndexError,
    TypeError,
    struct.error,
    Image.DecompressionBombError,
)
"""How Pillow reports broken content, and a folder in place of a file."""


@dataclass(frozen=True, eq=False)
class ReadImage:
    """An image file, read.

    Attributes:
        pixels: (H, W, 3) uint8 RGB.
        divisor: how many times smaller than the file's its sides are, rounded up: 1, 2, 4 or 8.
        size_px: width and height of the file's.
    """

    pixels: RgbImage
    divisor: int
    size_px: tuple[int, int]


def read_image(path: Path, where: str | None = None) -> RgbImage:
    """An image file as (H, W, 3) uint8 RGB, see `read_reduced_image`.

    Args:
        path: file to read.
        where: what messages begin with; by default the path.

    Raises:
        InputError: no such file, no image, or a broken one.
    """
    return read_reduced_image(path, where).pixels


def read_reduced_image(path: Path, where: str | None = None, at_least: tuple[int, int] | None = None) -> ReadImage:
    """An image file as RGB, upright as its EXIF orientation says.

    Grey images get three equal channels, transparency is dropped, of 16 bits the upper 8 are kept, and of several
    pictures the first one. Pillow decodes about twice as fast as OpenCV here, and does not paint what is cut off grey.

    Args:
        path: file to read.
        where: what messages begin with; by default the path.
        at_least: height and width; of a JPEG file that is at least twice as large, the decoder computes a half, a
            quarter or an eighth of each side, in half of the time. None: all of it.

    Raises:
        InputError: no such file, no image, or a broken one.
    """
    where = where or str(path)
    try:
        return _decoded(read_image_file(path), at_least)
    except FileNotFoundError:
        raise InputError(f"{where}: is missing") from None
    except UnidentifiedImageError:
        raise InputError(f"{where}: cannot be read (not an image)") from None
    except _BROKEN as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split()) or type(error).__name__
        raise InputError(f"{where}: cannot be read ({reason})") from None


def _decoded(content: bytes, at_least: tuple[int, int] | None) -> ReadImage:
    # Pillow warns of damage that it passes over, and of large images before it refuses larger ones: an image is read
    # or it is refused, with one limit.
    with _without_warnings(), Image.open(BytesIO(content)) as image:
        if image.width * image.height > LARGEST_IMAGE_PIXELS:
            raise ValueError(f"{image.width}x{image.height} pixels are too many")
        divisor, size_px = 1, None
        if at_least is not None and isinstance(image, JpegImageFile):
            divisor, size_px = _reduced(image, at_least)
        ImageOps.exif_transpose(image, in_place=True)
        return ReadImage(_rgb(image), divisor, size_px or image.size)


class _OfReadingThread:
    """Takes the place of a module's name in a filter of warnings: matches all of them in a thread that reads."""

    def match(self, _: str) -> bool:
        return getattr(_thread, "is_reading", False)


_thread = threading.local()
_filter_lock: Final = threading.Lock()
_FILTER: Final = ("ignore", None, Warning, _OfReadingThread(), 0)


@contextmanager
def _without_warnings() -> Iterator[None]:
    """This thread's warnings are not seen; those of others are, as the filters of the process say.

    `warnings.catch_warnings` is of no use here: it is the whole process that it concerns, and of two threads that leave
    it in the order in which they came, the second puts back the filters of the first for good. This filter stays.
    """
    filters: Any = warnings.filters
    if filters[:1] != [_FILTER]:
        _put_first(filters)
    _thread.is_reading = True
    try:
        yield
    finally:
        _thread.is_reading = False


def _put_first(filters: list[Any]) -> None:
    """Put our filter before those that the program has put there since, or back if it has taken it away."""
    with _filter_lock:
        with suppress(ValueError):
            filters.remove(_FILTER)
        filters.insert(0, _FILTER)


def _reduced(image: JpegImageFile, at_least: tuple[int, int]) -> tuple[int, tuple[int, int]]:
    """Let an image be decoded at a part of its size; its divisor and its own size, both upright."""
    turned = image.getexif().get(_ORIENTATION, 1) in _TURNED
    width, height = image.size
    image.draft(image.mode, at_least if turned else at_least[::-1])
    divisor = next(divisor for divisor in (1, 2, 4, 8) if -(-width // divisor) == image.width)
    return divisor, (height, width) if turned else (width, height)


def _rgb(image: Image.Image) -> RgbImage:
    if image.mode == "F":
        raise ValueError("pixels are floating-point numbers, expected whole numbers of 8 or 16 bits")
    if not image.mode.startswith("I"):
        return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    # Pillow's own conversion would make everything above 255 white.
    grey = np.asarray(image)
    if grey.min() < 0 or grey.max() > _MOST_OF_16_BITS:
        raise ValueError("pixels have more than 16 bits")
    return np.repeat((grey >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
