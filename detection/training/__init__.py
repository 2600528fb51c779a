"""Training: schedules, loops, checkpoints, several processes."""

from detection.training.processes import LAUNCHERS
from detection.training.train import train

__all__ = ["LAUNCHERS", "train"]
