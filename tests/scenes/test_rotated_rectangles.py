"""The area that two rotated rectangles have in common is that of shapely's polygons."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import Polygon

from scenes.rotated_rectangles import intersection_area, polygon_area, rectangle_corners

BODIES = st.tuples(
    st.one_of(st.floats(-8.0, 8.0), st.sampled_from([0.0, 1.0, 2.0])),
    st.one_of(st.floats(-8.0, 8.0), st.sampled_from([0.0, 1.0, 2.0])),
    st.one_of(st.floats(-4.0, 4.0), st.sampled_from([0.0, np.pi / 2, np.pi, -np.pi / 2])),
    st.floats(0.1, 15.0),
    st.floats(0.1, 15.0),
)


@given(pair=st.tuples(BODIES, BODIES))
def test_equals_shapelys(pair: tuple) -> None:
    columns = np.array(pair)
    corners = rectangle_corners(columns[:, :2], columns[:, 2], columns[:, 3:])
    expected = Polygon(corners[0]).intersection(Polygon(corners[1])).area
    np.testing.assert_allclose(intersection_area(corners[:1], corners[1:]), expected, atol=1e-6)
    np.testing.assert_allclose(polygon_area(corners), columns[:, 3:].prod(axis=1), rtol=1e-9)
