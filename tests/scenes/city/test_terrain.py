"""Sloping ground: how steep it is, and that pictures, lidar, poses and annotations are of the same ground."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenes import Scene, read_scenes
from scenes.boxes import Boxes3D
from scenes.city import VAL_SPLIT, VERSION, make_city
from scenes.city.drawing.ground import GroundPolygons, Surface
from scenes.city.drawing.light import draw_light
from scenes.city.drawing.meshes import MESH_INDEX, mesh_library
from scenes.city.drawing.rasterizer import Instances, View, rasterize
from scenes.city.drawing.render import Renderer
from scenes.city.drawing.sloping_ground import draw_surface_map, ground_cells, sloping_ground
from scenes.city.layout.terrain import FLAT, Terrain, draw_terrain, lifted
from scenes.city.life.simulation import Drive, simulate_drive
from scenes.city.sensors.lidar import GROUND, GroundBelow, cast_sweep
from scenes.city.sensors.observation import actor_instances, observe
from scenes.city.sensors.rig import CAMERAS
from scenes.city.town import Town, build_town
from scenes.geometry import FloatArray, invert_pose, rotation_from_yaw, transform_points, yaw_from_rotation
from tests.scenes.city.test_observation import cars, nobody

WIDTH, HEIGHT = 480, 270
STEEP = 0.1
RIDGE = Terrain(np.array([2.0]), np.array([[2.0 * np.pi / 120.0, 0.0]]), np.array([np.pi / 2]))
"""Crests along y at every 120 m of x from 0 on."""
NEARLY_FLAT = Terrain(np.array([1e-7]), np.array([[0.01, 0.0]]), np.zeros(1))


@pytest.fixture(scope="module")
def town() -> Town:
    return build_town(11, 0)


@pytest.fixture(scope="module")
def drive(town: Town) -> Drive:
    terrain = draw_terrain(STEEP, np.random.default_rng(3))
    return simulate_drive(town, 5.0, np.random.default_rng(5), terrain=terrain)


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[float, Path]:
    folder = tmp_path_factory.mktemp("slopes")
    for slope in (0.0, STEEP):
        make_city(
            folder / str(slope), train_scenes=0, val_scenes=2, frames=3, seed=6, slope=slope, image_size=(320, 180)
        )
    return {slope: folder / str(slope) for slope in (0.0, STEEP)}


def _view(global_from_ego: FloatArray, camera: int = 0) -> View:
    mount = CAMERAS[camera]
    pose = global_from_ego @ mount.ego_from_camera
    return View(invert_pose(pose), mount.intrinsic(WIDTH, HEIGHT), WIDTH, HEIGHT)


@given(seed=st.integers(0, 2**32), steepest=st.floats(0.01, 0.25), x=st.floats(-900, 900), y=st.floats(-900, 900))
def test_no_place_is_steeper_than_said_nor_below_zero(seed: int, steepest: float, x: float, y: float) -> None:
    terrain = draw_terrain(steepest, np.random.default_rng(seed))
    step_m = 1e-3
    here, ahead, aside = terrain.height_m(np.array([[x, y], [x + step_m, y], [x, y + step_m]]))
    assert here >= 0.0
    assert np.hypot(ahead - here, aside - here) / step_m <= steepest + 1e-6


def test_flat_ground_lifts_nothing() -> None:
    points = np.arange(12.0).reshape(4, 3)
    assert FLAT.is_flat and lifted(points, FLAT) is points
    np.testing.assert_array_equal(FLAT.height_m(points[:, :2]), 0.0)
    np.testing.assert_allclose(
        lifted(points, RIDGE)[:, 2] - points[:, 2], 2.0 + 2.0 * np.cos(points[:, 0] * np.pi / 60)
    )


def test_the_ego_vehicle_stands_on_its_wheels(drive: Drive) -> None:
    leans = []
    for time_s in np.linspace(0.0, 5.0, 11).tolist():
        pose = drive.ego.pose_at(time_s)
        np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-12)
        assert np.linalg.det(pose[:3, :3]) == pytest.approx(1.0)
        wheels = np.array([[0.0, 0.8], [0.0, -0.8], [2.55, 0.8], [2.55, -0.8]])
        place = np.column_stack([wheels, np.zeros(4)]) @ pose[:3, :3].T + pose[:3, 3]
        np.testing.assert_allclose(place[:, 2], drive.ego.terrain.height_m(place[:, :2]), atol=0.02)
        leans.append(np.degrees(np.arccos(pose[2, 2])))
    assert max(leans) > 1.0


@pytest.mark.parametrize("camera", [0, 3])
def test_boxes_hold_the_pixels_of_their_actors(drive: Drive, camera: int) -> None:
    """An annotated box is upright and its actor follows the slope, which along its length makes little."""
    actors = actor_instances(drive.cast, drive.cast.at(2.0))
    terrain = drive.ego.terrain
    view = _view(drive.ego.pose_at(2.0), camera)
    seen = rasterize(actors, mesh_library(), view, terrain, count_covered=True)
    shown = seen.instance_map()
    center = lifted(actors.center_m, terrain)
    compared = 0
    for index in np.unique(shown[shown >= 0]).tolist():
        length, width, height = actors.size_lwh_m[index]
        box = Boxes3D(
            center[[index]],
            np.array([[width, length, height + STEEP * (length + width)]]),
            rotation_from_yaw(actors.yaw_rad[[index]]),
            np.zeros((1, 2)),
            np.zeros(1, dtype=np.int64),
            np.ones(1),
        )
        corners = box.corners()[0] @ view.camera_from_global[:3, :3].T + view.camera_from_global[:3, 3]
        if corners[:, 2].min() < 0.5:
            continue
        pixels = corners @ view.intrinsic.T
        hull = cv2.convexHull((pixels[:, :2] / pixels[:, 2:]).astype(np.float32))
        rows, columns = np.nonzero(shown == index)
        inside = [cv2.pointPolygonTest(hull, (c + 0.5, r + 0.5), True) for r, c in zip(rows, columns, strict=True)]
        assert min(inside) > -0.75
        compared += 1
    assert compared >= 3


def test_a_slope_that_is_none_looks_as_flat_ground(town: Town, drive: Drive) -> None:
    """Cells and maps from above against the polygons of flat ground: the same but for edges, a pixel of a map wide."""
    flat = simulate_drive(town, 5.0, np.random.default_rng(5))
    assert flat.ego.terrain.is_flat
    view = _view(flat.ego.pose_at(1.0))
    world = Instances.concatenate([actor_instances(flat.cast, flat.cast.at(1.0)), town.scenery])
    light = draw_light(np.random.default_rng(0), False)
    level = sloping_ground(NEARLY_FLAT, town.ground, flat.ego.position_m)
    pictures = [
        Renderer(WIDTH, HEIGHT).render(world, mesh_library(), ground, view, light).astype(int)
        for ground in (town.ground, level)
    ]
    off = np.abs(pictures[0] - pictures[1]).max(axis=2)
    assert (off > 8).mean() < 0.04
    assert np.median(off) <= 1.0


def test_the_map_from_above_shows_what_is_painted_last() -> None:
    square = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0]])
    polygons = GroundPolygons.of([(Surface.ASPHALT, square), (Surface.WHITE, 0.5 * square)])
    seen = draw_surface_map(polygons, np.array([-1.0, -1.0]), np.array([5.0, 6.0]), 10.0, int(Surface.GRASS))
    assert seen.surface.shape == (70, 60)
    for x, y, expected in ((1.0, 1.0, Surface.WHITE), (3.0, 1.0, Surface.ASPHALT), (4.5, 5.5, Surface.GRASS)):
        assert seen.surface[int((y + 1.0) * 10.0), int((x + 1.0) * 10.0)] == expected


def test_a_crest_hides_what_is_behind_it() -> None:
    """From one side of it a car on the other side is not seen; from its top a car below is."""
    view_from = np.eye(4)
    for place, other_place, hidden in ((-45.0, 25.0, True), (0.0, 40.0, False)):
        view_from[0, 3] = place
        view_from[2, 3] = float(RIDGE.height_m(np.array([[place, 0.0]]))[0])
        other = cars([[other_place, 0.0, 0.8]], [0.0])
        everything = Instances.concatenate([other, ground_cells(view_from[:2, 3])])
        shown = rasterize(everything, mesh_library(), _view(view_from), RIDGE).instance_map()
        assert (shown == 0).any() != hidden
        seen = observe(other, np.ones(1, dtype=np.bool_), nobody(), view_from, np.random.default_rng(0), terrain=RIDGE)
        assert (seen.lidar_points[0] == 0) == hidden
        assert (seen.visibility[0] == 1) == hidden


@given(seed=st.integers(0, 2**32), heading=st.floats(-np.pi, np.pi))
def test_returns_of_the_ground_lie_on_it(seed: int, heading: float) -> None:
    rng = np.random.default_rng(seed)
    terrain = draw_terrain(STEEP, rng)
    place = np.append(rng.uniform(0.0, 500.0, 2), 0.0)
    place[2] = 1.84 + terrain.height_m(place[None, :2])[0]
    none = np.zeros((0, 3))
    sweep = cast_sweep(none, none, np.zeros(0), GroundBelow(terrain, *place.tolist(), heading), rng)
    assert (sweep.target == GROUND).all()
    cos, sin = np.cos(heading), np.sin(heading)
    points = sweep.points_m @ np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]]) + place
    np.testing.assert_allclose(points[:, 2], terrain.height_m(points[:, :2]), atol=2e-3)


def _scenes(root: Path) -> list[Scene]:
    return read_scenes(root, VERSION, VAL_SPLIT)


def test_a_sloping_city_is_the_flat_one_lifted(roots: dict[float, Path]) -> None:
    """The same drives; what is annotated in both is at the same place of the map, and boxes keep their headings."""
    heights, tilts = [], []
    for flat, sloping in zip(_scenes(roots[0.0]), _scenes(roots[STEEP]), strict=True):
        for before, after in zip(flat.frames, sloping.frames, strict=True):
            assert before.token == after.token
            assert before.annotations is not None and after.annotations is not None
            place = dict(zip(before.annotations.boxes.track_id, before.annotations.boxes.center_m, strict=True))
            ground = after.global_from_ego[2, 3] - before.global_from_ego[2, 3]
            tilts.append(np.arccos(after.global_from_ego[2, 2]))
            both = 0
            for name, center in zip(after.annotations.boxes.track_id, after.annotations.boxes.center_m, strict=True):
                if name in place:
                    np.testing.assert_allclose(center[:2], place[name][:2], atol=2e-3)
                    heights.append(center[2] - place[name][2] - ground)
                    both += 1
            assert both > 10
    assert np.ptp(heights) > 1.0
    assert max(tilts) > 0.02


def test_lidar_returns_of_annotated_boxes_are_inside(roots: dict[float, Path]) -> None:
    """The files' points, by the calibration and the pose of the tables, against the boxes and their counts."""
    (scene, *_) = _scenes(roots[STEEP])
    frame = scene.frames[0]
    assert frame.annotations is not None
    (path,) = (roots[STEEP] / "samples" / "LIDAR_TOP").glob(f"*__{frame.timestamp_us}.pcd.bin")
    points = np.fromfile(path, dtype="<f4").reshape(-1, 5)[:, :3]
    assert frame.ego_from_lidar is not None
    places = transform_points(frame.global_from_ego @ frame.ego_from_lidar, points.astype(np.float64))
    boxes, counts = frame.annotations.boxes, frame.annotations.num_lidar_pts
    compared = 0
    for index in np.flatnonzero(counts > 20).tolist():
        offset = places - boxes.center_m[index]
        (yaw,) = yaw_from_rotation(boxes.rotation[[index]])
        turn = np.array([[np.cos(yaw), -np.sin(yaw), 0.0], [np.sin(yaw), np.cos(yaw), 0.0], [0.0, 0.0, 1.0]])
        body = np.abs(offset @ turn)
        inside = (body <= 0.5 * boxes.size_wlh_m[index][[1, 0, 2]] + 0.01).all(axis=1).sum()
        assert inside >= 0.95 * counts[index]
        compared += 1
    assert compared > 3


def test_a_cell_of_the_ground_is_the_only_level_mesh() -> None:
    library = mesh_library()
    for name, index in MESH_INDEX.items():
        corners = library.vertices[library.triangles[library.starts[index] : library.starts[index + 1]]]
        assert (np.ptp(corners[..., 2]) == 0.0) == (name == "ground_cell")
