"""Data of the detector: info files, data sets, transforms, samplers. Importing this package registers them all."""

from detection.data.camera_crops import CameraCropDataset
from detection.data.collate import collate
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
    "collate",
    "read_infos",
    "write_infos",
]
