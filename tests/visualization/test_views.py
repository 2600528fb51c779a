"""Projection and clipping, against their definitions and the real calibration."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from scenes import Camera, read_scenes
from scenes.geometry import pose_matrix, rotation_from_yaw, transform_points
from visualization.views import BirdsEyeView, CameraView, clip_segments, shown_size_px

WIDTH, HEIGHT = 160, 90
coordinates = st.floats(-1000, 1000, allow_nan=False, width=32)
segments = arrays(np.float64, st.tuples(st.integers(0, 8), st.just(2), st.just(2)), elements=coordinates)


EGO = pose_matrix([1210.0, -840.0, 7.5], rotation_from_yaw(2.1)[0].tolist())
"""Far from the origin, and turned."""


def seen(*points_m: tuple[float, float, float]) -> np.ndarray:
    """Global points (N, 3) of those that the ego sees ahead, to its left and above."""
    return transform_points(EGO, np.array(points_m))


def forward_camera(tmp_path) -> Camera:
    """Looks ahead, along x of the ego, from where that stands."""
    axes = np.eye(4)
    axes[:3, :3] = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    intrinsic = np.array([[100.0, 0.0, 80.0], [0.0, 100.0, 45.0], [0.0, 0.0, 1.0]])
    return Camera("CAM", 0, tmp_path / "image.jpg", (WIDTH, HEIGHT), intrinsic, axes, EGO)


@given(segments)
def test_clipped_segments_lie_in_the_picture_and_on_the_line(pixels):
    clipped, visible = clip_segments(pixels, WIDTH, HEIGHT)
    assert (clipped[visible] >= -1e-6).all()
    assert (clipped[visible] <= np.array([WIDTH, HEIGHT]) + 1e-6).all()
    for segment, original in zip(clipped[visible], pixels[visible], strict=True):
        direction = original[1] - original[0]
        offsets = segment - original[0]
        areas = direction[0] * offsets[:, 1] - direction[1] * offsets[:, 0]
        assert np.abs(areas).max() <= 1e-6 * max(1.0, float(direction @ direction))


@given(segments)
def test_a_segment_is_visible_if_a_point_of_it_is_inside(pixels):
    _, visible = clip_segments(pixels, WIDTH, HEIGHT)
    fractions = np.linspace(0, 1, 101)[None, :, None]
    points = pixels[:, :1] + fractions * (pixels[:, 1:] - pixels[:, :1])
    inside = ((points > 0) & (points < [WIDTH, HEIGHT])).all(axis=2).any(axis=1)
    assert (visible | ~inside).all()


def test_a_segment_that_ends_behind_the_camera_is_cut_at_the_near_plane(tmp_path):
    view = CameraView(forward_camera(tmp_path), WIDTH, HEIGHT)
    # From ten metres ahead, to the left, to ten metres behind on the same side: it leaves by the left border.
    pixels, visible = view.segments(seen((10.0, 2.0, 0.0)), seen((-10.0, 2.0, 0.0)))
    assert visible.all()
    assert pixels[0, 0] == pytest.approx([60.0, 45.0])
    assert pixels[0, 1] == pytest.approx([0.0, 45.0])


def test_boxes_lie_the_same_in_an_image_whose_size_the_tables_do_not_state(tmp_path):
    stated = forward_camera(tmp_path)
    bare = replace(stated, stated_size_px=None)
    points = seen((20.0, 2.0, -1.0), (9.0, -4.0, 0.5))
    Image.new("RGB", (WIDTH, HEIGHT)).save(stated.image_path)
    for expected, shown in zip(
        CameraView(stated, 64, 48).segments(points, points),
        CameraView(bare, 64, 48).segments(points, points),
        strict=True,
    ):
        assert shown.tolist() == expected.tolist()


def test_a_missing_image_of_unknown_size_is_taken_to_have_the_optical_axis_in_its_middle(tmp_path):
    assert shown_size_px(replace(forward_camera(tmp_path), stated_size_px=None)) == (160, 90)


def test_what_is_wholly_behind_the_camera_is_not_visible(tmp_path):
    view = CameraView(forward_camera(tmp_path), WIDTH, HEIGHT)
    _, visible = view.segments(seen((-5.0, 1.0, 0.0)), seen((-9.0, -1.0, 0.0)))
    assert not visible.any()
    assert view.polygon(seen((-5.0, 1.0, 0.0), (-5.0, -1.0, 0.0), (-6.0, 0.0, 1.0))).shape == (0, 2)


def test_a_polygon_is_cut_at_the_near_plane(tmp_path):
    view = CameraView(forward_camera(tmp_path), WIDTH, HEIGHT)
    square = seen((10.0, 2.0, 0.0), (10.0, -2.0, 0.0), (-10.0, -2.0, 0.0), (-10.0, 2.0, 0.0))
    corners = view.polygon(square)
    assert len(corners) == 4
    assert np.isfinite(corners).all()
    assert corners[0] == pytest.approx([60.0, 45.0])


def test_a_smaller_view_scales_the_projection(tmp_path):
    camera = forward_camera(tmp_path)
    start, end = seen((8.0, 1.0, 0.5)), seen((9.0, -1.0, 0.2))
    whole, _ = CameraView(camera, WIDTH, HEIGHT).segments(start, end)
    half, _ = CameraView(camera, WIDTH // 2, HEIGHT // 2).segments(start, end)
    assert half == pytest.approx(0.5 * whole)


def test_birds_eye_view_has_the_ego_in_the_middle_and_forward_up():
    view = BirdsEyeView(EGO, 200, 300, pixels_per_m=5.0)
    pixels = view.pixels(seen((0.0, 0.0, 0.0), (10.0, 0.0, 0.0), (0.0, 4.0, 0.0)))
    assert pixels == pytest.approx(np.array([[100.0, 150.0], [100.0, 100.0], [80.0, 150.0]]))


def test_projection_agrees_with_the_cameras_own_on_real_calibration(mini_val):
    frame = read_scenes(mini_val, "v1.0-mini", "mini_val")[0].frames[0]
    assert frame.annotations is not None
    for camera in frame.cameras:
        centers = frame.annotations.boxes.center_m
        expected, depth_m = camera.project(centers)
        pixels, visible = CameraView(camera, camera.width_px, camera.height_px).segments(centers, centers)
        inside = (depth_m > 1) & (expected > 0).all(axis=1) & (expected < [1600, 900]).all(axis=1)
        assert visible[depth_m > 1].tolist() == inside[depth_m > 1].tolist()
        assert pixels[inside, 0] == pytest.approx(expected[inside])
