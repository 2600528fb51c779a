"""A part of a scaled image, of which no more is computed than that part."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def scaled_and_cropped(
    image: NDArray[np.uint8],
    scale: float,
    left: int,
    top: int,
    size: tuple[int, int],
    filter_: Image.Resampling = Image.Resampling.BICUBIC,
) -> NDArray[np.uint8]:
    """A rectangle of a scaled image, every pixel from the very place that it maps to; black outside of the image.

    Args:
        image: (H, W, 3).
        scale: of the image.
        left, top: of the rectangle in the scaled image, pixels; may be negative.
        size: height and width of the rectangle.
        filter_: of Pillow. Its filters widen with the scale: they shrink without aliasing, as the published networks
            saw it.
    """
    height, width = image.shape[:2]
    columns = slice(max(0, -left), min(size[1], int(scale * width + 1e-6) - left))
    rows = slice(max(0, -top), min(size[0], int(scale * height + 1e-6) - top))
    if columns.stop <= columns.start or rows.stop <= rows.start:
        return np.zeros((*size, 3), dtype=np.uint8)
    source = (
        (left + columns.start) / scale,
        (top + rows.start) / scale,
        min(width, (left + columns.stop) / scale),
        min(height, (top + rows.stop) / scale),
    )
    filled = (columns.stop - columns.start, rows.stop - rows.start)
    resized = np.asarray(Image.fromarray(image).resize(filled, filter_, box=source))
    if filled == size[::-1]:
        return resized
    canvas = np.zeros((*size, 3), dtype=np.uint8)
    canvas[rows, columns] = resized
    return canvas
