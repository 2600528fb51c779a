"""Every config of a distillation makes a student, its teacher and what is compared."""

from pathlib import Path

import pytest
import torch

from detection import models  # noqa: F401 - registers the networks
from detection.config import read_config
from detection.distillation import DistilledDetector
from detection.registry import MODELS

CONFIGS = sorted((Path(__file__).resolve().parents[3] / "configs" / "distillation").glob("*.py"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_builds(path: Path) -> None:
    config = read_config(path)
    with torch.device("meta"):  # nothing is computed
        detector = MODELS.build(config["model"])
    assert isinstance(detector, DistilledDetector) and len(detector.terms)
    student, teacher = (sum(one.numel() for one in part.parameters()) for part in (detector.student, detector.teacher))
    assert student <= teacher
    assert [hook["type"] for hook in config["custom_hooks"]] == ["DistillationProgressHook"]
