"""A safe file name for each scene."""

from __future__ import annotations

import re
import zlib


def scene_file_name(scene_name: str) -> str:
    """A scene's name as a file name without suffix, on any system; different names stay different."""
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", scene_name).lstrip(".")[:80]
    if safe and safe == scene_name:
        return safe
    return f"{safe}-{zlib.crc32(scene_name.encode('utf-8', 'surrogatepass')):08x}"
