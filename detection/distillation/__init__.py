"""Distillation: a small student detector learns from what a larger, frozen one sees."""

from detection.distillation import hooks, losses, terms
from detection.distillation.detector import DistilledDetector

__all__ = ["DistilledDetector", "hooks", "losses", "terms"]
