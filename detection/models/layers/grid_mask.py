"""GridMask: training images with a lattice of squares blacked out, so that no part of an object is indispensable."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class GridMask(nn.Module):
    """Blacks out squares on a lattice of random period and position, the same for all images of a call.

    Source: Chen et al., GridMask Data Augmentation, 2020, without rotation.
    """

    def __init__(self, prob: float = 0.7, ratio: float = 0.5) -> None:
        """A mask.

        Args:
            prob: share of the calls that are masked.
            ratio: share of the lattice's period that remains visible along each axis.
        """
        super().__init__()
        self.prob = prob
        self.ratio = ratio

    def forward(self, images: Tensor) -> Tensor:
        """Images (..., H, W), masked in training."""
        if not self.training or float(torch.rand(())) >= self.prob:
            return images
        height, width = images.shape[-2:]
        period = int(torch.randint(2, max(height, 3), ()))
        visible = min(max(round(period * self.ratio), 1), period - 1)
        rows, columns = (self._stripes(length, period, visible, images.device) for length in (height, width))
        return images * (rows.unsqueeze(1) | columns)

    def _stripes(self, length: int, period: int, visible: int, device: torch.device) -> Tensor:
        """(length,) bool, True in stripes of `visible` pixels every `period`, from a random position on."""
        phase = int(torch.randint(period, ()))
        return (torch.arange(length, device=device) + phase) % period < visible
