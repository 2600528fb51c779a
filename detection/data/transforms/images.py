"""Reading, padding and normalising images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from detection.data.image_reading import ReadImage, read_reduced_image
from detection.data.sample import CameraView, FrameSample
from detection.frames import ImageNormalization
from detection.registry import TRANSFORMS
from scenes import InputError


@TRANSFORMS.register_module()
class LoadImages:
    """Reads the images of all cameras as RGB, see `read_reduced_image`.

    Args:
        at_least: height and width that JPEG images have to keep when they are decoded at a half, a quarter or an
            eighth of their size, with the calibration that belongs to it. Faster, and pixels differ a little from
            those that are scaled afterwards. None decodes all of them.
    """

    def __init__(self, at_least: tuple[int, int] | None = None) -> None:
        if at_least is not None and min(at_least) < 1:
            raise InputError(f"LoadImages: at_least is {at_least}, expected a height and a width above 0")
        self._at_least = None if at_least is None else (at_least[0], at_least[1])

    def __call__(self, sample: FrameSample, random: np.random.Generator) -> FrameSample:
        read = [self._read(view, sample.sample_token) for view in sample.views]
        views = [_with_image(view, image) for view, image in zip(sample.views, read, strict=True)]
        focus_px = None if sample.focus_px is None else sample.focus_px / read[0].divisor
        return replace(sample, views=tuple(views), focus_px=focus_px)

    def _read(self, view: CameraView, sample_token: str) -> ReadImage:
        where = f"{view.image_path}: image of {view.name}, sample '{sample_token}'"
        image = read_reduced_image(view.image_path, where, self._at_least)
        if view.size_px is not None and image.size_px != view.size_px:
            found, expected = ("x".join(map(str, size)) for size in (image.size_px, view.size_px))
            raise InputError(f"{where}: is {found} pixels, its calibration belongs to {expected}")
        return image


def _with_image(view: CameraView, image: ReadImage) -> CameraView:
    """A view with its image, and what goes with the size in which it was read."""
    if image.divisor == 1:
        return replace(view, image=image.pixels, size_px=image.size_px)
    annotations = view.annotations and replace(
        view.annotations,
        boxes_px=view.annotations.boxes_px / image.divisor,
        centers_px=view.annotations.centers_px / image.divisor,
    )
    return replace(
        view,
        image=image.pixels,
        size_px=image.size_px,
        image_from_camera=np.diag([1 / image.divisor, 1 / image.divisor, 1.0, 1.0]) @ view.image_from_camera,
        annotations=annotations,
    )


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
