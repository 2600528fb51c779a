"""Any image in the middle of one of a given size."""

from __future__ import annotations

from typing import Final, cast

import cv2
import numpy as np
from numpy.typing import NDArray

MARGIN_GREY: Final = 114
"""What an image does not cover, as the published networks were trained."""


def letterboxed(image: NDArray[np.uint8], size: tuple[int, int]) -> tuple[NDArray[np.uint8], float, int, int]:
    """An image as large as it fits in the middle of a grey one.

    Args:
        image: (H, W, 3).
        size: height and width of the whole.

    Returns:
        the whole; the scale; the left and the top margin, pixels.
    """
    fitted, scale = fitted_image(image, size)
    top, left = (size[0] - fitted.shape[0]) // 2, (size[1] - fitted.shape[1]) // 2
    canvas = np.full((*size, 3), MARGIN_GREY, dtype=np.uint8)
    canvas[top : top + fitted.shape[0], left : left + fitted.shape[1]] = fitted
    return canvas, scale, left, top


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
