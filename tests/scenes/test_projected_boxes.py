"""2D boxes of 3D boxes, beside shapely's hulls and intersections."""

from pathlib import Path

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from shapely.geometry import MultiPoint, box

from scenes import Boxes3D, Camera
from scenes.geometry import pose_matrix, rotation_from_yaw
from scenes.projected_boxes import projected_boxes

WIDTH, HEIGHT = 320, 180
EGO = pose_matrix([1210.0, -840.0, 7.5], rotation_from_yaw(2.1)[0].tolist())
"""Far from the origin, and turned; boxes are placed as it sees them."""


def _camera() -> Camera:
    ego_from_camera = np.eye(4)
    ego_from_camera[:3, :3] = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]  # looks along x, y to its left
    intrinsic = np.array([[200.0, 0, 160], [0, 200, 90], [0, 0, 1]])
    return Camera("CAM", 0, Path("a.jpg"), (WIDTH, HEIGHT), intrinsic, ego_from_camera, EGO)


def _expected(boxes: Boxes3D, camera: Camera) -> dict[int, tuple[float, ...]]:
    """The published rule, one box after the other."""
    found = {}
    for index in range(len(boxes)):
        one = boxes.select([index])
        if camera.project(one.center_m)[1][0] <= 0:
            continue
        points, depths = camera.project(one.corners()[0])
        cut = MultiPoint(points[depths > 0]).convex_hull.intersection(box(0, 0, WIDTH, HEIGHT))
        if cut.is_empty:
            continue
        left, top, right, bottom = cut.bounds
        if right - left >= 1 and bottom - top >= 1:
            found[index] = cut.bounds
    return found


ahead = st.floats(-4, 40).map(lambda value: round(value, 3))
coordinate = st.floats(-12, 12).map(lambda value: round(value, 3))
size = st.floats(0.2, 9).map(lambda value: round(value, 3))


@given(
    st.lists(
        st.tuples(ahead, coordinate, st.floats(-3, 3), size, size, size, st.floats(-3, 3)),
        min_size=1,
        max_size=6,
    )
)
def test_rectangles_are_those_of_the_hulls(rows: list[tuple[float, ...]]) -> None:
    values = np.array(rows)
    boxes = Boxes3D(
        center_m=values[:, :3],
        size_wlh_m=values[:, 3:6],
        rotation=rotation_from_yaw(values[:, 6]),
        velocity_mps=np.zeros((len(values), 2)),
        label=np.zeros(len(values), dtype=np.int64),
        score=np.ones(len(values)),
    ).transform(EGO)
    points = np.concatenate([boxes.center_m, boxes.corners().reshape(-1, 3)])
    assume((np.abs(_camera().project(points)[1]) > 1e-6).all())  # else rounding decides which are behind the camera
    indices, rectangles, centers_px, depths_m = projected_boxes(boxes, _camera())
    expected = _expected(boxes, _camera())
    on_the_edge = {  # a rounding error decides whether these are one pixel wide
        index for index in {*expected} ^ {*indices.tolist()} if np.isclose(_smallest_side(boxes, index), 1, atol=1e-6)
    }
    assert {*indices.tolist()} ^ {*expected} <= on_the_edge
    for index, rectangle in zip(indices.tolist(), rectangles, strict=True):
        if index in expected:
            np.testing.assert_allclose(rectangle, expected[index], atol=1e-6)
    np.testing.assert_allclose(centers_px, _camera().project(boxes.center_m[indices])[0])
    assert (depths_m > 0).all()


def _smallest_side(boxes: Boxes3D, index: int) -> float:
    points, depths = _camera().project(boxes.select([index]).corners()[0])
    left, top, right, bottom = MultiPoint(points[depths > 0]).convex_hull.intersection(box(0, 0, WIDTH, HEIGHT)).bounds
    return min(right - left, bottom - top)


def test_wall_that_fills_the_image_covers_its_corners() -> None:
    wall = Boxes3D(
        np.array([[5.0, 0, 0]]), np.array([[60.0, 1, 60]]), rotation_from_yaw(0.05), np.zeros((1, 2)), [0], [1.0]
    ).transform(EGO)
    _, rectangles, _, _ = projected_boxes(wall, _camera())
    np.testing.assert_allclose(rectangles, [[0, 0, WIDTH, HEIGHT]], atol=1e-9)
