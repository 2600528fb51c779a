"""Files of sinks begin with the first step: a run that cannot start leaves none behind, and no old one emptied."""

from __future__ import annotations

import errno
import mmap
import os
from pathlib import Path


def check_writable(path: Path) -> None:
    """Check that a file can be written, without touching it.

    Raises:
        OSError: its folder is missing or closed, or it is no file.
    """
    folder = path.resolve().parent
    if not folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, "no such folder", str(folder))
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def cut_unfinished_line(path: Path) -> None:
    """Cut off what follows the last newline of a file, as a full disk or a power failure leaves it.

    What is no regular file, such as a pipe, is left alone; so is one that does not exist.

    Raises:
        OSError: it cannot be read or written.
    """
    if not path.is_file() or path.stat().st_size == 0:
        return
    with path.open("r+b") as file:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            end = content.rfind(b"\n") + 1
        file.truncate(end)
