"""Of boxes of one class that lie close together, seen from above, the best stays."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

_ROUNDS: Final = 32


def ranked_without_neighbours(
    centers_m: Tensor, scores: Tensor, labels: Tensor, radii_m: Tensor
) -> tuple[Tensor, Tensor]:
    """The boxes of each stream in a new order: those that stay by score, then by score those that do not.

    In tensors of fixed shape, and without waiting for a device: all boxes are compared at once, and each round settles
    those whose better neighbours are settled. A box that hangs on a chain of more than 32, each within the radius of
    the one before and worse than it, stays too.

    Args:
        centers_m: (B, K, 2) seen from above.
        scores: (B, K).
        labels: (B, K) int64.
        radii_m: (classes,) distance below which two boxes of a class are one.

    Returns:
        (B, K) int64 indices in that order, and (B, K) bool, which of them stay.

    Source: circle NMS, Yin et al., Center-based 3D Object Detection and Tracking, CVPR 2021.
    """
    order = scores.argsort(dim=1, descending=True, stable=True)
    centers = centers_m.gather(1, order.unsqueeze(-1).expand_as(centers_m))
    classes = labels.gather(1, order)
    away_m2 = (centers.unsqueeze(2) - centers.unsqueeze(1)).square().sum(-1)
    near = away_m2 < radii_m[classes].square().unsqueeze(2)
    rivals = (near & (classes.unsqueeze(2) == classes.unsqueeze(1))).triu(diagonal=1)  # the better one first
    kept = torch.ones_like(classes, dtype=torch.bool)
    for _ in range(_ROUNDS):
        kept = ~(rivals & kept.unsqueeze(2)).any(dim=1)
    stay_first = (~kept).long().argsort(dim=1, stable=True)
    return order.gather(1, stay_first), kept.gather(1, stay_first)
