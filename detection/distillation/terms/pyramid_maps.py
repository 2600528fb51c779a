"""Terms that compare feature maps of the images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from detection.distillation.record import HeadRecord, map_channels
from detection.distillation.terms.term import PyramidTerm
from detection.models.detectors import MultiViewDetector
from detection.registry import MODELS


@MODELS.register_module()
class NeckFeatures(PyramidTerm):
    """The neck's maps, before the head tells them apart by camera.

    Source: HarmoDistill-BEV; this is all that its released setting uses.
    """

    def __init__(self, student: MultiViewDetector, teacher: MultiViewDetector, **settings: Any) -> None:
        """A term; `settings` are `loss`, `levels`, `teacher_levels` and `level_weights` of a `PyramidTerm`."""
        channels = map_channels(student.pts_bbox_head), map_channels(teacher.pts_bbox_head)
        super().__init__(student, teacher, channels, **settings)

    def maps(self, student: HeadRecord, teacher: HeadRecord) -> tuple[Mapping[int, Tensor], Mapping[int, Tensor]]:
        """See `PyramidTerm`."""
        return student.features, teacher.features


@MODELS.register_module()
class PositionEncodedFeatures(PyramidTerm):
    """The maps as the decoder reads them: told where the camera stands, and in PETR where each token looks.

    Source: HarmoDistill-BEV, TFPN.
    """

    def __init__(self, student: MultiViewDetector, teacher: MultiViewDetector, **settings: Any) -> None:
        """A term; `settings` are `loss`, `levels`, `teacher_levels` and `level_weights` of a `PyramidTerm`."""
        channels = student.pts_bbox_head.embed_dims, teacher.pts_bbox_head.embed_dims
        super().__init__(student, teacher, channels, **settings)

    def maps(self, student: HeadRecord, teacher: HeadRecord) -> tuple[Mapping[int, Tensor], Mapping[int, Tensor]]:
        """See `PyramidTerm`."""
        return student.encoded, teacher.encoded
