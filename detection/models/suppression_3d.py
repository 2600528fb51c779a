"""Of boxes of one class that lie close together, seen from above, the best stays."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def suppress_neighbours(centers_m: Tensor, scores: Tensor, labels: Tensor, radii_m: Tensor) -> Tensor:
    """Indices of the boxes that stay, the best first; all on the CPU.

    Args:
        centers_m: (K, 2) seen from above.
        scores: (K,).
        labels: (K,) int64.
        radii_m: (classes,) distance below which two boxes of a class are one.

    Source: circle NMS, Yin et al., Center-based 3D Object Detection and Tracking, CVPR 2021.
    """
    order = scores.argsort(descending=True, stable=True)
    centers, classes = centers_m[order], labels[order]
    near = torch.cdist(centers.double(), centers.double()) < radii_m[classes].unsqueeze(1)
    near &= classes.unsqueeze(1) == classes
    rivals = near.numpy()
    kept = np.ones(len(order), dtype=np.bool_)
    for index in range(len(order)):
        if kept[index]:
            kept[index + 1 :] &= ~rivals[index, index + 1 :]
    return order[torch.from_numpy(kept)]
