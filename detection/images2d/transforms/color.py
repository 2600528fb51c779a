"""Random colours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from detection.images2d.sample import ImageSample
from detection.images2d.transforms.settings import checked_probability
from detection.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomHSV:
    """Multiplies hue, saturation and value by numbers drawn around one.

    Args:
        hue, saturation, value: largest difference from one, from 0 to 1.
    """

    def __init__(self, hue: float = 0.015, saturation: float = 0.7, value: float = 0.4) -> None:
        settings = {"hue": hue, "saturation": saturation, "value": value}
        self._spread = [checked_probability(name, setting) for name, setting in settings.items()]

    def __call__(
        self, sample: ImageSample, random: np.random.Generator, another: Callable[[], ImageSample]
    ) -> ImageSample:
        hue, saturation, value = 1.0 + random.uniform(-1.0, 1.0, size=3) * self._spread
        levels = np.arange(256)
        tables = [levels * hue % 180, (levels * saturation).clip(0, 255), (levels * value).clip(0, 255)]
        table = np.stack(tables, axis=1).astype(np.uint8)[None]
        changed = cv2.LUT(cv2.cvtColor(sample.image, cv2.COLOR_RGB2HSV), table)
        return replace(sample, image=cast("NDArray[np.uint8]", cv2.cvtColor(changed, cv2.COLOR_HSV2RGB)))
