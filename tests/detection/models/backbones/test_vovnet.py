"""VoVNet: the recorded features, odd sizes."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from detection.models.backbones import VoVNet
from detection.models.necks import FPN

TOLERANCE = 2e-5


def test_recorded_features(golden: Path, rule: ModuleType, set_rule_weights: Callable[[nn.Module, str], None]) -> None:
    backbone, neck = VoVNet(99, out_indices=(1, 2, 3)).eval(), FPN([512, 768, 1024], 256, 4, True).eval()
    set_rule_weights(backbone, "img_backbone.")
    set_rule_weights(neck, "img_neck.")
    with torch.no_grad():
        levels = neck(backbone(torch.from_numpy(rule.frame("A", 0)["img"])))
    with np.load(golden / "b_repdetr3d_vov_seqA.npz") as recorded:
        kept = [name for name in recorded.files if name.startswith("f0_img_feats_level")]
        assert len(kept) >= 2
        for name in kept:
            assert np.abs(levels[int(name[-1])].numpy() - recorded[name][0]).max() <= TOLERANCE


def test_partial_windows_of_the_pooling_count() -> None:
    maps = VoVNet(39).eval()(torch.zeros(1, 3, 64, 176))
    assert [tuple(one.shape[1:]) for one in maps] == [(256, 16, 44), (512, 8, 22), (768, 4, 11), (1024, 2, 5)]


def test_frozen_stages_and_norm() -> None:
    backbone = VoVNet(39, frozen_stages=1, norm_requires_grad=True).train()
    assert not any(weight.requires_grad for part in (backbone.stem, backbone.stage2) for weight in part.parameters())
    assert all(weight.requires_grad for weight in backbone.stage3.parameters())
    assert not any(module.training for module in backbone.modules() if isinstance(module, nn.BatchNorm2d))


def test_unknown_depth_is_refused() -> None:
    with pytest.raises(ValueError, match="VoVNet depth is 19, expected one of 39, 57, 99"):
        VoVNet(19)
