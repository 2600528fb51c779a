"""Boxes that have been moved: cut at the image's edge, and dropped where too little is left to learn from."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from detection.images2d.sample import ImageSample

_SMALLEST_SIDE_PX: Final = 2.0
_LEAST_SHARE: Final = 0.1
_LARGEST_ASPECT: Final = 20.0


def cut_boxes(sample: ImageSample) -> ImageSample:
    """The sample with its boxes cut at the edge of its image.

    A box is dropped of which less than a tenth of the area is inside, or of which what is left is narrower than two
    pixels or twenty times as long as wide.
    """
    if sample.boxes_px is None:
        return sample
    height, width = sample.image.shape[:2]
    inside = sample.boxes_px.clip(0.0, [width, height, width, height])
    sides = inside[:, 2:] - inside[:, :2]
    whole = (sample.boxes_px[:, 2:] - sample.boxes_px[:, :2]).prod(axis=1)
    kept = (sides > _SMALLEST_SIDE_PX).all(axis=1)
    kept &= sides.prod(axis=1) > _LEAST_SHARE * whole
    kept &= sides.max(axis=1) < _LARGEST_ASPECT * sides.min(axis=1)
    return replace(sample, boxes_px=inside).select(np.flatnonzero(kept))
