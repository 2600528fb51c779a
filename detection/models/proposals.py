"""What a dense head hands to a query head: objects that it has found, to begin queries with."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Proposals:
    """P objects in each of B streams, the best first.

    Attributes:
        points_m: (B, P, 3) centres in the lidar frame, without gradient.
        features: (B, P, F) what is known of each.
    """

    points_m: Tensor
    features: Tensor
