"""Training: schedules, loops, checkpoints, several processes."""

from detection.training.adaptive_offset_hook import AdaptiveOffsetHook
from detection.training.train import train
from detection.training.weight_average import WeightAverageHook

__all__ = ["AdaptiveOffsetHook", "WeightAverageHook", "train"]
