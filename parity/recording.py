"""Recorded files, read."""

from __future__ import annotations

import zipfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from parity.comparison import Array
from scenes import InputError, json_text


def read_arrays(path: Path) -> dict[str, Array]:
    """The arrays of an `.npz` file by name.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: cannot be read as arrays: {error}") from error


def read_json(path: Path) -> dict[str, Any]:
    """A `.json` file.

    Raises:
        InputError: it is none, or does not hold an object.
    """
    content = json_text.read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds no JSON object")
    return content


def read_table(path: Path) -> list[list[str]]:
    """The rows of a tab-separated `.txt` file without its `#` lines.

    Raises:
        InputError: it is no text.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as text: {error}") from error
    return [line.split("\t") for line in lines if line.strip() and not line.startswith("#")]


def by_prefix(arrays: dict[str, Array]) -> dict[str, dict[str, Array]]:
    """Arrays named `<prefix>_<name>`, grouped: prefix -> name -> array, in the order of the file."""
    groups: dict[str, dict[str, Array]] = defaultdict(dict)
    for full_name, array in arrays.items():
        prefix, _, name = full_name.partition("_")
        groups[prefix][name] = array
    return dict(groups)
