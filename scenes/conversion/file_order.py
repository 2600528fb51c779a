"""The files of a folder in the order in which a person would count them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

_DIGITS = re.compile("([0-9]+)")


def files_in(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """The files with one of some suffixes that are not hidden, frame_9 before frame_10."""
    found = [path for path in folder.iterdir() if path.suffix.lower() in suffixes and path.name[0] != "."]
    return sorted(found, key=_natural)


def _natural(path: Path) -> tuple[list[str | int], str]:
    """Texts and the numbers between them in turn, then the name itself: 7 and 007 are the same number."""
    parts = _DIGITS.split(path.name)
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], path.name
