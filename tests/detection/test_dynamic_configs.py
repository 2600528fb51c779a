"""The configs: both steps are of one model, whose light detector is the plain one."""

from pathlib import Path

import pytest
import torch

from detection import models  # noqa: F401 - registers the networks
from detection.config import read_config
from detection.models.detectors import DynamicDetector
from detection.registry import MODELS

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
PAIRS = {
    "city": "repdetr3d/city_r18_light",
    "city_proposals": "repdetr3d/city_r18_proposals_light",
    "raydn_r18_r50_704": "raydn/raydn_r18_704_bs2_seq_428q_nui_24e",
}


def _built(name: str) -> DynamicDetector:
    with torch.device("meta"):
        model: DynamicDetector = MODELS.build(read_config(CONFIGS / f"{name}.py")["model"])
    return model


@pytest.mark.parametrize(("pair", "light"), PAIRS.items())
def test_steps_are_of_one_model_around_the_plain_detector(pair: str, light: str) -> None:
    first, second = (_built(f"dynamic/{pair}_step{step}") for step in (1, 2))
    shapes = {name: value.shape for name, value in first.state_dict().items()}
    assert shapes == {name: value.shape for name, value in second.state_dict().items()}
    own = {name.removeprefix("easy."): shape for name, shape in shapes.items() if name.startswith("easy.")}
    assert own == {name: value.shape for name, value in _built(light).state_dict().items()}
    assert not any(weight.requires_grad for weight in first.router.parameters())
    assert {name.split(".")[0] for name, weight in second.named_parameters() if weight.requires_grad} == {"router"}
