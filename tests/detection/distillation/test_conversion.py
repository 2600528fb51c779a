"""The student out of a checkpoint."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from detection.checkpoints import load_weights
from detection.config import read_config
from detection.distillation.conversion import student_weights
from detection.distillation.detector import DistilledDetector
from detection.registry import MODELS
from scenes import InputError


def test_student_loads_as_an_ordinary_detector(
    run, build: Callable[..., DistilledDetector], write_config: Callable[..., str], tmp_path: Path
) -> None:
    terms = dict(neck=dict(type="NeckFeatures", loss=dict(type="BalancedKL")))
    model = build(terms, teacher=dict(embed_dims=32))
    # What a published checkpoint holds beside the student: the teacher, layers of losses, hooked maps.
    extra = {"teacher.x": torch.zeros(1), "distill_losses.y": torch.zeros(1), "student_img_neck_z": torch.zeros(1)}
    torch.save({"state_dict": {**model.state_dict(), **extra}, "optimizer": {}}, tmp_path / "distilled.pth")
    out, config = tmp_path / "student.safetensors", write_config("student")
    done = run("distill_convert.py", tmp_path / "distilled.pth", out, "--config", config)
    assert done.returncode == 0, done.stderr
    alone = MODELS.build(read_config(config).model)
    load_weights(alone, out)
    for name, value in model.student.state_dict().items():
        assert torch.equal(value, alone.state_dict()[name]), name


def test_checkpoint_without_a_student(tmp_path: Path) -> None:
    torch.save({"state_dict": {"img_backbone.conv1.weight": torch.zeros(1)}}, tmp_path / "plain.pth")
    with pytest.raises(InputError, match=r"plain\.pth: holds no student"):
        student_weights(tmp_path / "plain.pth")
