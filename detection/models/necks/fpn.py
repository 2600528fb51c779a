"""Feature pyramid (Lin et al., Feature pyramid networks for object detection, CVPR 2017), with mmdet's names."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional

from detection.registry import MODELS


def named_convolution(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> nn.Sequential:
    """A padded convolution whose parameters are called `conv.weight` and `conv.bias`, as in published weights."""
    convolution = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2)
    return nn.Sequential(OrderedDict(conv=convolution))


def merge_top_down(laterals: Sequence[Tensor]) -> list[Tensor]:
    """Add to each map the coarser ones above it, enlarged by nearest neighbour to its very size.

    The size, not a factor of two, because maps of odd size do not double: 6 columns become 11.

    Args:
        laterals: (B, C, H_i, W_i) each, the finest first.
    """
    merged = list(laterals)
    for level in range(len(merged) - 1, 0, -1):
        size = merged[level - 1].shape[-2:]
        merged[level - 1] = merged[level - 1] + functional.interpolate(merged[level], size=size, mode="nearest")
    return merged


@MODELS.register_module()
class FPN(BaseModule):  # type: ignore[misc]  # mmengine is untyped
    """Maps of a backbone to maps of one width, and coarser ones by strided convolutions on the last.

    Args:
        in_channels: of the backbone's maps, the finest first.
        out_channels: of every output.
        num_outs: number of outputs; those beyond the inputs halve the last output's size, one after the other.
        relu_before_extra_convs: rectify what these additional convolutions read, apart from the first of them.
    """

    def __init__(
        self, in_channels: Sequence[int], out_channels: int, num_outs: int, relu_before_extra_convs: bool = False
    ) -> None:
        super().__init__(dict(type="Xavier", layer="Conv2d", distribution="uniform"))
        extra = num_outs - len(in_channels)
        if extra < 0:
            raise ValueError(f"FPN: num_outs is {num_outs}, fewer than the {len(in_channels)} inputs")
        self.relu_before_extra_convs = relu_before_extra_convs
        self.lateral_convs = nn.ModuleList(named_convolution(channels, out_channels, 1) for channels in in_channels)
        self.fpn_convs = nn.ModuleList(named_convolution(out_channels, out_channels, 3) for _ in in_channels)
        self.fpn_convs.extend(named_convolution(out_channels, out_channels, 3, stride=2) for _ in range(extra))

    def forward(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Outputs (B, out_channels, H_i, W_i) of maps (B, in_channels[i], H_i, W_i), the finest first."""
        merged = merge_top_down([conv(one) for conv, one in zip(self.lateral_convs, features, strict=True)])
        outputs = [conv(one) for conv, one in zip(self.fpn_convs, merged, strict=False)]
        for level in range(len(outputs), len(self.fpn_convs)):
            rectified = self.relu_before_extra_convs and level > len(merged)
            outputs.append(self.fpn_convs[level](functional.relu(outputs[-1]) if rectified else outputs[-1]))
        return tuple(outputs)
