"""A dynamic detector that trains on the tiny city."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config

from detection.checkpoints import read_checkpoint
from detection.config import read_config
from detection.training import train

DYNAMIC = Path(__file__).with_name("city_tiny_dynamic.py")
STEP_2 = {
    "model.trains": "router",
    "model.threshold": 0.5,
    "custom_hooks": [dict(type="AdaptiveOffsetHook")],
    "schedule.reference_lr": 1e-2,
    "schedule.warmup_iterations": 0,
}


@pytest.fixture
def dynamic_config(tiny_city: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Config]:
    """Reads the config of the tiny dynamic detector for a step of training, with overrides by dotted key."""
    monkeypatch.setenv("CITY_ROOT", str(tiny_city))

    def read(step: int, **overrides: Any) -> Config:
        settings = {key.replace("__", "."): value for key, value in overrides.items()}
        return read_config(DYNAMIC, {**(STEP_2 if step == 2 else {}), **settings})

    return read


@pytest.fixture(scope="session")
def trained(tiny_city: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights after a few iterations of both steps: a router that decides, and detectors that see next to nothing."""
    work_dir = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CITY_ROOT", str(tiny_city))
        config = read_config(DYNAMIC, {**STEP_2, "schedule.epochs": 0.5})
        config.pop("val_dataloader")
        config.pop("val_evaluator")
        train(config, work_dir=work_dir, launcher="none")
    (path,) = work_dir.glob("*.pth")
    weights = tmp_path_factory.mktemp("weights") / "dynamic.pth"
    torch.save(read_checkpoint(path), weights)
    return weights
