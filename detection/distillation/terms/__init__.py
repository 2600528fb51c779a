"""What a student can learn from a teacher, one module a thing."""

from detection.distillation.terms.bev_receptive_field import BEVReceptiveField
from detection.distillation.terms.pyramid_maps import NeckFeatures, PositionEncodedFeatures
from detection.distillation.terms.query_correlation import QueryFeatureCorrelation
from detection.distillation.terms.teacher_boxes import TeacherBoxes
from detection.distillation.terms.term import DistillationTerm

__all__ = [
    "BEVReceptiveField",
    "DistillationTerm",
    "NeckFeatures",
    "PositionEncodedFeatures",
    "QueryFeatureCorrelation",
    "TeacherBoxes",
]
