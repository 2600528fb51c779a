"""What a dense head hands to a query head: objects that it has found, to begin queries with."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Proposals:
    """P objects in each of B streams, the best first.

    Attributes:
        boxes: (B, P, 9) in the lidar frame, as in `FrameTargets.boxes`, without gradient.
        scores: (B, P) in [0, 1], without gradient; 0 of one that repeats a better one.
        labels: (B, P) int64 classes.
        features: (B, P, F) what is known of each.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    features: Tensor
