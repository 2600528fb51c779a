"""A copy of a detector for inference: what is linear behind or before a convolution becomes a part of it."""

from __future__ import annotations

from copy import deepcopy
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from detection.models.yolo.graph import LayerGraph
from detection.models.yolo.layers import (
    AnchorPrediction,
    ConvolutionBlock,
    ImplicitProduct,
    ImplicitSum,
    ReparameterizedConvolution,
)

_ModelT = TypeVar("_ModelT", bound=nn.Module)


class FusedReparameterization(nn.Module):
    """A `ReparameterizedConvolution` as one convolution and SiLU."""

    def __init__(self, layer: ReparameterizedConvolution) -> None:
        super().__init__()
        self.conv = _fused_branch(layer.rbr_dense)
        beside = _fused_branch(layer.rbr_1x1)
        assert self.conv.bias is not None and beside.bias is not None
        with torch.no_grad():
            self.conv.weight += functional.pad(beside.weight, (1, 1, 1, 1))
            self.conv.bias += beside.bias

    def forward(self, maps: Tensor) -> Tensor:
        """(B, out_channels, H, W) of maps (B, in_channels, H, W)."""
        return functional.silu(self.conv(maps))


def fused(model: _ModelT) -> _ModelT:
    """A copy in evaluation mode with the same output up to rounding, fewer layers, and other names in its state dict.

    Args:
        model: a detector or a part of one; it is not changed.
    """
    copy = deepcopy(model).eval()
    for module in list(copy.modules()):
        if isinstance(module, ConvolutionBlock):
            module.conv = fuse_conv_bn_eval(module.conv, module.bn)
            module.bn = nn.Identity()  # type: ignore[assignment]
        elif isinstance(module, AnchorPrediction):
            _fuse_prediction(module)
        elif isinstance(module, LayerGraph):
            for index, layer in enumerate(module):
                if isinstance(layer, ReparameterizedConvolution):
                    module[index] = FusedReparameterization(layer)
    return copy


def _fused_branch(branch: nn.Sequential) -> nn.Conv2d:
    convolution, norm = branch
    assert isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    return fuse_conv_bn_eval(convolution, norm)


@torch.no_grad()
def _fuse_prediction(prediction: AnchorPrediction) -> None:
    for level, (convolution, moved, scaled) in enumerate(zip(prediction.m, prediction.ia, prediction.im, strict=True)):
        assert isinstance(convolution, nn.Conv2d) and convolution.bias is not None
        assert isinstance(moved, ImplicitSum) and isinstance(scaled, ImplicitProduct)
        convolution.bias += functional.conv2d(moved.implicit, convolution.weight).flatten()
        factor = scaled.implicit.flatten()
        convolution.bias *= factor
        convolution.weight *= factor[:, None, None, None]
        prediction.ia[level], prediction.im[level] = nn.Identity(), nn.Identity()
