"""From images as cameras give them to what an exported network takes: scaled, cropped, normalised, channels first.

The scale is the smallest at which the image fills the network's; rows are cut off above, columns on both sides.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from detection.data.cropping import scaled_and_cropped
from scenes.geometry import FloatArray

NODE_MEAN: Final = (123.675, 116.28, 103.53)
NODE_STD: Final = (58.395, 57.12, 57.375)
"""Of red, green and blue; the node takes the same for blue, green and red, in that order."""

FILTERS: Final = {"bicubic": Image.Resampling.BICUBIC, "triangle": Image.Resampling.BILINEAR}
"""`bicubic` as the networks were trained, `triangle` as the node does it; both widen as the image shrinks."""


def network_image(
    image: NDArray[np.uint8], image_from_camera: FloatArray, size_px: tuple[int, int], filter_: str
) -> tuple[NDArray[np.uint8], FloatArray]:
    """An image of the network's size, and the calibration that goes with it.

    Args:
        image: (H, W, 3) uint8.
        image_from_camera: (4, 4) intrinsics.
        size_px: height and width of the network's image.
        filter_: one of `FILTERS`.
    """
    height, width = image.shape[:2]
    scale = max(size_px[0] / height, size_px[1] / width)
    left = int(0.5 * max(0.0, scale * width - size_px[1]))
    top = int(scale * height) - size_px[0]
    scaled = np.array([[scale, 0.0, -left, 0.0], [0.0, scale, -top, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    return scaled_and_cropped(image, scale, left, top, size_px, FILTERS[filter_]), scaled @ image_from_camera


def normalized(image: NDArray[np.uint8], channels: str) -> NDArray[np.float32]:
    """(3, H, W) of (H, W, 3) RGB, in the order of the channels that the node has."""
    order = slice(None) if channels == "rgb" else slice(None, None, -1)
    mean, scale = (np.array(values, dtype=np.float32)[order] for values in (NODE_MEAN, 1 / np.array(NODE_STD)))
    pixels = (image[..., order].astype(np.float32) - mean) * scale
    return np.ascontiguousarray(np.moveaxis(pixels, 2, 0))
