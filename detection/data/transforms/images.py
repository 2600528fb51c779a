"""Reading, padding and normalising images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from detection.data.image_reading import read_image
from detection.data.sample import CameraView, FrameSample
from detection.frames import ImageNormalization
from detection.registry import TRANSFORMS
from scenes import InputError


@TRANSFORMS.register_module()
class LoadImages:
    """Reads the images of all cameras as RGB, see `read_image`."""

    def __call__(self, sample: FrameSample, random: np.random.Generator) -> FrameSample:
        return sample.with_views([self._loaded(view, sample.sample_token) for view in sample.views])

    def _loaded(self, view: CameraView, sample_token: str) -> CameraView:
        where = f"{view.image_path}: image of {view.name}, sample '{sample_token}'"
        image = read_image(view.image_path, where)
        height, width = image.shape[:2]
        if view.size_px is not None and (width, height) != view.size_px:
            expected = "x".join(map(str, view.size_px))
            raise InputError(f"{where}: is {width}x{height} pixels, its calibration belongs to {expected}")
        return replace(view, image=image, size_px=(width, height))


@TRANSFORMS.register_module()
class NormalizeImages:
    """Puts the channels first, in the network's order, and says by what mean and deviation they are normalised.

    That happens on the device: `FrameBatch.normalized`.

    Args:
        mean, std: of the three channels, in the order that the network sees.
        to_rgb: whether that order is red, green, blue; else it is blue, green, red.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], to_rgb: bool) -> None:
        scale = (1.0 / np.array(std, dtype=np.float64)).astype(np.float32)
        self._normalization = ImageNormalization(torch.tensor(mean, dtype=torch.float32), torch.from_numpy(scale))
        self._source = (0, 1, 2) if to_rgb else (2, 1, 0)

    def __call__(self, sample: FrameSample, random: np.random.Generator) -> FrameSample:
        views = [replace(view, image=self._planes(view)) for view in sample.views]
        return replace(sample, views=tuple(views), normalization=self._normalization)

    def _planes(self, view: CameraView) -> NDArray[np.uint8]:
        """(3, H, W)."""
        assert view.image is not None
        planes = cv2.split(view.image)
        return np.stack([planes[source] for source in self._source])


@TRANSFORMS.register_module()
class PadImages:
    """Pads all images right and below, to one size of which `divisor` divides both sides.

    Comes after `NormalizeImages`, as in the published pipelines: the padding is the mean colour, not black.

    Args:
        divisor: 32 for networks whose coarsest features have a stride of 32.
    """

    def __init__(self, divisor: int) -> None:
        self._divisor = divisor

    def __call__(self, sample: FrameSample, random: np.random.Generator) -> FrameSample:
        images = [view.image for view in sample.views]
        height, width = (
            -(-max(image.shape[axis] for image in images if image is not None) // self._divisor) * self._divisor
            for axis in (1, 2)
        )
        return replace(sample, padded_size_px=(height, width))
