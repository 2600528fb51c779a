"""The detectors that ship fit their configs and the limits of the repository."""

import json
from pathlib import Path

import pytest

from detection.checkpoints import load_weights
from detection.config import read_config
from detection.registry import MODELS
from detection.training.schedule import plan_training, read_schedule

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = {
    "repdetr3d_city_r18": ROOT / "configs" / "repdetr3d" / "city_r18.py",
    "perspective_city_r18": ROOT / "configs" / "perspective" / "city_perspective.py",
}
LAST_STAGE = {"perspective_city_r18": {"schedule.reference_lr": 7e-4}}
"""What the command of its last stage sets otherwise than the config, see docs/city_detector.md."""


def _weights(name: str) -> Path:
    return ROOT / "detection" / "weights" / f"{name}.safetensors"


@pytest.mark.parametrize("name", SHIPPED)
def test_weights_fit_the_config(name: str) -> None:
    load_weights(MODELS.build(read_config(SHIPPED[name]).model), _weights(name))
    assert _weights(name).stat().st_size < 20e6


@pytest.mark.parametrize("name", SHIPPED)
def test_the_log_is_that_of_the_config(name: str) -> None:
    logged = [json.loads(line) for line in _weights(name).with_suffix(".scalars.json").read_text().splitlines()]
    config = read_config(SHIPPED[name], LAST_STAGE.get(name))
    schedule = read_schedule(config.schedule)
    last = max(entry["step"] for entry in logged)
    batch = config.train_dataloader.batch_size
    plan = plan_training(schedule, round(last / schedule.epochs), batch)
    rates = {entry["step"]: entry["lr"] for entry in logged if "lr" in entry}
    assert rates == {step: pytest.approx(plan.peak_lr * plan.lr_factor(step - 1), rel=1e-3) for step in rates}
    scores = [entry["nuscenes/mAP"] for entry in logged if "nuscenes/mAP" in entry]
    assert len(scores) == schedule.epochs / schedule.validation_epochs
    assert scores[-1] == max(scores) > 0
