"""Pictures that agree with the annotations."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from scenes import read_scenes
from scenes.boxes import Boxes3D
from scenes.city import VERSION
from scenes.city.drawing.ground import GroundPolygons, Surface
from scenes.city.drawing.light import draw_light
from scenes.city.drawing.meshes import MESH_INDEX, mesh_library
from scenes.city.drawing.polygon_filling import fill_polygons
from scenes.city.drawing.rasterizer import NO_FACE, Instances, View, rasterize
from scenes.city.drawing.render import Renderer
from scenes.city.life.simulation import Drive, simulate_drive
from scenes.city.sensors.observation import actor_instances
from scenes.city.sensors.rig import CAMERAS, CameraMount
from scenes.city.town import build_town
from scenes.geometry import FloatArray, invert_pose, rotation_from_yaw

WIDTH, HEIGHT = 480, 270


def view_of(mount: CameraMount, global_from_ego: FloatArray) -> View:
    pose = global_from_ego @ mount.ego_from_camera
    return View(invert_pose(pose), mount.intrinsic(WIDTH, HEIGHT), WIDTH, HEIGHT)


def corners_in_image(view: View, instances: Instances, index: int) -> tuple[FloatArray, FloatArray]:
    """Pixels (8, 2) and depths (8,) of the corners of an instance's box."""
    box = Boxes3D(
        instances.center_m[[index]],
        instances.size_lwh_m[[index]][:, [1, 0, 2]],
        rotation_from_yaw(instances.yaw_rad[[index]]),
        np.zeros((1, 2)),
        np.zeros(1, dtype=np.int64),
        np.ones(1),
    )
    camera = box.corners()[0] @ view.camera_from_global[:3, :3].T + view.camera_from_global[:3, 3]
    pixels = camera @ view.intrinsic.T
    return pixels[:, :2] / pixels[:, 2:], camera[:, 2]


@pytest.fixture(scope="module")
def drive() -> Drive:
    return simulate_drive(build_town(11, 0), 5.0, np.random.default_rng(5))


@pytest.mark.parametrize("mount", CAMERAS, ids=[mount.channel for mount in CAMERAS])
def test_every_box_holds_exactly_the_pixels_of_its_actor(mount: CameraMount, drive: Drive) -> None:
    compared = 0
    for time_s in (0.0, 4.0):
        actors = actor_instances(drive.cast, drive.cast.at(time_s))
        view = view_of(mount, drive.ego.pose_at(time_s))
        seen = rasterize(actors, mesh_library(), view, count_covered=True)
        shown = seen.instance_map()
        visible = np.bincount(shown[shown >= 0], minlength=len(actors))
        assert (visible <= seen.covered).all()
        for index in np.flatnonzero(visible).tolist():
            pixels, depth = corners_in_image(view, actors, index)
            if depth.min() < 0.5:
                continue
            rows, columns = np.nonzero(shown == index)
            hull = cv2.convexHull(pixels.astype(np.float32))
            centres = np.stack([columns, rows], axis=1) + 0.5
            inside = [cv2.pointPolygonTest(hull, centre, True) for centre in centres.tolist()]
            assert min(inside) > -0.75
            whole = visible[index] == seen.covered[index]
            in_image = (pixels >= 0).all() and (pixels[:, 0] < WIDTH).all() and (pixels[:, 1] < HEIGHT).all()
            if whole and in_image and visible[index] > 300:
                drawn = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
                expected = np.concatenate([pixels.min(axis=0), pixels.max(axis=0)])
                size = expected[2:] - expected[:2]
                # A body does not reach the corners of its box, least of all a person's.
                assert (drawn[2:] - drawn[:2] > (0.5, 0.85) * size - 2.0).all()
                compared += 1
    assert compared >= 1 or mount.channel != "CAM_FRONT"


def test_meshes_fill_the_unit_box_and_face_outwards() -> None:
    library = mesh_library()
    for name, index in MESH_INDEX.items():
        if name == "ground_cell":  # level, and seen from above alone
            continue
        triangles = library.triangles[library.starts[index] : library.starts[index + 1]]
        corners = library.vertices[triangles]
        np.testing.assert_allclose(corners.reshape(-1, 3).min(axis=0), -0.5, atol=1e-9, err_msg=name)
        np.testing.assert_allclose(corners.reshape(-1, 3).max(axis=0), 0.5, atol=1e-9, err_msg=name)


def test_nearer_face_hides_the_farther() -> None:
    count = 2
    pair = Instances(
        mesh=np.full(count, MESH_INDEX["building"]),
        center_m=np.array([[20.0, 0.0, 5.0], [10.0, 0.0, 1.0]]),
        yaw_rad=np.zeros(count),
        size_lwh_m=np.array([[2.0, 30.0, 10.0], [1.0, 1.0, 2.0]]),
        color=np.full((count, 3), 100.0),
        second_color=np.full((count, 3), 100.0),
    )
    view = view_of(CAMERAS[0], np.eye(4))
    seen = rasterize(pair, mesh_library(), view, count_covered=True)
    shown = seen.instance_map()
    centre = (int(view.intrinsic[1, 2] + 6), int(view.intrinsic[0, 2]))
    assert shown[centre] == 1
    assert 1.0 / seen.inverse_depth[centre] == pytest.approx(10.0 - 0.5 - CAMERAS[0].translation_m[0], abs=0.05)
    assert (shown == 0).any()
    assert (shown[0] == NO_FACE).any() or shown[0, 0] == 0
    visible = np.bincount(shown[shown >= 0], minlength=count)
    assert visible[1] == seen.covered[1]
    assert visible[0] < seen.covered[0]


@pytest.mark.parametrize(("pitch_deg", "roll_deg"), [(0.0, 0.0), (2.5, 1.5), (-2.0, 4.0), (1.0, -12.0)])
def test_a_wide_polygon_covers_the_ground_however_the_camera_leans(pitch_deg: float, roll_deg: float) -> None:
    """The oracle is a ray through each pixel. Corners that pass beside the camera lie very far outside the image."""
    square = np.array([[-90.0, -130.0], [110.0, -130.0], [110.0, 70.0], [-90.0, 70.0]])
    view = view_of(replace(CAMERAS[0], pitch_deg=pitch_deg, roll_deg=roll_deg), np.eye(4))
    canvas = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    fill_polygons(canvas, GroundPolygons.of([(Surface.GRASS, square)]), view, 140.0)
    columns, rows = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    rays = np.stack([columns, rows, np.ones_like(rows)], axis=-1) @ np.linalg.inv(view.intrinsic).T
    global_from_camera = invert_pose(view.camera_from_global)
    rays, eye = rays @ global_from_camera[:3, :3].T, global_from_camera[:3, 3]
    reach = -eye[2] / np.minimum(rays[..., 2], -1e-6)
    place = eye[:2] + reach[..., None] * rays[..., :2]
    inside = (
        (rays[..., 2] < -1e-6) & (place > square.min(axis=0)).all(axis=-1) & (place < square.max(axis=0)).all(axis=-1)
    )
    wrong = (canvas == int(Surface.GRASS)) != inside
    assert inside.mean() > 0.2
    assert wrong.mean() < 0.01  # the border itself


def test_day_is_brighter_than_dusk(drive: Drive) -> None:
    town = build_town(11, 0)
    actors = actor_instances(drive.cast, drive.cast.at(0.0))
    world = Instances.concatenate([actors, town.scenery])
    view = view_of(CAMERAS[0], drive.ego.pose_at(0.0))
    pictures = [
        Renderer(WIDTH, HEIGHT).render(
            world, mesh_library(), town.ground, view, draw_light(np.random.default_rng(0), dusk)
        )
        for dusk in (False, True)
    ]
    assert pictures[0].shape == (HEIGHT, WIDTH, 3)
    assert pictures[0].mean() > pictures[1].mean() + 20
    assert all(picture.std() > 20 for picture in pictures)


def test_images_on_disk_have_the_size_of_the_tables(pictured_city: Path) -> None:
    for scene in read_scenes(pictured_city, VERSION):
        for frame in scene.frames:
            for camera in frame.cameras:
                image = cv2.imread(str(camera.image_path))
                assert image.shape == (camera.height_px, camera.width_px, 3)
                assert image.std() > 10
