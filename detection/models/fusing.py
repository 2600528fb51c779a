"""A copy of a detector for inference: what is linear behind or before a convolution becomes a part of it."""

from __future__ import annotations

from copy import deepcopy
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from detection.models.yolo.graph import LayerGraph
from detection.models.yolo.layers import (
    AnchorPrediction,
    ImplicitProduct,
    ImplicitSum,
    ReparameterizedConvolution,
)

_ModelT = TypeVar("_ModelT", bound=nn.Module)


class FusedReparameterization(nn.Module):
    """A `ReparameterizedConvolution` as one convolution and SiLU."""

    def __init__(self, layer: ReparameterizedConvolution) -> None:
        super().__init__()
        self.conv, beside = (_folded(*branch) for branch in (layer.rbr_dense, layer.rbr_1x1))
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
        if isinstance(module, AnchorPrediction):
            _fuse_prediction(module)
        elif isinstance(module, LayerGraph):
            for index, layer in enumerate(module):
                if isinstance(layer, ReparameterizedConvolution):
                    module[index] = FusedReparameterization(layer)
    for module in list(copy.modules()):
        _fold_batch_norms(module)
    return copy


def _fold_batch_norms(parent: nn.Module) -> None:
    """Make a batch norm behind a convolution a part of it: of two neighbours among the children of one module, in the
    order in which it has got them, as all backbones here have it."""
    for (name, convolution), (behind, norm) in pairwise(list(parent.named_children())):
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            setattr(parent, name, _folded(convolution, norm))
            setattr(parent, behind, nn.Identity())


def _folded(convolution: nn.Module, norm: nn.Module) -> nn.Conv2d:
    """One convolution for a convolution and its batch norm."""
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
