"""Triton's deformable aggregation against the one by `grid_sample`, interpreted on the CPU.

Tests that `test_aggregation_kernel.py` runs in a process of their own: torch imports Triton, which asks for
TRITON_INTERPRET once.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from detection.models.layers import deformable_aggregation
from detection.models.layers.aggregation_kernel import sums_by_triton
from detection.models.layers.deformable_aggregation import DeformableAggregation, PyramidContext, _sums_everywhere

Inputs = tuple[list[Tensor], Tensor, Tensor]


def _inputs(groups: int, channels: int, dtype: torch.dtype = torch.float32, reach: float = 1.4) -> Inputs:
    """Points inside of the images, at their borders and outside, two levels; widths that are no powers of two too."""
    generator = torch.Generator().manual_seed(0)
    features = [
        torch.randn(2, 2, channels, *cells, generator=generator).to(dtype).requires_grad_()
        for cells in ((4, 6), (1, 3))
    ]
    grid = (torch.rand(2, 2, 3, 4, 2, generator=generator) * 2 - 1) * reach
    grid[0, 0, 0, 0] = torch.tensor([-2.0, 2.0])
    weights = torch.rand(2, 2, 3, 2, 4, groups, generator=generator)
    return features, grid.requires_grad_(), weights.requires_grad_()


@pytest.mark.parametrize(("groups", "channels"), [(2, 8), (3, 9), (1, 5)])
def test_sums_and_gradients_are_those_of_grid_sample(groups: int, channels: int) -> None:
    features, grid, weights = inputs = _inputs(groups, channels)
    found, expected = sums_by_triton(*inputs), _sums_everywhere(*inputs)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    gradient = torch.randn(found.shape, generator=torch.Generator().manual_seed(1))
    gradients = [torch.autograd.grad(one, [*features, grid, weights], gradient) for one in (found, expected)]
    for mine, its in zip(*gradients, strict=True):
        assert its.abs().max() > 0
        torch.testing.assert_close(mine, its, rtol=1e-4, atol=1e-5)


def test_half_precision_is_summed_in_float32() -> None:
    features, _, weights = inputs = _inputs(2, 8, torch.bfloat16)
    found = sums_by_triton(*inputs)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, _sums_everywhere(*inputs), rtol=1e-5, atol=1e-5)
    of_maps, of_weights = torch.autograd.grad(found.sum(), [features[0], weights])
    assert of_maps.dtype == torch.bfloat16 and of_weights.dtype == torch.float32


def test_points_outside_of_all_images_give_nothing() -> None:
    features, grid, weights = _inputs(2, 8)
    outside = torch.full_like(grid, 1.9).requires_grad_()
    sums = sums_by_triton(features, outside, weights)
    assert not sums.any()
    assert not any(one.any() for one in torch.autograd.grad(sums.sum(), [*features, outside, weights]))


def test_layers_on_a_gpu_ask_for_maps_with_their_channels_innermost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deformable_aggregation, "_sums_on_gpus", lambda: sums_by_triton)
    torch.manual_seed(0)
    layer = DeformableAggregation(embed_dims=8, num_groups=2, num_levels=2, num_points=4)
    assert layer.reads_innermost(torch.device("cuda:0")) and not layer.reads_innermost(torch.device("cpu"))
    torch.nn.init.normal_(layer.weights_fc.weight)
    expected = layer.eval()(*_arguments())
    layer._on_cpu = layer._on_gpu
    torch.testing.assert_close(layer(*_arguments()), expected, rtol=1e-4, atol=1e-5)


def _arguments() -> tuple[Any, ...]:
    generator = torch.Generator().manual_seed(2)
    camera = torch.tensor([[20.0, 0, 24, 0], [0, 20, 16, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    context = PyramidContext(
        [torch.randn(2, 1, 8, *cells, generator=generator) for cells in ((4, 6), (2, 3))],
        torch.randn(2, 5, 3, generator=generator) * torch.tensor([2.0, 2.0, 6.0]),
        camera.expand(2, 1, 4, 4),
        (32, 48),
    )
    return torch.randn(2, 5, 8, generator=generator), torch.zeros(2, 5, 8), context
