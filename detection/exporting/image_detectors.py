"""Dy-YOLOv7 as one graph: its first half, the router, and behind it an easy and a hard path of which one runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from detection.exporting.branches import with_branches
from detection.exporting.onnx_graph import exported
from detection.models.fusing import fused
from detection.models.routing import takes_easy_path
from detection.models.yolo.detector import DynamicYoloDetector


class _FirstHalf(nn.Module):
    """An image to how easy it is, whether it takes the easy path, and the maps that the paths read."""

    def __init__(self, model: DynamicYoloDetector, read: Sequence[int]) -> None:
        super().__init__()
        self.model, self.read = model, tuple(read)

    def forward(self, images: Tensor, threshold: Tensor) -> tuple[Tensor, ...]:
        assert self.model.router is not None
        maps = self.model.first_maps(images)
        scores = self.model.router(self.model.routed_maps(maps))
        return (scores, takes_easy_path(scores, threshold).float(), *(maps[index] for index in self.read))


class _Path(nn.Module):
    """Maps to boxes."""

    def __init__(self, model: DynamicYoloDetector, read: Sequence[int], hard: bool) -> None:
        super().__init__()
        self.model, self.read, self.hard = model, tuple(read), hard

    def forward(self, images: Tensor, *maps: Tensor) -> Tensor:
        known: dict[int, Tensor] = dict(zip(self.read, maps, strict=True))
        every: Any = [known.get(index, images) for index in range(max(self.read) + 1)]
        logits = self.model.hard_logits(images, every) if self.hard else self.model.easy_logits(every)
        return self.model.decode(logits)


def image_detector_graph(model: DynamicYoloDetector, size_px: tuple[int, int]) -> Any:
    """The whole of a detector for images of one size.

    Args:
        model: with its weights; is not changed.
        size_px: height and width of the network's images.

    Returns:
        an ONNX model: `images` (1, 3, H, W) in [0, 1] and `threshold` (1,) to `boxes` (1, N, 5 + classes), see
        `AnchorPrediction.decode`, and `scores` (1,), how easy the image is.
    """
    form = fused(model)
    form.image_format = torch.contiguous_format
    read = form.read_maps
    images, threshold = torch.zeros(1, 3, *size_px), torch.full((1,), 0.5)
    names = [f"maps_{index}" for index in read]
    first = exported(_FirstHalf(form, read), [images, threshold], ["images", "threshold"], ["scores", "easy", *names])
    with torch.no_grad():
        maps = _FirstHalf(form, read)(images, threshold)[2:]
    easy, hard = (
        exported(_Path(form, read, hard), [images, *maps], ["images", *names], ["boxes"]) for hard in (False, True)
    )
    return with_branches(first, easy, hard, condition="easy")
