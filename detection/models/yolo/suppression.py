"""Boxes of a network to detections: confidences, and of boxes of one class that overlap the best one alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from detection.image_batch import ImageDetections
from detection.models.box_overlap import corners_from_center_size, intersection_over_union
from scenes.errors import InputError

_MOST_CANDIDATES = 30_000  # of an image, the best ones: a network that was never trained finds millions
_BLOCK = 512  # boxes that are compared at once


@dataclass(frozen=True)
class Postprocessing:
    """Which boxes of an image are its detections.

    Attributes:
        score_threshold: confidences have to be above it.
        iou_threshold: boxes of one class that overlap by more than this are one object.
        max_detections: of an image, the best ones.
    """

    score_threshold: float = 0.001
    iou_threshold: float = 0.65
    max_detections: int = 300

    def __post_init__(self) -> None:
        for name in ("score_threshold", "iou_threshold"):
            value = getattr(self, name)
            if not (math.isfinite(value) and 0 <= value <= 1):
                raise InputError(f"postprocess: {name} is {value}, expected a number from 0 to 1")
        if self.max_detections < 1:
            raise InputError(f"postprocess: max_detections is {self.max_detections}, expected at least 1")

    def detections(self, boxes: Tensor) -> list[ImageDetections]:
        """Detections of each image, on the CPU; a box may be one of each class.

        Three waits for the device, however many images there are: for how many boxes are likely, for how many of their
        classes are, and for these.

        Args:
            boxes: (B, N, 5 + classes) centre, width, height in pixels, probabilities of an object and of its class.
        """
        likely_places = (boxes[..., 4] > self.score_threshold).nonzero(as_tuple=True)  # above it no class of others is
        likely = boxes[likely_places]
        confidences = likely[:, 5:] * likely[:, 4:5]
        rows, labels = (confidences > self.score_threshold).nonzero(as_tuple=True)
        edges = corners_from_center_size(likely[rows, :4].float())
        columns = (likely_places[0][rows], labels, confidences[rows, labels])
        together = torch.cat([*(column.double().unsqueeze(1) for column in columns), edges.double()], dim=1).cpu()
        return [self._of_image(together[together[:, 0] == image, 1:]) for image in range(len(boxes))]

    def _of_image(self, found: Tensor) -> ImageDetections:
        """Detections of (K, 6) labels, confidences, left, top, right, bottom."""
        order = found[:, 1].argsort(descending=True, stable=True)[:_MOST_CANDIDATES]
        labels, scores, edges = found[order, 0].long(), found[order, 1].float(), found[order, 2:].float()
        kept = best_of_each_object(edges, labels, self.iou_threshold, self.max_detections)
        return ImageDetections(edges[kept], labels[kept], scores[kept])


def best_of_each_object(boxes_px: Tensor, labels: Tensor, iou_threshold: float, most: int) -> Tensor:
    """Indices (K,) of the boxes that no better box of their class overlaps by more than a threshold.

    Args:
        boxes_px: (N, 4) left, top, right, bottom; the best first.
        labels: (N,) their classes.
        iou_threshold: overlap from which two boxes are one object.
        most: indices at most; the rest is not looked at.
    """
    kept = torch.zeros(0, dtype=torch.int64)
    for start in range(0, len(labels), _BLOCK):
        if len(kept) >= most:
            break
        block = torch.arange(start, min(start + _BLOCK, len(labels)))
        new = block[~_overlapping(boxes_px, labels, kept, block, iou_threshold).any(0)]
        # Whether a box is kept depends on better boxes alone: each round settles at least one more of them for good.
        covers = _overlapping(boxes_px, labels, new, new, iou_threshold).triu(diagonal=1)
        free, settled = torch.ones(len(new), dtype=torch.bool), False
        while not settled:
            before, free = free, ~(covers & free[:, None]).any(0)
            settled = bool((before == free).all())
        kept = torch.cat([kept, new[free]])
    return kept[:most]


def _overlapping(boxes_px: Tensor, labels: Tensor, ones: Tensor, others: Tensor, iou_threshold: float) -> Tensor:
    """(K, L) which of the boxes with indices (K,) and (L,) are one object."""
    overlaps = intersection_over_union(boxes_px[ones, None], boxes_px[None, others])
    return (labels[ones, None] == labels[None, others]) & ~(overlaps <= iou_threshold)
