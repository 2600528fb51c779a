"""Detectors: backbone, neck and heads put together."""

from detection.models.detectors.dynamic import DynamicDetector
from detection.models.detectors.multi_view import FramePreprocessor, MultiViewDetector

__all__ = ["DynamicDetector", "FramePreprocessor", "MultiViewDetector"]
