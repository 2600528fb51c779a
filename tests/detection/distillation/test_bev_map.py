"""Maps of where queries look: recorded cells, sums, ranges."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from detection.distillation.bev_map import bev_cells, overwritten_bev_map, summed_bev_map

RANGE = torch.tensor([-51.2, -51.2, -5.0, 51.2, 51.2, 3.0])


@pytest.mark.parametrize("kind", ["distinct", "collide"])
def test_the_recorded_cells(kind: str, methods_rule: ModuleType, recorded_losses: tuple[Any, dict[str, Any]]) -> None:
    points_m, features = (torch.from_numpy(array) for array in methods_rule.attn_points(kind))
    bev = summed_bev_map(points_m, features, RANGE, 128)[0]
    cells, values = (recorded_losses[1][f"attnmap_sum_{kind}_{name}"] for name in ("cells", "values"))
    np.testing.assert_array_equal(bev.abs().sum(0).nonzero(), cells)
    np.testing.assert_allclose(bev[:, cells[:, 0], cells[:, 1]], values, rtol=0, atol=1e-5)


def test_without_collisions_overwriting_is_summing(methods_rule: ModuleType) -> None:
    points_m, features = (torch.from_numpy(array) for array in methods_rule.attn_points("distinct"))
    of_both = [project(points_m, features, RANGE, 128) for project in (summed_bev_map, overwritten_bev_map)]
    torch.testing.assert_close(*of_both)


@given(st.integers(0, 2**31), st.integers(1, 3), st.integers(2, 20))
def test_every_point_counts_in_its_own_stream(seed: int, streams: int, num_cells: int) -> None:
    random = torch.Generator().manual_seed(seed)
    points_m = (torch.rand(streams, 5, 4, 3, generator=random) - 0.5) * 300
    features = torch.rand(streams, 5, 2, generator=random)
    bev = summed_bev_map(points_m, features, RANGE, num_cells)
    torch.testing.assert_close(bev.sum(dim=(2, 3)), 4 * features.sum(dim=1))
    cells = bev_cells(points_m, RANGE, num_cells)
    assert int(cells.min()) >= 0 and int(cells.max()) < num_cells


def test_gradient_is_the_number_of_points() -> None:
    points_m = torch.zeros(1, 2, 3, 3)
    features = torch.ones(1, 2, 4, requires_grad=True)
    summed_bev_map(points_m, features, RANGE, 8).sum().backward()
    assert features.grad is not None and bool((features.grad == 3).all())
