"""Duplicates along the ray: several boxes for one far object, one behind the other as a camera sees them.

A camera sees an object's direction well and its range badly. Of each class as many of the best-scored boxes count as
there are annotations, so that detectors are compared at the same number of boxes, whatever their scores mean.

    A box lies on the ray of an annotation of its class and frame if, seen from the car, it is off to the side by no
    more than half the annotation's mean of length and width, or 1 m, and off in range by no more than 10 m.
    It belongs to the annotation on whose ray it lies and to which it is nearest in range.
    Of n > 1 boxes that belong to one annotation, n - 1 are duplicates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.detection import ClassDetections, prepare_detections
from evaluation.engine.box_table import IntArray
from scenes import Results, Scene
from scenes.geometry import FloatArray

_NARROWEST_M = 1.0
_LONGEST_M = 10.0


@dataclass(frozen=True)
class RayDuplicates:
    """What stands several times on rays.

    Attributes:
        annotations: far ones, of all classes.
        duplicates: boxes beyond the first of an annotation.
    """

    annotations: int
    duplicates: int

    @property
    def per_annotation(self) -> float:
        """Duplicates of a far annotation, the mean; NaN where there is none."""
        return self.duplicates / self.annotations if self.annotations else float("nan")


def ray_duplicates(results: Results, scenes: Sequence[Scene], far_m: float = 30.0) -> RayDuplicates:
    """Duplicates on the rays of far annotations.

    Args:
        results: boxes for every key frame of `scenes`, in global coordinates.
        scenes: annotated scenes.
        far_m: annotations from this range on count.
    """
    pose_of_token = {frame.token: frame.global_from_ego for scene in scenes for frame in scene.frames}
    origins_m = np.array([pose_of_token[token][:2, 3] for token in results.boxes]).reshape(-1, 2)
    counts = [_of_class(class_, origins_m, far_m) for class_ in prepare_detections(results, scenes)]
    return RayDuplicates(*(sum(column) for column in zip(*counts, strict=True)))


def _of_class(class_: ClassDetections, origins_m: FloatArray, far_m: float) -> tuple[int, int]:
    """Far annotations of a class, and duplicates on their rays."""
    annotated, boxes = class_.annotated, class_.predicted.boxes
    best = class_.rows[: len(annotated)]
    frame_of_best = class_.predicted.frame[best]
    n_far = n_duplicates = 0
    for frame in np.unique(annotated.frame):
        objects = annotated.boxes.select(annotated.frame == frame)
        found_m = boxes.center_m[best[frame_of_best == frame], :2] - origins_m[frame]
        belongs = _annotation_of(found_m, objects.center_m[:, :2] - origins_m[frame], objects.size_wlh_m[:, :2])
        far = np.linalg.norm(objects.center_m[:, :2] - origins_m[frame], axis=1) >= far_m
        owned = np.bincount(belongs[belongs >= 0], minlength=len(objects))
        n_far += int(far.sum())
        n_duplicates += int((owned[far] - 1).clip(min=0).sum())
    return n_far, n_duplicates


def _annotation_of(found_m: FloatArray, objects_m: FloatArray, width_length_m: FloatArray) -> IntArray:
    """(P,) the object that each box (P, 2) belongs to, of objects (A, 2) relative to the car; -1 for none."""
    range_m = np.linalg.norm(objects_m, axis=1).clip(min=1e-6)
    ray = objects_m / range_m[:, None]
    along_m = found_m @ ray.T
    aside_m = np.abs(found_m[:, :1] * ray[:, 1] - found_m[:, 1:] * ray[:, 0])
    off_m = np.abs(along_m - range_m)
    on_ray = (aside_m <= np.maximum(width_length_m.mean(axis=1) / 2, _NARROWEST_M)) & (off_m <= _LONGEST_M)
    nearest = np.where(on_ray, off_m, np.inf)
    belongs: IntArray = np.where(on_ray.any(axis=1), nearest.argmin(axis=1), -1)
    return belongs
