"""Between two key frames: ends are met, turns go the short way, moments pass evenly."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenes.geometry import interpolate_pose, invert_pose, pose_matrix, rotation_from_yaw, transform_points, wrap_angle
from visualization.interpolation import interpolate_boxes
from visualization.video import smooth_moments

from .conftest import START, boxes_at

yaws = st.floats(-3.1, 3.1)


def places(boxes):
    """(N, 2) as the ego sees them at its start."""
    return transform_points(invert_pose(START), boxes.center_m)[:, :2]


@given(st.floats(0, 1), yaws, yaws)
def test_boxes_move_straight_and_turn_the_short_way(share, start_rad, end_rad):
    before = boxes_at([(0.0, 0.0)], ["1"]).replace(rotation=rotation_from_yaw(start_rad))
    after = boxes_at([(4.0, -2.0)], ["1"]).replace(rotation=rotation_from_yaw(end_rad))
    between = interpolate_boxes(before, after, share)
    assert places(between)[0] == pytest.approx(share * np.array([4.0, -2.0]), abs=1e-9)
    turn = wrap_angle(end_rad - start_rad)
    if abs(abs(float(turn)) - np.pi) > 1e-6:
        assert float(wrap_angle(between.yaw_rad[0] - start_rad - share * turn)) == pytest.approx(0.0, abs=1e-6)


def test_tracks_that_end_stay_where_they_are():
    before, after = boxes_at([(0.0, 0.0), (9.0, 9.0)], ["1", "2"]), boxes_at([(2.0, 0.0)], ["1"])
    between = interpolate_boxes(before, after, 0.5)
    assert places(between) == pytest.approx(np.array([[1.0, 0.0], [9.0, 9.0]]), abs=1e-9)
    assert interpolate_boxes(before, boxes_at([], []), 0.5) is before


def test_a_pose_half_way():
    start = pose_matrix([0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0])
    end = pose_matrix([2.0, 4.0, 0.0], rotation_from_yaw(np.pi / 2)[0].tolist())
    half = interpolate_pose(start, end, 0.5)
    assert half == pytest.approx(pose_matrix([1.0, 2.0, 0.0], rotation_from_yaw(np.pi / 4)[0].tolist()))


def test_moments_pass_at_an_even_pace(small_scene):
    moments = smooth_moments(small_scene, 10.0)
    assert [index + share for index, share in moments] == pytest.approx(np.arange(0, 3.01, 0.2))


def test_repeated_and_backward_time_stamps_take_no_picture(small_scene):
    times = [0, 500_000, 500_000, 200_000]
    frames = tuple(replace(f, timestamp_us=t) for f, t in zip(small_scene.frames, times, strict=True))
    moments = smooth_moments(replace(small_scene, frames=frames), 4.0)
    assert [index for index, _ in moments] == [0, 0, 3]
    assert smooth_moments(replace(small_scene, frames=frames[:1]), 4.0) == [(0, 0.0)]
