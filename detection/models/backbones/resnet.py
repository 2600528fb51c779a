"""ResNet (He et al., Deep residual learning for image recognition, CVPR 2016), with the parameter names of mmdet."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from detection.models.backbones.backbone import Backbone
from detection.models.routing.fusion import sum_resized
from detection.registry import MODELS


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut (depths 18 and 34).

    Args:
        in_channels: channels of the input.
        width: channels of the convolutions.
        stride: of the first convolution.
        style: makes no difference here.
    """

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int = 1, style: str = "pytorch") -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, width, stride)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, in_channels, H, W) to (B, width, H / stride, W / stride)."""
        hidden = self.relu(self.bn1(self.conv1(inputs)))
        hidden = self.bn2(self.conv2(hidden))
        output: Tensor = self.relu(hidden + self.downsample(inputs))
        return output


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut (depths 50 and 101).

    Args:
        in_channels: channels of the input.
        width: channels of the 3x3 convolution; the output has four times as many.
        stride: of the block.
        style: `pytorch` has the stride in the 3x3 convolution, `caffe` in the first 1x1.
    """

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int = 1, style: str = "pytorch") -> None:
        super().__init__()
        out_channels = width * self.expansion
        first, second = (1, stride) if style == "pytorch" else (stride, 1)
        self.conv1 = nn.Conv2d(in_channels, width, 1, first, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, second, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, out_channels, stride)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, in_channels, H, W) to (B, 4 width, H / stride, W / stride)."""
        hidden = self.relu(self.bn1(self.conv1(inputs)))
        hidden = self.relu(self.bn2(self.conv2(hidden)))
        hidden = self.bn3(self.conv3(hidden))
        output: Tensor = self.relu(hidden + self.downsample(inputs))
        return output


_BLOCKS: dict[int, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, ...]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
}


@MODELS.register_module()
class ResNet(Backbone):
    """ResNet-18, 34, 50 or 101.

    Args:
        depth: 18, 34, 50 or 101.
        out_indices: stages whose maps are returned; stage i has stride 4 * prod(strides[:i + 1]).
        strides: of the stages; fewer than four leave the last stages out.
        base_channels: channels of the stem, 64 in the paper; stage i is 2**i times as wide.
        style: `pytorch` or `caffe`, where the bottleneck has its stride.
        frozen_stages, norm_eval, norm_requires_grad, with_cp, pretrained: see `Backbone`.
    """

    def __init__(
        self,
        depth: int,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        strides: Sequence[int] = (1, 2, 2, 2),
        base_channels: int = 64,
        style: str = "pytorch",
        frozen_stages: int = -1,
        norm_eval: bool = True,
        norm_requires_grad: bool = True,
        with_cp: bool = False,
        pretrained: str | None = None,
    ) -> None:
        if depth not in _BLOCKS:
            raise ValueError(f"ResNet depth is {depth}, expected one of {', '.join(map(str, _BLOCKS))}")
        if style not in ("pytorch", "caffe"):
            raise ValueError(f"ResNet style is '{style}', expected pytorch or caffe")
        block, counts = _BLOCKS[depth]
        super().__init__(frozen_stages, norm_eval, norm_requires_grad, with_cp, pretrained)
        self.out_indices = tuple(out_indices)
        self.conv1 = nn.Conv2d(3, base_channels, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(base_channels)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self._stage_names = [f"layer{index + 1}" for index in range(len(strides))]
        channels = base_channels
        self.channels = [channels]  # of what each stage reads, and of what the last one gives
        for index, (name, stride) in enumerate(zip(self._stage_names, strides, strict=True)):
            build = partial(block, width=base_channels * 2**index, style=style)
            first = build(channels, stride=stride)
            channels = base_channels * 2**index * block.expansion
            self.channels.append(channels)
            self.add_module(name, nn.Sequential(first, *(build(channels) for _ in range(counts[index] - 1))))
        self.freeze()

    def stem_and_stages(self) -> Sequence[Sequence[nn.Module]]:
        """See `Backbone`."""
        return [[self.conv1, self.bn1], *([self.get_submodule(name)] for name in self._stage_names)]

    def init_random_weights(self) -> None:
        """Kaiming's weights; the last norm of a block starts at zero, so that every block starts as its shortcut."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)
        for module in self.modules():
            if isinstance(module, BasicBlock | Bottleneck):
                nn.init.zeros_((module.bn2 if isinstance(module, BasicBlock) else module.bn3).weight)

    def forward(self, images: Tensor, added: Sequence[Sequence[Tensor]] = ()) -> tuple[Tensor, ...]:
        """Maps (B, C_i, H_i, W_i) of the stages `out_indices` of images (B, 3, H, W).

        Args:
            images: (B, 3, H, W).
            added: for each stage maps of any size that are added to what it reads, such as another backbone's.
        """
        features = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        outputs = []
        for index, name in enumerate(self._stage_names):
            if added:
                features = sum_resized([*added[index], features])
            for block in getattr(self, name).children():
                features = self._run(block, features)
            if index in self.out_indices:
                outputs.append(features)
        return tuple(outputs)


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """The identity, or a 1x1 convolution where the block changes the shape."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))
