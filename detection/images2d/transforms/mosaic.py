"""Several images in one: more objects, other surroundings, and smaller ones than the data set has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from detection.data.letterboxing import MARGIN_GREY, fitted_image
from detection.images2d.sample import ImageSample
from detection.images2d.transforms.annotations import cut_boxes
from detection.images2d.transforms.settings import checked_probability, checked_size
from detection.registry import TRANSFORMS


@TRANSFORMS.register_module()
class Mosaic:
    """Lays 4 or 9 images side by side in one of twice the network's size.

    Each is scaled until it just fits the network's size. Four meet at a point drawn in the middle quarter of the
    canvas, and what reaches over its edge is cut. Nine lie in three rows of three, of which a window as large as the
    canvas is drawn. `RandomAffine` comes next and brings the middle back to the network's size.

    Args:
        size: height and width of the network's image, pixels.
        nine_probability: of nine images; else four.
    """

    def __init__(self, size: tuple[int, int], nine_probability: float = 0.2) -> None:
        self._size = checked_size(size)
        self._nine_probability = checked_probability("nine_probability", nine_probability)

    def __call__(
        self, sample: ImageSample, random: np.random.Generator, another: Callable[[], ImageSample]
    ) -> ImageSample:
        nine = random.uniform() < self._nine_probability
        samples = [sample, *(another() for _ in range(8 if nine else 3))]
        tiles = [self._tile(one) for one in samples]
        order = random.permutation(len(tiles))
        tiles = [tiles[index] for index in order]
        return self._nine(tiles, sample, random) if nine else self._four(tiles, sample, random)

    def _tile(self, sample: ImageSample) -> ImageSample:
        image, scale = fitted_image(sample.image, self._size)
        return sample.with_image(image, None if sample.boxes_px is None else sample.boxes_px * scale)

    def _four(self, tiles: Sequence[ImageSample], named: ImageSample, random: np.random.Generator) -> ImageSample:
        """Tiles whose corners meet."""
        height, width = self._size
        y, x = (round(random.uniform(0.5, 1.5) * side) for side in self._size)
        # Each tile keeps the corner at the meeting point: above it tiles end there, below they begin there.
        corners = [
            (y - (tile.image.shape[0] if row == 0 else 0), x - (tile.image.shape[1] if column == 0 else 0))
            for tile, (row, column) in zip(tiles, np.ndindex(2, 2), strict=True)
        ]
        return _laid_out(tiles, corners, (2 * height, 2 * width), named)

    def _nine(self, tiles: Sequence[ImageSample], named: ImageSample, random: np.random.Generator) -> ImageSample:
        """A window of three rows of three, each tile in the middle of its cell."""
        height, width = self._size
        top, left = (random.integers(side + 1) for side in self._size)
        corners = [
            (
                row * height + (height - tile.image.shape[0]) // 2 - top,
                column * width + (width - tile.image.shape[1]) // 2 - left,
            )
            for tile, (row, column) in zip(tiles, np.ndindex(3, 3), strict=True)
        ]
        return _laid_out(tiles, corners, (2 * height, 2 * width), named)


def _laid_out(
    tiles: Sequence[ImageSample], corners: Sequence[tuple[int, int]], size: tuple[int, int], named: ImageSample
) -> ImageSample:
    """Tiles on a grey canvas, as an image under the name of one of them.

    Args:
        tiles: that do not overlap.
        corners: row and column of each tile's first pixel; may lie outside.
        size: height and width of the canvas.
        named: whose id and file the canvas gets.
    """
    canvas = np.full((*size, 3), MARGIN_GREY, dtype=np.uint8)
    for tile, (top, left) in zip(tiles, corners, strict=True):
        inner = tile.image[max(0, -top) : max(0, size[0] - top), max(0, -left) : max(0, size[1] - left)]
        canvas[max(0, top) :, max(0, left) :][: inner.shape[0], : inner.shape[1]] = inner
    shifted = [
        tile.boxes_px + np.array([left, top, left, top])
        for tile, (top, left) in zip(tiles, corners, strict=True)
        if tile.boxes_px is not None
    ]
    labels = [tile.labels for tile in tiles if tile.labels is not None]
    boxes = np.concatenate(shifted) if shifted else None
    laid_out = replace(named, image=canvas, boxes_px=boxes, labels=np.concatenate(labels) if labels else None)
    return cut_boxes(laid_out)
