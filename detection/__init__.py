"""Detectors and what their training needs. Its modules need torch: `pip install -e '.[detection]'`.

`Detector` and `ImageDetector` are loaded when they are first asked for, so that nobody waits for torch who needs
neither. Where there is no torch, `Detector` is what runs an exported one: `Detector.from_onnx`.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detection.running.detector import Detector
    from detection.running.image_detector import ImageDetector

__all__ = ["Detector", "ImageDetector"]

_PLACES = {"Detector": "detection.running.detector", "ImageDetector": "detection.running.image_detector"}
_WITHOUT_TORCH = {"Detector": ("detection.deployment.detector", "OnnxDetector")}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _WITHOUT_TORCH and find_spec("torch") is None:
        place, name = _WITHOUT_TORCH[name]
        return getattr(import_module(place), name)
    return getattr(import_module(_PLACES[name]), name)
