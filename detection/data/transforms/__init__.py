"""The steps of a data pipeline, registered in `TRANSFORMS`; each takes a `FrameSample` and gives one."""

from detection.data.transforms.annotations import FilterBoxesByRange, StillWhereUnknown
from detection.data.transforms.horizon_crop import CropAroundHorizon
from detection.data.transforms.images import LoadImages, NormalizeImages, PadImages
from detection.data.transforms.lidar_frame import RotateScaleFlipLidarFrame
from detection.data.transforms.mirror import MirrorWorld
from detection.data.transforms.resize_crop import ResizeCropFlipRotate

__all__ = [
    "CropAroundHorizon",
    "FilterBoxesByRange",
    "LoadImages",
    "MirrorWorld",
    "NormalizeImages",
    "PadImages",
    "ResizeCropFlipRotate",
    "RotateScaleFlipLidarFrame",
    "StillWhereUnknown",
]
