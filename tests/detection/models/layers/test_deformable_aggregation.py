"""Deformable aggregation: against a loop over queries, cameras, levels, points and pixels."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from detection.models.layers.deformable_aggregation import DeformableAggregation, PyramidContext

SIZE_PX = (32, 48)
LEVELS = [(4, 6), (2, 3)]


@pytest.fixture(params=["grid_sample", "in_view"])
def layer(request: pytest.FixtureRequest) -> DeformableAggregation:
    return _layer(request.param)


def _layer(sampling: str) -> DeformableAggregation:
    torch.manual_seed(1)
    layer = DeformableAggregation(embed_dims=8, num_groups=2, num_levels=2, num_points=3, sampling=sampling)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return layer.eval()


def _context(batch: int = 2, cameras: int = 2, queries: int = 5) -> PyramidContext:
    generator = torch.Generator().manual_seed(2)
    intrinsics = torch.tensor([[20.0, 0, 24, 0], [0, 20, 16, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    turned = torch.diag(torch.tensor([-1.0, 1, -1, 1]))  # looks the other way
    image_from_lidar = torch.stack([intrinsics, intrinsics @ turned])[None].repeat(batch, 1, 1, 1)
    return PyramidContext(
        [torch.randn(batch, cameras, 8, *cells, generator=generator) for cells in LEVELS],
        torch.randn(batch, queries, 3, generator=generator) * torch.tensor([2.0, 2.0, 6.0]),
        image_from_lidar,
        SIZE_PX,
    )


def _sampled(features: Tensor, x: float, y: float) -> Tensor:
    """Bilinear value of (C, h, w) at a point in cells whose centres lie at 0, 1, ...; 0 outside."""
    value = torch.zeros(len(features))
    for row in range(features.shape[1]):
        for column in range(features.shape[2]):
            value += features[:, row, column] * max(0.0, 1 - abs(x - column)) * max(0.0, 1 - abs(y - row))
    return value


def _aggregated_by_loops(
    layer: DeformableAggregation, query: Tensor, position: Tensor, context: PyramidContext
) -> Tensor:
    result = torch.zeros_like(query)
    height, width = context.image_size_px
    for b in range(len(query)):
        for q in range(query.shape[1]):
            offsets = layer.learnable_fc(query[b, q]).reshape(3, 3)
            logits, samples = [], []
            for camera, projection in enumerate(context.image_from_lidar[b]):
                embedded = layer.cam_embed(projection[:3].reshape(12))
                of_camera = layer.weights_fc(query[b, q] + position[b, q] + embedded).reshape(2, 3, 2)
                for level, features in enumerate(context.features):
                    for point, offset in enumerate(offsets):
                        u, v, depth, _ = projection @ torch.cat(
                            [context.reference_points_m[b, q] + offset, torch.ones(1)]
                        )
                        x = float(u / depth.clamp(min=1e-5)) / width * features.shape[-1] - 0.5
                        y = float(v / depth.clamp(min=1e-5)) / height * features.shape[-2] - 0.5
                        samples.append(_sampled(features[b, camera], x, y))
                        logits.append(of_camera[level, point])
            weights = torch.stack(logits).softmax(0)
            grouped = torch.stack(samples).reshape(len(samples), 2, 4)
            result[b, q] = (grouped * weights[..., None]).sum(0).reshape(8)
    return layer.output_proj(result)


def test_aggregation_equals_loops(layer: DeformableAggregation) -> None:
    query, position, context = torch.randn(2, 5, 8), torch.randn(2, 5, 8), _context()
    with torch.no_grad():
        torch.testing.assert_close(
            layer(query, position, context), _aggregated_by_loops(layer, query, position, context), atol=1e-5, rtol=1e-4
        )


def test_points_outside_of_all_images_see_nothing(layer: DeformableAggregation) -> None:
    context = replace(_context(), reference_points_m=torch.tensor([0.0, 1e4, 1.0]).expand(2, 5, 3))
    change = layer(torch.randn(2, 5, 8), torch.randn(2, 5, 8), context)
    torch.testing.assert_close(change, layer.output_proj.bias.expand_as(change))


@pytest.mark.parametrize("depth_m", [0.0, -1e-30, 1e-30])
def test_point_in_the_camera_plane_stays_finite(layer: DeformableAggregation, depth_m: float) -> None:
    torch.nn.init.zeros_(layer.learnable_fc.weight)
    torch.nn.init.zeros_(layer.learnable_fc.bias)
    points = torch.tensor([1.0, 0.5, depth_m]).expand(2, 5, 3).clone().requires_grad_()
    query = torch.randn(2, 5, 8, requires_grad=True)
    change = layer(query, query, replace(_context(), reference_points_m=points))
    change.sum().backward()
    assert change.isfinite().all() and query.grad is not None and query.grad.isfinite().all()
    assert points.grad is not None and points.grad.isfinite().all()


def test_order_of_the_cameras_does_not_matter(layer: DeformableAggregation) -> None:
    query, position, context = torch.randn(2, 5, 8), torch.randn(2, 5, 8), _context()
    turned = replace(
        context,
        features=[features.flip(1) for features in context.features],
        image_from_lidar=context.image_from_lidar.flip(1),
    )
    torch.testing.assert_close(layer(query, position, context), layer(query, position, turned))


def test_both_samplings_teach_the_same() -> None:
    gradients = []
    for sampling in ("grid_sample", "in_view"):
        layer, context = _layer(sampling), _context()
        query = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(3)).requires_grad_()
        features = [level.requires_grad_() for level in context.features]
        loss = layer(query, torch.zeros_like(query), replace(context, features=features)).square().sum()
        gradients.append(torch.autograd.grad(loss, [query, *features, *layer.parameters()]))
    for everywhere, in_view in zip(*gradients, strict=True):
        assert torch.allclose(in_view, everywhere, rtol=1e-4, atol=1e-5)
        assert everywhere.abs().max() > 0


def test_unknown_sampling_is_named() -> None:
    with pytest.raises(ValueError, match="unknown sampling 'nearest'; known: grid_sample, in_view"):
        DeformableAggregation(sampling="nearest")


def test_untrained_points_surround_the_query_and_weigh_the_same() -> None:
    layer = DeformableAggregation(embed_dims=8, num_groups=2, num_levels=2, num_points=3, spread_m=1.5)
    assert 0 < layer.learnable_fc.bias.abs().min() <= layer.learnable_fc.bias.abs().max() <= 1.5
    weights = layer._weights(torch.randn(1, 4, 8), _context(batch=1).image_from_lidar)
    torch.testing.assert_close(weights, torch.full_like(weights, 1 / (2 * 2 * 3)))
