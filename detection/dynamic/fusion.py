"""Maps of one backbone fed into another: projected, resized, added.

Source: Liang et al., CBNet: A Composite Backbone Network Architecture for Object Detection, 2022, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional


class SplitConvolution(nn.Module):
    """One 1x1 convolution whose output is cut into the maps for several places."""

    def __init__(self, in_channels: int, out_channels: Sequence[int]) -> None:
        """A convolution.

        Args:
            in_channels: of its map.
            out_channels: of each piece.
        """
        super().__init__()
        self.out_channels = tuple(out_channels)
        self.conv = nn.Conv2d(in_channels, sum(self.out_channels), 1)

    def forward(self, maps: Tensor) -> tuple[Tensor, ...]:
        """Pieces (B, out_channels[i], H, W) of maps (B, in_channels, H, W)."""
        pieces: tuple[Tensor, ...] = self.conv(maps).split(self.out_channels, dim=1)
        return pieces


def sum_resized(maps: Sequence[Tensor]) -> Tensor:
    """The sum of maps (B, C, H_i, W_i), all but the last resized by nearest neighbour to the last one's size."""
    *others, last = maps
    total = last
    for other in others:
        total = total + functional.interpolate(other, size=last.shape[-2:], mode="nearest")
    return total
