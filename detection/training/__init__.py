"""Training: schedules, loops, checkpoints, several processes."""

from detection.training.train import train

__all__ = ["train"]
