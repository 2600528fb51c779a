"""The numbers recorded from the published distillation code."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="session")
def golden_methods(shared: Path) -> Path:
    """The folder of recordings of RayDN, HarmoDistill-BEV and DynamicDet."""
    return shared / "golden_methods"


@pytest.fixture(scope="session")
def methods_rule(golden_methods: Path, golden: Path) -> ModuleType:
    """The module that makes the inputs of these recordings from numpy alone."""
    sys.path.append(str(golden))  # it imports the rule of the detectors
    spec = importlib.util.spec_from_file_location("golden_rule2", golden_methods / "rule2.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.path.remove(str(golden))
    return module


@pytest.fixture(scope="session")
def recorded_losses(golden_methods: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Each distillation loss alone: values and norms of layer gradients, and gradients of the student's maps."""
    values = json.loads((golden_methods / "harmo_losses.json").read_text())
    with np.load(golden_methods / "harmo_losses.npz") as gradients:
        return values, dict(gradients)
