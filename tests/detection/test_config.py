"""Every key of a config is read by somebody, or named."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest
from mmengine.logging import MMLogger

from detection.config import building, read_config
from detection.registry import MODELS
from scenes import InputError

TINY = Path(__file__).with_name("city_tiny.py")


def test_a_config_and_its_overrides() -> None:
    config = read_config(TINY, {"schedule.epochs": 3, "train_dataloader.dataset.pipeline.1.flip": False})
    assert config.schedule.epochs == 3
    assert config.train_dataloader.dataset.pipeline[1].flip is False
    assert config.optim_wrapper.clip_grad.max_norm == 35


def test_reading_a_config_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """mmengine tells of every environment variable that a config names."""
    monkeypatch.setenv("CITY_ROOT", "somewhere")
    records: list[logging.LogRecord] = []
    handler = logging.Handler(logging.INFO)
    monkeypatch.setattr(handler, "emit", records.append)
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    try:
        read_config(TINY)
        assert not records
        logger.info("after it")
    finally:
        logger.removeHandler(handler)
    assert [record.getMessage() for record in records] == ["after it"]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("schedul.epochs", "there is no 'schedul', did you mean 'schedule'?"),
        ("zzz", "there is no 'zzz' (there are amp, custom_hooks, "),
        ("model.img_bakbone", "model (MultiViewDetector): there is no 'img_bakbone', did you mean 'img_backbone'?"),
        ("model.pts_bbox_head.num_quer", "model.pts_bbox_head (StreamPETRHead): there is no 'num_quer', did you mean "),
        ("train_dataloader.batchsize", "train_dataloader: there is no 'batchsize', did you mean 'batch_size'?"),
        ("train_dataloader.dataset.pipeline.1.mirror", "pipeline.1 (ResizeCropFlipRotate): there is no 'mirror'"),
        ("optim_wrapper.accumulate", "optim_wrapper: there is no 'accumulate'"),
        ("optim_wrapper.optimizer.wait_decay", "optim_wrapper.optimizer (AdamW): there is no 'wait_decay', did you"),
        ("val_evaluator.splits", "val_evaluator (NuScenesMetric): there is no 'splits', did you mean 'split'?"),
    ],
)
def test_a_key_that_nobody_reads_is_named(key: str, message: str) -> None:
    with pytest.raises(InputError, match=f"city_tiny.py: .*{re.escape(message)}"):
        read_config(TINY, {key: 1})


def test_a_class_that_does_not_exist_is_named() -> None:
    with pytest.raises(InputError, match=r"model\.img_neck: there is no class 'CPFPM', did you mean 'CPFPN'\?"):
        read_config(TINY, {"model.img_neck.type": "CPFPM"})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such config file"),
        ("schedule = dict(", "not a config: "),
        ("_base_ = 'absent.py'", "not a config: .*absent.py"),
        ("schedule = [1]\nmodel = 1 / 0", "not a config: ZeroDivisionError"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "config.py"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=rf"config\.py: {message}"):
        read_config(path)


def test_an_override_that_does_not_fit_is_named() -> None:
    with pytest.raises(InputError, match=r"city_tiny\.py: an override does not fit: "):
        read_config(TINY, {"train_dataloader.dataset.pipeline.9.flip": True})


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"model.pts_bbox_head.memory.size": 3}, r"model: TemporalMemory.* unexpected keyword argument 'size'"),
        ({"model.pts_bbox_head.position_range": None}, "model: "),
        ({"model.img_backbone.depth": 19}, "model: ResNet depth is 19"),
        ({"model.pts_bbox_head.memory.topk": 3}, "memory: needs 0 < num_propagated <= topk"),
    ],
)
def test_inner_settings_are_named_when_they_are_used(override: dict[str, object], message: str) -> None:
    config = read_config(TINY, override)
    if override.get("model.pts_bbox_head.position_range", 0) is None:
        del config.model.pts_bbox_head["position_range"]
        message = "model: .* missing 1 required keyword-only argument: 'position_range'"
    with pytest.raises(InputError, match=message), building("model"):
        MODELS.build(config.model)


def test_a_fault_of_the_code_is_not_hidden() -> None:
    with pytest.raises(TypeError, match="not iterable"), building("model"):
        list(1)  # type: ignore[call-overload]
