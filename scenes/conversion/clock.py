"""Times as files and tables write them: numbers in some unit, names of files, EXIF."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final, Literal

from scenes.errors import InputError, shown

Unit = Literal["s", "ms", "us", "ns"]

_US_PER_UNIT: Final[Mapping[str, Decimal]] = {
    "s": Decimal(10**6),
    "ms": Decimal(10**3),
    "us": Decimal(1),
    "ns": Decimal("0.001"),
}
_SMALLEST_OF_UNIT: Final[Mapping[Unit, Decimal]] = {
    "ns": Decimal(10) ** 17,
    "us": Decimal(10) ** 14,
    "ms": Decimal(10) ** 11,
}
"""A time since 1970 tells its unit by its size: in 1973 as well as in 5138."""

_EXIF_TIMES: Final = 0x8769
_DATE_TIME_ORIGINAL: Final = 0x9003
_SUB_SECONDS_ORIGINAL: Final = 0x9291


def timestamp_us(text: str, unit: Unit | None, where: str) -> int:
    """Microseconds of a written time.

    Args:
        text: a decimal number. unit: its unit; None takes the unit by the size of the number.
        where: file and record.

    Raises:
        InputError: it is no number, or negative.
    """
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        raise InputError(f"{where}: {shown(text)} is no time") from None
    if not value.is_finite() or value < 0 or value > Decimal(10) ** 20:
        raise InputError(f"{where}: {shown(text)} is no time")
    by_size: list[Unit] = [name for name, smallest in _SMALLEST_OF_UNIT.items() if value >= smallest]
    taken = unit or (*by_size, "s")[0]
    return int((value * _US_PER_UNIT[taken]).to_integral_value())


def time_in_name(path: Path, unit: Unit | None) -> int:
    """Microseconds of the time that a file is named by: the last number in its name.

    Raises:
        InputError: there is none, or one that counts frames.
    """
    numbers = re.findall(r"\d+(?:\.\d+)?", path.stem)
    if not numbers:
        raise InputError(f"{path}: no time in the name; give the camera's rate, or `times: exif`")
    if unit is None and "." not in numbers[-1] and int(numbers[-1]) < 10**8:
        raise InputError(f"{path}: {numbers[-1]} counts images; give the camera's rate, or the unit of such times")
    return timestamp_us(numbers[-1], unit, str(path))


def time_in_exif(path: Path) -> int:
    """Microseconds of the time at which a camera says that it took an image.

    Raises:
        InputError: the image does not say it.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            tags = image.getexif().get_ifd(_EXIF_TIMES)
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"{path}: not an image ({error})") from None
    text, fraction = str(tags.get(_DATE_TIME_ORIGINAL, "")), str(tags.get(_SUB_SECONDS_ORIGINAL, "0")).strip("\0 ")
    try:
        moment = datetime.strptime(text.strip("\0 "), "%Y:%m:%d %H:%M:%S").replace(tzinfo=timezone.utc)
        return timestamp_us(f"{int(moment.timestamp())}.{fraction or '0'}", "s", str(path))
    except (ValueError, OverflowError):
        raise InputError(f"{path}: EXIF tells no time (DateTimeOriginal {shown(text)})") from None
