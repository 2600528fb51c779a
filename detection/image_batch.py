"""`ImageBatch`: single images side by side, as a 2D detector sees them, and what it should have found in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from detection.records import moved, pinned


@dataclass(frozen=True, eq=False)
class ImageTargets:
    """The annotated objects of B images.

    Attributes:
        image_index: (N,) int64, in which image of the batch each object is.
        boxes_px: (N, 4) float32, left, top, right, bottom in pixels of the network's image.
        labels: (N,) int64 class indices.
    """

    image_index: Tensor
    boxes_px: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str) -> ImageTargets:
        """The same targets on another device."""
        return moved(self, device)

    def pin_memory(self) -> ImageTargets:
        """A copy that a GPU takes by itself, see `detection.records.moved`."""
        return pinned(self)


@dataclass(frozen=True, eq=False)
class ImageBatch:
    """B images of one size.

    A pixel (x, y) of an image as it was read is (x, y) * scale + (left, top) in the network's image, see `letterbox`.

    Attributes:
        images: (B, 3, H, W) uint8, RGB.
        image_ids: B ids of the data set, or running numbers.
        names: B files, for messages.
        sizes_px: (B, 2) int64, height and width of each image as it was read.
        letterbox: (B, 3) float32: scale, left and top margin in pixels of the network's image.
        targets: None where there are no annotations.
    """

    images: Tensor
    image_ids: tuple[int | str, ...]
    names: tuple[str, ...]
    sizes_px: Tensor
    letterbox: Tensor
    targets: ImageTargets | None = None

    def __len__(self) -> int:
        return len(self.image_ids)

    def to(self, device: torch.device | str) -> ImageBatch:
        """The same images on another device; what only finds them again in their files stays."""
        targets = None if self.targets is None else self.targets.to(device)
        on_gpu = torch.device(device).type == "cuda"
        return replace(self, images=self.images.to(device, non_blocking=on_gpu), targets=targets)

    def pin_memory(self) -> ImageBatch:
        """A copy that a GPU takes by itself, see `detection.records.moved`; data loaders ask for it."""
        targets = None if self.targets is None else self.targets.pin_memory()
        return replace(self, images=self.images.pin_memory(), targets=targets)


@dataclass(frozen=True, eq=False)
class ImageDetections:
    """M boxes found in one image, best first.

    Attributes:
        boxes_px: (M, 4) float32, left, top, right, bottom; in pixels of the network's image, or as said.
        labels: (M,) int64 class indices.
        scores: (M,) float32.
    """

    boxes_px: Tensor
    labels: Tensor
    scores: Tensor

    def __len__(self) -> int:
        return len(self.labels)


def in_original_pixels(detections: ImageDetections, batch: ImageBatch, index: int) -> ImageDetections:
    """Detections of one image of a batch in the pixels of the image as it was read, cut at its edges.

    Args:
        detections: in pixels of the network's image.
        batch: that they were found in.
        index: of the image.
    """
    scale, left, top = batch.letterbox[index].tolist()
    height, width = batch.sizes_px[index].tolist()
    boxes = detections.boxes_px.cpu()
    shifted = (boxes - boxes.new_tensor([left, top, left, top])) / scale
    limits = boxes.new_tensor([width, height, width, height])
    edges = torch.minimum(shifted.clamp(min=0.0), limits)
    return ImageDetections(edges, detections.labels.cpu(), detections.scores.cpu())


def detections_by_image(
    detections: Sequence[ImageDetections], batch: Mapping[str, Any]
) -> dict[int | str, ImageDetections]:
    """The detections of a batch by image id, see `in_original_pixels`.

    Args:
        detections: of each image, in pixels of the network's image.
        batch: `{"images": batch}`, as the data loader gives it.
    """
    images: ImageBatch = batch["images"]
    return {
        image_id: in_original_pixels(found, images, index)
        for index, (image_id, found) in enumerate(zip(images.image_ids, detections, strict=True))
    }
