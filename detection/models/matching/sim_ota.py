"""Which cells of a 2D head's maps learn which annotated box of an image: SimOTA (Ge et al., YOLOX, 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy, one_hot

from detection.frames import CameraTargets
from detection.models.box_overlap import intersection_over_union
from detection.models.layers.precision import full_precision

_OUTSIDE_COST = 1e5  # of a cell that is not both in the box and near its centre: only where nothing better is left
_TINY = 1e-7  # keeps the logarithm of no overlap finite


@dataclass(frozen=True, eq=False)
class Candidates:
    """The P cells of an image that may learn one of its M boxes.

    Attributes:
        scores: (P, C) class score times objectness.
        overlaps: (P, M) IoU of what each cell predicts and each box.
        labels: (M,) classes of the boxes.
        extra_cost: (P, M) on top of that of class and overlap.
    """

    scores: Tensor
    overlaps: Tensor
    labels: Tensor
    extra_cost: Tensor | float = 0.0


@dataclass(frozen=True, eq=False)
class Assignment:
    """K cells that learn a box, image by image.

    Attributes:
        images: (K,) int64.
        cells: (K,) int64, rising in each image.
        boxes: (K,) int64 index of the annotated box of each, among those of all images one after another.
        overlaps: (K,) IoU of what each cell predicts and its box.
    """

    images: Tensor
    cells: Tensor
    boxes: Tensor
    overlaps: Tensor


@dataclass(frozen=True)
class SimOTAAssigner:
    """Gives each box as many cells as its best overlaps add up to, the cheapest ones first.

    A GPU is waited for three times, however many images there are.

    Attributes:
        center_radius: half the side of the square around a box's centre where cells may learn it, in cells.
        candidates: how many of the best overlaps are added up.
        iou_weight: weight of -log IoU in the cost.
        class_weight: weight of the binary cross entropy of the class scores in the cost.
    """

    center_radius: float = 2.5
    candidates: int = 10
    iou_weight: float = 3.0
    class_weight: float = 1.0

    @torch.no_grad()
    def assign(
        self, scores: Tensor, boxes_px: Tensor, centers_px: Tensor, strides_px: Tensor, targets: Sequence[CameraTargets]
    ) -> Assignment:
        """The cells of N images that learn a box; a cell learns at most one.

        Args:
            scores: (N, P, C) class score times objectness of each cell.
            boxes_px: (N, P, 4) predicted left, top, right, bottom.
            centers_px: (P, 2) centres of the cells.
            strides_px: (P,) their sides.
            targets: the annotated boxes of each image.
        """
        inside = [self._inside(centers_px, strides_px, image.boxes_px) for image in targets]
        possible = torch.stack([(in_box | near_center).any(1) for in_box, near_center in inside]).byte()
        cells = [
            row.argsort(descending=True, stable=True)[:count]
            for row, count in zip(possible, possible.sum(1).tolist(), strict=True)
        ]
        candidates = [
            Candidates(
                scores[image, of_image],
                intersection_over_union(boxes_px[image, of_image, None], targets[image].boxes_px),
                targets[image].labels,
                _OUTSIDE_COST * ~(in_box & near_center)[of_image],
            )
            for image, (of_image, (in_box, near_center)) in enumerate(zip(cells, inside, strict=True))
        ]
        rows, boxes, overlaps = self.cheapest(candidates)
        images = torch.cat([torch.full_like(of_image, image) for image, of_image in enumerate(cells)])
        return Assignment(images[rows], torch.cat(cells)[rows], boxes, overlaps)

    @torch.no_grad()
    def cheapest(self, images: Sequence[Candidates]) -> tuple[Tensor, Tensor, Tensor]:
        """The cheapest cells of each box, each cell with one box at most.

        Returns:
            (K,) int64 cells and (K,) int64 boxes, numbered through all images one after another, cells rising, and (K,)
            their IoU.
        """
        costs = [self._cost(image) for image in images]
        # Which of equal costs are taken hangs on how many are asked for, in the published systems as here: so a number
        # for each box, and one wait for all of them.
        numbers = iter(torch.cat([self._numbers_taken(image.overlaps) for image in images]).tolist())
        chosen = [_cheapest(cost, [next(numbers) for _ in range(cost.shape[1])]) for cost in costs]
        taken = torch.cat([each.flatten() for each in chosen]).nonzero().squeeze(1)
        cells, boxes = _numbered_through(chosen)[taken].unbind(1)
        return cells, boxes, torch.cat([image.overlaps.flatten() for image in images])[taken]

    def _numbers_taken(self, overlaps: Tensor) -> Tensor:
        """(M,) how many cells each box takes, no more than there are."""
        cells = len(overlaps)
        best = overlaps.topk(min(self.candidates, cells), dim=0).values
        return best.sum(0).int().clamp(min=1).clamp(max=cells)

    def _inside(self, centers_px: Tensor, strides_px: Tensor, boxes_px: Tensor) -> tuple[Tensor, Tensor]:
        """(P, M) whether a cell's centre lies in a box, and in the square around the box's centre."""
        points = centers_px[:, None]
        low, high = boxes_px[:, :2], boxes_px[:, 2:]
        reach = self.center_radius * strides_px[:, None, None]
        to_center = points - (low + high) / 2
        return ((points > low) & (points < high)).all(-1), (to_center.abs() < reach).all(-1)

    def _cost(self, image: Candidates) -> Tensor:
        """(P, M) cost of each pair."""
        cells, boxes = image.overlaps.shape
        wanted = one_hot(image.labels, image.scores.shape[1]).float().expand(cells, boxes, -1)
        with full_precision(image.scores):  # on a GPU autocast refuses the entropy
            # A product of two scores is brought back to the scale of one.
            predicted = image.scores.float().sqrt()[:, None].expand_as(wanted)
            entropy = binary_cross_entropy(predicted, wanted, reduction="none").sum(-1)
        return self.class_weight * entropy - self.iou_weight * (image.overlaps + _TINY).log() + image.extra_cost


def _cheapest(cost: Tensor, numbers: Sequence[int]) -> Tensor:
    """(P, M) bool: as many of the cheapest cells of each box, and where boxes compete for a cell, the cheapest."""
    chosen = torch.zeros_like(cost, dtype=torch.bool)
    for box, number in enumerate(numbers):
        chosen[cost[:, box].topk(number, largest=False).indices, box] = True
    if not cost.numel():
        return chosen
    contested = chosen.sum(1, keepdim=True) > 1
    return torch.where(contested, one_hot(cost.argmin(1), cost.shape[1]).bool(), chosen)


def _numbered_through(matrices: Sequence[Tensor]) -> Tensor:
    """(entries, 2) row and column of each entry of matrices that lie corner to corner, matrix by matrix."""
    parts, row, column = [], 0, 0
    for matrix in matrices:
        rows, columns = (
            torch.arange(first, first + length, device=matrix.device)
            for first, length in zip((row, column), matrix.shape, strict=True)
        )
        parts.append(torch.cartesian_prod(rows, columns))
        row, column = row + len(rows), column + len(columns)
    return torch.cat(parts)
