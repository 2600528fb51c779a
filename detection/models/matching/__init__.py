"""Assignment of predictions to annotations."""

from detection.models.matching.hungarian_3d import HungarianMatcher3D

__all__ = ["HungarianMatcher3D"]
