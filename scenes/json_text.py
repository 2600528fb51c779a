"""Reads JSON of any content, and says in one line why it cannot: for files that are small, or known to be broken."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from scenes.errors import InputError, shown

LARGEST_NUMBER = 1e300
"""Numbers beyond it overflow as soon as they are squared."""


def read_json(path: Path) -> Any:
    """The content of a file.

    NaN and infinities are numbers here, as the devkit writes them.

    Raises:
        InputError: no such file, or see `decode_json`; the message begins with the path.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    try:
        return decode_json(content)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def decode_json(content: bytes | str) -> Any:
    """What a JSON text holds.

    Raises:
        InputError: it is not JSON, nested too deeply, or an object has a key twice: readers take the last one then, and
            what stands under the first is lost.
    """
    try:
        return json.loads(content, object_pairs_hook=_object)
    except UnicodeDecodeError as error:
        raise InputError(f"not JSON: not UTF-8 text at byte {error.start}") from error
    except json.JSONDecodeError as error:
        in_a_string = error.msg.startswith("Unterminated string")  # of which the position is the beginning
        cut = " (is the file truncated?)" if in_a_string or error.pos >= len(content.rstrip()) - 1 else ""
        what = error.msg.removesuffix(" at")
        raise InputError(f"not JSON: {what} at line {error.lineno}, column {error.colno}{cut}") from error
    except RecursionError:
        raise InputError("not JSON that can be read: nested too deeply") from None
    except InputError:
        raise
    except ValueError:  # of Python's own reader of numbers
        raise InputError("not JSON that can be read: a whole number has thousands of digits") from None


def is_number(value: Any) -> bool:
    """Whether a decoded value is a finite number that a float holds; JSON's true and false are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < LARGEST_NUMBER and not math.isnan(value)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for index, name in enumerate(names) if name in names[:index])
        raise InputError(f"key {shown(twice)} is there twice in one object")
    return found
