"""PETR: queries attend to all image tokens of all cameras, which know by their position features where they look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from detection.frames import FrameBatch
from detection.models.heads.query_head import QueryHead
from detection.models.layers.decoder import Decoder, DecoderLayer, FeedForward, ImageCrossAttention, SelfAttention
from detection.models.layers.modulation import MotionAwareLayerNorm, SqueezeExcitation
from detection.models.layers.position import inverse_sigmoid, linear_increasing_depths, to_shares
from detection.models.layers.precision import full_precision
from detection.registry import MODELS

_NEAREST_DEPTH_M = 1.0
_CONE_DEPTHS = (-1, -30)  # indices of the two points of a token's ray that its camera cone is told by
_FOCAL_UNIT_PX = 1e3


@MODELS.register_module()
class PETRHead(QueryHead):
    """Dense cross-attention to one feature map of every camera.

    Sources: Liu et al., PETR, 2022 (position features from points along each token's ray); Wang et al., Focal-PETR,
    2023 (spatial alignment by the camera cone).
    """

    position_range: Tensor
    coords_d: Tensor

    def __init__(
        self,
        *,
        position_range: Sequence[float],
        in_channels: int = 256,
        stride_px: int = 16,
        depth_num: int = 64,
        position_level: int = 0,
        **settings: Any,
    ) -> None:
        """A head.

        Args:
            position_range: least x, y, z and greatest x, y, z in metres to which points on the rays relate; the
                greatest x is also where their depths end.
            in_channels: channels of the feature map.
            stride_px: pixels a cell of the feature map.
            depth_num: points along a ray, at least 30.
            position_level: which feature map.
            settings: of a `QueryHead`.
        """
        super().__init__(**settings)
        self.stride_px = stride_px
        self.position_level = position_level
        depths = linear_increasing_depths(depth_num, _NEAREST_DEPTH_M, position_range[3])
        self.register_buffer("position_range", torch.tensor(tuple(position_range), dtype=torch.float32))
        self.register_buffer("coords_d", depths)
        self.position_encoder = nn.Sequential(
            nn.Linear(3 * depth_num, 4 * self.embed_dims), nn.ReLU(), nn.Linear(4 * self.embed_dims, self.embed_dims)
        )
        self.memory_embed = nn.Sequential(
            nn.Linear(in_channels, self.embed_dims), nn.ReLU(), nn.Linear(self.embed_dims, self.embed_dims)
        )
        self.featurized_pe = SqueezeExcitation(self.embed_dims)
        self.spatial_alignment = MotionAwareLayerNorm(2 + 3 * len(_CONE_DEPTHS), self.embed_dims)

    def make_decoder(
        self,
        num_layers: int = 6,
        num_heads: int = 8,
        feedforward_channels: int = 2048,
        dropout: float = 0.1,
        attention: str = "sdpa",
        with_cp: bool = False,
    ) -> Decoder:
        """A decoder with dense cross-attention.

        Args:
            num_layers: number of layers.
            num_heads: heads of every attention.
            feedforward_channels: hidden channels of the feed-forward networks.
            dropout: of every branch, and of the weights of self-attention.
            attention: implementation, see `MultiheadAttention`.
            with_cp: recompute activations in the backward pass.
        """
        dims = self.embed_dims

        def layer() -> DecoderLayer:
            return DecoderLayer(
                SelfAttention(dims, num_heads, dropout, attention),
                ImageCrossAttention(dims, num_heads, dropout, attention),
                FeedForward(dims, feedforward_channels, dropout),
            )

        return Decoder(layer, num_layers, post_norm=True, with_cp=with_cp)

    def image_context(
        self, features: Sequence[Tensor], frame: FrameBatch, reference_points: Tensor, tokens: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Keys and values (B, T, C) of the cross-attention; see `QueryHead.image_context`."""
        feature_map = features[self.position_level]
        values = _values(feature_map)
        with full_precision(values):
            rays = self.token_rays(frame, feature_map.shape[-2:])
            cones = self.camera_cones(frame, rays)
        if tokens is not None:
            values, rays, cones = (_gathered(each, tokens) for each in (values, rays, cones))
        return self._located(values, self.encoded_rays(rays), cones)

    def located_context(
        self, features: Sequence[Tensor], position: Tensor, cones: Tensor, tokens: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """What `image_context` gives, where the calibration has been encoded before.

        Args:
            features, tokens: see `QueryHead.image_context`.
            position: (B, T, embed_dims) from `encoded_rays`, of all tokens.
            cones: (B, T, 8) from `camera_cones`, of all tokens.
        """
        values = _values(features[self.position_level])
        if tokens is not None:
            values, position, cones = (_gathered(each, tokens) for each in (values, position, cones))
        return self._located(values, position, cones)

    def encoded_rays(self, rays: Tensor) -> Tensor:
        """Position features (B, T, embed_dims) of rays (B, T, depths, 3) from `token_rays`."""
        position: Tensor = self.position_encoder(inverse_sigmoid(rays).flatten(2))
        return position

    def _located(self, values: Tensor, position: Tensor, cones: Tensor) -> tuple[Tensor, Tensor]:
        values = self.spatial_alignment(self.memory_embed(values), cones)
        return values + self.featurized_pe(position, values), values

    def token_rays(self, frame: FrameBatch, cells: Sequence[int]) -> Tensor:
        """Points along the ray through the centre of each cell of feature maps of cells = rows, columns.

        Returns:
            (B, T, depths, 3) in shares of the position range, tokens counted by camera, row, column.
        """
        rows, columns = ((torch.arange(count, device=frame.images.device) + 0.5) * self.stride_px for count in cells)
        v, u = torch.meshgrid(rows, columns, indexing="ij")
        directions_px = torch.stack((u, v, torch.ones_like(u)), dim=-1).flatten(0, 1)
        lidar_from_image = frame.lidar_from_image
        directions = directions_px @ lidar_from_image[..., :3, :3].transpose(-2, -1)
        origins = lidar_from_image[..., None, None, :3, 3]
        points_m = directions.unsqueeze(-2) * self.coords_d.unsqueeze(-1) + origins
        return to_shares(points_m, self.position_range).flatten(1, 2)

    def camera_cones(self, frame: FrameBatch, rays: Tensor) -> Tensor:
        """What spatial alignment is told of each token: focal lengths and two points of its ray.

        The focal lengths are those of camera number (token modulo N), although tokens are counted camera by camera:
        the published weights are trained with this order.

        Args:
            frame: with N cameras.
            rays: (B, T, depths, 3) from `token_rays`.

        Returns:
            (B, T, 8)
        """
        focal_px = frame.image_from_camera.diagonal(dim1=-2, dim2=-1)[..., :2].abs()
        focal = (focal_px / _FOCAL_UNIT_PX).repeat(1, rays.shape[1] // focal_px.shape[1], 1)
        return torch.cat((focal, *(rays[:, :, index] for index in _CONE_DEPTHS)), dim=-1)


def _values(feature_map: Tensor) -> Tensor:
    """(B, T, C) of a feature map (B, N, C, H, W), counted by camera, row, column."""
    return feature_map.permute(0, 1, 3, 4, 2).flatten(1, 3)


def _gathered(values: Tensor, tokens: Tensor) -> Tensor:
    """Tokens (B, K, 1) of values (B, T, ...): (B, K, ...)."""
    indices = tokens.view(*tokens.shape[:2], *[1] * (values.dim() - 2))
    return values.gather(1, indices.expand(-1, -1, *values.shape[2:]))
