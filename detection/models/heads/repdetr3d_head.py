"""RepDETR3D: queries that look at points around themselves on every level of the image pyramid, not at all of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from detection.frames import FrameBatch
from detection.models.heads.query_head import QueryHead
from detection.models.layers.decoder import Decoder, DecoderLayer, FeedForward, SelfAttention
from detection.models.layers.deformable_aggregation import DeformableAggregation, PyramidContext
from detection.models.layers.modulation import MotionAwareLayerNorm
from detection.models.layers.position import to_metres
from detection.models.layers.precision import full_precision
from detection.registry import MODELS

_FOCAL_LENGTH_PX = 1e3  # the unit of focal lengths, so that they are of the order of 1
_CALIBRATION_DIMS = 2 + 12  # focal lengths, upper three rows of camera_from_lidar


@MODELS.register_module()
class RepDETR3DHead(QueryHead):
    """A `QueryHead` whose queries sample the images by deformable aggregation.

    Source: Wang et al., StreamPETR, 2023, RepDETR3D configs.
    """

    def __init__(self, **settings: Any) -> None:
        """See `QueryHead`; `decoder` holds the arguments of `make_decoder`."""
        super().__init__(**settings)
        self.spatial_alignment = MotionAwareLayerNorm(_CALIBRATION_DIMS, self.embed_dims, normalize=False)

    def make_decoder(
        self,
        num_layers: int = 6,
        num_heads: int = 8,
        num_levels: int = 4,
        num_points: int = 13,
        feedforward_channels: int = 1024,
        dropout: float = 0.1,
        attention: str = "sdpa",
        with_cp: bool = False,
        sampling: str = "grid_sample",
    ) -> Decoder:
        """The decoder: no norm after its layers, no dropout in its feed-forward networks.

        Args:
            num_layers: layers.
            num_heads: heads of self-attention, and groups of channels of the aggregation.
            num_levels: levels of the feature pyramid.
            num_points: points that each query looks at.
            feedforward_channels: hidden channels of the feed-forward networks.
            dropout: of self-attention and aggregation.
            attention: implementation of self-attention, see `MultiheadAttention`.
            with_cp: recompute activations in the backward pass instead of keeping them.
            sampling: how the images are sampled, see `DeformableAggregation`.
        """

        def make_layer() -> DecoderLayer:
            feed_forward = FeedForward(self.embed_dims, feedforward_channels, dropout=0.0)
            _spread_biases(feed_forward)
            return DecoderLayer(
                SelfAttention(self.embed_dims, num_heads, dropout, attention),
                DeformableAggregation(self.embed_dims, num_heads, num_levels, num_points, dropout, sampling=sampling),
                feed_forward,
            )

        return Decoder(make_layer, num_layers, post_norm=False, with_cp=with_cp)

    def image_context(
        self, features: Sequence[Tensor], frame: FrameBatch, reference_points: Tensor, tokens: Tensor | None
    ) -> PyramidContext:
        """The feature maps, told what camera they come from, and where the queries are; see `QueryHead`."""
        with full_precision(reference_points):
            reference_points_m = to_metres(reference_points, self.pc_range)
        calibration = _calibration(frame)[:, :, None, None]
        decoder: Any = self.transformer["decoder"]
        innermost = decoder.layers[0].attentions[1].reads_innermost(calibration.device)
        aligned = [_laid_out(self.spatial_alignment(maps.movedim(2, -1), calibration), innermost) for maps in features]
        return PyramidContext(aligned, reference_points_m, frame.image_from_lidar, frame.image_size_px)


def _spread_biases(module: nn.Module) -> None:
    """Draw the biases of linear layers as torch does by itself; published RepDETR3D starts so."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            reach = layer.in_features**-0.5
            nn.init.uniform_(layer.bias, -reach, reach)


def _laid_out(maps: Tensor, innermost: bool) -> Tensor:
    """Maps (B, N, h, w, C) as (B, N, C, h, w), with their channels innermost in memory or as they are counted."""
    return maps.contiguous().movedim(-1, 2) if innermost else maps.movedim(-1, 2).contiguous()


def _calibration(frame: FrameBatch) -> Tensor:
    """(B, N, 14) what tells the cameras apart."""
    focal_lengths = torch.stack((frame.image_from_camera[..., 0, 0], frame.image_from_camera[..., 1, 1]), dim=-1)
    return torch.cat((focal_lengths / _FOCAL_LENGTH_PX, frame.camera_from_lidar[..., :3, :].flatten(-2)), dim=-1)
