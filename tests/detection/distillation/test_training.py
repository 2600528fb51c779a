"""A distillation trains, validates, stops and resumes like any other training."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config

from detection.checkpoints import read_saved
from detection.config import check_config, read_config
from detection.registry import MODELS
from detection.training import train
from scenes import InputError

ROOT = Path(__file__).resolve().parents[3]
TINY = Path(__file__).resolve().parents[1] / "city_tiny.py"
TEACHER = "model = dict(img_backbone=dict(base_channels=24), img_neck=dict(in_channels=[96, 192]))"


@pytest.fixture
def distillation(tiny_config: Callable[..., Config], tmp_path: Path) -> Config:
    """The tiny detector learns from a wider one, with a validation in the middle."""
    teacher, weights = tmp_path / "teacher.py", tmp_path / "teacher.pth"
    teacher.write_text(f"_base_ = {str(TINY)!r}\n{TEACHER}\n")
    torch.save(MODELS.build(read_config(teacher).model).state_dict(), weights)
    config = tiny_config(schedule__epochs=1, schedule__validation_epochs=4 / 6, schedule__checkpoint_epochs=2 / 6)
    config.keep_checkpoints = 10
    config.custom_hooks = [dict(type="DistillationProgressHook")]
    config.model = dict(
        type="DistilledDetector",
        student=str(TINY),
        teacher=str(teacher),
        teacher_checkpoint=str(weights),
        terms=dict(
            fpn=dict(type="NeckFeatures", loss=dict(type="BalancedKL")),
            l2=dict(type="PositionEncodedFeatures", loss=dict(type="FeatureL2", adapter=True)),
            boxes=dict(type="TeacherBoxes"),
        ),
    )
    check_config(config, "test")
    return config


@pytest.mark.slow
def test_resumed_distillation_equals_the_straight_one(distillation: Config, tmp_path: Path) -> None:
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    train(distillation, work_dir=straight, launcher="none")
    train(distillation, work_dir=resumed, resume=straight / "iter_2.pth", launcher="none")
    states = [read_saved(folder / "iter_6.pth") for folder in (straight, resumed)]
    first, second = (state["state_dict"] for state in states)
    assert {name.split(".")[0] for name in first} == {"student", "terms"}
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
    for name, value in states[0]["processes"][0]["memory"].items():
        assert torch.equal(value, states[1]["processes"][0]["memory"][name]), name
    logged = _logged(straight)
    assert {"loss_fpn_0", "loss_l2_0", "frame_0_loss_cls"} <= logged.keys()


@pytest.mark.slow
def test_two_processes_distil_what_one_with_twice_the_batch_distils(distillation: Config, tmp_path: Path) -> None:
    distillation.model.terms = dict(fpn=dict(type="NeckFeatures", loss=dict(type="BalancedKL")))
    distillation.model.student = str(_still_student(tmp_path / "student.py"))
    distillation.optim_wrapper.optimizer = dict(type="SGD")  # AdamW would blow up the rounding of gradients near zero
    for key in ("val_dataloader", "val_evaluator"):
        distillation.pop(key)
    distillation.schedule.epochs = 0.5
    train(distillation, work_dir=tmp_path / "1", launcher="none")
    (tmp_path / "distil.py").write_text(distillation.pretty_text)
    done = subprocess.run(
        [
            "tools/dist_distill.sh", tmp_path / "distil.py", "2", "--work-dir", tmp_path / "2",
            "--cfg-options", "train_dataloader.batch_size=1",
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHON": sys.executable, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    alone, together = (read_saved(tmp_path / processes / "iter_3.pth") for processes in ("1", "2"))
    assert len(together["processes"]) == 2
    for name, weight in alone["state_dict"].items():
        assert torch.allclose(together["state_dict"][name], weight, rtol=1e-4, atol=1e-6), name


def _still_student(path: Path) -> Path:
    """The tiny detector with nothing random in it."""
    head = "dict(decoder=dict(dropout=0.0), denoising=None)"
    path.write_text(f"_base_ = {str(TINY)!r}\nmodel = dict(pts_bbox_head={head})\n")
    return path


def test_another_teachers_checkpoint_stops_before_the_first_iteration(distillation: Config, tmp_path: Path) -> None:
    other = MODELS.build(read_config(TINY).model)
    torch.save(other.state_dict(), tmp_path / "teacher.pth")
    with pytest.raises(InputError, match=r"teacher\.pth: .*of another shape"):
        train(distillation, work_dir=tmp_path / "work", launcher="none")
    assert not list((tmp_path / "work").glob("*.pth"))


def _logged(work_dir: Path) -> dict[str, Any]:
    lines = [line for path in work_dir.glob("*/vis_data/scalars.json") for line in path.read_text().splitlines()]
    return {key: value for line in lines for key, value in json.loads(line).items()}
