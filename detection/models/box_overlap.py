"""Overlap of axis-aligned boxes in an image: left, top, right, bottom."""

import math

import torch
from torch import Tensor

_SMALLEST_SIDE = 1e-7  # of a box whose shape counts, pixels
_SMALLEST_AREA = 1e-6  # of a union or an enclosing box: two points overlap by nothing, not by NaN


def corners_from_center_size(boxes: Tensor) -> Tensor:
    """(..., 4) centre x, y, width, height -> left, top, right, bottom."""
    center, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([center - half, center + half], dim=-1)


def center_size_from_corners(boxes: Tensor) -> Tensor:
    """(..., 4) left, top, right, bottom -> centre x, y, width, height."""
    low, high = boxes[..., :2], boxes[..., 2:]
    return torch.cat([(low + high) / 2, high - low], dim=-1)


def intersection_over_union(boxes: Tensor, others: Tensor) -> Tensor:
    """IoU of boxes (..., 4) and (..., 4) that broadcast against each other, (...) in [0, 1]."""
    intersection, union = _intersection_and_union(boxes, others)
    return intersection / union


def generalized_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """GIoU of boxes (..., 4) and (..., 4) that broadcast against each other, (...) in (-1, 1].

    The IoU less the share of the smallest enclosing box that neither covers (Rezatofighi et al., CVPR 2019).
    """
    intersection, union = _intersection_and_union(boxes, others)
    low = torch.minimum(boxes[..., :2], others[..., :2])
    high = torch.maximum(boxes[..., 2:], others[..., 2:])
    enclosing = (high - low).prod(-1).clamp(min=_SMALLEST_AREA)
    return intersection / union - (enclosing - union) / enclosing


def complete_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """CIoU of boxes (..., 4) and (..., 4) that broadcast against each other, (...), at most 1.

    The IoU less the squared distance of the centres, in units of the enclosing box's diagonal, less a term for the
    difference in shape (Zheng et al., Distance-IoU Loss, AAAI 2020).
    """
    overlap = intersection_over_union(boxes, others)
    low = torch.minimum(boxes[..., :2], others[..., :2])
    high = torch.maximum(boxes[..., 2:], others[..., 2:])
    diagonal = (high - low).square().sum(-1).clamp(min=_SMALLEST_AREA)
    centers, sizes = zip(*(_center_and_size(one) for one in (boxes, others)), strict=True)
    distance = (centers[0] - centers[1]).square().sum(-1)
    angles = [torch.atan(size[..., 0] / size[..., 1].clamp(min=_SMALLEST_SIDE)) for size in sizes]
    shape = 4 / math.pi**2 * (angles[0] - angles[1]).square()
    with torch.no_grad():
        weight = shape / (1 - overlap + shape).clamp(min=_SMALLEST_AREA)
    complete: Tensor = overlap - distance / diagonal - weight * shape
    return complete


def _center_and_size(boxes: Tensor) -> tuple[Tensor, Tensor]:
    center_size = center_size_from_corners(boxes)
    return center_size[..., :2], center_size[..., 2:]


def _intersection_and_union(boxes: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    low = torch.maximum(boxes[..., :2], others[..., :2])
    high = torch.minimum(boxes[..., 2:], others[..., 2:])
    intersection = (high - low).clamp(min=0).prod(-1)
    union = _area(boxes) + _area(others) - intersection
    return intersection, union.clamp(min=_SMALLEST_AREA)


def _area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2:] - boxes[..., :2]).prod(-1)
