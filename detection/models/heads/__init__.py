"""Heads: feature maps to 3D boxes (and, in training, to 2D boxes)."""

from detection.models.heads.focal_head import FocalHead
from detection.models.heads.perspective_head import PerspectiveHead
from detection.models.heads.petr_head import PETRHead
from detection.models.heads.repdetr3d_head import RepDETR3DHead
from detection.models.heads.streampetr_head import StreamPETRHead
from detection.models.heads.yolox_head import YOLOXHead

__all__ = ["FocalHead", "PETRHead", "PerspectiveHead", "RepDETR3DHead", "StreamPETRHead", "YOLOXHead"]
