"""Augmentation: a box stays in the image and on its object, whatever is drawn."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detection.images2d.sample import ImageSample
from detection.images2d.transforms import Letterbox, MixUp, Mosaic, RandomAffine, RandomHorizontalFlip, RandomHSV
from detection.images2d.transforms.annotations import cut_boxes
from scenes import InputError

SIZE = (64, 96)

seeds = st.integers(0, 10**6)
few = settings(max_examples=30)


class _Marked:
    """Makes images of black and one rectangle, which is the object: its label, and its red by the label."""

    def __init__(self, height: int, width: int, seed: int) -> None:
        self._size = (height, width)
        self._random = np.random.default_rng(seed)
        self._labels = count(1)
        self.boxes: dict[int, np.ndarray[Any, Any]] = {}

    def __call__(self) -> ImageSample:
        label, (height, width) = next(self._labels), self._size
        left, top = (int(self._random.integers(side - 12)) for side in (width, height))
        right = left + int(self._random.integers(10, width - left))
        bottom = top + int(self._random.integers(10, height - top))
        image = np.zeros((height, width, 3), dtype=np.uint8)
        image[top:bottom, left:right, 0] = 20 * label + 75
        self.boxes[label] = np.array([left, top, right, bottom], dtype=np.float64)
        sample = ImageSample.of(image, label, f"{label}.png")
        return replace(sample, boxes_px=self.boxes[label][None], labels=np.array([label]))


def _never() -> ImageSample:
    raise AssertionError("another image was asked for")


def _extent(shown: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    """Left, top, right, bottom of what a mask shows."""
    rows, columns = shown.any(axis=1).nonzero()[0], shown.any(axis=0).nonzero()[0]
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]) if len(rows) else None


@pytest.mark.parametrize("nine", [0.0, 1.0])
@few
@given(seeds)
def test_a_mosaic_shows_each_object_where_its_box_is(nine: float, seed: int) -> None:
    marked = _Marked(*SIZE, seed)
    sample = Mosaic(SIZE, nine_probability=nine)(marked(), np.random.default_rng(seed), marked)
    assert sample.image.shape == (128, 192, 3) and sample.name == "1.png"
    assert len(marked.boxes) == (9 if nine else 4)
    assert sample.boxes_px is not None and sample.labels is not None
    kept = dict(zip(sample.labels.tolist(), sample.boxes_px, strict=True))
    for label, whole in marked.boxes.items():
        extent = _extent(sample.image[:, :, 0] == 20 * label + 75)
        if label in kept:
            assert extent is not None and extent.tolist() == kept[label].tolist()
        elif extent is not None:  # too little is left of it
            sides = extent[2:] - extent[:2]
            share = sides.prod() / (whole[2:] - whole[:2]).prod()
            assert min(sides) <= 2 or share <= 0.1 or max(sides) >= 20 * min(sides)


@pytest.mark.parametrize(
    ("step", "tolerance_px"),
    [
        (Letterbox(SIZE), 1.0),
        (RandomAffine(SIZE, scale_range=(0.6, 1.8)), 1.0),
        (RandomAffine(SIZE, scale_range=(0.6, 1.8), rotate_rad=0.5, shear_rad=0.2), 3.0),
        (RandomHorizontalFlip(1.0), 0.0),
        (RandomHSV(), 0.0),
    ],
    ids=["letterbox", "affine", "turned", "flip", "hsv"],
)
@few
@given(st.integers(30, 90), st.integers(30, 90), seeds)
def test_a_box_follows_its_pixels(step: Any, tolerance_px: float, height: int, width: int, seed: int) -> None:
    marked = _Marked(height, width, seed)
    sample = step(marked(), np.random.default_rng(seed), _never)
    assert sample.boxes_px is not None and sample.labels is not None
    rows, columns = sample.image.shape[:2]
    assert (sample.boxes_px >= 0).all() and (sample.boxes_px <= [columns, rows, columns, rows]).all()
    red = sample.image[:, :, 0].astype(int) - sample.image[:, :, 1]
    for box in sample.boxes_px:
        extent = _extent(red > 0.5 * red.max())
        assert extent is not None
        cut = np.isclose(box, 0) | np.isclose(box, [columns, rows, columns, rows])
        # Of what the edge cuts, the corners lie elsewhere than in the box around all four.
        if tolerance_px <= 1.0 or not cut.any():
            assert np.abs(extent - box).max() <= tolerance_px


def test_boxes_of_which_too_little_is_left_are_dropped() -> None:
    boxes = np.array(
        [
            [10, 10, 20, 20],
            [-40, 10, 5, 20],  # a ninth
            [-50, 10, 5, 20],  # an eleventh
            [10, 10, 12, 20],  # two pixels wide
            [0, 10, 50, 12.4],  # twenty times as long as wide, and a little more
            [200, 10, 220, 20],
        ],
        dtype=np.float64,
    )
    image = np.zeros((*SIZE, 3), dtype=np.uint8)
    sample = replace(ImageSample.of(image, 1, "a"), boxes_px=boxes, labels=np.arange(6))
    kept = cut_boxes(sample)
    assert kept.labels is not None and kept.boxes_px is not None
    assert kept.labels.tolist() == [0, 1] and kept.boxes_px[1].tolist() == [0, 10, 5, 20]
    assert cut_boxes(ImageSample.of(image, 1, "a")).boxes_px is None


def test_the_middle_of_a_mosaic_is_what_the_affine_map_leaves() -> None:
    image = np.zeros((128, 192, 3), dtype=np.uint8)
    image[32:96, 48:144] = 200
    still = RandomAffine(SIZE, scale_range=(1.0, 1.0), translate=0.0)
    assert (still(ImageSample.of(image, 1, "a"), np.random.default_rng(0), _never).image == 200).all()


def test_mixup_adds_images_and_keeps_all_objects() -> None:
    marked = _Marked(*SIZE, 3)
    first = marked()
    second = marked()
    draws = np.random.default_rng(7)
    draws.uniform()  # whether to mix
    share = draws.beta(8.0, 8.0)
    mixed = MixUp(1.0)(first, np.random.default_rng(7), lambda: second)
    expected = np.average([first.image, second.image], axis=0, weights=[share, 1 - share])
    assert np.abs(mixed.image - expected).max() <= 0.5 + 1e-6
    assert mixed.labels is not None and mixed.labels.tolist() == [1, 2]
    assert MixUp(0.0)(first, np.random.default_rng(7), _never) is first
    with pytest.raises(InputError, match="MixUp: images differ in size"):
        MixUp(1.0)(first, np.random.default_rng(7), _Marked(30, 30, 1))


def test_colours_change_and_greys_stay_grey() -> None:
    image = np.random.default_rng(1).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    step = RandomHSV()
    drawn = [step(ImageSample.of(image, 1, "a"), np.random.default_rng(seed), _never).image for seed in range(4)]
    assert all(np.abs(one.astype(int) - image).mean() > 2 for one in drawn)
    grey = np.repeat(image[:, :, :1], 3, axis=2)
    shifted = step(ImageSample.of(grey, 1, "a"), np.random.default_rng(5), _never).image
    assert (shifted == shifted[:, :, :1]).all()
    same = RandomHSV(0.0, 0.0, 0.0)(ImageSample.of(image, 1, "a"), np.random.default_rng(5), _never).image
    assert np.abs(same.astype(int) - image).mean() < 3  # OpenCV keeps hue in steps of two degrees


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Mosaic((64, 96), 1.5), "nine_probability=1.5: expected a number from 0 to 1"),
        (lambda: Mosaic((0, 96)), r"size=\(0, 96\): expected height and width"),
        (lambda: RandomAffine(SIZE, (1.0, 0.5)), r"scale_range=\(1\.0, 0\.5\): expected two positive numbers"),
        (lambda: RandomHSV(saturation=-1.0), r"saturation=-1\.0: expected a number from 0 to 1"),
        (lambda: MixUp(2.0), "probability=2.0: expected"),
    ],
)
def test_settings_that_cannot_be_are_one_line(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
