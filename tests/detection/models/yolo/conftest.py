"""Detectors that are small enough for tests."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from detection.models.yolo import VARIANTS, Variant


@pytest.fixture(scope="session")
def small_variant() -> Callable[[str], Variant]:
    """A variant by name, with a sixteenth of its widths."""
    return small


def small(name: str) -> Variant:
    """A variant with a sixteenth of its widths, or less."""
    variant = VARIANTS[name]
    blocks = variant.aggregations

    def narrow(channels: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(max(2, number // 16) for number in channels)

    columns = ("stem_channels", "stage_channels", "down_channels", "up_channels", "output_channels")
    widths = ("backbone_widths", "backbone_channels", "down_widths", "up_widths")
    return replace(
        variant,
        **{column: narrow(getattr(variant, column)) for column in columns},
        pyramid_channels=variant.pyramid_channels // 16,
        aggregations=replace(blocks, **{column: narrow(getattr(blocks, column)) for column in widths}),
    )
