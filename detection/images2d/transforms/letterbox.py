"""Any image in an image of the network's size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from detection.data.letterboxing import letterboxed
from detection.images2d.sample import ImageSample
from detection.images2d.transforms.settings import checked_size
from detection.registry import TRANSFORMS


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
        canvas, scale, left, top = letterboxed(sample.image, self._size)
        boxes = None if sample.boxes_px is None else sample.boxes_px * scale + [left, top, left, top]
        return replace(sample.with_image(canvas, boxes), letterbox=(scale, float(left), float(top)))
