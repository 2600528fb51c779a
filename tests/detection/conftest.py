"""Fixtures: the numbers recorded from the published implementation, and a tiny detector that trains on a tiny city."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from torch import nn

from detection.config import read_config
from detection.data.create_infos import create_infos
from scenes.city import VERSION, make_city

TINY = Path(__file__).with_name("city_tiny.py")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """The tests run in several processes: threads of small networks would only wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def golden(recordings: Path) -> Path:
    """The folder of recordings, parameter names and the rule that makes their weights and inputs."""
    return recordings / "golden"


@pytest.fixture(scope="session")
def rule(golden: Path) -> ModuleType:
    """The module that makes weights and inputs of the recordings from numpy alone."""
    spec = importlib.util.spec_from_file_location("golden_rule", golden / "rule.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def set_rule_weights(rule: ModuleType) -> Callable[[nn.Module, str], None]:
    """Gives a part of a detector, whose names there begin with a prefix, the weights of the recordings."""

    def set_weights(part: nn.Module, prefix: str) -> None:
        made: dict[str, Any] = {name: rule.weight(prefix + name, own.shape) for name, own in part.state_dict().items()}
        weights = {name: torch.from_numpy(np.asarray(value)) for name, value in made.items() if value is not None}
        part.load_state_dict({**part.state_dict(), **weights})

    return set_weights


@pytest.fixture(scope="session")
def tiny_city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with three scenes of four frames in each split, with info files."""
    root = tmp_path_factory.mktemp("tiny") / "city"
    make_city(root, train_scenes=3, val_scenes=3, frames=4, image_size=(176, 99), seed=3, workers=1)
    create_infos(root, VERSION)
    return root


@pytest.fixture
def tiny_config(tiny_city: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Config]:
    """Reads the config of the tiny detector, with overrides by dotted key, with or without validation."""
    monkeypatch.setenv("CITY_ROOT", str(tiny_city))

    def read(validate: bool = True, **overrides: Any) -> Config:
        config = read_config(TINY, {key.replace("__", "."): value for key, value in overrides.items()})
        if not validate:
            config.pop("val_dataloader")
            config.pop("val_evaluator")
        return config

    return read
