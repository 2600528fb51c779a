"""Distillation: a small student detector learns from what a larger, frozen one sees."""

from detection.distillation import losses, terms

__all__ = ["losses", "terms"]
