"""`Boxes2D`: the boxes of a 2D detector in one camera image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenes.geometry import FloatArray


@dataclass(frozen=True, eq=False)
class Boxes2D:
    """M upright boxes in one image.

    Attributes:
        edges_px: (M, 4) left, top, right, bottom.
        label: (M,) index into `Taxonomy.names`, by default `scenes.DETECTION_CLASSES`.
        score: (M,) confidence.

    Raises:
        ValueError: the arrays do not agree in length or have the wrong width.
    """

    edges_px: FloatArray
    label: NDArray[np.int64]
    score: FloatArray

    def __post_init__(self) -> None:
        expected = {"edges_px": (len(self.label), 4), "label": (len(self.label),), "score": (len(self.label),)}
        for name, shape in expected.items():
            array = np.asarray(getattr(self, name), dtype=np.int64 if name == "label" else np.float64)
            if array.shape != shape:
                raise ValueError(f"Boxes2D.{name} has shape {array.shape}, expected {shape}")
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.label)

    def select(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> Boxes2D:
        """The boxes that a mask or an index array picks, in that order."""
        return Boxes2D(self.edges_px[which], self.label[which], self.score[which])


CameraBoxes = Mapping[str, Mapping[str, Boxes2D]]
"""By sample token, then by camera name, the boxes of an image. Images without boxes may be left out."""


def box_iou(first_px: FloatArray, second_px: FloatArray) -> FloatArray:
    """(N, M) intersection over union of upright boxes (N, 4) and (M, 4): left, top, right, bottom."""
    low = np.maximum(first_px[:, None, :2], second_px[None, :, :2])
    high = np.minimum(first_px[:, None, 2:], second_px[None, :, 2:])
    overlap = (high - low).clip(min=0.0).prod(axis=2)
    first_area, second_area = ((box[:, 2:] - box[:, :2]).prod(axis=1) for box in (first_px, second_px))
    union = first_area[:, None] + second_area - overlap
    iou: FloatArray = np.where(union > 0.0, overlap / np.where(union > 0.0, union, 1.0), 0.0)
    return iou
