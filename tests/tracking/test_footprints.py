"""Overlaps, compared with shapely's polygons."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import MultiPoint, Polygon

from scenes.rotated_rectangles import rectangle_corners
from tracking.footprints import giou

SIZES_M = st.floats(0.1, 15.0)
YAWS = st.one_of(st.floats(-4.0, 4.0), st.sampled_from([0.0, np.pi / 2, np.pi, -np.pi / 2]))
PLACES_M = st.one_of(st.floats(-8.0, 8.0), st.sampled_from([0.0, 1.0, 2.0]))
BODIES = st.tuples(PLACES_M, PLACES_M, YAWS, SIZES_M, SIZES_M)


def corners(bodies: list[tuple[float, ...]], offset_m: float = 0.0) -> np.ndarray:
    columns = np.array(bodies, dtype=np.float64)
    return rectangle_corners(columns[:, :2] + offset_m, columns[:, 2], columns[:, 3:])


def shapely_giou(first: np.ndarray, second: np.ndarray) -> float:
    a, b = Polygon(first), Polygon(second)
    overlap = a.intersection(b).area
    union = a.area + b.area - overlap
    hull = MultiPoint([*first, *second]).convex_hull.area
    return float(overlap / union - (hull - union) / hull)


@given(bodies=st.lists(st.tuples(BODIES, BODIES), min_size=1, max_size=8))
def test_equals_shapelys(bodies: list) -> None:
    first, second = corners([a for a, _ in bodies]), corners([b for _, b in bodies])
    expected = [shapely_giou(a, b) for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(giou(first, second), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ((0.0, 0.0, 0.0, 2.0, 4.0), 1.0),
        ((0.0, 0.0, np.pi, 2.0, 4.0), 1.0),
        ((2.0, 0.0, 0.0, 2.0, 4.0), 4.0 / 12.0),
        ((4.0, 0.0, 0.0, 2.0, 4.0), 0.0),
        ((8.0, 0.0, 0.0, 2.0, 4.0), -8.0 / 24.0),
        ((0.0, 0.0, np.pi / 2, 2.0, 4.0), 4.0 / 12.0 - 2.0 / 14.0),
        ((0.0, 0.0, 0.0, 1.0, 2.0), 2.0 / 8.0),
        ((0.0, 0.0, np.pi, 2.0, 2.0), 4.0 / 8.0),  # its lowest corner, by rounding, lies on a side of the other
    ],
)
def test_by_hand(second: tuple[float, ...], expected: float) -> None:
    for offset_m in (0.0, 1500.0):
        one = corners([(0.0, 0.0, 0.0, 2.0, 4.0)], offset_m)
        assert giou(one, corners([second], offset_m))[0] == pytest.approx(expected, abs=1e-9)


def test_no_pairs() -> None:
    assert giou(np.zeros((0, 4, 2)), np.zeros((0, 4, 2))).shape == (0,)
