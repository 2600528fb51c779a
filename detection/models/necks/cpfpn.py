"""CPFPN: the feature pyramid of PETR, of which only the finest map is used and smoothed."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor, nn

from detection.models.necks.fpn import merge_top_down, named_convolution
from detection.registry import MODELS


@MODELS.register_module()
class CPFPN(BaseModule):  # type: ignore[misc]  # mmengine is untyped
    """A feature pyramid with one 3x3 convolution, on the finest map; the coarser outputs are the merged maps.

    Args:
        in_channels: of the backbone's maps, the finest first.
        out_channels: of every output.
    """

    def __init__(self, in_channels: Sequence[int], out_channels: int) -> None:
        super().__init__(dict(type="Xavier", layer="Conv2d", distribution="uniform"))
        self.lateral_convs = nn.ModuleList(named_convolution(channels, out_channels, 1) for channels in in_channels)
        self.fpn_convs = nn.ModuleList([named_convolution(out_channels, out_channels, 3)])

    def forward(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Outputs (B, out_channels, H_i, W_i) of maps (B, in_channels[i], H_i, W_i), the finest first."""
        merged = merge_top_down([conv(one) for conv, one in zip(self.lateral_convs, features, strict=True)])
        return (self.fpn_convs[0](merged[0]), *merged[1:])
