"""Boxes projected into tilted cameras come back from what the cameras show of them."""

import math

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from detection.models.heads.perspective_geometry import Cameras

degrees = st.floats(-12, 12)
IMAGE_PX = (704.0, 396.0)


def _cameras(yaw_deg: float, pitch_deg: float, roll_deg: float, focal_px: float, height_m: float) -> Cameras:
    """One camera in float64; without yaw it looks along the lidar frame's y axis."""
    lidar_from_camera = np.eye(4)
    level = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    turn = Rotation.from_euler("ZXY", [yaw_deg, pitch_deg, roll_deg], degrees=True).as_matrix()
    lidar_from_camera[:3, :3] = turn @ level
    lidar_from_camera[:3, 3] = [0.4, 1.1, height_m]
    intrinsic = np.array([[focal_px, 0.0, 350.0], [0.0, 1.03 * focal_px, 205.0], [0.0, 0.0, 1.0]])
    return Cameras(torch.tensor(intrinsic)[None], torch.tensor(np.linalg.inv(lidar_from_camera))[None])


cameras = st.builds(
    _cameras,
    yaw_deg=st.floats(-180, 180),
    pitch_deg=degrees,
    roll_deg=degrees,
    focal_px=st.floats(200, 1200),
    height_m=st.floats(-1.0, 1.0),
)


def _pixel(across: float, down: float) -> torch.Tensor:
    return torch.tensor([[across * IMAGE_PX[0], down * IMAGE_PX[1]]], dtype=torch.float64)


@given(camera=cameras, across=st.floats(0, 1), down=st.floats(0, 1), depth_m=st.floats(1, 80))
def test_lifting_undoes_projecting(camera: Cameras, across: float, down: float, depth_m: float) -> None:
    pixel, depth = _pixel(across, down), torch.tensor([depth_m], dtype=torch.float64)
    found_px, found_m = camera.project(camera.lift(pixel, depth))
    torch.testing.assert_close(found_px, pixel, rtol=0, atol=1e-7)
    torch.testing.assert_close(found_m, depth)


@given(
    camera=cameras, across=st.floats(0, 1), down=st.floats(0.1, 0.9), depth_m=st.floats(4, 80), high_m=st.floats(0.3, 4)
)
def test_depth_follows_from_the_height_in_pixels(
    camera: Cameras, across: float, down: float, depth_m: float, high_m: float
) -> None:
    box = _upright_box(camera, across, down, depth_m, high_m)
    center_px, depth = camera.project(box[:, :3])
    below_px, above_px = camera.ends_px(box)
    found = camera.depth_from_height(center_px, below_px, above_px, box[:, 5])
    torch.testing.assert_close(found, depth, rtol=1e-7, atol=0)


@given(
    camera=cameras, across=st.floats(0, 1), down=st.floats(0.1, 0.9), depth_m=st.floats(4, 80), high_m=st.floats(0.3, 4)
)
def test_depth_follows_from_the_ground_wherever_the_line_of_sight_falls(
    camera: Cameras, across: float, down: float, depth_m: float, high_m: float
) -> None:
    box = _upright_box(camera, across, down, depth_m, high_m)
    center_px, depth = camera.project(box[:, :3])
    below_px, _ = camera.ends_px(box)
    ground_m = float(box[0, 2] - high_m / 2)
    found = camera.depth_from_ground(center_px, below_px, box[:, 5], ground_m)
    if float(camera.origins_m[0, 2]) - ground_m > 0.3:  # else the foot is not seen from above
        torch.testing.assert_close(found, depth, rtol=1e-6, atol=0)


@given(camera=cameras, across=st.floats(0, 1), down=st.floats(0, 0.2), depth_m=st.floats(4, 80))
def test_a_line_of_sight_that_does_not_fall_gives_a_great_depth(
    camera: Cameras, across: float, down: float, depth_m: float
) -> None:
    sight = _pixel(across, down)
    rises = (camera.rays(sight) * camera.up).sum() > 0
    found = camera.depth_from_ground(sight, torch.zeros(1, dtype=torch.float64), torch.ones(1), ground_m=-1.5)
    assert not rises or found > 1000


def _upright_box(camera: Cameras, across: float, down: float, depth_m: float, high_m: float) -> torch.Tensor:
    center = camera.lift(_pixel(across, down), torch.tensor([depth_m], dtype=torch.float64))
    return torch.cat((center, torch.tensor([[4.0, 1.8, high_m, 0.3, 0.0, 0.0]], dtype=torch.float64)), dim=1)


def test_azimuth_is_that_of_the_line_from_the_camera() -> None:
    camera = _cameras(0.0, 0.0, 0.0, 500.0, 0.0)
    beside = torch.tensor([[0.4 + 3.0, 1.1 + 3.0, 0.0]], dtype=torch.float64)
    assert math.isclose(float(camera.azimuths(beside)), math.pi / 4, abs_tol=1e-9)
