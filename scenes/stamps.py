"""What tells whether files are still those that were read: their names, sizes and times."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path


def stamp_of(paths: Iterable[Path]) -> str:
    """The SHA-256 of the names, sizes and times of files. Reading what is in them would take as long as converting it.

    Args:
        paths: files, and folders of which every file below counts; links are followed. Names count from there on, so
            that files may be reached by another way. What is not there counts as such.
    """
    hashed = hashlib.sha256()
    for path in paths:
        for file in _files(path):
            name = str(file.relative_to(path) if file != path else file.name)
            hashed.update(os.fsencode(name) + f" {_state(file)}\n".encode())
    return hashed.hexdigest()


def _files(path: Path) -> Iterator[Path]:
    """The files below a folder; a file alone."""
    if not path.is_dir():
        yield path
        return
    seen: set[str] = set()
    for folder, inner, names in os.walk(path, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # links may lead round
            inner.clear()
            continue
        seen.add(real)
        inner.sort()
        yield from (Path(folder, name) for name in sorted(names))


def _state(file: Path) -> str:
    try:
        status = file.stat()
    except OSError:
        return "missing"
    return f"{status.st_size} {status.st_mtime_ns}"
