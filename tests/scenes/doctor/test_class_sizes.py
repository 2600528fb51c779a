"""How sizes were meant, found by the classes' typical sizes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenes import DETECTION_CLASSES, LABEL_OF_CLASS
from scenes.city.catalog import KINDS
from scenes.classes import CLASS_OF_CATEGORY
from scenes.doctor.class_sizes import TYPICAL_WLH_M, Reading, better_reading, outside_limits

SIDES = ("width", "length", "height")


def sizes_of(names, seed: int, spread: float = 0.08, count: int = 9):
    """Plausible sizes of some classes, and their labels."""
    rng = np.random.default_rng(seed)
    label = np.repeat([LABEL_OF_CLASS[name] for name in names], count)
    typical = np.array([TYPICAL_WLH_M[DETECTION_CLASSES[one]] for one in label])
    return typical * rng.lognormal(0.0, spread, typical.shape), label


@given(
    names=st.sets(st.sampled_from(DETECTION_CLASSES), min_size=1),
    order=st.permutations(SIDES),
    scale=st.sampled_from([1.0, 0.01, 0.001, 0.3048, 2.0]),
    seed=st.integers(0, 10_000),
)
def test_what_was_written_otherwise_is_found(names, order, scale, seed) -> None:
    size, label = sizes_of(sorted(names | {"car", "bus", "bicycle", "pedestrian"}), seed)
    written = size[:, [SIDES.index(side) for side in order]] / scale
    expected = None if (tuple(order), scale) == (SIDES, 1.0) else Reading(tuple(order), scale)
    assert better_reading(written, label) == expected


@given(names=st.sets(st.sampled_from(DETECTION_CLASSES), min_size=1), seed=st.integers(0, 10_000))
def test_good_sizes_are_left_alone(names, seed) -> None:
    size, label = sizes_of(sorted(names), seed, spread=0.2)
    assert better_reading(size, label) is None
    assert not outside_limits(*sizes_of(sorted(names), seed)).any()


def test_few_boxes_and_unknown_classes_say_nothing() -> None:
    size, label = sizes_of(["car"], 0, count=4)
    assert better_reading(100 * size, label) is None
    assert better_reading(100 * np.tile(size, (3, 1)), np.full(12, -1)) is None
    assert not outside_limits(100 * size, np.full(4, -1)).any()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.category in CLASS_OF_CATEGORY], ids=lambda k: k.name)
def test_what_the_city_builds_is_within_the_limits(kind) -> None:
    label = np.array([LABEL_OF_CLASS[CLASS_OF_CATEGORY[kind.category]]])
    for factor in (1 - 2.5 * kind.spread, 1 + 2.5 * kind.spread):
        assert not outside_limits(factor * np.array([kind.size_wlh_m]), label).any()
