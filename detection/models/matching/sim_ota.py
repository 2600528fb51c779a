"""Which cells of a 2D head's maps learn which annotated box of an image: SimOTA (Ge et al., YOLOX, 2021)."""

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
class Assignment:
    """Cells that learn a box.

    Attributes:
        cells: (K,) int64 indices of cells, rising.
        boxes: (K,) int64 index of the annotated box of each.
        overlaps: (K,) IoU of what each cell predicts and its box.
    """

    cells: Tensor
    boxes: Tensor
    overlaps: Tensor


@dataclass(frozen=True)
class SimOTAAssigner:
    """Gives each box as many cells as its best overlaps add up to, the cheapest ones first.

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
        self, scores: Tensor, boxes_px: Tensor, centers_px: Tensor, strides_px: Tensor, targets: CameraTargets
    ) -> Assignment:
        """The cells of one image that learn a box; a cell learns at most one.

        Args:
            scores: (P, C) class score times objectness of each cell.
            boxes_px: (P, 4) predicted left, top, right, bottom.
            centers_px: (P, 2) centres of the cells.
            strides_px: (P,) their sides.
            targets: M annotated boxes.
        """
        in_box, near_center = self._inside(centers_px, strides_px, targets.boxes_px)
        candidates = (in_box | near_center).any(1).nonzero().squeeze(1)
        overlaps = intersection_over_union(boxes_px[candidates, None], targets.boxes_px)
        outside = ~(in_box & near_center)[candidates]
        chosen = self.cheapest(scores[candidates], overlaps, targets.labels, _OUTSIDE_COST * outside)
        rows, boxes = chosen.nonzero().unbind(1)
        return Assignment(candidates[rows], boxes, overlaps[rows, boxes])

    @torch.no_grad()
    def cheapest(self, scores: Tensor, overlaps: Tensor, labels: Tensor, extra_cost: Tensor | float = 0.0) -> Tensor:
        """(cells, M) bool: the cheapest cells of each box, each cell with one box at most.

        Args:
            scores: (cells, C) class score times objectness of each candidate.
            overlaps: (cells, M) IoU of what each predicts and each box.
            labels: (M,) classes of the boxes.
            extra_cost: (cells, M) on top of that of class and overlap.
        """
        cost = self._cost(scores, overlaps, labels) + extra_cost
        cells, boxes = cost.shape
        chosen = torch.zeros_like(cost, dtype=torch.bool)
        best = overlaps.topk(min(self.candidates, cells), dim=0).values
        counts = best.sum(0).int().clamp(min=1)
        # Which of equal costs are taken hangs on how many are asked for, in the published systems as here: so a number
        # for each box, and one wait for all of them.
        for box, count in enumerate(counts.tolist() if cells else ()):
            chosen[cost[:, box].topk(count, largest=False).indices, box] = True
        if boxes < 2:
            return chosen
        contested = chosen.sum(1, keepdim=True) > 1
        return torch.where(contested, one_hot(cost.argmin(1), boxes).bool(), chosen)

    def _inside(self, centers_px: Tensor, strides_px: Tensor, boxes_px: Tensor) -> tuple[Tensor, Tensor]:
        """(P, M) whether a cell's centre lies in a box, and in the square around the box's centre."""
        points = centers_px[:, None]
        low, high = boxes_px[:, :2], boxes_px[:, 2:]
        reach = self.center_radius * strides_px[:, None, None]
        to_center = points - (low + high) / 2
        return ((points > low) & (points < high)).all(-1), (to_center.abs() < reach).all(-1)

    def _cost(self, scores: Tensor, overlaps: Tensor, labels: Tensor) -> Tensor:
        """(cells, M) cost of each pair."""
        cells, boxes = overlaps.shape
        wanted = one_hot(labels, scores.shape[1]).float().expand(cells, boxes, -1)
        with full_precision(scores):  # on a GPU autocast refuses the entropy
            # A product of two scores is brought back to the scale of one.
            predicted = scores.float().sqrt()[:, None].expand_as(wanted)
            entropy = binary_cross_entropy(predicted, wanted, reduction="none").sum(-1)
        return self.class_weight * entropy - self.iou_weight * (overlaps + _TINY).log()
