"""The plugin inside a real mmdet3d: registry, a backbone of mmdet's, boxes there and back."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmdet3d.registry import MODELS as MMDET3D_MODELS
from mmdet3d.structures import LiDARInstance3DBoxes
from mmengine.config import Config
from mmengine.registry import DefaultScope

from detection.config import read_config
from detection.mmdet3d_plugin import boxes3d_from_lidar_boxes, lidar_boxes_from_boxes3d
from detection.models.backbones import ResNet
from detection.models.detectors.multi_view import MultiViewDetector
from detection.registry import MODELS
from scenes import Boxes3D

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "configs/streampetr/stream_petr_r50_flash_704_bs2_seq_428q_nui_24e.py"


@pytest.mark.parametrize(
    "name", ["MultiViewDetector", "StreamPETRHead", "PETRHead", "RepDETR3DHead", "VoVNet", "EVA02"]
)
def test_networks_are_in_the_registry_of_mmdet3d(name: str) -> None:
    assert MMDET3D_MODELS.get(name) is MODELS.get(name) is not None
    assert MMDET3D_MODELS.get(f"streamtrack.{name}") is MODELS.get(name)


def test_a_config_of_mmdet3d_finds_them_by_custom_imports(tmp_path: Path) -> None:
    path = tmp_path / "config.py"
    path.write_text(
        f"_base_ = {str(CONFIG)!r}\ndefault_scope = 'mmdet3d'\n"
        "custom_imports = dict(imports=['detection.mmdet3d_plugin'], allow_failed_imports=False)\n"
    )
    config = Config.fromfile(path)
    with DefaultScope.overwrite_default_scope(config.default_scope), torch.device("meta"):
        model = MMDET3D_MODELS.build(config.model)
    with torch.device("meta"):
        own = MODELS.build(read_config(CONFIG)["model"])
    assert type(model) is MultiViewDetector
    assert model.state_dict().keys() == own.state_dict().keys()


def _mmdet_resnet(**settings: Any) -> dict[str, Any]:
    return dict(type="mmdet.ResNet", depth=50, base_channels=8, out_indices=(2, 3), **settings)


@pytest.mark.parametrize("style", ["pytorch", "caffe"])
def test_resnet_of_mmdet_gives_the_same_features_as_ours(style: str) -> None:
    torch.manual_seed(0)
    theirs = MODELS.build(_mmdet_resnet(style=style))
    theirs.eval()
    ours = ResNet(50, base_channels=8, out_indices=(2, 3), style=style).eval()
    ours.load_state_dict(theirs.state_dict())
    images = torch.randn(2, 3, 64, 96)
    for one, other in zip(ours(images), theirs(images), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("frozen_stages", [-1, 0, 2])
def test_resnet_of_mmdet_freezes_the_same_weights(frozen_stages: int) -> None:
    theirs = MODELS.build(_mmdet_resnet(frozen_stages=frozen_stages))
    ours = ResNet(50, base_channels=8, frozen_stages=frozen_stages)
    trained = [{name for name, weight in one.named_parameters() if weight.requires_grad} for one in (ours, theirs)]
    assert trained[0] == trained[1]


def test_resnet_of_mmdet_serves_as_backbone() -> None:
    settings = read_config(CONFIG)["model"]
    settings["img_backbone"] = _mmdet_resnet(norm_cfg=dict(type="BN", requires_grad=False), norm_eval=True)
    settings["img_neck"]["in_channels"] = [128, 256]
    model = MODELS.build(settings)
    assert type(model.img_backbone).__module__.startswith("mmdet.")
    features = model.eval().extract_features(torch.randn(1, 6, 3, 64, 96))
    assert features[0].shape == (1, 6, 256, 4, 6)


def test_a_box_by_hand() -> None:
    # bottom centre, length 4 along x turned by 90 degrees, width 2, height 1.5
    lidar_boxes = LiDARInstance3DBoxes(torch.tensor([[1.0, 2.0, 3.0, 4.0, 2.0, 1.5, np.pi / 2, 0.5, -0.5]]), box_dim=9)
    boxes = boxes3d_from_lidar_boxes(lidar_boxes, [3], [0.25])
    np.testing.assert_allclose(boxes.center_m, [[1.0, 2.0, 3.75]])
    np.testing.assert_allclose(boxes.size_wlh_m, [[2.0, 4.0, 1.5]])
    np.testing.assert_allclose(boxes.rotation, [[np.sqrt(0.5), 0, 0, np.sqrt(0.5)]], atol=1e-6)
    np.testing.assert_allclose(boxes.velocity_mps, [[0.5, -0.5]])
    assert (boxes.label.tolist(), boxes.score.tolist()) == ([3], [0.25])


def test_without_velocity_it_is_unknown() -> None:
    boxes = boxes3d_from_lidar_boxes(LiDARInstance3DBoxes(torch.ones(2, 7)), [0, 1], [0.5, 0.5])
    assert np.isnan(boxes.velocity_mps).all()


@given(count=st.integers(0, 5), seed=st.integers(0, 2**32 - 1))
def test_there_and_back(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    numbers = np.column_stack(
        [rng.uniform(-50, 50, (count, 3)), rng.uniform(0.1, 9, (count, 3)), rng.uniform(-3.1, 3.1, count)]
    )
    numbers = np.column_stack([numbers, rng.normal(0, 5, (count, 2))])
    original = LiDARInstance3DBoxes(torch.from_numpy(numbers).float(), box_dim=9)
    boxes = boxes3d_from_lidar_boxes(original, np.zeros(count, int), np.ones(count))
    torch.testing.assert_close(lidar_boxes_from_boxes3d(boxes).tensor, original.tensor, rtol=1e-5, atol=1e-5)


@given(seed=st.integers(0, 2**32 - 1))
def test_corners_are_the_same_points(seed: int) -> None:
    rng = np.random.default_rng(seed)
    numbers = [*rng.uniform(-50, 50, 3), *rng.uniform(0.1, 9, 3), rng.uniform(-3.1, 3.1)]
    lidar_boxes = LiDARInstance3DBoxes(torch.tensor([numbers], dtype=torch.float32))
    ours: Boxes3D = boxes3d_from_lidar_boxes(lidar_boxes, [0], [1.0])
    expected, found = lidar_boxes.corners[0].double().numpy(), ours.corners()[0]
    distances_m = np.linalg.norm(expected[:, None] - found[None], axis=-1)
    assert sorted(distances_m.argmin(axis=1).tolist()) == list(range(8))
    assert distances_m.min(axis=1).max() < 1e-4
