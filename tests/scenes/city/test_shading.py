"""Shading: shortcuts of pixels whose samples see the same; outlines of shadows."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from scenes.city.drawing.light import draw_light
from scenes.city.drawing.meshes import mesh_library
from scenes.city.drawing.rasterizer import Instances, View
from scenes.city.drawing.render import Renderer, _swept
from scenes.city.drawing.shading import SAMPLES_A_SIDE
from scenes.city.life.actors import Cast
from scenes.city.life.simulation import simulate_drive
from scenes.city.sensors.observation import actor_instances
from scenes.city.sensors.rig import CAMERAS
from scenes.city.town import build_town
from scenes.geometry import invert_pose

WIDTH, HEIGHT = 352, 198


@pytest.mark.parametrize("camera", [0, 2, 3])
@pytest.mark.parametrize("dusk", [False, True])
def test_a_pixel_is_the_mean_of_its_samples(camera: int, dusk: bool) -> None:
    """The oracle is the picture of a camera with four times the pixels, whose own samples are four times finer."""
    town = build_town(11, 1)
    drive = simulate_drive(town, 2.0, np.random.default_rng(9))
    cast: Cast = drive.cast
    world = Instances.concatenate([actor_instances(cast, cast.at(1.0)), town.scenery])
    mount = CAMERAS[camera]
    view = View(
        invert_pose(drive.ego.pose_at(1.0) @ mount.ego_from_camera), mount.intrinsic(WIDTH, HEIGHT), WIDTH, HEIGHT
    )
    light = draw_light(np.random.default_rng(0), dusk)

    def picture(seen: View) -> NDArray[np.uint8]:
        renderer = Renderer(seen.width_px, seen.height_px)
        renderer.render(world, mesh_library(), town.ground, replace(seen, camera_from_global=np.eye(4)), light)
        return renderer.render(world, mesh_library(), town.ground, seen, light)

    fine = picture(view.scaled(SAMPLES_A_SIDE))
    mean = fine.reshape(HEIGHT, 2, WIDTH, 2, 3).mean(axis=(1, 3))
    off = np.abs(picture(view) - mean)
    # Edges are sampled four times coarser, and so is the grain of the ground.
    assert off.mean() < 2.0
    sky = off[: HEIGHT // 8]
    assert np.median(sky) < 1.0
    assert np.median(off) <= 1.5


@given(
    length=st.floats(0.2, 20.0),
    width=st.floats(0.2, 20.0),
    yaw=st.floats(-np.pi, np.pi),
    reach=st.floats(0.01, 30.0),
    direction=st.one_of(st.floats(-np.pi, np.pi), st.sampled_from([0.0, np.pi / 2, np.pi, -np.pi / 2])),
)
def test_a_swept_rectangle_is_the_hull_of_its_start_and_end(
    length: float, width: float, yaw: float, reach: float, direction: float
) -> None:
    corners = 0.5 * np.array([[length, width], [length, -width], [-length, -width], [-length, width]])
    turn = np.array([[np.cos(yaw), np.sin(yaw)], [-np.sin(yaw), np.cos(yaw)]])
    foot = corners @ turn
    shift = reach * np.array([np.cos(direction), np.sin(direction)])
    outline = _swept(foot[None], shift[None])[0]
    hull = cv2.convexHull(np.concatenate([foot, foot + shift]).astype(np.float32))
    area = cv2.contourArea(outline.astype(np.float32))
    assert area == pytest.approx(cv2.contourArea(hull), rel=1e-3, abs=1e-3)
    assert area == pytest.approx(cv2.contourArea(cv2.convexHull(outline.astype(np.float32))), rel=1e-3, abs=1e-3)
