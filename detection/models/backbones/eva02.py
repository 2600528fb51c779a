"""EVA-02 (Fang et al., EVA-02: a visual representation for neon genesis, 2023) as a detection backbone.

A plain vision transformer with rotary position encoding and gated feed-forward layers. Attention stays inside windows,
as in ViTDet (Li et al., Exploring plain vision transformer backbones for object detection, ECCV 2022), whose simple
feature pyramid makes maps of four resolutions from the last one. Parameter names are those of the published weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from detection.models.backbones.backbone import Backbone
from detection.registry import MODELS

_NORM_EPS = 1e-6
_PRETRAINED_GRID = 14  # pretraining saw 224 pixels in patches of 16
_ROPE_GRID = 16  # rotary positions run over this many steps, whatever the size of the window


class RotaryEmbedding(nn.Module):
    """Turns queries and keys by angles that grow with row and column, so that products depend on the distance.

    Half of the channels go with the row, half with the column; neighbouring channels are one plane of rotation.

    Args:
        channels: of one head.
        grid: rows and columns of the square window.
    """

    freqs_cos: Tensor
    freqs_sin: Tensor

    def __init__(self, channels: int, grid: int) -> None:
        super().__init__()
        half = channels // 2
        frequencies = 1 / 10000 ** (torch.arange(0, half, 2, dtype=torch.float32) / half)
        positions = torch.arange(grid, dtype=torch.float32) / grid * _ROPE_GRID
        angles = torch.outer(positions, frequencies).repeat_interleave(2, dim=1)
        by_row = angles[:, None].expand(grid, grid, half)
        by_column = angles[None].expand(grid, grid, half)
        both = torch.cat([by_row, by_column], dim=-1).flatten(0, 1)
        self.register_buffer("freqs_cos", both.cos())
        self.register_buffer("freqs_sin", both.sin())

    def forward(self, tokens: Tensor) -> Tensor:
        """(..., grid * grid, channels) to the same shape."""
        first, second = tokens[..., 0::2], tokens[..., 1::2]
        turned = torch.stack([-second, first], dim=-1).flatten(-2)
        return (tokens * self.freqs_cos + turned * self.freqs_sin).to(tokens.dtype)


class Attention(nn.Module):
    """Multi-head self-attention with rotary positions; keys have no bias.

    Args:
        channels: of the tokens.
        heads: number of heads.
        rope: rotary positions of the window.
    """

    def __init__(self, channels: int, heads: int, rope: RotaryEmbedding) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(channels, channels, bias=False)
        self.k_proj = nn.Linear(channels, channels, bias=False)
        self.v_proj = nn.Linear(channels, channels, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(channels))
        self.v_bias = nn.Parameter(torch.zeros(channels))
        self.rope = rope
        self.proj = nn.Linear(channels, channels)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (B, N, C) of windows, row by row, to the same shape."""
        query = self.rope(self._split(functional.linear(tokens, self.q_proj.weight, self.q_bias)))
        key = self.rope(self._split(self.k_proj(tokens)))
        value = self._split(functional.linear(tokens, self.v_proj.weight, self.v_bias))
        attended = functional.scaled_dot_product_attention(query, key, value)
        output: Tensor = self.proj(attended.transpose(1, 2).flatten(2))
        return output

    def _split(self, tokens: Tensor) -> Tensor:
        """(B, N, C) to (B, heads, N, C / heads)."""
        batch, count, channels = tokens.shape
        return tokens.view(batch, count, self.heads, channels // self.heads).transpose(1, 2)


class SwiGLU(nn.Module):
    """Feed-forward layer with a gate (Shazeer, GLU variants improve transformer, 2020), normalised before its output.

    Args:
        channels: of the tokens.
        hidden: channels between.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.w1 = nn.Linear(channels, hidden)
        self.w2 = nn.Linear(channels, hidden)
        self.ffn_ln = nn.LayerNorm(hidden, eps=_NORM_EPS)
        self.w3 = nn.Linear(hidden, channels)

    def forward(self, tokens: Tensor) -> Tensor:
        """(..., channels) to the same shape."""
        output: Tensor = self.w3(self.ffn_ln(functional.silu(self.w1(tokens)) * self.w2(tokens)))
        return output


class Block(nn.Module):
    """Attention in windows and a feed-forward layer, each normalised before and added to its input.

    Args:
        channels: of the tokens.
        heads: of the attention.
        window: rows and columns of a window; maps are padded with zeros at the bottom and the right to whole windows.
        rope: rotary positions of such a window.
        drop_path: share of samples for which a branch is left out in training.
    """

    def __init__(self, channels: int, heads: int, window: int, rope: RotaryEmbedding, drop_path: float) -> None:
        super().__init__()
        self.window = window
        self.drop_path = drop_path
        self.norm1 = nn.LayerNorm(channels, eps=_NORM_EPS)
        self.attn = Attention(channels, heads, rope)
        self.norm2 = nn.LayerNorm(channels, eps=_NORM_EPS)
        self.mlp = SwiGLU(channels, channels * 8 // 3)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, H, W, channels) to the same shape."""
        size = tokens.shape[1:3]
        windows, grid_size = _to_windows(self.norm1(tokens), self.window)
        tokens = tokens + self._drop(_from_windows(self.attn(windows), self.window, grid_size, size))
        output: Tensor = tokens + self._drop(self.mlp(self.norm2(tokens)))
        return output

    def _drop(self, branch: Tensor) -> Tensor:
        """Stochastic depth (Huang et al., ECCV 2016): leave the branch out for some samples, enlarge it for others."""
        if not self.training or self.drop_path == 0:
            return branch
        kept = torch.rand(len(branch), 1, 1, 1, device=branch.device) >= self.drop_path
        return branch * kept.to(branch.dtype) / (1 - self.drop_path)


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of maps (B, C, H, W)."""

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        return super().forward(features.movedim(1, -1)).movedim(-1, 1)


class NormedConvolution(nn.Conv2d):
    """A convolution without bias, then `ChannelNorm`; its parameters are `weight` and `norm.*`."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False)
        self.norm = ChannelNorm(out_channels, eps=_NORM_EPS)

    def forward(self, features: Tensor) -> Tensor:
        """(B, in_channels, H, W) to (B, out_channels, H, W)."""
        output: Tensor = self.norm(super().forward(features))
        return output


class SimpleFeaturePyramid(nn.Module):
    """Maps of strides 4, 8, 16 and 32 from one of stride 16, by (transposed) convolutions.

    Args:
        channels: of the input.
        out_channels: of every output.
    """

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        half, quarter = channels // 2, channels // 4
        to_stride: dict[int, list[nn.Module]] = {
            2: [
                nn.ConvTranspose2d(channels, half, 2, stride=2),
                ChannelNorm(half, eps=_NORM_EPS),
                nn.GELU(),
                nn.ConvTranspose2d(half, quarter, 2, stride=2),
            ],
            3: [nn.ConvTranspose2d(channels, half, 2, stride=2)],
            4: [],
            5: [nn.Conv2d(channels, channels, 2, stride=2)],
        }
        widths = {2: quarter, 3: half, 4: channels, 5: channels}
        for level, layers in to_stride.items():
            reduce = NormedConvolution(widths[level], out_channels, 1)
            smooth = NormedConvolution(out_channels, out_channels, 3)
            self.add_module(f"simfp_{level}", nn.Sequential(*layers, reduce, smooth))

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        """Map (B, channels, H, W) to maps (B, out_channels, H_i, W_i), the finest first."""
        return tuple(level(features) for level in self.children())


@MODELS.register_module()
class EVA02(Backbone):
    """EVA-02 with windowed attention and a simple feature pyramid; needs no neck.

    Args:
        embed_dims: channels of the tokens.
        depth: number of blocks.
        num_heads: of the attention.
        patch_size: in pixels.
        window_size: of the attention, in patches.
        global_window_size: the larger windows of `global_blocks`, in patches; as many as the image has rows.
        global_blocks: indices of the blocks with the larger windows.
        drop_path_rate: of stochastic depth in the last block, rising from 0 in the first.
        out_channels: of the four maps.
        frozen_stages: the patch embedding and this many blocks keep their weights; -1 freezes nothing.
        with_cp, pretrained: see `Backbone`.
    """

    def __init__(
        self,
        embed_dims: int = 1024,
        depth: int = 24,
        num_heads: int = 16,
        patch_size: int = 16,
        window_size: int = 16,
        global_window_size: int = 20,
        global_blocks: Sequence[int] = (2, 5, 8, 11, 14, 17, 20, 23),
        drop_path_rate: float = 0.0,
        out_channels: int = 256,
        frozen_stages: int = -1,
        with_cp: bool = False,
        pretrained: str | None = None,
    ) -> None:
        super().__init__(frozen_stages, with_cp=with_cp, pretrained=pretrained)
        self.pos_embed = nn.Parameter(torch.zeros(1, _PRETRAINED_GRID**2 + 1, embed_dims))  # the first: class token
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, embed_dims, patch_size, stride=patch_size)})
        self.rope_win = RotaryEmbedding(embed_dims // num_heads, window_size)
        self.rope_glb = RotaryEmbedding(embed_dims // num_heads, global_window_size)
        self.blocks = nn.ModuleList()
        for index in range(depth):
            wide = index in global_blocks
            window, rope = (global_window_size, self.rope_glb) if wide else (window_size, self.rope_win)
            drop_path = drop_path_rate * index / max(depth - 1, 1)
            self.blocks.append(Block(embed_dims, num_heads, window, rope, drop_path))
        self.adapter = SimpleFeaturePyramid(embed_dims, out_channels)
        self.freeze()

    def stem_and_stages(self) -> Sequence[Sequence[nn.Module]]:
        """See `Backbone`; each block is a stage."""
        return [[self.patch_embed], *([block] for block in self.blocks)]

    def freeze(self) -> None:
        """See `Backbone`; the positions go with the patch embedding."""
        super().freeze()
        if self.frozen_stages >= 0:
            self.pos_embed.requires_grad_(False)

    def init_random_weights(self) -> None:
        """Small truncated normal weights, as vision transformers start from."""
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps (B, out_channels, H_i, W_i) of strides 4, 8, 16 and 32 of images (B, 3, H, W)."""
        tokens = self.patch_embed["proj"](images)
        tokens = (tokens + self._positions(tokens.shape[-2], tokens.shape[-1])).movedim(1, -1)
        for block in self.blocks:
            tokens = self._run(block, tokens)
        maps: tuple[Tensor, ...] = self.adapter(tokens.movedim(-1, 1))
        return maps

    def _positions(self, height: int, width: int) -> Tensor:
        """Position encoding (1, C, height, width), resized from the pretraining's grid."""
        grid = self.pos_embed[:, 1:].transpose(1, 2).reshape(1, -1, _PRETRAINED_GRID, _PRETRAINED_GRID)
        if (height, width) == (_PRETRAINED_GRID, _PRETRAINED_GRID):
            return grid
        resized = functional.interpolate(grid.float(), size=(height, width), mode="bicubic", align_corners=False)
        return resized.to(grid.dtype)


def _to_windows(tokens: Tensor, window: int) -> tuple[Tensor, tuple[int, int]]:
    """Cut tokens (B, H, W, C) into windows (B * rows * columns, window * window, C); also the rows and columns."""
    batch, height, width, channels = tokens.shape
    rows, columns = -(-height // window), -(-width // window)
    padded = functional.pad(tokens, (0, 0, 0, columns * window - width, 0, rows * window - height))
    grid = padded.view(batch, rows, window, columns, window, channels).transpose(2, 3)
    return grid.reshape(-1, window * window, channels), (rows, columns)


def _from_windows(windows: Tensor, window: int, grid_size: tuple[int, int], size: Sequence[int]) -> Tensor:
    """The inverse of `_to_windows`: tokens (B, H, W, C) of `size`, without the padding."""
    rows, columns = grid_size
    grid = windows.view(-1, rows, columns, window, window, windows.shape[-1]).transpose(2, 3)
    return grid.reshape(-1, rows * window, columns * window, windows.shape[-1])[:, : size[0], : size[1]]
