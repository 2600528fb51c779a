"""Lidar points and visibility against brute force and common sense."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenes import Boxes3D, Scene
from scenes.city.drawing.meshes import MESH_INDEX
from scenes.city.drawing.rasterizer import Instances
from scenes.city.sensors.lidar import BEAMS, GROUND, NO_HIT, STEPS, GroundBelow, cast_sweep
from scenes.city.sensors.observation import observe, visibility_level
from scenes.geometry import FloatArray, rotation_from_yaw

HEIGHT_M = 1.84
GROUND_BELOW = GroundBelow.flat(HEIGHT_M)


class _KeepsAll:
    """A generator whose draws lose no return that has not faded."""

    def random(self, shape: tuple[int, ...]) -> FloatArray:
        return np.zeros(shape)


def cars(center_m: list[list[float]], yaw_rad: list[float], scenery: bool = False) -> Instances:
    """Boxes of a car's size, or houses."""
    count = len(yaw_rad)
    size = [20.0, 10.0, 12.0] if scenery else [4.6, 1.9, 1.6]
    return Instances(
        mesh=np.full(count, MESH_INDEX["building" if scenery else "sedan"]),
        center_m=np.array(center_m, dtype=np.float64).reshape(-1, 3),
        yaw_rad=np.array(yaw_rad, dtype=np.float64),
        size_lwh_m=np.tile(size, (count, 1)),
        color=np.full((count, 3), 128.0),
        second_color=np.full((count, 3), 128.0),
    )


def nobody() -> Instances:
    return cars([], [], scenery=True)


box_strategy = st.tuples(
    st.floats(-30, 30), st.floats(-30, 30), st.floats(-3.14, 3.14), st.floats(0.4, 9.0), st.floats(0.4, 3.0)
).filter(lambda box: np.hypot(box[0], box[1]) > 0.6 * np.hypot(box[3], box[4]) + 0.5)


@settings(max_examples=25, deadline=None)
@given(boxes=st.lists(box_strategy, min_size=1, max_size=4))
def test_first_hits_are_those_of_brute_force(boxes: list[tuple[float, ...]]) -> None:
    x, y, yaw, length, width = np.array(boxes).T
    height = np.full(len(boxes), 1.7)
    center = np.column_stack([x, y, 0.5 * height - HEIGHT_M])
    size = np.column_stack([length, width, height])
    sweep = cast_sweep(center, size, yaw, GROUND_BELOW, _KeepsAll())  # type: ignore[arg-type]
    expected = _brute_force_range(sweep.points_m, center, size, yaw)
    np.testing.assert_allclose(np.linalg.norm(sweep.points_m, axis=1), expected, atol=1e-6)
    on_box = sweep.target >= 0
    assert (sweep.target[~on_box] == GROUND).all()
    assert NO_HIT not in sweep.target


def _brute_force_range(points: FloatArray, center: FloatArray, size: FloatArray, yaw: FloatArray) -> FloatArray:
    """(P,) range along each point's ray to the nearest of all boxes and the ground, by the faces of the boxes."""
    direction = points / np.linalg.norm(points, axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        nearest = np.where(direction[:, 2] < 0, -HEIGHT_M / direction[:, 2], np.inf)
    for c, s, a in zip(center, size, yaw, strict=True):
        turn = np.array([[np.cos(a), np.sin(a), 0.0], [-np.sin(a), np.cos(a), 0.0], [0.0, 0.0, 1.0]])
        origin, ray = -turn @ c, direction @ turn.T
        for axis in range(3):
            for side in (-0.5, 0.5):
                with np.errstate(divide="ignore", invalid="ignore"):
                    t = (side * s[axis] - origin[axis]) / ray[:, axis]
                    others = [k for k in range(3) if k != axis]
                    at = origin[others] + t[:, None] * ray[:, others]
                    hit = (t > 0) & (np.abs(at) <= 0.5 * s[others] + 1e-9).all(axis=1)
                nearest = np.where(hit & (t < nearest), t, nearest)
    return nearest


def test_an_empty_street_returns_the_ground_alone() -> None:
    none = np.zeros((0, 3))
    sweep = cast_sweep(none, none, np.zeros(0), GROUND_BELOW, _KeepsAll())  # type: ignore[arg-type]
    assert (sweep.target == GROUND).all()
    np.testing.assert_allclose(sweep.points_m[:, 2], -HEIGHT_M)
    assert 0.4 * BEAMS * STEPS < len(sweep.target) < 0.8 * BEAMS * STEPS


def test_a_car_in_the_open_is_seen_and_one_behind_a_house_is_not() -> None:
    actors = cars([[15.0, 0.0, 0.8], [0.0, 40.0, 0.8]], [0.0, 0.0])
    house = cars([[0.0, 20.0, 6.0]], [0.0], scenery=True)
    seen = observe(actors, np.ones(2, dtype=np.bool_), house, np.eye(4), np.random.default_rng(0))
    assert seen.lidar_points[0] > 40
    assert seen.lidar_points[1] == 0
    assert seen.radar_points[1] == 0
    assert seen.visibility.tolist() == [4, 1]


def test_points_on_a_car_fall_with_its_distance() -> None:
    actors = cars([[10.0, 0.0, 0.8], [0.0, 22.0, 0.8], [-45.0, 0.0, 0.8]], [0.0, 1.57, 0.0])
    seen = observe(actors, np.ones(3, dtype=np.bool_), nobody(), np.eye(4), np.random.default_rng(0))
    assert (np.diff(seen.lidar_points) < 0).all()


def test_a_car_half_hidden_is_half_visible() -> None:
    # Seen from the front camera: the second car, across the view, is covered up to its middle by a house's edge.
    actors = cars([[22.0, 0.0, 0.8]], [0.5 * np.pi])
    house = cars([[14.0, -9.75, 6.0]], [0.5 * np.pi], scenery=True)
    house.size_lwh_m[0] = [20.0, 2.0, 12.0]
    alone = observe(actors, np.ones(1, dtype=np.bool_), nobody(), np.eye(4), np.random.default_rng(0))
    covered = observe(actors, np.ones(1, dtype=np.bool_), house, np.eye(4), np.random.default_rng(0))
    assert alone.visibility.tolist() == [4]
    assert covered.visibility.tolist() in ([1], [2])
    assert covered.lidar_points[0] < alone.lidar_points[0]


def test_visibility_levels_have_the_borders_of_nuscenes() -> None:
    shares = np.array([0.0, 0.39, 0.41, 0.59, 0.61, 0.79, 0.81, 1.0])
    assert visibility_level(shares).tolist() == [1, 1, 2, 2, 3, 3, 4, 4]


def test_points_of_a_sweep_lie_on_their_boxes() -> None:
    rng = np.random.default_rng(2)
    center = np.column_stack([rng.uniform(-25, 25, (12, 2)), np.full(12, 0.8 - HEIGHT_M)])
    center = center[np.linalg.norm(center[:, :2], axis=1) > 5.0]
    count = len(center)
    size, yaw = np.tile([4.6, 1.9, 1.6], (count, 1)), rng.uniform(-np.pi, np.pi, count)
    sweep = cast_sweep(center, size, yaw, GROUND_BELOW, rng)
    boxes = Boxes3D(
        center, size[:, [1, 0, 2]], rotation_from_yaw(yaw), np.zeros((count, 2)), np.zeros(count), np.ones(count)
    )
    for index in set(sweep.target[sweep.target >= 0].tolist()):
        offset = sweep.points_m[sweep.target == index] - boxes.center_m[index]
        cos, sin = np.cos(yaw[index]), np.sin(yaw[index])
        body = np.abs(np.column_stack([offset[:, :2] @ [[cos, -sin], [sin, cos]], offset[:, 2]]))
        assert (body <= 0.5 * size[index] + 1e-6).all()
        assert np.isclose(body, 0.5 * size[index], atol=1e-6).any(axis=1).all()


@pytest.mark.parametrize(("near_m", "far_m", "least"), [(0.0, 15.0, 0.85), (0.0, 30.0, 0.75)])
def test_most_of_what_is_near_is_seen(plain_scenes: list[Scene], near_m: float, far_m: float, least: float) -> None:
    hits = []
    for scene in plain_scenes:
        for frame in scene.frames:
            boxes = frame.annotations.boxes
            distance = np.linalg.norm(boxes.center_m[:, :2] - frame.global_from_ego[:2, 3], axis=1)
            hits += (frame.annotations.num_lidar_pts[(distance >= near_m) & (distance < far_m)] > 0).tolist()
    assert len(hits) > 100
    assert np.mean(hits) > least
