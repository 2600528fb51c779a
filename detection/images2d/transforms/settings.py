"""Settings of transforms, checked."""

from __future__ import annotations

from scenes import InputError


def checked_size(size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of a network's image.

    Raises:
        InputError: not two positive numbers.
    """
    if len(size) != 2 or min(size) < 1:
        raise InputError(f"size={tuple(size)}: expected height and width in pixels, both at least 1")
    return int(size[0]), int(size[1])


def checked_probability(name: str, value: float) -> float:
    """A probability, named in the message.

    Raises:
        InputError: outside [0, 1].
    """
    if not 0.0 <= value <= 1.0:
        raise InputError(f"{name}={value}: expected a number from 0 to 1")
    return value
