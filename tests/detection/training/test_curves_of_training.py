"""What a training logs can be drawn, by the project's own tool and by TensorBoard."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
from mmengine.config import Config

from detection.training import train
from scenes import InputError
from visualization.curves import read_training_log, write_training_curves

TinyConfig = Callable[..., Config]


def test_the_log_is_drawn(tiny_config: TinyConfig, tmp_path: Path) -> None:
    train(tiny_config(schedule__epochs=0.5), work_dir=tmp_path, launcher="none")
    log = read_training_log(tmp_path)
    assert [step for step, _ in log.training["loss"]] == [1, 2, 3]
    assert {"lr", "grad_norm", "time", "frame_0_loss_cls", "frame_0_loss_bbox"} <= log.training.keys()
    assert [step for step, _ in log.validation["nuscenes/NDS"]] == [3]
    (text,) = (tmp_path / path for path in tmp_path.glob("*/*.log"))
    lines = [line for line in text.read_text().splitlines() if "loss:" in line]
    assert [line.endswith("(warming up)") for line in lines] == [True, False, False]
    write_training_curves({"run": log}, tmp_path / "loss.png", ["loss"])
    assert (tmp_path / "loss.png").stat().st_size > 5000


def test_tensorboard_has_the_losses(tiny_config: TinyConfig, tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    train(tiny_config(validate=False, schedule__epochs=0.5, tensorboard=True), work_dir=tmp_path, launcher="none")
    (folder,) = tmp_path.glob("*/vis_data")
    events = accumulator.EventAccumulator(str(folder)).Reload()
    losses = [(event.step, pytest.approx(event.value, rel=1e-6)) for event in events.Scalars("loss")]
    assert read_training_log(tmp_path).training["loss"] == losses


def test_tensorboard_that_is_not_installed_is_named(
    tiny_config: TinyConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"tensorboard=True, but the package is not installed: pip install -e"):
        train(tiny_config(tensorboard=True), work_dir=tmp_path, launcher="none")
