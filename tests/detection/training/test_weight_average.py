"""The moving average of the weights: by its formula, in validation, in checkpoints."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from detection.training import WeightAverageHook
from scenes import InputError


@pytest.fixture
def runner() -> Any:
    """As much of a runner as the hook looks at."""
    torch.manual_seed(0)
    return SimpleNamespace(detector=nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)))


def _train(hook: WeightAverageHook, runner: Any, iterations: int) -> list[torch.Tensor]:
    """Changes the weights; gives one of them after each iteration."""
    seen = []
    for iteration in range(iterations):
        with torch.no_grad():
            for value in runner.detector.state_dict().values():
                value.add_(1)
        hook.after_train_iter(runner, iteration)
        seen.append(runner.detector[0].weight.detach().clone())
    return seen


def test_average_by_the_formula(runner: Any) -> None:
    hook = WeightAverageHook(decay=0.9, ramp_iterations=3)
    average = runner.detector[0].weight.detach().clone()
    hook.before_train(runner)
    for iteration, weight in enumerate(_train(hook, runner, 5), start=1):
        average += (1 - 0.9 * (1 - math.exp(-iteration / 3))) * (weight - average)
    trained = runner.detector[0].weight.detach().clone()
    hook.before_val(runner)
    torch.testing.assert_close(runner.detector[0].weight.detach(), average)
    assert int(runner.detector[1].num_batches_tracked) == 5
    hook.after_val(runner)
    assert torch.equal(runner.detector[0].weight, trained)


def test_it_goes_on_from_a_checkpoint(runner: Any) -> None:
    straight = WeightAverageHook(decay=0.9, ramp_iterations=3)
    straight.before_train(runner)
    _train(straight, runner, 2)
    saved: dict[str, Any] = {
        "state_dict": {name: value.clone() for name, value in runner.detector.state_dict().items()}
    }
    trained = saved["state_dict"]
    straight.before_save_checkpoint(runner, saved)
    assert not torch.equal(saved["state_dict"]["0.weight"], trained["0.weight"])
    saved = {**saved, "state_dict": {name: value.clone() for name, value in saved["state_dict"].items()}}
    resumed = WeightAverageHook(decay=0.9, ramp_iterations=3)
    resumed.after_load_checkpoint(runner, saved)
    assert saved["state_dict"] is trained
    resumed.before_train(runner)
    _train(straight, runner, 2)
    runner.detector.load_state_dict(trained)
    _train(resumed, runner, 2)
    ends: list[dict[str, Any]] = [{"state_dict": {}}, {"state_dict": {}}]
    for hook, end in zip((straight, resumed), ends, strict=True):
        hook.before_save_checkpoint(runner, end)
    for name, value in ends[0]["state_dict"].items():
        assert torch.equal(ends[1]["state_dict"][name], value), name


def test_without_decay_it_is_the_last_weights(runner: Any) -> None:
    hook = WeightAverageHook(decay=0.0)
    hook.before_train(runner)
    _train(hook, runner, 2)
    saved: dict[str, Any] = {"state_dict": {}}
    hook.before_save_checkpoint(runner, saved)
    for name, value in runner.detector.state_dict().items():
        torch.testing.assert_close(saved["state_dict"][name], value)


@pytest.mark.parametrize(
    ("setting", "message"), [(dict(decay=1.0), "decay is 1.0"), (dict(ramp_iterations=0), "ramp_")]
)
def test_settings_that_cannot_be(setting: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=f"WeightAverageHook: {message}"):
        WeightAverageHook(**setting)
