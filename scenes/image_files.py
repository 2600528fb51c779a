"""Opens image files that tables and lists name: files alone, and none that no camera writes."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

LARGEST_FILE_BYTES = 256 * 2**20
"""An uncompressed image of 85 megapixels."""

LARGEST_IMAGE_PIXELS = 2**27
"""A small file can unfold into any number of pixels: three channels of these take 400 MB."""


_JPEG_START: Final = b"\xff\xd8"
_JPEG_END: Final = b"\xff\xd9"
_PADDING: Final = 4096
"""Some cameras fill the last block of a file with zeros."""


def read_image_file(path: Path) -> bytes:
    """The content of an image file.

    Raises:
        OSError: it is missing or cannot be opened; is a folder, a device or a pipe, which may have no end; or is
            larger than `LARGEST_FILE_BYTES`.
    """
    with open_image_file(path) as file:
        return file.read(LARGEST_FILE_BYTES)


@contextmanager
def open_image_file(path: Path) -> Iterator[BinaryIO]:
    """An image file to read from.

    Raises:
        OSError: as `read_image_file`.
    """
    # A pipe that nobody writes to would be waited for.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        if status.st_size > LARGEST_FILE_BYTES:
            raise OSError(errno.EFBIG, f"{status.st_size / 2**20:.0f} MB, too large for an image", str(path))
        yield file


def is_cut_off(content: bytes) -> bool:
    """Whether a JPEG lacks its end: decoders would paint the missing part grey and say nothing.

    Args:
        content: of the file; its first and last bytes do, too.
    """
    return content.startswith(_JPEG_START) and _JPEG_END not in content[-_PADDING:]
