"""How long a training runs and how its learning rate goes, from the data set, the batch and the number of processes.

A config states the schedule for a reference batch and in epochs; `plan_training` turns it into iterations and a peak
learning rate for the run at hand:

    total batch    b = batch of a process * processes
    peak           lr = reference_lr * b / reference_batch             (lr_rule 'linear')
                   lr = reference_lr * sqrt(b / reference_batch)       (lr_rule 'sqrt')
    iteration t    lr * warmup(t) * cosine(t)
    warmup(t)      warmup_ratio + (1 - warmup_ratio) * t / w for t < w, then 1
    cosine(t)      min_lr_ratio + (1 - min_lr_ratio) * (1 + cos(pi * t / T)) / 2

with w iterations of warm-up out of T. This is the published recipe (AdamW, 4e-4 at a total batch of 16).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from mmengine.optim.scheduler.param_scheduler import _ParamScheduler

from scenes import InputError

_LR_RULES: Final[Mapping[str, Callable[[float], float]]] = {"linear": lambda ratio: ratio, "sqrt": math.sqrt}
_LARGEST_WARMUP_SHARE: Final = 0.1
"""A short run would otherwise end before it has reached its peak."""


@dataclass(frozen=True)
class Schedule:
    """The `schedule = dict(...)` of a config.

    Attributes:
        epochs: passes over the data set.
        reference_lr: peak learning rate at a total batch of `reference_batch`.
        reference_batch: samples of one iteration over all processes that `reference_lr` was chosen for.
        lr_rule: how the peak follows the total batch: `linear` or `sqrt`.
        warmup_iterations: length of the linear warm-up; a tenth of the run at most.
        warmup_ratio: share of the learning rate at its start.
        min_lr_ratio: share of the peak at the end of the cosine.
        validation_epochs: epochs from one validation to the next; the end is always validated.
        checkpoint_epochs: epochs from one checkpoint to the next; the end is always kept.
    """

    epochs: float
    reference_lr: float = 4e-4
    reference_batch: int = 16
    lr_rule: str = "linear"
    warmup_iterations: int = 500
    warmup_ratio: float = 1 / 3
    min_lr_ratio: float = 1e-3
    validation_epochs: float = 1.0
    checkpoint_epochs: float = 1.0

    def __post_init__(self) -> None:
        if self.lr_rule not in _LR_RULES:
            raise InputError(f"schedule.lr_rule is {self.lr_rule!r}, expected {' or '.join(_LR_RULES)}")
        for name in ("epochs", "reference_lr", "reference_batch", "validation_epochs", "checkpoint_epochs"):
            _check_number(name, getattr(self, name), above_zero=True)
        for name in ("warmup_iterations", "warmup_ratio", "min_lr_ratio"):
            _check_number(name, getattr(self, name), above_zero=False)


@dataclass(frozen=True)
class TrainingPlan:
    """A schedule in iterations, for one data set, batch and number of processes.

    Attributes:
        iterations: of the whole run.
        iterations_per_epoch: of one pass.
        peak_lr: learning rate that warm-up and cosine scale.
        warmup_iterations, warmup_ratio, min_lr_ratio: see the module.
        validation_interval, checkpoint_interval: iterations.
    """

    iterations: int
    iterations_per_epoch: int
    peak_lr: float
    warmup_iterations: int
    warmup_ratio: float
    min_lr_ratio: float
    validation_interval: int
    checkpoint_interval: int

    def lr_factor(self, iteration: int) -> float:
        """What the peak learning rate is multiplied by at an iteration, counted from 0."""
        progress = min(iteration / self.iterations, 1.0)
        cosine = self.min_lr_ratio + (1 - self.min_lr_ratio) * (1 + math.cos(math.pi * progress)) / 2
        if iteration >= self.warmup_iterations:
            return cosine
        return cosine * (self.warmup_ratio + (1 - self.warmup_ratio) * iteration / self.warmup_iterations)

    def __str__(self) -> str:
        return (
            f"{counted(self.iterations, 'iteration')}, {self.iterations_per_epoch} an epoch; "
            f"learning rate {self.peak_lr:.3g} after {counted(self.warmup_iterations, 'iteration')} of warm-up; "
            f"validation {self._when(self.validation_interval)}, checkpoint {self._when(self.checkpoint_interval)}"
        )

    def _when(self, interval: int) -> str:
        """When something happens that happens so often, and at the end."""
        if interval >= self.iterations:
            return "at the end"
        return f"every {counted(interval, 'iteration')} and at the end"


class PlannedLR(_ParamScheduler):  # type: ignore[misc]  # mmengine is untyped
    """The learning rate of a `TrainingPlan`, computed from the iteration alone; groups keep their ratios.

    Args:
        optimizer: mmengine's optimizer wrapper, with the peak learning rate of each group set.
        plan: gives the factor.
    """

    def __init__(self, optimizer: Any, plan: TrainingPlan) -> None:
        self._plan = plan
        super().__init__(optimizer, "lr", by_epoch=False)

    def _get_value(self) -> list[float]:
        factor = self._plan.lr_factor(self.last_step)
        return [base * factor for base in self.base_values]

    def go_to(self, iteration: int) -> None:
        """Set the learning rate of an iteration, as if all before it had been trained."""
        self.last_step = iteration
        for group, rate in zip(self.optimizer.param_groups, self._get_value(), strict=True):
            group["lr"] = rate


def counted(number: int, noun: str, plural: str = "s") -> str:
    """A number of things in words: `1 iteration`, `2 iterations`."""
    return f"{number} {noun}{'' if number == 1 else plural}"


def read_schedule(given: Mapping[str, Any]) -> Schedule:
    """The schedule of a config.

    Raises:
        InputError: a key that does not exist or is missing, or a value out of range.
    """
    known = {field.name for field in fields(Schedule)}
    for name in given:
        if name not in known:
            raise InputError(f"schedule has no argument '{name}'; there are {', '.join(sorted(known))}")
    if "epochs" not in given:
        raise InputError("schedule.epochs is missing")
    return Schedule(**given)


def plan_training(schedule: Schedule, iterations_per_epoch: int, total_batch: int) -> TrainingPlan:
    """The iterations and the learning rate of a run.

    Args:
        schedule: of the config.
        iterations_per_epoch: length of the data loader of a process.
        total_batch: samples of one iteration over all processes.
    """
    iterations = max(1, round(schedule.epochs * iterations_per_epoch))
    scale = _LR_RULES[schedule.lr_rule](total_batch / schedule.reference_batch)
    return TrainingPlan(
        iterations=iterations,
        iterations_per_epoch=iterations_per_epoch,
        peak_lr=schedule.reference_lr * scale,
        warmup_iterations=min(schedule.warmup_iterations, int(_LARGEST_WARMUP_SHARE * iterations)),
        warmup_ratio=schedule.warmup_ratio,
        min_lr_ratio=schedule.min_lr_ratio,
        validation_interval=max(1, round(schedule.validation_epochs * iterations_per_epoch)),
        checkpoint_interval=max(1, round(schedule.checkpoint_epochs * iterations_per_epoch)),
    )


def _check_number(name: str, value: Any, *, above_zero: bool) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number or value < 0 or (above_zero and value == 0):
        raise InputError(f"schedule.{name} is {value!r}, expected a number {'above' if above_zero else 'not below'} 0")
