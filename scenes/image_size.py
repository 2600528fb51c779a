"""The size of an image, from the header of its file."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path
from typing import Final

from scenes.errors import InputError

_EXIF_ORIENTATION: Final = 0x0112
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


def image_size_px(path: Path) -> tuple[int, int]:
    """Width and height of an image, upright as its EXIF orientation says, without decoding it.

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
                width, height = image.size
                lying = image.getexif().get(_EXIF_ORIENTATION) in _LYING_ORIENTATIONS
    except (*_BROKEN, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: not an image ({error})") from None
    return (height, width) if lying else (width, height)
