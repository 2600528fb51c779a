"""A small made-up scene with images, for tests that need neither real data nor the city; and a browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.remote.webdriver import WebDriver

from scenes import Annotations, Boxes3D, Camera, Frame, Results, Scene
from scenes.geometry import pose_matrix, rotation_from_yaw

CAMERA_YAWS_DEG = {
    "CAM_FRONT": 0.0,
    "CAM_FRONT_RIGHT": -55.0,
    "CAM_FRONT_LEFT": 55.0,
    "CAM_BACK": 180.0,
    "CAM_BACK_LEFT": 110.0,
    "CAM_BACK_RIGHT": -110.0,
}
FRAMES = 4

START = pose_matrix([1210.0, -840.0, 7.5], rotation_from_yaw(2.1)[0].tolist())
"""Where the ego starts in the world: far from its origin, and turned, so that no pose can be left out or inverted."""


def camera_at(yaw_deg: float, name: str, image_path: Path, global_from_ego: np.ndarray) -> Camera:
    """A camera 1.6 m above the ground that looks to `yaw_deg`, 800 x 450."""
    yaw = np.deg2rad(yaw_deg)
    forward = np.array([np.cos(yaw), np.sin(yaw), 0.0])
    right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    ego_from_camera = np.eye(4)
    ego_from_camera[:3, :3] = np.column_stack([right, [0.0, 0.0, -1.0], forward])
    ego_from_camera[:3, 3] = [1.5, 0.0, 1.6]
    intrinsic = np.array([[640.0, 0.0, 400.0], [0.0, 640.0, 225.0], [0.0, 0.0, 1.0]])
    return Camera(name, 0, image_path, (800, 450), intrinsic, ego_from_camera, global_from_ego)


def boxes_at(centers: list[tuple[float, float]], identities: list[str], score: float = 0.8) -> Boxes3D:
    """Cars that head as the ego does at its start, standing on the ground at (x, y) as it sees them from there."""
    count = len(centers)
    seen_from_start = Boxes3D(
        center_m=np.column_stack([np.array(centers).reshape(-1, 2), np.full(count, 0.8)]),
        size_wlh_m=np.tile([1.9, 4.6, 1.6], (count, 1)),
        rotation=np.tile([1.0, 0.0, 0.0, 0.0], (count, 1)),
        velocity_mps=np.tile([2.0, 0.0], (count, 1)),
        label=np.zeros(count, dtype=np.int64),
        score=np.full(count, score),
        track_id=np.array(identities, dtype=np.str_),
    )
    return seen_from_start.transform(START)


def frame_at(index: int, folder: Path, boxes: Boxes3D) -> Frame:
    """Half a second and one metre a frame straight on."""
    global_from_ego = START @ pose_matrix([float(index), 0.0, 0.0], [1.0, 0.0, 0.0, 0.0])
    cameras = tuple(
        camera_at(yaw, name, folder / f"{name}_{index}.jpg", global_from_ego) for name, yaw in CAMERA_YAWS_DEG.items()
    )
    count = len(boxes)
    annotations = Annotations(
        boxes=boxes,
        num_lidar_pts=np.full(count, 10),
        num_radar_pts=np.zeros(count, dtype=np.int64),
        visibility=np.full(count, 4),
        bike_racks=Boxes3D.empty(),
    )
    return Frame(f"sample-{index}", 1_000_000 + 500_000 * index, global_from_ego, None, cameras, annotations)


@pytest.fixture
def small_scene(tmp_path: Path) -> Scene:
    """Four frames of six cameras with images: one car ahead, one to the left."""
    truth = boxes_at([(15.0, 0.0), (5.0, 12.0)], ["gt-ahead", "gt-left"])
    scene = Scene("scene-token", "scene-a", "", "nowhere", tuple(frame_at(i, tmp_path, truth) for i in range(FRAMES)))
    for frame in scene.frames:
        for camera in frame.cameras:
            assert cv2.imwrite(str(camera.image_path), np.full((450, 800, 3), 90, dtype=np.uint8))
    return scene


@pytest.fixture
def small_tracks(small_scene: Scene) -> Results:
    """Tracks 1 and 2 that follow the two cars."""
    return Results({token: boxes_at([(15.0, 0.2), (5.0, 12.1)], ["1", "2"]) for token in small_scene.sample_tokens})


BROWSER_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--window-size=1600,1000",
)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    """A headless Chromium; skips where there is none, and fails if REQUIRE_BROWSER=1."""
    programs = [shutil.which("chromium"), shutil.which("chromedriver")]
    if None in programs:
        message = "needs the programs chromium and chromedriver (Debian: chromium, chromium-driver)"
        if os.environ.get("REQUIRE_BROWSER") == "1":
            pytest.fail(message)
        pytest.skip(message)
    options = webdriver.ChromeOptions()
    options.binary_location = str(programs[0])
    for flag in (*BROWSER_FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(programs[1])))
    yield driver
    driver.quit()


@pytest.fixture
def browser(chromium: WebDriver) -> Iterator[WebDriver]:
    """The browser with an empty page; a test fails if the page it opens reports an error."""
    chromium.get("about:blank")
    chromium.get_log("browser")
    yield chromium
    assert [entry for entry in chromium.get_log("browser") if entry["level"] == "SEVERE"] == []
