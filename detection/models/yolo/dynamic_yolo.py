"""Dy-YOLOv7: a detector, a second one that goes on from its maps, and a router that spares easy images the second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from detection.models.routing import Router, takes_easy_path
from detection.models.yolo.graph import LayerGraph
from detection.models.yolo.layers import AnchorPrediction
from detection.models.yolo.variants import Variant, first_backbone, head, second_backbone
from detection.records import on_device


@dataclass(frozen=True)
class DynamicYoloOutput:
    """What came of B images.

    Attributes:
        boxes: (B, N, 5 + classes) centre, width, height in pixels, then probabilities of an object and of its class.
        scores: (B,) how easy each image is.
        easy: (B,) bool, which of them the first detector answered.
    """

    boxes: Tensor
    scores: Tensor
    easy: Tensor


class DynamicYolo(nn.Module):
    """Two detectors in a cascade.

    The sides of the images must be multiples of the coarsest level's stride.
    """

    def __init__(self, variant: Variant, num_classes: int = 80, *, router: bool = True) -> None:
        """A detector.

        Args:
            variant: one of `VARIANTS`, or widths of one's own.
            num_classes: of objects.
            router: whether there is a router; the first step of training does without.
        """
        super().__init__()
        first = first_backbone(variant)
        channels = [first.channels[index] for index in first.stages]
        second = second_backbone(variant, channels)
        second_channels = [second.channels[index] for index in second.stages]
        self._num_levels = len(variant.strides)
        self._stem, self._stages, self._routed = first.stem, first.stages, first.routed
        self._second_stages = second.stages
        # The order of the parts is that of the published state dict.
        self.router = Router([first.channels[index] for index in first.routed]) if router else None
        self.model_b = first.graph
        self.model_b2 = second.graph
        self.model_h = head(variant, channels[-self._num_levels :], num_classes)
        self.model_h2 = head(variant, second_channels[-self._num_levels :], num_classes)

    @property
    def prediction(self) -> AnchorPrediction:
        """The last layer of the first detector; its anchors are those of both."""
        prediction = self.model_h[-1]
        assert isinstance(prediction, AnchorPrediction)
        return prediction

    @property
    def read_maps(self) -> tuple[int, ...]:
        """The layers of the first backbone whose maps the detectors behind it read."""
        return tuple(sorted({*self._stages, *([] if self._stem is None else [self._stem])}))

    def forward(self, images: Tensor, threshold: float | Tensor) -> DynamicYoloOutput:
        """Boxes of images, each from the detector that it is sent to.

        Args:
            images: (B, 3, H, W) in [0, 1].
            threshold: images whose score is not below it are easy.

        Raises:
            ValueError: there is no router.
        """
        if self.router is None:
            raise ValueError("without a router nothing tells which images are easy: use easy_logits or hard_logits")
        maps = self.first_maps(images)
        scores = self.router(self.routed_maps(maps))
        easy = takes_easy_path(scores, threshold)
        return DynamicYoloOutput(self.boxes(images, maps, easy), scores, easy)

    def boxes(self, images: Tensor, maps: Sequence[Tensor], easy: Tensor) -> Tensor:
        """Boxes (B, N, 5 + classes) of images, each from one detector; the other one does not run for it.

        Args:
            images: (B, 3, H, W). maps: of all layers of the first backbone. easy: (B,) bool, the first detector's; the
                CPU has to know it, and does not wait for it where it lies there.
        """
        easy = easy.cpu()
        if easy.all():
            return self.decode(self.easy_logits(maps))
        if not easy.any():
            return self.decode(self.hard_logits(images, maps))
        parts, groups = [], [taken.nonzero().flatten() for taken in (easy, ~easy)]
        for group, logits_of in zip(groups, (self._easy, self.hard_logits), strict=True):
            chosen = on_device(group, images.device)
            parts.append(self.decode(logits_of(images[chosen], [of_layer[chosen] for of_layer in maps])))
        return torch.cat(parts)[on_device(torch.cat(groups).argsort(), images.device)]

    def first_maps(self, images: Tensor) -> list[Tensor]:
        """What every layer of the first backbone gives for images (B, 3, H, W)."""
        maps: list[Tensor] = self.model_b([images])
        return maps

    def routed_maps(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Those maps of the first backbone at which the router looks."""
        return [maps[index] for index in self._routed]

    def easy_logits(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Logits of the first detector, see `AnchorPrediction.forward`.

        Args:
            maps: of all layers of the first backbone.
        """
        return self._predicted(self.model_h, [maps[index] for index in self._stages])

    def hard_logits(self, images: Tensor, maps: Sequence[Tensor]) -> list[Tensor]:
        """Logits of the second detector.

        Args:
            images: (B, 3, H, W). maps: of all layers of the first backbone.
        """
        start = images if self._stem is None else maps[self._stem]
        second = self.model_b2([start, *(maps[index] for index in self._stages)])
        return self._predicted(self.model_h2, [second[index] for index in self._second_stages])

    def decode(self, logits: Sequence[Tensor]) -> Tensor:
        """Boxes (B, N, 5 + classes) of logits of either detector."""
        return self.prediction.decode(logits)

    def _easy(self, images: Tensor, maps: Sequence[Tensor]) -> list[Tensor]:
        return self.easy_logits(maps)

    def _predicted(self, graph: LayerGraph, stages: Sequence[Tensor]) -> list[Tensor]:
        logits: list[Tensor] = graph(stages[-self._num_levels :])[-1]
        return logits
