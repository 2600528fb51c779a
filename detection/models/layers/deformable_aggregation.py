"""Cross-attention that looks at the images only where a few points around each query project to."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample

from detection.models.layers.precision import full_precision

_NEAREST_M = 1e-5  # depth at which a point at or behind the camera is projected: far outside of the image
_OUTSIDE = 2.0  # in units of half an image from its centre: no sample beyond it touches the image


@dataclass(frozen=True, eq=False)
class PyramidContext:
    """What the queries look at.

    Attributes:
        features: (B, N, C, h, w) of each level, for N cameras.
        reference_points_m: (B, Q, 3) of the queries, metres in the lidar frame.
        image_from_lidar: (B, N, 4, 4) lidar points to homogeneous pixels (u d, v d, d, 1).
        image_size_px: height and width of the padded images.
    """

    features: Sequence[Tensor]
    reference_points_m: Tensor
    image_from_lidar: Tensor
    image_size_px: tuple[int, int]


class DeformableAggregation(nn.Module):
    """Weighted sums of image features at learned points around each query: the branch beside the residual.

    Each query places its points in space; each is seen by every camera on every level, and one softmax a group of
    channels weighs what all of them see. What projects outside of an image counts as zero.

    Source: Lin et al., Sparse4D, 2022, section 3.2; Wang et al., StreamPETR (RepDETR3D).

    Args:
        embed_dims: channels.
        num_groups: groups of channels with weights of their own; divides `embed_dims`.
        num_levels: levels of the feature pyramid.
        num_points: points a query.
        dropout: of the output.
        spread_m: how far from a query's reference point its points may start, along each axis.
    """

    def __init__(
        self,
        embed_dims: int = 256,
        num_groups: int = 8,
        num_levels: int = 4,
        num_points: int = 13,
        dropout: float = 0.1,
        spread_m: float = 2.0,
    ) -> None:
        super().__init__()
        self.num_groups = num_groups
        self.num_levels = num_levels
        self.num_points = num_points
        self.weights_fc = nn.Linear(embed_dims, num_levels * num_points * num_groups)
        self.output_proj = nn.Linear(embed_dims, embed_dims)
        self.learnable_fc = nn.Linear(embed_dims, num_points * 3)
        self.cam_embed = nn.Sequential(
            nn.Linear(12, embed_dims // 2),
            nn.ReLU(),
            nn.Linear(embed_dims // 2, embed_dims),
            nn.ReLU(),
            nn.LayerNorm(embed_dims),
        )
        self.dropout = nn.Dropout(dropout)
        for linear in self.modules():
            if isinstance(linear, nn.Linear):
                nn.init.xavier_uniform_(linear.weight)
        nn.init.zeros_(self.weights_fc.weight)
        nn.init.zeros_(self.weights_fc.bias)
        nn.init.zeros_(self.output_proj.bias)
        nn.init.uniform_(self.learnable_fc.bias, -spread_m, spread_m)

    def forward(self, query: Tensor, query_pos: Tensor, context: PyramidContext) -> Tensor:
        """Queries and their positions (B, Q, C) -> their change (B, Q, C)."""
        grid = self._projected(query, context)
        weights = self._weights(query + query_pos, context.image_from_lidar)
        levels = zip(context.features, weights.unbind(3), strict=True)
        sums = torch.stack([_weighted_samples(features, grid, weight) for features, weight in levels]).sum(0)
        change: Tensor = self.dropout(self.output_proj(sums))
        return change

    def _projected(self, query: Tensor, context: PyramidContext) -> Tensor:
        """(B, N, Q, P, 2) where the points lie in the images; -1 and 1 are the borders."""
        offsets = self.learnable_fc(query).unflatten(-1, (self.num_points, 3))
        with full_precision(query):
            points_m = context.reference_points_m.float()[:, :, None] + offsets.float()
            rows = context.image_from_lidar.float()[:, :, :3]
            pixels = torch.einsum("bnij,bqpj->bnqpi", rows[..., :3], points_m) + rows[:, :, None, None, :, 3]
            height, width = context.image_size_px
            half_size = pixels.new_tensor([width, height]) / 2
            grid = pixels[..., :2] / pixels[..., 2:].clamp(min=_NEAREST_M) / half_size - 1
            inside: Tensor = grid.clamp(-_OUTSIDE, _OUTSIDE)
            return inside

    def _weights(self, positioned: Tensor, image_from_lidar: Tensor) -> Tensor:
        """(B, N, Q, levels, P, groups), summing to 1 over cameras, levels and points."""
        cameras = self.cam_embed(image_from_lidar[:, :, :3].flatten(2))
        logits: Tensor = self.weights_fc(positioned[:, None] + cameras[:, :, None])
        batch, num_cameras, num_queries = logits.shape[:3]
        rivals = num_cameras * self.num_levels * self.num_points
        shares = logits.movedim(1, 2).reshape(batch, num_queries, rivals, self.num_groups).softmax(dim=2)
        return shares.reshape(
            batch, num_queries, num_cameras, self.num_levels, self.num_points, self.num_groups
        ).movedim(2, 1)


def _weighted_samples(features: Tensor, grid: Tensor, weights: Tensor) -> Tensor:
    """(B, Q, C) sums over cameras and points of one level.

    Args:
        features: (B, N, C, h, w).
        grid: (B, N, Q, P, 2) where to sample.
        weights: (B, N, Q, P, groups).
    """
    batch, cameras = features.shape[:2]
    by_point = grid.flatten(0, 1).transpose(1, 2).to(features.dtype)
    samples = grid_sample(features.flatten(0, 1), by_point, align_corners=False)
    samples = samples.reshape(batch, cameras, weights.shape[-1], -1, *samples.shape[-2:])  # B, N, groups, ., P, Q
    # A product and a sum: einsum would copy the samples into another order, which costs more than sampling them.
    weighted = samples * weights.permute(0, 1, 4, 3, 2)[:, :, :, None]
    return weighted.sum((1, 4)).flatten(1, 2).mT
