"""Weights for detectors that run."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from detection.registry import MODELS

TinyConfig = Callable[..., Config]


@pytest.fixture
def checkpoint(tiny_config: TinyConfig, tmp_path: Path) -> Path:
    """Weights as they are before training: chance boxes, but boxes."""
    torch.manual_seed(1)
    path = tmp_path / "weights.pth"
    torch.save(MODELS.build(tiny_config().model).state_dict(), path)
    return path
