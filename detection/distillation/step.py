"""`TrainingStep`: what distillation knows of the moment, and numbers that change in the course of a training."""

from __future__ import annotations

from dataclasses import dataclass

from detection.frames import FrameBatch
from detection.registry import MODELS


@dataclass(frozen=True, eq=False)
class TrainingStep:
    """One iteration.

    Attributes:
        progress: share of the training that is done, in [0, 1].
        frame: what the student sees.
    """

    progress: float
    frame: FrameBatch


@MODELS.register_module()
@dataclass(frozen=True)
class LinearSchedule:
    """A number that goes evenly from `start` at the beginning of the training to `end` at its end."""

    start: float
    end: float

    def at(self, progress: float) -> float:
        """The number after a share of the training in [0, 1]."""
        return self.start + (self.end - self.start) * progress


def schedule(setting: float | dict[str, float | str]) -> LinearSchedule:
    """The schedule of a setting: a number that stays, or the config of a `LinearSchedule`."""
    if isinstance(setting, dict):
        built: LinearSchedule = MODELS.build(setting)
        return built
    return LinearSchedule(setting, setting)
