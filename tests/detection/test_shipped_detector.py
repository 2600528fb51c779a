"""The detector that ships fits its config and the limits of the repository."""

import json
from pathlib import Path

import pytest

from detection.checkpoints import load_weights
from detection.config import read_config
from detection.registry import MODELS

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "configs" / "repdetr3d" / "city_r18.py"
WEIGHTS = ROOT / "detection" / "weights" / "repdetr3d_city_r18.safetensors"


def test_weights_fit_the_config() -> None:
    load_weights(MODELS.build(read_config(CONFIG).model), WEIGHTS)
    assert WEIGHTS.stat().st_size < 20e6


def test_the_log_is_that_of_the_config() -> None:
    logged = [json.loads(line) for line in WEIGHTS.with_suffix(".scalars.json").read_text().splitlines()]
    schedule = read_config(CONFIG).schedule
    rates = [entry["lr"] for entry in logged if "lr" in entry]
    assert max(rates) == pytest.approx(schedule.reference_lr, rel=0.02)
    scores = [entry["nuscenes/mAP"] for entry in logged if "nuscenes/mAP" in entry]
    assert len(scores) == schedule.epochs / schedule.validation_epochs
    assert scores[-1] == max(scores) > 0
