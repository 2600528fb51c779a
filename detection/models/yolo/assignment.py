"""Which anchors of which cells learn which annotated box: neighbours of its centre, and of these the cheapest ones.

Candidates are the anchors whose sides are alike, in the cell of the box's centre and in the two cells next to it on
the sides where the centre lies. Among them, each box takes as many as their best overlaps with it add up to.

Sources: Wang et al., YOLOv7, 2022; Ge et al., YOLOX, 2021 (SimOTA).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from detection.image_batch import ImageTargets
from detection.models.box_overlap import (
    center_size_from_corners,
    corners_from_center_size,
    intersection_over_union,
)
from detection.models.layers.filled import filled
from detection.models.matching.sim_ota import SimOTAAssigner
from detection.models.yolo.layers import AnchorGrid

_REACH = 0.5  # cells: how far from a cell's edge a centre still has the neighbour behind that edge
_STEPS = ((0, 0), (-1, 0), (0, -1), (1, 0), (0, 1))  # columns and rows to the cells where a box may be learned


@dataclass(frozen=True, eq=False)
class AnchorAssignment:
    """K pairs of an anchor and the object that it learns.

    Attributes:
        images: (K,) int64, of the batch.
        anchors: (K,) int64, in the order of an `AnchorGrid`; rising level by level.
        targets: (K,) int64 index of the object.
    """

    images: Tensor
    anchors: Tensor
    targets: Tensor

    def select(self, which: Tensor) -> AnchorAssignment:
        """Those pairs that an index array (L,) int64 picks."""
        return AnchorAssignment(self.images[which], self.anchors[which], self.targets[which])


def candidates(grid: AnchorGrid, targets: ImageTargets, largest_ratio: float) -> AnchorAssignment:
    """All pairs that come into question.

    An anchor may be there twice for an object at the edge of the image, and for several objects.

    Args:
        grid: of the network's anchors.
        targets: the annotated objects.
        largest_ratio: of the sides of box and anchor.
    """
    boxes_px = center_size_from_corners(targets.boxes_px)
    found, first = [], 0
    for (anchors, rows, columns), count in zip(grid.shapes, grid.counts, strict=True):
        one_of_each = torch.arange(anchors, device=boxes_px.device) * rows * columns + first
        extent = filled(boxes_px, columns, rows)
        places = boxes_px[:, :2] / grid.strides_px[first]
        ratios = boxes_px[:, 2:] / grid.sizes_px[one_of_each][:, None]
        alike = torch.maximum(ratios, 1 / ratios).amax(-1) < largest_ratio
        step, anchor, target = (_reachable(places, extent)[:, None] & alike).nonzero().unbind(1)
        # Half a cell towards the neighbour ends in it, as the centre is that near.
        steps = torch.stack([filled(boxes_px, *one) for one in _STEPS])
        cells = (places[target] + _REACH * steps[step]).long()
        column, row = torch.minimum(cells.clamp(min=0), (extent - 1).long()).unbind(1)
        flat = first + (anchor * rows + row) * columns + column
        found.append(AnchorAssignment(targets.image_index[target], flat, target))
        first += count
    return AnchorAssignment(
        *(torch.cat([getattr(part, name) for part in found]) for name in ("images", "anchors", "targets"))
    )


def _reachable(places: Tensor, extent: Tensor) -> Tensor:
    """(steps, N) bool: whether a centre at `places` (N, 2), in cells, is so near to the cell of each step."""
    to_low = (places % 1 < _REACH) & (places > 1)
    to_high = ((extent - places) % 1 < _REACH) & (extent - places > 1)
    own = torch.ones_like(to_low[:, 0])
    return torch.stack((own, to_low[:, 0], to_low[:, 1], to_high[:, 0], to_high[:, 1]))


@dataclass(frozen=True)
class AnchorAssigner:
    """Pairs of anchors and objects.

    Attributes:
        largest_ratio: of the sides of box and anchor.
        matcher: picks among the candidates of an image.
    """

    largest_ratio: float = 4.0
    matcher: SimOTAAssigner = field(default_factory=SimOTAAssigner)

    @torch.no_grad()
    def assign(self, grid: AnchorGrid, logits: Tensor, targets: ImageTargets) -> AnchorAssignment:
        """The pairs of a batch.

        Args:
            grid: of the anchors. logits: (B, N, 5 + classes). targets: the annotated objects.
        """
        pairs = candidates(grid, targets, self.largest_ratio)
        chosen: list[AnchorAssignment] = []
        for image in range(len(logits)):
            own = pairs.select((pairs.images == image).nonzero().flatten())
            objects = (targets.image_index == image).nonzero().flatten()
            if len(own.anchors):
                chosen.append(self._chosen(grid, logits[image], own, targets, objects))
        return _joined(chosen, pairs)

    def _chosen(
        self, grid: AnchorGrid, logits: Tensor, pairs: AnchorAssignment, targets: ImageTargets, objects: Tensor
    ) -> AnchorAssignment:
        predicted = logits[pairs.anchors].nan_to_num()  # the loss then says so
        boxes = corners_from_center_size(grid.select(pairs.anchors).boxes(predicted[:, :4]))
        overlaps = intersection_over_union(boxes[:, None], targets.boxes_px[objects])
        scores = predicted[:, 5:].sigmoid() * predicted[:, 4:5].sigmoid()
        rows, columns = self.matcher.cheapest(scores, overlaps, targets.labels[objects]).nonzero().unbind(1)
        taken = pairs.select(rows)
        return AnchorAssignment(taken.images, taken.anchors, objects[columns])


def _joined(parts: Sequence[AnchorAssignment], like: AnchorAssignment) -> AnchorAssignment:
    if not parts:
        return like.select(like.images[:0])
    return AnchorAssignment(
        *(torch.cat([getattr(part, name) for part in parts]) for name in ("images", "anchors", "targets"))
    )
