"""What a student and a teacher want their images to be like, and how each gets them from the same loaded frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from detection.frames import CameraTargets, FrameBatch, FrameTargets
from detection.models.layers.filled import filled
from scenes import InputError


@dataclass(frozen=True)
class ImageSettings:
    """Size and colours of a network's images, as the pipeline of its training data makes them.

    Attributes:
        size_px: height and width.
        mean, std: of the three channels, in the network's order.
        to_rgb: whether that order is red, green, blue; else blue, green, red.
    """

    size_px: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    to_rgb: bool

    @classmethod
    def of_config(cls, config: Mapping[str, Any]) -> ImageSettings | None:
        """The settings in the pipeline of a config's training data; None for a config without data."""
        pipeline = config.get("train_dataloader", {}).get("dataset", {}).get("pipeline", [])
        steps = {step["type"]: step for step in pipeline}
        if not {"ResizeCropFlipRotate", "NormalizeImages"} <= steps.keys():
            return None
        divisor = steps.get("PadImages", {}).get("divisor", 1)
        height, width = (-(-side // divisor) * divisor for side in steps["ResizeCropFlipRotate"]["output_size"])
        colours = steps["NormalizeImages"]
        return cls((height, width), tuple(colours["mean"]), tuple(colours["std"]), colours["to_rgb"])


class ImageAdapter:
    """Makes frames for one network out of frames that were loaded for another, which are as large or larger.

    Sizes divide evenly, and each pixel becomes the mean of those it replaces: the view and its calibration agree.
    """

    def __init__(self, loaded: ImageSettings, wanted: ImageSettings) -> None:
        """An adapter.

        Args:
            loaded, wanted: what frames are like before and after.

        Raises:
            InputError: the sizes do not divide.
        """
        self.loaded_size_px = loaded.size_px
        self.factor = loaded.size_px[0] // wanted.size_px[0]
        if tuple(side * self.factor for side in wanted.size_px) != loaded.size_px:
            (height, width), (other_height, other_width) = loaded.size_px, wanted.size_px
            raise InputError(
                f"distillation: images of {height}x{width} and of {other_height}x{other_width} do not divide; teacher "
                "and student need sizes of which one is a whole multiple of the other"
            )
        self._flips_colours = loaded.to_rgb != wanted.to_rgb
        order = slice(None, None, -1) if self._flips_colours else slice(None)
        self._scale = [old / new for old, new in zip(loaded.std[order], wanted.std, strict=True)]
        pairs = zip(loaded.mean[order], wanted.mean, wanted.std, strict=True)
        self._shift = [(old - new) / deviation for old, new, deviation in pairs]

    def __call__(self, frame: FrameBatch) -> FrameBatch:
        """The frame as the network wants it.

        Raises:
            InputError: its images are of another size than the frames that were announced.
        """
        if frame.image_size_px != self.loaded_size_px:
            (height, width), (other_height, other_width) = frame.image_size_px, self.loaded_size_px
            raise InputError(
                f"distillation: the data has images of {height}x{width}, but the larger of teacher and student needs "
                f"{other_height}x{other_width}; set output_size in the data's pipeline"
            )
        recoloured = replace(frame, images=self._recoloured(frame.images))
        return recoloured if self.factor == 1 else shrunk(recoloured, self.factor)

    def _recoloured(self, images: Tensor) -> Tensor:
        """Images (..., 3, H, W) normalised as the network wants them."""
        if not self._flips_colours and self._scale == [1.0] * 3 and self._shift == [0.0] * 3:
            return images
        ordered = images.flip(-3) if self._flips_colours else images
        scale, shift = (filled(images, *values).view(3, 1, 1) for values in (self._scale, self._shift))
        return ordered * scale + shift


def adapters(
    student: ImageSettings | None, teacher: ImageSettings | None
) -> tuple[ImageAdapter | None, ImageAdapter | None]:
    """How student and teacher get their images from frames of the larger size with the student's colours.

    None where a config has no data, so that nothing is known about its images: they are then left as they are.

    Raises:
        InputError: the sizes do not divide.
    """
    if student is None or teacher is None:
        return None, None
    loaded = replace(student, size_px=max(student.size_px, teacher.size_px))
    return ImageAdapter(loaded, student), ImageAdapter(loaded, teacher)


def shrunk(frame: FrameBatch, factor: int) -> FrameBatch:
    """The frame with images of a size `factor` times smaller, with the calibration and the 2D targets that belong."""
    size = [side // factor for side in frame.image_size_px]
    pixels = torch.ones(4, 1, device=frame.images.device)
    pixels[:2] = 1 / factor
    targets = None if frame.targets is None else tuple(_shrunk_targets(target, factor) for target in frame.targets)
    return replace(
        frame,
        images=avg_pool2d(frame.images.flatten(0, 1), factor).reshape(*frame.images.shape[:3], *size),
        image_from_lidar=frame.image_from_lidar * pixels,
        image_from_camera=frame.image_from_camera * pixels,
        targets=targets,
    )


def _shrunk_targets(target: FrameTargets, factor: int) -> FrameTargets:
    return replace(target, cameras=tuple(_shrunk_camera(camera, factor) for camera in target.cameras))


def _shrunk_camera(camera: CameraTargets, factor: int) -> CameraTargets:
    return replace(camera, boxes_px=camera.boxes_px / factor, centers_px=camera.centers_px / factor)


def masked_alike(frames: Sequence[FrameBatch], mask: torch.nn.Module) -> Iterator[FrameBatch]:
    """Frames of a window whose images all lose the same pixels, whoever looks at them later."""
    images = mask(torch.cat([frame.images for frame in frames]))
    for frame, of_frame in zip(frames, images.chunk(len(frames)), strict=True):
        yield replace(frame, images=of_frame)
