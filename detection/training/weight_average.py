"""A moving average of the weights, which validates better than the weights of any one iteration.

    average += (1 - d_n) (weights - average)        d_n = decay (1 - exp(-n / ramp_iterations))

after iteration n, so that the first iterations, which change much, are soon forgotten.

Source: Wang et al., YOLOv7, 2022, after Tarvainen and Valpola, Mean Teachers, 2017.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.hooks import Hook
from torch import Tensor

from detection.registry import HOOKS
from scenes import InputError

_KEY = "weight_average"


@HOOKS.register_module()
class WeightAverageHook(Hook):  # type: ignore[misc]  # mmengine is untyped
    """Validates with the average, and saves it in the place of the weights.

    `state_dict` of a checkpoint is the average: whoever uses or starts from the checkpoint has it. The weights that
    training goes on from lie beside it.

    Args:
        decay: how much of the average an iteration leaves, in [0, 1); 0 is the last weights.
        ramp_iterations: after about so many iterations the decay has nearly its value.
    """

    def __init__(self, decay: float = 0.9999, ramp_iterations: int = 2000) -> None:
        if not 0 <= decay < 1:
            raise InputError(f"WeightAverageHook: decay is {decay}, expected at least 0 and less than 1")
        if ramp_iterations < 1:
            raise InputError(f"WeightAverageHook: ramp_iterations is {ramp_iterations}, expected at least 1")
        self._decay = decay
        self._ramp_iterations = ramp_iterations
        self._iterations = 0
        self._average: dict[str, Tensor] = {}
        self._trained: dict[str, Tensor] = {}  # while the average is in their place

    def before_train(self, runner: Any) -> None:
        """Begin with the weights that training begins with, or go on with the average of a checkpoint."""
        own = runner.detector.state_dict()
        begun = self._average or own
        self._average = {name: begun[name].detach().to(value.device, copy=True) for name, value in own.items()}

    @torch.no_grad()
    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Move the average."""
        self._iterations += 1
        decay = self._decay * (1 - math.exp(-self._iterations / self._ramp_iterations))
        for name, value in runner.detector.state_dict().items():
            if value.is_floating_point():
                self._average[name].lerp_(value, 1 - decay)
            else:
                self._average[name].copy_(value)

    def before_val(self, runner: Any) -> None:
        """Put the average in the place of the weights."""
        self._trained = {name: value.clone() for name, value in runner.detector.state_dict().items()}
        _overwrite(runner.detector, self._average)

    def after_val(self, runner: Any) -> None:
        """Put the weights back."""
        _overwrite(runner.detector, self._trained)
        self._trained = {}

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Save the average as the weights, and the weights beside it."""
        checkpoint[_KEY] = {"iterations": self._iterations, "trained": checkpoint["state_dict"]}
        checkpoint["state_dict"] = self._average

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Take both from there, where a training with an average has left them."""
        if _KEY in checkpoint:
            self._average = checkpoint["state_dict"]
            self._iterations = checkpoint[_KEY]["iterations"]
            checkpoint["state_dict"] = checkpoint[_KEY]["trained"]


@torch.no_grad()
def _overwrite(model: torch.nn.Module, weights: Mapping[str, Tensor]) -> None:
    for name, value in model.state_dict().items():
        value.copy_(weights[name])
