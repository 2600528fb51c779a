"""Poses and rotations against pyquaternion, the devkit's own arithmetic."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pyquaternion import Quaternion

from scenes.geometry import (
    invert_pose,
    pose_matrices,
    pose_matrix,
    rotation_from_yaw,
    transform_points,
    wrap_angle,
    yaw_from_rotation,
)

_LENGTH_M = st.floats(-2000, 2000)
_DIRECTION = arrays(np.float64, 4, elements=st.floats(-1, 1)).filter(lambda q: np.linalg.norm(q) > 0.1)


@given(translation=arrays(np.float64, 3, elements=_LENGTH_M), rotation=_DIRECTION)
def test_pose_equals_pyquaternion(translation: np.ndarray, rotation: np.ndarray) -> None:
    expected = Quaternion(rotation).transformation_matrix
    expected[:3, 3] = translation
    np.testing.assert_allclose(pose_matrix(translation, rotation), expected, atol=1e-12)


@given(translation=arrays(np.float64, 3, elements=_LENGTH_M), rotation=_DIRECTION)
def test_inverted_pose_takes_points_back(translation: np.ndarray, rotation: np.ndarray) -> None:
    pose = pose_matrix(translation, rotation)
    points = np.array([[0.0, 0.0, 0.0], [1.0, -2.0, 3.0]])
    np.testing.assert_allclose(transform_points(invert_pose(pose), transform_points(pose, points)), points, atol=1e-9)
    np.testing.assert_allclose(pose @ invert_pose(pose), np.eye(4), atol=1e-9)


@given(translations=arrays(np.float64, (5, 3), elements=_LENGTH_M), rotation=_DIRECTION, count=st.integers(0, 5))
def test_many_poses_are_those_of_each(translations: np.ndarray, rotation: np.ndarray, count: int) -> None:
    rotations = [np.roll(rotation, shift) for shift in range(count)]
    poses = pose_matrices(translations[:count].tolist(), rotations)
    expected = [pose_matrix(translation, turn) for translation, turn in zip(translations, rotations, strict=False)]
    np.testing.assert_allclose(poses, np.reshape(expected, (count, 4, 4)), atol=1e-12)


@given(translation=arrays(np.float64, 3, elements=_LENGTH_M), rotation=_DIRECTION)
def test_moved_points_are_those_of_the_matrix(translation: np.ndarray, rotation: np.ndarray) -> None:
    pose, points = pose_matrix(translation, rotation), np.array([[0.0, 0.0, 0.0], [1.0, -2.0, 3.0]])
    homogeneous = np.column_stack([points, np.ones(2)])
    np.testing.assert_allclose(transform_points(pose, points), (homogeneous @ pose.T)[:, :3], atol=1e-9)


def test_single_precision_is_left_behind_at_the_door() -> None:
    turn = np.array([[0.8, 0.0, 0.0, 0.6]], dtype=np.float32)
    assert yaw_from_rotation(turn).dtype == rotation_from_yaw(turn[0]).dtype == wrap_angle(turn).dtype == np.float64


@given(rotation=_DIRECTION)
def test_yaw_equals_the_devkit(rotation: np.ndarray) -> None:
    devkit = pytest.importorskip("nuscenes.eval.common.utils")
    unit = rotation / np.linalg.norm(rotation)
    forward = Quaternion(unit).rotation_matrix[:2, 0]
    if np.hypot(*forward) < 1e-6:  # looking straight up: there is no heading
        return
    difference = wrap_angle(yaw_from_rotation(unit[None])[0] - devkit.quaternion_yaw(Quaternion(unit)))
    assert abs(difference) < 1e-6


@given(yaw=st.floats(-3.1, 3.1))
def test_rotation_from_yaw_is_read_back(yaw: float) -> None:
    assert yaw_from_rotation(rotation_from_yaw(yaw))[0] == pytest.approx(yaw, abs=1e-12)


@given(angle=st.floats(-100, 100))
def test_wrapped_angle_is_the_same_direction(angle: float) -> None:
    wrapped = float(wrap_angle(angle))
    assert -np.pi <= wrapped < np.pi
    np.testing.assert_allclose([np.cos(wrapped), np.sin(wrapped)], [np.cos(angle), np.sin(angle)], atol=1e-9)
