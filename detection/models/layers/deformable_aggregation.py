"""Cross-attention that looks at the images only where a few points around each query project to."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag, grid_sample

from detection.models.layers.filled import filled
from detection.models.layers.precision import full_precision

_Sums = Callable[[Sequence[Tensor], Tensor, Tensor], Tensor]

_logger = logging.getLogger(__name__)

_NEAREST_M = 1e-5  # depth at which a point at or behind the camera is projected: far outside of the image
_CORNERS = 4  # pixels that a bilinear sample draws on
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
        sampling: "grid_sample" samples every point in every camera, in tensors of fixed shape, as a GPU wants it;
            "in_view" on a CPU only where a camera sees the point, which is several times as fast there. On a GPU with
            Triton both are one kernel that reads in view only. The sums are the same up to rounding.

    Raises:
        ValueError: on an unknown `sampling`.
    """

    def __init__(
        self,
        embed_dims: int = 256,
        num_groups: int = 8,
        num_levels: int = 4,
        num_points: int = 13,
        dropout: float = 0.1,
        spread_m: float = 2.0,
        sampling: str = "grid_sample",
    ) -> None:
        super().__init__()
        if sampling not in _SAMPLINGS:
            raise ValueError(f"unknown sampling {sampling!r}; known: {', '.join(_SAMPLINGS)}")
        self._on_cpu, self._on_gpu = _SAMPLINGS[sampling], _sums_on_gpus()
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
        sums = self._sums_on(grid.device)(context.features, grid, weights)
        change: Tensor = self.dropout(self.output_proj(sums))
        return change

    def use(self, sampling: str) -> None:
        """Sample in another way on a CPU from now on; see the class."""
        self._on_cpu = _SAMPLINGS[sampling]

    def reads_innermost(self, device: torch.device) -> bool:
        """Whether the channels of the maps should lie innermost in memory."""
        return self._sums_on(device) is not _sums_everywhere

    def _sums_on(self, device: torch.device) -> _Sums:
        return self._on_cpu if device.type == "cpu" else self._on_gpu

    def _projected(self, query: Tensor, context: PyramidContext) -> Tensor:
        """(B, N, Q, P, 2) where the points lie in the images; -1 and 1 are the borders."""
        offsets = self.learnable_fc(query).unflatten(-1, (self.num_points, 3))
        with full_precision(query):
            points_m = context.reference_points_m.float()[:, :, None] + offsets.float()
            rows = context.image_from_lidar.float()[:, :, :3]
            pixels = torch.einsum("bnij,bqpj->bnqpi", rows[..., :3], points_m) + rows[:, :, None, None, :, 3]
            height, width = context.image_size_px
            half_size = filled(pixels, width / 2, height / 2)
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


def _sums_everywhere(features: Sequence[Tensor], grid: Tensor, weights: Tensor) -> Tensor:
    """(B, Q, C) sums over cameras, levels and points, every point sampled in every camera.

    Args:
        features: (B, N, C, h, w) of each level.
        grid: (B, N, Q, P, 2) where to sample.
        weights: (B, N, Q, levels, P, groups).
    """
    levels = zip(features, weights.unbind(3), strict=True)
    return torch.stack([_weighted_samples(maps, grid, weight) for maps, weight in levels]).sum(0)


def _weighted_samples(features: Tensor, grid: Tensor, weights: Tensor) -> Tensor:
    """(B, Q, C) sums over cameras and points of one level.

    Args:
        features: (B, N, C, h, w).
        grid: (B, N, Q, P, 2) where to sample.
        weights: (B, N, Q, P, groups).
    """
    batch, cameras = features.shape[:2]
    by_point = grid.flatten(0, 1).transpose(1, 2)
    # In float32 as the grid is: half precision would move a place by up to 0.7 of 704 pixels.
    samples = grid_sample(features.flatten(0, 1).float(), by_point, align_corners=False)
    samples = samples.reshape(batch, cameras, weights.shape[-1], -1, *samples.shape[-2:])  # B, N, groups, ., P, Q
    # A product and a sum: einsum would copy the samples into another order, which costs more than sampling them.
    weighted = samples * weights.permute(0, 1, 4, 3, 2)[:, :, :, None]
    return weighted.sum((1, 4)).flatten(1, 2).mT


def _sums_in_view(features: Sequence[Tensor], grid: Tensor, weights: Tensor) -> Tensor:
    """The sums of `_sums_everywhere`, gathered only where a point falls into an image; same arguments."""
    batch, cameras, queries = grid.shape[:3]
    # Half a pixel of the coarsest level beyond the border still touches the image.
    reach = 1 + 1 / min(side for maps in features for side in maps.shape[-2:])
    in_view = (grid.abs() < reach).all(-1).movedim(2, 1)
    item, query, camera, point = in_view.nonzero(as_tuple=True)
    place = grid[item, camera, query, point]
    shares = weights[item, camera, query, :, point].float()
    image = item * cameras + camera
    first_row, rows, parts = 0, [], []
    for maps, share in zip(features, shares.unbind(1), strict=True):
        height, width = maps.shape[-2:]
        pixel, part = _bilinear_corners(place, height, width)
        rows.append(first_row + image[:, None] * height * width + pixel)
        parts.append(part[:, :, None] * share[:, None])
        first_row += batch * cameras * height * width
    table = torch.cat([maps.movedim(2, -1).flatten(0, 3) for maps in features]).float()
    row_of_sample, weight_of_sample = torch.cat(rows, dim=1).flatten(), torch.cat(parts, dim=1).flatten(0, 1)
    samples = in_view.flatten(2).sum(-1).flatten() * (_CORNERS * len(features))
    first_sample = samples.cumsum(0) - samples
    by_group = zip(table.chunk(weights.shape[-1], dim=-1), weight_of_sample.unbind(-1), strict=True)
    sums = [
        embedding_bag(
            row_of_sample, channels.contiguous(), first_sample, mode="sum", per_sample_weights=weight.contiguous()
        )
        for channels, weight in by_group
    ]
    return torch.cat(sums, dim=-1).reshape(batch, queries, -1)


def _bilinear_corners(place: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """(M, 4) index y * width + x of the pixels around each of (M, 2) places, and their weights, 0 outside."""
    size = filled(place, width, height)
    position = (place + 1) / 2 * size - 0.5
    low = position.floor()
    fraction = position - low
    corners = torch.stack([low, low + 1], dim=1)  # M, low or high, x or y
    share = torch.stack([1 - fraction, fraction], dim=1) * ((corners >= 0) & (corners < size))
    inside = torch.minimum(corners.clamp(min=0), size - 1).long()
    pixel = inside[:, :, None, 1] * width + inside[:, None, :, 0]
    return pixel.flatten(1), (share[:, :, None, 1] * share[:, None, :, 0]).flatten(1)


@torch.library.custom_op(
    "streamtrack::sums_in_view",
    mutates_args=(),
    schema="(Tensor[] features, Tensor grid, Tensor weights) -> Tensor",
)
def _whole_sums_in_view(features: Sequence[Tensor], grid: Tensor, weights: Tensor) -> Tensor:
    """`_sums_in_view` as one operation of a compiled graph, which knows nothing of how many samples there are."""
    return _sums_in_view(features, grid, weights)


@_whole_sums_in_view.register_fake
def _shape_of_sums(features: Sequence[Tensor], grid: Tensor, weights: Tensor) -> Tensor:
    return grid.new_empty(grid.shape[0], grid.shape[2], features[0].shape[2])


def _in_view(features: Sequence[Tensor], grid: Tensor, weights: Tensor) -> Tensor:
    """See `_sums_in_view`."""
    sums: Tensor = (_whole_sums_in_view if torch.compiler.is_compiling() else _sums_in_view)(features, grid, weights)
    return sums


@cache
def _sums_on_gpus() -> _Sums:
    """How the GPUs of this machine sum: by Triton, where a trial of it gives what is expected."""
    if not torch.cuda.is_available():
        return _sums_everywhere
    try:
        from detection.models.layers.aggregation_kernel import sums_by_triton

        _try(sums_by_triton)
    except Exception as error:
        _logger.warning("deformable aggregation goes on without Triton: %s: %s", type(error).__name__, error)
        return _sums_everywhere
    return sums_by_triton


def _try(sums: _Sums) -> None:
    """Sum a few points on a GPU, and bring gradients back.

    Raises:
        RuntimeError: they are others than those of `_sums_everywhere`.
    """
    shapes = (1, 2, 16, 4, 6), (1, 2, 3, 4, 2), (1, 2, 3, 1, 4, 2)
    maps, grid, weights = (
        torch.linspace(-1, 1, math.prod(shape), device="cuda").view(shape).requires_grad_() for shape in shapes
    )
    with torch.autocast("cuda", enabled=False), torch.enable_grad():
        found, expected = (way([maps], grid, weights) for way in (sums, _sums_everywhere))
        gradients = [torch.autograd.grad(one.square().sum(), (maps, grid, weights)) for one in (found, expected)]
    for one, other in ((found, expected), *zip(*gradients, strict=True)):
        if not torch.allclose(one, other, rtol=1e-3, atol=1e-4):
            raise RuntimeError("the kernel gives other numbers")


_SAMPLINGS: dict[str, _Sums] = {
    "grid_sample": _sums_everywhere,
    "in_view": _in_view,
}
