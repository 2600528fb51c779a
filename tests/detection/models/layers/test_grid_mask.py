"""GridMask: what it blacks out, how often, and never in evaluation."""

import pytest
import torch

from detection.models.layers.grid_mask import GridMask


def test_blacks_out_squares_on_a_lattice() -> None:
    torch.manual_seed(3)
    masked = GridMask(prob=1.0)(torch.ones(2, 3, 40, 60))
    assert torch.equal(masked, masked[:1, :1].expand_as(masked))  # the same for all images and colours
    black = masked[0, 0] == 0
    assert black.any()
    torch.testing.assert_close(black, black.any(dim=1, keepdim=True) & black.any(dim=0))  # rows times columns


def test_keeps_three_quarters_at_half_the_period() -> None:
    torch.manual_seed(0)
    mask = GridMask(prob=1.0, ratio=0.5)
    visible = torch.stack([mask(torch.ones(1, 64, 64)).mean() for _ in range(200)])
    assert visible.mean().item() == pytest.approx(0.75, abs=0.04)


def test_masks_the_share_of_calls_that_is_asked_for() -> None:
    torch.manual_seed(0)
    mask = GridMask(prob=0.7)
    masked = [not bool(mask(torch.ones(1, 64, 64)).all()) for _ in range(300)]
    assert sum(masked) / 300 == pytest.approx(0.7, abs=0.08)


def test_leaves_evaluation_alone() -> None:
    images = torch.randn(2, 3, 16, 16)
    assert GridMask(prob=1.0).eval()(images) is images
