"""What of the annotations a network learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from detection.data.sample import FrameSample
from detection.registry import TRANSFORMS


@TRANSFORMS.register_module()
class FilterBoxesByRange:
    """Keeps the boxes whose centre lies inside a rectangle seen from above; the height does not matter.

    Args:
        point_cloud_range: lowest x, y, z and highest x, y, z in the lidar frame, metres.
    """

    def __init__(self, point_cloud_range: Sequence[float]) -> None:
        self._low_m = np.array(point_cloud_range[:2], dtype=np.float64)
        self._high_m = np.array(point_cloud_range[3:5], dtype=np.float64)

    def __call__(self, sample: FrameSample, random: np.random.Generator) -> FrameSample:
        if sample.boxes is None or sample.labels is None:
            return sample
        center = sample.boxes[:, :2]
        inside = ((center > self._low_m) & (center < self._high_m)).all(axis=1)
        return replace(sample, boxes=sample.boxes[inside], labels=sample.labels[inside])


@TRANSFORMS.register_module()
class StillWhereUnknown:
    """Gives boxes of unknown velocity the velocity zero, as the published networks were trained.

    Without it the velocity stays NaN, and such boxes teach no box regression at all.
    """

    def __call__(self, sample: FrameSample, random: np.random.Generator) -> FrameSample:
        if sample.boxes is None:
            return sample
        boxes = sample.boxes.copy()
        boxes[np.isnan(boxes[:, 7:]).any(axis=1), 7:] = 0.0
        return replace(sample, boxes=boxes)
