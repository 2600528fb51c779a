"""The layers that YOLOv7 is made of. Their parameters bear the published names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

_NORM_EPS = 1e-3
_NORM_MOMENTUM = 0.03
_POOLING_KERNELS = (5, 9, 13)
_PRIOR_OBJECTS = 8  # that an image of 640 px shows
_PRIOR_CLASS = 0.6  # of all classes together


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """A normalization with the constants of YOLOv7."""
    return nn.BatchNorm2d(channels, eps=_NORM_EPS, momentum=_NORM_MOMENTUM)


class ConvolutionBlock(nn.Module):
    """Convolution that keeps the size or divides it by the stride, normalization, SiLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False)
        self.bn = batch_norm(out_channels)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, out_channels, H / stride, W / stride) of maps (B, in_channels, H, W)."""
        return functional.silu(self.bn(self.conv(maps)))


class Concatenation(nn.Module):
    """Maps of one size as one map."""

    def forward(self, *maps: Tensor) -> Tensor:
        """(B, sum of C_i, H, W) of maps (B, C_i, H, W)."""
        return torch.cat(maps, dim=1)


class SpaceToDepth(nn.Module):
    """Every other pixel as a channel: even and odd rows alternate faster than even and odd columns."""

    def forward(self, images: Tensor) -> Tensor:
        """(B, 4 C, H / 2, W / 2) of images (B, C, H, W)."""
        corners = [images[..., row::2, column::2] for column in (0, 1) for row in (0, 1)]
        return torch.cat(corners, dim=1)


class SpatialPyramidPooling(nn.Module):
    """Maxima over growing neighbourhoods beside a plain branch (SPPCSPC)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.cv1 = ConvolutionBlock(in_channels, out_channels)
        self.cv2 = ConvolutionBlock(in_channels, out_channels)
        self.cv3 = ConvolutionBlock(out_channels, out_channels, 3)
        self.cv4 = ConvolutionBlock(out_channels, out_channels)
        self.cv5 = ConvolutionBlock((1 + len(_POOLING_KERNELS)) * out_channels, out_channels)
        self.cv6 = ConvolutionBlock(out_channels, out_channels, 3)
        self.cv7 = ConvolutionBlock(2 * out_channels, out_channels)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, out_channels, H, W) of maps (B, in_channels, H, W)."""
        near = self.cv4(self.cv3(self.cv1(maps)))
        pooled = [functional.max_pool2d(near, kernel, 1, kernel // 2) for kernel in _POOLING_KERNELS]
        deep = self.cv6(self.cv5(torch.cat((near, *pooled), dim=1)))
        joined: Tensor = self.cv7(torch.cat((deep, self.cv2(maps)), dim=1))
        return joined


class ReparameterizedConvolution(nn.Module):
    """A 3x3 and a 1x1 convolution, each normalized, summed before the SiLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.rbr_dense = _normalized_convolution(in_channels, out_channels, 3)
        self.rbr_1x1 = _normalized_convolution(in_channels, out_channels, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, out_channels, H, W) of maps (B, in_channels, H, W)."""
        return functional.silu(self.rbr_dense(maps) + self.rbr_1x1(maps))


def _normalized_convolution(in_channels: int, out_channels: int, kernel: int) -> nn.Sequential:
    convolution = nn.Conv2d(in_channels, out_channels, kernel, 1, kernel // 2, bias=False)
    return nn.Sequential(convolution, batch_norm(out_channels))


class ImplicitSum(nn.Module):
    """Adds one learned number a channel (Wang et al., YOLOR, 2021)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.implicit = nn.Parameter(0.02 * torch.randn(1, channels, 1, 1))

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, channels, H, W), moved."""
        return maps + self.implicit


class ImplicitProduct(nn.Module):
    """Multiplies with one learned number a channel (Wang et al., YOLOR, 2021)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.implicit = nn.Parameter(1.0 + 0.02 * torch.randn(1, channels, 1, 1))

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, channels, H, W), scaled."""
        return maps * self.implicit


@dataclass(frozen=True, eq=False)
class AnchorGrid:
    """The N anchors of all cells of all levels, level by level, then anchor by anchor, row by row.

    Attributes:
        shapes: of each level, how many anchors, rows and columns.
        cells: (N, 2) column and row of each anchor's cell.
        strides_px: (N, 1) side of its cell.
        sizes_px: (N, 2) its width and height.
    """

    shapes: tuple[tuple[int, int, int], ...]
    cells: Tensor
    strides_px: Tensor
    sizes_px: Tensor

    @property
    def counts(self) -> list[int]:
        """How many of the anchors each level has."""
        return [anchors * rows * columns for anchors, rows, columns in self.shapes]

    @property
    def firsts(self) -> list[int]:
        """The first anchor of each level."""
        return [sum(self.counts[:level]) for level in range(len(self.shapes))]

    def select(self, which: Tensor) -> AnchorGrid:
        """Those anchors that an index array picks; their levels are forgotten."""
        return AnchorGrid((), self.cells[which], self.strides_px[which], self.sizes_px[which])

    def boxes(self, logits: Tensor) -> Tensor:
        """Centre, width and height (..., N, 4) in pixels.

        A box's centre may leave its cell by half a cell; its sides are at most four times those of its anchor.

        Args:
            logits: (..., N, 4) x, y, width, height.
        """
        shares = logits.sigmoid()
        centers_px = (2.0 * shares[..., :2] - 0.5 + self.cells) * self.strides_px
        return torch.cat((centers_px, (2.0 * shares[..., 2:]) ** 2 * self.sizes_px), dim=-1)


class AnchorPrediction(nn.Module):
    """Predicts, in every cell of every level, a box for each of some anchors."""

    anchors: Tensor
    anchor_grid: Tensor

    def __init__(
        self,
        in_channels: Sequence[int],
        anchors_px: Sequence[Sequence[tuple[float, float]]],
        strides: Sequence[int],
        num_classes: int,
    ) -> None:
        """A prediction.

        Args:
            in_channels: of each level.
            anchors_px: of each level, width and height of each anchor.
            strides: of each level, pixels a cell.
            num_classes: of objects.
        """
        super().__init__()
        self.strides = tuple(strides)
        self.num_anchors = len(anchors_px[0])
        self.num_outputs = 5 + num_classes
        sizes = torch.tensor(anchors_px, dtype=torch.float32)
        self.register_buffer("anchors", sizes / torch.tensor(self.strides)[:, None, None])
        self.register_buffer("anchor_grid", sizes[:, None, :, None, None, :].clone())
        width = self.num_anchors * self.num_outputs
        self.m = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in in_channels)
        self.ia = nn.ModuleList(ImplicitSum(channels) for channels in in_channels)
        self.im = nn.ModuleList(ImplicitProduct(width) for _ in in_channels)
        self._begin_with_few_objects()

    def forward(self, *levels: Tensor) -> list[Tensor]:
        """Of each level, logits (B, anchors, H, W, 5 + classes): x, y, width, height, object, classes.

        Args:
            levels: maps (B, in_channels[i], H_i, W_i).
        """
        logits = []
        for maps, convolution, moved, scaled in zip(levels, self.m, self.ia, self.im, strict=True):
            predicted = scaled(convolution(moved(maps)))
            shape = (len(maps), self.num_anchors, self.num_outputs, *maps.shape[-2:])
            logits.append(predicted.reshape(shape).permute(0, 1, 3, 4, 2))
        return logits

    @torch.no_grad()
    def _begin_with_few_objects(self) -> None:
        """Biases at which few anchors of an untrained network show an object."""
        classes = self.num_outputs - 5
        for convolution, stride in zip(self.m, self.strides, strict=True):
            assert isinstance(convolution, nn.Conv2d) and convolution.bias is not None
            biases = convolution.bias.view(self.num_anchors, -1)
            biases[:, 4] += math.log(_PRIOR_OBJECTS / (640 / stride) ** 2)
            biases[:, 5:] += math.log(_PRIOR_CLASS / (classes - 0.99))

    def grid(self, logits: Sequence[Tensor]) -> AnchorGrid:
        """The anchors of logits.

        Args:
            logits: of each level, as `forward` gives them.
        """
        cells, strides, sizes = [], [], []
        for raw, stride, anchors_px in zip(logits, self.strides, self.anchor_grid, strict=True):
            shape = (*raw.shape[1:4], 2)
            cells.append(_cells(raw).expand(shape).reshape(-1, 2))
            strides.append(torch.full_like(cells[-1][:, :1], stride))
            sizes.append(anchors_px[0].expand(shape).reshape(-1, 2))
        shapes = tuple((raw.shape[1], raw.shape[2], raw.shape[3]) for raw in logits)
        return AnchorGrid(shapes, torch.cat(cells), torch.cat(strides), torch.cat(sizes).float())

    def decode(self, logits: Sequence[Tensor]) -> Tensor:
        """Boxes (B, N, 5 + classes): centre, width and height in pixels, then probabilities; see `AnchorGrid.boxes`.

        Args:
            logits: of each level, as `forward` gives them. N is the number of all anchors of all cells.
        """
        flat = flattened(logits)
        return torch.cat((self.grid(logits).boxes(flat[..., :4]), flat[..., 4:].sigmoid()), dim=-1)


def flattened(logits: Sequence[Tensor]) -> Tensor:
    """(B, N, 5 + classes) float32 logits of all anchors in the order of an `AnchorGrid`, from those of each level."""
    return torch.cat([raw.flatten(1, 3) for raw in logits], dim=1).float()


def _cells(logits: Tensor) -> Tensor:
    """Column and row (H, W, 2) of every cell, float32: half precision cannot count them."""
    rows, columns = (torch.arange(side, device=logits.device, dtype=torch.float32) for side in logits.shape[2:4])
    row, column = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack((column, row), dim=-1)
