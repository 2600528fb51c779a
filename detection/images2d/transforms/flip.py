"""Mirrored images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from detection.images2d.sample import ImageSample
from detection.images2d.transforms.settings import checked_probability
from detection.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomHorizontalFlip:
    """Mirrors an image, left and right exchanged.

    Args:
        probability: of being applied.
    """

    def __init__(self, probability: float = 0.5) -> None:
        self._probability = checked_probability("probability", probability)

    def __call__(
        self, sample: ImageSample, random: np.random.Generator, another: Callable[[], ImageSample]
    ) -> ImageSample:
        if random.uniform() >= self._probability:
            return sample
        width = sample.image.shape[1]
        boxes = sample.boxes_px
        if boxes is not None:
            boxes = np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1)
        return sample.with_image(np.ascontiguousarray(sample.image[:, ::-1]), boxes)
