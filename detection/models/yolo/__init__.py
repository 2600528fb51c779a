"""Dynamic YOLO detectors on single images: an easy detector, a harder one behind it, and a router between them.

Everything is our own, written from the described architecture and from recorded names, shapes and numbers; weights of
the published models fit, since the parameters bear their names.

Sources: Wang et al., YOLOv7: Trainable Bag-of-Freebies Sets New State-of-the-Art for Real-Time Object Detectors, 2022;
Lin et al., DynamicDet: A Unified Dynamic Architecture for Object Detection, 2023.
"""

from detection.models.yolo.detector import DynamicYoloDetector, ImagePreprocessor
from detection.models.yolo.dynamic_yolo import DynamicYolo, DynamicYoloOutput
from detection.models.yolo.loss import YoloLoss
from detection.models.yolo.variants import VARIANTS, Variant

__all__ = [
    "VARIANTS",
    "DynamicYolo",
    "DynamicYoloDetector",
    "DynamicYoloOutput",
    "ImagePreprocessor",
    "Variant",
    "YoloLoss",
]
