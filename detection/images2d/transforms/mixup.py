"""Two images over one another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from detection.images2d.sample import ImageSample
from detection.images2d.transforms.settings import checked_probability
from detection.registry import TRANSFORMS
from scenes import InputError

_BETA: Final = 8.0
"""Both parameters of the Beta distribution of a share: mostly near one half."""


@TRANSFORMS.register_module()
class MixUp:
    """Adds another image of the data set, each with a share of its brightness; the objects of both count in full.

    Comes after the steps that bring images to one size; the other image goes through them too.

    Args:
        probability: of being applied.
    """

    def __init__(self, probability: float = 0.15) -> None:
        self._probability = checked_probability("probability", probability)

    def __call__(
        self, sample: ImageSample, random: np.random.Generator, another: Callable[[], ImageSample]
    ) -> ImageSample:
        if random.uniform() >= self._probability:
            return sample
        share = random.beta(_BETA, _BETA)
        other = another()
        if other.image.shape != sample.image.shape:
            raise InputError("MixUp: images differ in size; Letterbox or RandomAffine has to come before it")
        image = cv2.addWeighted(sample.image, share, other.image, 1.0 - share, 0.0)
        mixed = replace(sample, image=cast("NDArray[np.uint8]", image))
        if sample.boxes_px is None or sample.labels is None or other.boxes_px is None or other.labels is None:
            return mixed
        return replace(
            mixed,
            boxes_px=np.concatenate([sample.boxes_px, other.boxes_px]),
            labels=np.concatenate([sample.labels, other.labels]),
        )
