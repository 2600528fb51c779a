"""ResNet: the recorded features, freezing, recomputation."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from detection.models.backbones import ResNet
from detection.models.necks import CPFPN

TOLERANCE = 2e-5


def _tiny(**settings: object) -> ResNet:
    torch.manual_seed(0)
    backbone = ResNet(**{"depth": 18, "base_channels": 4, **settings})
    backbone.init_weights()
    return backbone


@pytest.mark.parametrize("frame", range(5))
def test_recorded_features(
    golden: Path, rule: ModuleType, set_rule_weights: Callable[[nn.Module, str], None], frame: int
) -> None:
    with np.load(golden / "b_r50_428q_seqA.npz") as recorded:
        if f"f{frame}_img_feats" not in recorded:
            pytest.skip("not among the recordings that come along")
        expected = recorded[f"f{frame}_img_feats"][0]
    backbone, neck = ResNet(50, out_indices=(2, 3)).eval(), CPFPN([1024, 2048], 256).eval()
    set_rule_weights(backbone, "img_backbone.")
    set_rule_weights(neck, "img_neck.")
    with torch.no_grad():
        finest = neck(backbone(torch.from_numpy(rule.frame("A", frame)["img"])))[0]
    assert np.abs(finest.numpy() - expected).max() <= TOLERANCE


@pytest.mark.parametrize(("depth", "widths"), [(18, (1, 2, 4, 8)), (34, (1, 2, 4, 8)), (50, (4, 8, 16, 32))])
@pytest.mark.parametrize("style", ["pytorch", "caffe"])
def test_strides_and_widths(depth: int, widths: tuple[int, ...], style: str) -> None:
    maps = ResNet(depth, base_channels=4, style=style).eval()(torch.zeros(1, 3, 64, 96))
    assert [one.shape for one in maps] == [
        (1, 4 * width, 16 // 2**stage, 24 // 2**stage) for stage, width in enumerate(widths)
    ]


def test_fewer_stages_and_other_strides() -> None:
    backbone = _tiny(strides=(1, 2, 1), out_indices=(1, 2))
    assert [one.shape for one in backbone(torch.zeros(1, 3, 64, 64))] == [(1, 8, 8, 8), (1, 16, 8, 8)]


def test_norm_in_evaluation_keeps_its_statistics() -> None:
    backbone = _tiny(norm_eval=True, norm_requires_grad=False).train()
    before = backbone.bn1.running_mean.clone()
    backbone(torch.randn(2, 3, 32, 32))
    assert torch.equal(backbone.bn1.running_mean, before)
    assert not backbone.bn1.weight.requires_grad
    assert backbone.conv1.weight.requires_grad


def test_norm_in_training_follows_the_data() -> None:
    backbone = _tiny(norm_eval=False).train()
    before = backbone.bn1.running_mean.clone()
    backbone(torch.randn(2, 3, 32, 32))
    assert not torch.equal(backbone.bn1.running_mean, before)


@pytest.mark.parametrize("frozen_stages", [-1, 0, 1, 4])
def test_frozen_stages(frozen_stages: int) -> None:
    backbone = _tiny(frozen_stages=frozen_stages, norm_eval=False).train()
    parts = [backbone.conv1, backbone.layer1, backbone.layer2, backbone.layer3, backbone.layer4]
    trains = [all(weight.requires_grad for weight in part.parameters()) for part in parts]
    assert trains == [index > frozen_stages for index in range(5)]
    assert backbone.layer1.training == (frozen_stages < 1)


def test_recomputation_gives_the_same_gradients() -> None:
    images = torch.randn(1, 3, 32, 32)
    gradients = []
    for with_cp in (False, True):
        backbone = _tiny(with_cp=with_cp).train()
        backbone(images)[-1].square().sum().backward()
        gradients.append([weight.grad for weight in backbone.parameters()])
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(recomputed, plain)


def test_blocks_start_as_their_shortcut() -> None:
    block = _tiny().layer1[0].eval()
    features = torch.rand(1, 4, 8, 8)
    assert torch.equal(block(features), features)


@pytest.mark.parametrize("settings", [{"depth": 20}, {"style": "tensorflow"}])
def test_unknown_kinds_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        _tiny(**settings)
