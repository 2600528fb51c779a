"""A fused detector finds the same with fewer layers, whatever its backbone, and keeps the one it was made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from detection.frames import FrameBatch
from detection.models.backbones import ResNet, VoVNet
from detection.models.fusing import fused
from detection.registry import MODELS

MakeFrame = Callable[..., FrameBatch]


def _with_statistics(module: Any) -> Any:
    """As if it had been trained: every statistic and every learned number of a norm is another one."""
    generator = torch.Generator().manual_seed(0)
    for norm in (layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)):
        for values, low, high in ((norm.running_mean, -0.5, 0.5), (norm.running_var, 0.5, 2.0)):
            nn.init.uniform_(values, low, high, generator=generator)
        nn.init.uniform_(norm.weight, 0.2, 0.8, generator=generator)
        nn.init.uniform_(norm.bias, -0.5, 0.5, generator=generator)
    return module


def _norms(module: nn.Module) -> int:
    return sum(isinstance(layer, nn.BatchNorm2d) for layer in module.modules())


@pytest.mark.parametrize(
    "build",
    [
        lambda: ResNet(18, base_channels=8),
        lambda: ResNet(50, base_channels=8, style="caffe", frozen_stages=1),
        lambda: VoVNet(39, frozen_stages=1, norm_requires_grad=False),
    ],
)
@torch.no_grad()
def test_backbones_give_the_same_maps(build: Callable[[], nn.Module]) -> None:
    """Also of a backbone whose norms are frozen, taken out of training."""
    torch.manual_seed(0)
    backbone = _with_statistics(build().train())
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    other = fused(backbone)
    images = torch.randn(2, 3, 64, 96)
    for mine, its in zip(other(images), backbone.eval()(images), strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-4, atol=1e-5 * float(its.abs().max()))
    assert _norms(backbone) > 0 and _norms(other) == 0
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())


@pytest.mark.parametrize("name", ["StreamPETR", "RepDETR3D V2", "perspective", "RepDETR3D proposals", "dynamic"])
@torch.no_grad()
def test_detectors_find_the_same_boxes(
    name: str, model_config: Callable[[str], dict[str, Any]], make_frame: MakeFrame
) -> None:
    torch.manual_seed(0)
    model = _with_statistics(MODELS.build(model_config(name))).eval()
    model.threshold = 1.0
    other = fused(model)
    for t in range(2):
        expected, found = (one.step(make_frame(t, [t > 0])) for one in (model, other))
        torch.testing.assert_close(found.scores, expected.scores, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(found.boxes[:, :5], expected.boxes[:, :5], rtol=1e-3, atol=1e-2)
        if expected.query_ids is not None:
            assert torch.equal(found.query_ids[:, :5], expected.query_ids[:, :5])
