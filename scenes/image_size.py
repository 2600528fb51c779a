"""The size of an image, and how it is to be turned, from the header of its file."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path
from typing import Final, NamedTuple

from scenes.errors import InputError

_EXIF_ORIENTATION: Final = 0x0112
_UPRIGHT: Final = 1
_LYING_ORIENTATIONS: Final = (5, 6, 7, 8)
"""EXIF orientations of which width and height are exchanged to stand upright."""

_BROKEN: Final = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    OverflowError,
    KeyError,
    IndexError,
    TypeError,
    struct.error,
)
"""How Pillow reports a broken header; that of no known format is an OSError."""


class ImageHeader(NamedTuple):
    """What the header of an image says: width and height as it is stored, and its EXIF orientation, 1 if upright."""

    width_px: int
    height_px: int
    orientation: int

    @property
    def upright_size_px(self) -> tuple[int, int]:
        """Width and height, upright as the orientation says."""
        lying = self.orientation in _LYING_ORIENTATIONS
        return (self.height_px, self.width_px) if lying else (self.width_px, self.height_px)


def image_size_px(path: Path) -> tuple[int, int]:
    """Width and height of an image, upright as its EXIF orientation says, without decoding it.

    Raises:
        InputError: no such file, or no image.
    """
    return read_image_header(path).upright_size_px


def read_image_header(path: Path) -> ImageHeader:
    """The header of an image, without decoding it.

    Raises:
        InputError: no such file, or no image.
    """
    # Pillow is imported where it is used: tables nearly always state the size.
    from PIL import Image

    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        # Of an image of many pixels Pillow warns, or refuses it; whoever decodes it has to decide that.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                orientation = image.getexif().get(_EXIF_ORIENTATION)
                width, height = image.size
                return ImageHeader(width, height, orientation if isinstance(orientation, int) else _UPRIGHT)
    except (*_BROKEN, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: not an image ({error})") from None
