"""VoVNet V2 (Lee and Park, CenterMask: real-time anchor-free instance segmentation, CVPR 2020), published names."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from detection.models.backbones.backbone import Backbone
from detection.registry import MODELS

_BLOCKS_OF_STAGES = {39: (1, 1, 2, 2), 57: (1, 1, 4, 3), 99: (1, 3, 9, 3)}
_STEM_CHANNELS = (64, 64, 128)
_CONV_CHANNELS = (128, 160, 192, 224)
_OUT_CHANNELS = (256, 512, 768, 1024)
_CONVS_OF_BLOCK = 5


class SqueezeExcitation(nn.Module):
    """Effective squeeze and excitation: each channel times the hard sigmoid of one linear layer on all means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Conv2d(channels, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        weight = self.fc(features.mean(dim=(2, 3), keepdim=True))
        return features * functional.hardsigmoid(weight)


class OneShotAggregation(nn.Module):
    """A row of 3x3 convolutions; input and all their outputs are concatenated once and reduced by a 1x1 convolution.

    Args:
        name: goes into the parameters' names, such as `OSA3_2`.
        in_channels: of the input.
        conv_channels: of the 3x3 convolutions.
        out_channels: of the output.
        residual: add the input to the output.
    """

    def __init__(self, name: str, in_channels: int, conv_channels: int, out_channels: int, residual: bool) -> None:
        super().__init__()
        self.residual = residual
        self.layers = nn.ModuleList(
            _convolution(f"{name}_{index}", conv_channels if index else in_channels, conv_channels)
            for index in range(_CONVS_OF_BLOCK)
        )
        all_channels = in_channels + _CONVS_OF_BLOCK * conv_channels
        self.concat = _convolution(f"{name}_concat", all_channels, out_channels, kernel_size=1)
        self.ese = SqueezeExcitation(out_channels)

    def forward(self, features: Tensor) -> Tensor:
        """(B, in_channels, H, W) to (B, out_channels, H, W)."""
        outputs = [features]
        for layer in self.layers:
            outputs.append(layer(outputs[-1]))
        merged: Tensor = self.ese(self.concat(torch.cat(outputs, dim=1)))
        return merged + features if self.residual else merged


@MODELS.register_module()
class VoVNet(Backbone):
    """VoVNet V2-39, V2-57 or V2-99 with effective squeeze and excitation.

    Args:
        depth: 39, 57 or 99.
        out_indices: stages whose maps are returned; stage i has stride 4 * 2**i.
        frozen_stages, norm_eval, norm_requires_grad, with_cp, pretrained: see `Backbone`.
    """

    def __init__(
        self,
        depth: int = 99,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        norm_eval: bool = True,
        norm_requires_grad: bool = True,
        with_cp: bool = False,
        pretrained: str | None = None,
    ) -> None:
        if depth not in _BLOCKS_OF_STAGES:
            raise ValueError(f"VoVNet depth is {depth}, expected one of {', '.join(map(str, _BLOCKS_OF_STAGES))}")
        super().__init__(frozen_stages, norm_eval, norm_requires_grad, with_cp, pretrained)
        self.out_indices = tuple(out_indices)
        self.stem = _stem()
        self._stage_names = [f"stage{index + 2}" for index in range(len(_OUT_CHANNELS))]
        channels = _STEM_CHANNELS[-1]
        for index, name in enumerate(self._stage_names):
            self.add_module(name, _stage(index, channels, _BLOCKS_OF_STAGES[depth][index]))
            channels = _OUT_CHANNELS[index]
        self.freeze()

    def stem_and_stages(self) -> Sequence[Sequence[nn.Module]]:
        """See `Backbone`."""
        return [[self.stem], *([self.get_submodule(name)] for name in self._stage_names)]

    def init_random_weights(self) -> None:
        """Kaiming's weights for the convolutions."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps (B, C_i, H_i, W_i) of the stages `out_indices` of images (B, 3, H, W)."""
        features = self.stem(images)
        outputs = []
        for index, name in enumerate(self._stage_names):
            for block in getattr(self, name).children():
                features = self._run(block, features)
            if index in self.out_indices:
                outputs.append(features)
        return tuple(outputs)


def _convolution(
    name: str, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1
) -> nn.Sequential:
    """Convolution, norm and rectifier, called `NAME/conv`, `NAME/norm` and `NAME/relu` as in published weights."""
    padding = kernel_size // 2
    parts: list[tuple[str, nn.Module]] = [
        (f"{name}/conv", nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False)),
        (f"{name}/norm", nn.BatchNorm2d(out_channels)),
        (f"{name}/relu", nn.ReLU(inplace=True)),
    ]
    return nn.Sequential(OrderedDict(parts))


def _stem() -> nn.Sequential:
    """Three convolutions, together of stride 4."""
    channels = (3, *_STEM_CHANNELS)
    rows = [
        _convolution(f"stem_{index + 1}", channels[index], channels[index + 1], stride=stride).named_children()
        for index, stride in enumerate((2, 1, 2))
    ]
    return nn.Sequential(OrderedDict(child for row in rows for child in row))


def _stage(index: int, in_channels: int, blocks: int) -> nn.Sequential:
    """Blocks of one resolution, after halving it in all stages but the first; partial windows at the rim count."""
    stage = nn.Sequential()
    if index > 0:
        stage.add_module("Pooling", nn.MaxPool2d(3, stride=2, ceil_mode=True))
    out_channels = _OUT_CHANNELS[index]
    for block in range(blocks):
        name = f"OSA{index + 2}_{block + 1}"
        channels = out_channels if block else in_channels
        residual = block > 0
        stage.add_module(name, OneShotAggregation(name, channels, _CONV_CHANNELS[index], out_channels, residual))
    return stage
