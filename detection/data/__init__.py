"""Data of the detector: info files, data sets, transforms, samplers.

Its names are loaded when they are first asked for: `detection.data.sample` and what reads images serve an exported
detector too, on machines without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detection.data.camera_crops import CameraCropDataset
    from detection.data.dataset import FrameRequest, TemporalFrameDataset
    from detection.data.infos import read_infos, write_infos
    from detection.data.sampler import EvaluationSampler, ShuffledSampler, StreamingSampler
    from detection.data.transforms import (
        CropAroundHorizon,
        FilterBoxesByRange,
        LoadImages,
        MirrorWorld,
        NormalizeImages,
        PadImages,
        ResizeCropFlipRotate,
        RotateScaleFlipLidarFrame,
        StillWhereUnknown,
    )

__all__ = [
    "CameraCropDataset",
    "CropAroundHorizon",
    "EvaluationSampler",
    "FilterBoxesByRange",
    "FrameRequest",
    "LoadImages",
    "MirrorWorld",
    "NormalizeImages",
    "PadImages",
    "ResizeCropFlipRotate",
    "RotateScaleFlipLidarFrame",
    "ShuffledSampler",
    "StillWhereUnknown",
    "StreamingSampler",
    "TemporalFrameDataset",
    "read_infos",
    "write_infos",
]

_PLACES = {
    "CameraCropDataset": "camera_crops",
    "EvaluationSampler": "sampler",
    "FrameRequest": "dataset",
    "ShuffledSampler": "sampler",
    "StreamingSampler": "sampler",
    "TemporalFrameDataset": "dataset",
    "read_infos": "infos",
    "write_infos": "infos",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES.get(name, 'transforms')}"), name)
