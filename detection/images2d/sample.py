"""`ImageSample`: an image on its way through the transforms, from its file to a part of an `ImageBatch`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from detection.image_batch import ImageBatch, ImageTargets
from scenes import InputError
from scenes.coco import CocoId
from scenes.geometry import FloatArray


@dataclass(frozen=True, eq=False)
class ImageSample:
    """One image.

    Image points are continuous: the pixel in column c and row r covers [c, c + 1) x [r, r + 1).

    Attributes:
        image_id: of the data set, or a running number.
        name: its file, for messages.
        image: (H, W, 3) uint8 RGB.
        size_px: height and width as it was read.
        letterbox: scale, left and top margin of `Letterbox`, pixels.
        boxes_px: (N, 4) left, top, right, bottom of its annotated objects in `image`; None without annotations.
        labels: (N,) class indices; None without annotations.
    """

    image_id: CocoId
    name: str
    image: NDArray[np.uint8]
    size_px: tuple[int, int]
    letterbox: tuple[float, float, float] = (1.0, 0.0, 0.0)
    boxes_px: FloatArray | None = None
    labels: NDArray[np.int64] | None = None

    @classmethod
    def of(cls, image: NDArray[np.uint8], image_id: CocoId, name: str) -> ImageSample:
        """An image without annotations, as it was read."""
        height, width = image.shape[:2]
        return cls(image_id, name, image, (height, width))

    def with_image(self, image: NDArray[np.uint8], boxes_px: FloatArray | None) -> ImageSample:
        """The sample with its boxes moved to where they lie in another image."""
        return replace(self, image=image, boxes_px=boxes_px)

    def select(self, which: NDArray[Any]) -> ImageSample:
        """The sample with the annotated objects that a mask or an index array picks."""
        if self.boxes_px is None or self.labels is None:
            return self
        return replace(self, boxes_px=self.boxes_px[which], labels=self.labels[which])


class ImageTransform(Protocol):
    """One step of a pipeline: an image in, an image out.

    All randomness comes from `random`, so that an image looks the same whichever worker prepares it. `another` gives a
    further image of the data set, drawn by the same `random`, as far as the steps before this one take it.
    """

    def __call__(
        self, sample: ImageSample, random: np.random.Generator, another: Callable[[], ImageSample]
    ) -> ImageSample: ...


def image_batch(samples: Sequence[ImageSample]) -> ImageBatch:
    """Images side by side.

    Raises:
        InputError: they differ in size.
    """
    shapes = {sample.image.shape[:2]: sample.name for sample in samples}
    if len(shapes) > 1:
        found = ", ".join(f"{width}x{height} ({name})" for (height, width), name in shapes.items())
        raise InputError(f"images of one batch differ in size: {found}; the pipeline has to end with Letterbox")
    return ImageBatch(
        images=torch.from_numpy(np.stack([np.moveaxis(sample.image, 2, 0) for sample in samples])),
        image_ids=tuple(sample.image_id for sample in samples),
        names=tuple(sample.name for sample in samples),
        sizes_px=torch.tensor([sample.size_px for sample in samples]),
        letterbox=torch.tensor([sample.letterbox for sample in samples], dtype=torch.float32),
        targets=_targets(samples),
    )


def collate_images(samples: Sequence[ImageSample]) -> dict[str, ImageBatch]:
    """`{"images": ImageBatch}`, a batch as training and validation expect it. See `image_batch`."""
    return {"images": image_batch(samples)}


def _targets(samples: Sequence[ImageSample]) -> ImageTargets | None:
    boxes = [sample.boxes_px for sample in samples if sample.boxes_px is not None]
    labels = [sample.labels for sample in samples if sample.labels is not None]
    if len(labels) < len(samples):
        return None
    return ImageTargets(
        image_index=torch.from_numpy(np.repeat(np.arange(len(samples)), [len(found) for found in labels])),
        boxes_px=torch.from_numpy(np.concatenate(boxes).astype(np.float32)),
        labels=torch.from_numpy(np.concatenate(labels)),
    )
