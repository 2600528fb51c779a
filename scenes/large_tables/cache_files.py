"""Files that only save time: in the user's cache folder, never needed, replaced when they are stale or broken."""

from __future__ import annotations

import logging
import os
import secrets
import zlib
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

CACHE_VARIABLE: Final = "STREAMTRACK_CACHE"
"""Environment variable with the folder, for whoever wants it elsewhere, as on a disk that several machines share."""

_MAGIC: Final = b"streamtrack 1\n"
_STAMP_BYTES: Final = 16
_HEAD_BYTES: Final = len(_MAGIC) + _STAMP_BYTES + 4

_logger = logging.getLogger(__name__)


def cache_folder() -> Path | None:
    """Where the project's cache files lie; it may not be there yet. None for a user without a home."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "streamtrack"
    except RuntimeError:
        return None


def write_cache_file(path: Path, stamp: bytes, content: bytes) -> None:
    """Write a file for others to read, whole or not at all.

    A folder that cannot be written or a full disk is one warning for the whole process.

    Args:
        path: below `cache_folder`.
        stamp: 16 bytes that stand for all that the content depends on.
    """
    temporary = path.with_name(f".{path.name[:40]}.{secrets.token_hex(6)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(b"".join([_MAGIC, stamp, zlib.crc32(content).to_bytes(4, "little"), content]))
        # Not synchronised with the disk: what a power cut leaves of it is found out by its sum.
        temporary.replace(path)
    except OSError as error:
        _warn_once(str(cache_folder()), error.strerror or str(error))
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def read_cache_file(path: Path, stamp: bytes) -> memoryview | None:
    """The content that was written with this stamp; None if there is none, or it is not what was written."""
    try:
        content = memoryview(path.read_bytes())
    except OSError:
        return None
    head, body = content[:_HEAD_BYTES], content[_HEAD_BYTES:]
    if head != b"".join([_MAGIC, stamp, zlib.crc32(body).to_bytes(4, "little")]):
        return None
    return body


@cache
def _warn_once(folder: str, reason: str) -> None:
    _logger.warning(
        "%s: %s; reading tables will take as long next time (another folder: %s)", folder, reason, CACHE_VARIABLE
    )
