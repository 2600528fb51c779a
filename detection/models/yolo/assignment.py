"""Which anchors of which cells learn which annotated box: neighbours of its centre, and of these the cheapest ones.

Candidates are the anchors whose sides are alike, in the cell of the box's centre and in the two cells next to it on
the sides where the centre lies. Among them, each box takes as many as their best overlaps with it add up to.

Sources: Wang et al., YOLOv7, 2022; Ge et al., YOLOX, 2021 (SimOTA).
"""

from __future__ import annotations

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
from detection.models.matching.sim_ota import Candidates, SimOTAAssigner
from detection.models.yolo.layers import AnchorGrid

_REACH = 0.5  # cells: how far from a cell's edge a centre still has the neighbour behind that edge
_STEPS = ((0, 0), (-1, 0), (0, -1), (1, 0), (0, 1))  # columns and rows to the cells where a box may be learned


@dataclass(frozen=True, eq=False)
class AnchorAssignment:
    """K pairs of an anchor and the object that it learns.

    Attributes:
        images: (K,) int64, of the batch.
        anchors: (K,) int64, in the order of an `AnchorGrid`.
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
    levels = _Levels.of(grid, boxes_px)
    places = boxes_px[:, :2] / levels.strides_px
    ratios = boxes_px[:, 2:] / levels.sizes_px[:, :, None]
    alike = torch.maximum(ratios, 1 / ratios).amax(-1) < largest_ratio
    # One wait for all levels.
    level, step, anchor, target = (_reachable(places, levels.extents)[:, :, None] & alike[:, None]).nonzero().unbind(1)
    # Half a cell towards the neighbour ends in it, as the centre is that near.
    steps = torch.stack([filled(boxes_px, *one) for one in _STEPS])
    cells = (places[level, target] + _REACH * steps[step]).long()
    column, row = torch.minimum(cells.clamp(min=0), levels.extents[level].long() - 1).unbind(1)
    columns, rows = levels.extents[level].long().unbind(1)
    flat = levels.firsts[level] + (anchor * rows + row) * columns + column
    return AnchorAssignment(targets.image_index[target], flat, target)


@dataclass(frozen=True, eq=False)
class _Levels:
    """The L levels of a grid.

    Attributes:
        strides_px: (L, 1, 1).
        extents: (L, 2) columns and rows, float32.
        sizes_px: (L, anchors, 2) width and height.
        firsts: (L,) int64, the first anchor of each.
    """

    strides_px: Tensor
    extents: Tensor
    sizes_px: Tensor
    firsts: Tensor

    @classmethod
    def of(cls, grid: AnchorGrid, like: Tensor) -> _Levels:
        """Those of a grid.

        Args:
            grid: whose levels have equally many anchors. like: a float32 tensor.
        """
        firsts = grid.firsts
        one_of_each = [
            first + rows * columns * torch.arange(anchors, device=like.device)
            for first, (anchors, rows, columns) in zip(firsts, grid.shapes, strict=True)
        ]
        return cls(
            torch.stack([grid.strides_px[first] for first in firsts])[:, None],
            torch.stack([filled(like, columns, rows) for _, rows, columns in grid.shapes]),
            grid.sizes_px[torch.stack(one_of_each)],
            filled(one_of_each[0], *firsts),
        )


def _reachable(places: Tensor, extents: Tensor) -> Tensor:
    """(L, steps, N) bool: whether a centre at `places` (L, N, 2), in cells, is so near to the cell of each step."""
    to_end = extents[:, None] - places
    to_low = (places % 1 < _REACH) & (places > 1)
    to_high = (to_end % 1 < _REACH) & (to_end > 1)
    own = torch.ones_like(to_low[..., 0])
    return torch.stack((own, to_low[..., 0], to_low[..., 1], to_high[..., 0], to_high[..., 1]), dim=1)


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
        pairs = pairs.select(pairs.images.argsort(stable=True))
        objects = targets.image_index.argsort(stable=True)
        cells, boxes, _ = self.matcher.cheapest(_by_image(grid, logits, pairs, targets, objects))
        taken = pairs.select(cells)
        return AnchorAssignment(taken.images, taken.anchors, objects[boxes])


def _by_image(
    grid: AnchorGrid, logits: Tensor, pairs: AnchorAssignment, targets: ImageTargets, objects: Tensor
) -> list[Candidates]:
    """The anchors of each image that may learn one of its objects, with one wait for how many these are.

    Args:
        grid: of the anchors. logits: (B, N, 5 + classes). targets: the annotated objects.
        pairs, objects: both image by image.
    """
    images = torch.arange(len(logits), device=logits.device)
    sizes = torch.stack([(images[:, None] == each).sum(1) for each in (pairs.images, targets.image_index)]).tolist()
    predicted = logits[pairs.images, pairs.anchors].nan_to_num()  # the loss then says so
    boxes = corners_from_center_size(grid.select(pairs.anchors).boxes(predicted[:, :4]))
    scores = predicted[:, 5:].sigmoid() * predicted[:, 4:5].sigmoid()
    of_images = zip(
        *(torch.split(each, sizes[of]) for each, of in ((boxes, 0), (scores, 0), (objects, 1))), strict=True
    )
    return [
        Candidates(
            of_image, intersection_over_union(found[:, None], targets.boxes_px[annotated]), targets.labels[annotated]
        )
        for found, of_image, annotated in of_images
    ]
