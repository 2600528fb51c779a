"""Any image in an image of the network's size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from detection.images2d.sample import ImageSample
from detection.images2d.transforms.settings import checked_size
from detection.registry import TRANSFORMS

MARGIN_GREY: Final = 114
"""What an image does not cover, as the published networks were trained."""


@TRANSFORMS.register_module()
class Letterbox:
    """Scales an image until it just fits, and puts it in the middle of a grey one.

    Its scale is one number for both directions, so that nothing is stretched; the last pixel of a side may be rounded.

    Args:
        size: height and width of the network's image, pixels.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = checked_size(size)

    def __call__(
        self, sample: ImageSample, random: np.random.Generator, another: Callable[[], ImageSample]
    ) -> ImageSample:
        height, width = self._size
        fitted, scale = fitted_image(sample.image, self._size)
        top, left = (height - fitted.shape[0]) // 2, (width - fitted.shape[1]) // 2
        canvas = np.full((height, width, 3), MARGIN_GREY, dtype=np.uint8)
        canvas[top : top + fitted.shape[0], left : left + fitted.shape[1]] = fitted
        boxes = None if sample.boxes_px is None else sample.boxes_px * scale + [left, top, left, top]
        return replace(sample.with_image(canvas, boxes), letterbox=(scale, float(left), float(top)))


def fitted_image(image: NDArray[np.uint8], size: tuple[int, int]) -> tuple[NDArray[np.uint8], float]:
    """An image scaled to the largest that lies in `size` (height and width), and the scale."""
    height, width = image.shape[:2]
    scale = min(size[0] / height, size[1] / width)
    fitted = (max(1, round(width * scale)), max(1, round(height * scale)))
    if fitted == (width, height):
        return image, scale
    # The mean over the covered area shrinks without aliasing.
    resized = cv2.resize(image, fitted, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return cast("NDArray[np.uint8]", resized), scale
