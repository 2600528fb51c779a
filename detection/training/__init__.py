"""Training: schedules, loops, checkpoints, several processes."""

from detection.training.train import train
from detection.training.weight_average import WeightAverageHook

__all__ = ["WeightAverageHook", "train"]
