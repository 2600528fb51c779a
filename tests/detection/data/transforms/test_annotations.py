"""Which boxes are learned from."""

from collections.abc import Callable

import numpy as np

from detection.data import FilterBoxesByRange, StillWhereUnknown
from detection.data.sample import FrameSample

MakeSample = Callable[..., FrameSample]
RANDOM = np.random.default_rng(0)
RANGE = [-51.2, -51.2, -5.0, 51.2, 51.2, 3.0]


def _boxes(*centers: tuple[float, float, float]) -> np.ndarray:
    return np.array([[*center, 4.0, 2.0, 1.5, 0.0, 1.0, 2.0] for center in centers])


def test_range_is_seen_from_above(make_sample: MakeSample) -> None:
    boxes = _boxes((0, 51, 0), (0, 51.3, 0), (-60, 0, 0), (0, 0, 9), (51, -51, -9))
    kept = FilterBoxesByRange(RANGE)(make_sample(np.zeros((18, 32, 3), np.uint8), boxes), RANDOM)
    assert kept.labels is not None and kept.boxes is not None
    assert kept.labels.tolist() == [0, 3, 4]
    np.testing.assert_array_equal(kept.boxes, boxes[[0, 3, 4]])


def test_unknown_velocity_becomes_zero_and_only_that(make_sample: MakeSample) -> None:
    boxes = _boxes((0, 10, 0), (5, 10, 0))
    boxes[1, 7:] = np.nan
    filled = StillWhereUnknown()(make_sample(np.zeros((18, 32, 3), np.uint8), boxes), RANDOM).boxes
    assert filled is not None
    np.testing.assert_array_equal(filled[:, 7:], [[1, 2], [0, 0]])
    assert np.isnan(boxes[1, 7:]).all()
