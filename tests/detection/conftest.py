"""Fixtures over the numbers recorded from the published implementation."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """The tests run in several processes: threads of small networks would only wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def golden(shared: Path) -> Path:
    """The folder of recordings, parameter names and the rule that makes their weights and inputs."""
    return shared / "golden"


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
