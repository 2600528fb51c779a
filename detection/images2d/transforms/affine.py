"""A random affine map of an image about its middle."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from detection.data.letterboxing import MARGIN_GREY
from detection.data.sample import drawn_between
from detection.images2d.sample import ImageSample
from detection.images2d.transforms.annotations import cut_boxes
from detection.images2d.transforms.settings import checked_size
from detection.registry import TRANSFORMS
from scenes import InputError
from scenes.geometry import FloatArray


@TRANSFORMS.register_module()
class RandomAffine:
    """Turns, scales, shears and shifts an image, and gives it the network's size.

    Without any of them, the middle of the image comes to lie in the middle of the network's image, at its own scale: of
    a mosaic the middle quarter is left. What the image does not cover is grey. A box becomes the one around its moved
    corners; boxes of which too little is left are dropped, see `cut_boxes`.

    Args:
        size: height and width of the network's image, pixels.
        scale_range: lowest and highest scale.
        translate: largest shift, as a share of the size.
        rotate_rad: largest angle, both ways.
        shear_rad: largest angle by which each axis is sheared, both ways.
    """

    def __init__(
        self,
        size: tuple[int, int],
        scale_range: tuple[float, float] = (0.1, 1.9),
        translate: float = 0.2,
        rotate_rad: float = 0.0,
        shear_rad: float = 0.0,
    ) -> None:
        if not 0.0 < scale_range[0] <= scale_range[1]:
            raise InputError(f"scale_range={tuple(scale_range)}: expected two positive numbers, the lower one first")
        self._size = checked_size(size)
        self._scale_range = scale_range
        self._translate = translate
        self._rotate_rad = rotate_rad
        self._shear_rad = shear_rad

    def __call__(
        self, sample: ImageSample, random: np.random.Generator, another: Callable[[], ImageSample]
    ) -> ImageSample:
        height, width = self._size
        after_from_before = self._drawn(sample.image.shape[:2], random)
        # OpenCV puts the centre of the first pixel, here (0.5, 0.5), at (0, 0).
        between_centers = after_from_before.copy()
        between_centers[:, 2] += after_from_before[:, :2] @ [0.5, 0.5] - 0.5
        image = cv2.warpAffine(sample.image, between_centers, (width, height), borderValue=(MARGIN_GREY,) * 3)
        boxes = None if sample.boxes_px is None else _moved(sample.boxes_px, after_from_before)
        return cut_boxes(sample.with_image(cast("NDArray[np.uint8]", image), boxes))

    def _drawn(self, size: tuple[int, ...], random: np.random.Generator) -> FloatArray:
        """(2, 3) map of points of an image of a size to points of the network's image."""
        scale = drawn_between(self._scale_range, random)
        angle_rad = random.uniform(-self._rotate_rad, self._rotate_rad)
        shear_x, shear_y = np.tan(random.uniform(-self._shear_rad, self._shear_rad, size=2))
        shift = random.uniform(-self._translate, self._translate, size=2)
        cos, sin = np.cos(angle_rad), np.sin(angle_rad)
        linear = scale * np.array([[1.0, shear_x], [shear_y, 1.0]]) @ np.array([[cos, -sin], [sin, cos]])
        middle_before, middle_after = np.array(size[::-1]) / 2, np.array(self._size[::-1]) / 2
        offset = middle_after + shift * self._size[::-1] - linear @ middle_before
        return np.concatenate([linear, offset[:, None]], axis=1)


def _moved(boxes_px: FloatArray, after_from_before: FloatArray) -> FloatArray:
    """Boxes (N, 4) around the moved corners of boxes."""
    corners = boxes_px[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    moved = corners @ after_from_before[:, :2].T + after_from_before[:, 2]
    return np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1)
