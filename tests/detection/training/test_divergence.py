"""A loss or gradient that is no number stops a training with one line, before it spoils parameters or checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook

from detection.checkpoints import read_saved
from detection.registry import HOOKS
from detection.training import train
from scenes import InputError

TinyConfig = Callable[..., Config]


class _BreakAt(Hook):
    """Makes something not a number before an iteration, counted from 1."""

    def __init__(self, iteration: int, part: str) -> None:
        self._iteration = iteration
        self._part = part

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if batch_idx + 1 != self._iteration:
            return
        if self._part == "image":
            data_batch["frames"][0] = data_batch["frames"][0].normalized()
            data_batch["frames"][0].images[0, 0] = float("nan")
        else:
            parameter = next(iter(runner.detector.img_neck.parameters()))
            parameter.register_hook(lambda gradient: torch.full_like(gradient, float("inf")))


@pytest.fixture(autouse=True)
def break_hook() -> Any:
    HOOKS.register_module(name="BreakAt", module=_BreakAt)
    yield
    HOOKS.module_dict.pop("BreakAt")


@pytest.mark.parametrize(
    ("part", "what"),
    [
        ("image", r"frame_0_d0\.loss_cls is nan, .*frame_0_loss_bbox is nan"),
        ("gradient", "the norm of the gradient is"),
    ],
)
def test_training_stops_and_keeps_the_last_good_checkpoint(
    tiny_config: TinyConfig, tmp_path: Path, part: str, what: str
) -> None:
    config = tiny_config(validate=False, schedule__checkpoint_epochs=1 / 6)
    config.custom_hooks = [dict(type="BreakAt", iteration=3, part=part)]
    with pytest.raises(
        InputError, match=rf"iteration 3: {what}.*; samples of the batch: \w+, \w+; .*iter_2\.pth"
    ) as caught:
        train(config, work_dir=tmp_path, launcher="none")
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.glob("*.pth")) == ["iter_1.pth", "iter_2.pth"]
    weights = read_saved(tmp_path / "iter_2.pth")["state_dict"]
    assert all(weight.isfinite().all() for weight in weights.values() if weight.is_floating_point())


def test_without_a_checkpoint_it_says_so(tiny_config: TinyConfig, tmp_path: Path) -> None:
    config = tiny_config(validate=False)
    config.custom_hooks = [dict(type="BreakAt", iteration=1, part="image")]
    with pytest.raises(InputError, match=r"; there is no checkpoint yet$"):
        train(config, work_dir=tmp_path, launcher="none")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_image_is_named(tiny_config: TinyConfig, tmp_path: Path, workers: int) -> None:
    """By the file alone, also from a worker, whose errors arrive with a traceback in them."""
    config = tiny_config(validate=False, train_dataloader__num_workers=workers)
    broken = tmp_path / "root"
    original = Path(config.train_dataloader.dataset.dataroot)
    broken.mkdir()
    for path in original.iterdir():
        if path.name != "samples":
            (broken / path.name).symlink_to(path)
    for path in original.glob("samples/*/*"):
        copy = broken / path.relative_to(original)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes()[:200])
    config.train_dataloader.dataset.dataroot = str(broken)
    with pytest.raises(InputError, match=rf"^{broken}/samples/CAM_\w+/.*: image of CAM_\w+, sample '\w+'.*$"):
        train(config, work_dir=tmp_path / "work", launcher="none")
