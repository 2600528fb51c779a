"""Where workers make files that take long: workers end in the middle of their work, and clean nothing up then."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_TRIES: Final = 3
"""To remove a folder: an encoder outlives its worker by a moment, and may open a file meanwhile."""


@contextmanager
def unfinished_folder(output: Path) -> Iterator[Path]:
    """A hidden folder beside an output; it goes with all that is in it, however the block ends.

    A worker that is stopped leaves its temporary file there. What it started cannot make the file again either, once
    the folder is gone.

    Args:
        output: the first of the files to write, named where nothing can be written. Parent folders are created.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder = Path(tempfile.mkdtemp(prefix=".unfinished.", suffix=".tmp", dir=output.parent))
    except OSError as error:
        error.filename = str(output)
        raise
    try:
        yield folder
    finally:
        for _ in range(_TRIES):
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                break


@contextmanager
def moved_from(folder: Path, path: Path) -> Iterator[Path]:
    """A path in `folder`, on the same file system; what is written there takes the place of `path` at the end.

    Raises:
        OSError: named by `path`, which is what was asked for.
    """
    temporary = folder / path.name
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        yield temporary
        temporary.replace(path)
    except OSError as error:
        if error.filename is not None and Path(error.filename).parent == folder:
            error.filename, error.filename2 = str(path), None
        raise
