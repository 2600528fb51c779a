"""The configs of the 2D detectors: both steps are of one model, and losses weigh what they should at their size."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from detection.config import read_config
from detection.models.yolo import VARIANTS, DynamicYoloDetector
from detection.registry import MODELS

CONFIGS = Path(__file__).resolve().parents[4] / "configs" / "dynamic_yolo"
FIRST_STEPS = sorted(path.name.removesuffix("_step1.py") for path in CONFIGS.glob("*_step1.py"))


def test_all_are_here() -> None:
    assert FIRST_STEPS == ["city", "dy_yolov7_coco", "dy_yolov7_w6_coco", "dy_yolov7x_coco"]


@pytest.mark.parametrize("name", FIRST_STEPS)
def test_both_steps_are_of_one_model(name: str) -> None:
    first, second = (read_config(CONFIGS / f"{name}_step{step}.py") for step in (1, 2))
    assert second.model == {**first.model, "trains": "router", "threshold": 0.5}
    assert [hook["type"] for hook in second.custom_hooks] == ["AdaptiveOffsetHook"]
    assert second.load_from == f"checkpoints/{'dy_yolov7_city' if name == 'city' else name}_step1.pth"
    assert second.optim_wrapper.optimizer.type == "AdamW"
    assert not second.optim_wrapper.get("paramwise_cfg")
    with torch.device("meta"):
        detector = MODELS.build(second.model)
    assert isinstance(detector, DynamicYoloDetector)
    assert {name.split(".")[0] for name, one in detector.named_parameters() if one.requires_grad} == {"router"}


@pytest.mark.parametrize("name", FIRST_STEPS)
def test_losses_weigh_what_the_size_asks_for(name: str) -> None:
    """Published: 0.05, 0.7, 0.3 at 640x640 pixels, three levels and 80 classes."""
    config = read_config(CONFIGS / f"{name}_step1.py")
    (height, width), classes = config.val_dataloader.dataset.pipeline[-1].size, config.model.num_classes
    share = 3 / len(VARIANTS[config.model.variant].strides)
    loss = config.model.loss
    assert loss.box_weight == pytest.approx(0.05 * share)
    if name != "city":  # too short a training for it
        assert loss.object_weight == pytest.approx(0.7 * share * height * width / 640**2)
    assert loss.class_weight == pytest.approx(0.3 * share * classes / 80)
    assert (
        height % VARIANTS[config.model.variant].strides[-1] == width % VARIANTS[config.model.variant].strides[-1] == 0
    )
