"""Real frames of five data sets, converted: against the arithmetic and the numbers of their own files."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from scenes import DETECTION_CLASSES, Frame, Scene, read_scenes
from scenes.conversion.contents import PointFile
from scenes.conversion.data_root import convert
from scenes.conversion.formats import open_source
from scenes.conversion.kitti import KittiSource, read_calibration
from scenes.conversion.points_in_boxes import count_points
from scenes.conversion.safe_pickle import frame_columns, read_pickle
from scenes.doctor import DataRoot, examine
from scenes.geometry import invert_pose, pose_matrix, transform_points
from scenes.projected_boxes import projected_boxes

SIGNS = np.array([[1, 1, 1], [1, -1, 1], [1, -1, -1], [1, 1, -1], [-1, 1, 1], [-1, -1, 1], [-1, -1, -1], [-1, 1, -1]])


def _converted(format_: str, path: Path, out: Path) -> list[Scene]:
    source = open_source(format_, path)
    convert(source, out)
    return read_scenes(out, source.version, "all")


@pytest.fixture(scope="module")
def kitti(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Scene]]:
    out = tmp_path_factory.mktemp("kitti") / "root"
    return out, _converted("kitti", shared / "kitti_tracking", out)


def test_kitti_holds_every_label(kitti: tuple[Path, list[Scene]], shared: Path) -> None:
    out, scenes = kitti
    assert [scene.name for scene in scenes] == sorted(path.stem for path in (shared / "kitti_tracking/calib").iterdir())
    types: Counter[str] = Counter()
    for scene in scenes:
        lines = (shared / "kitti_tracking" / "label_02" / f"{scene.name}.txt").read_text().splitlines()
        types.update(line.split()[2] for line in lines)
        assert len(scene.frames) == len((shared / "kitti_tracking/oxts" / f"{scene.name}.txt").read_text().splitlines())
    found: Counter[str] = Counter()
    for scene in scenes:
        for frame in scene.frames:
            found.update(DETECTION_CLASSES[label] for label in frame.annotations.boxes.label)
    assert found == {
        "car": types["Car"] + types["Van"],
        "pedestrian": types["Pedestrian"],
        "bicycle": types["Cyclist"],
        "truck": types["Truck"],
    }
    labels = json.loads((out / "v1.0-kitti" / "source_label.json").read_text())
    assert Counter(row["type"] for row in labels) == types


def test_kitti_boxes_land_where_kitti_projects_them(kitti: tuple[Path, list[Scene]], shared: Path) -> None:
    """To 1e-6 px by P2, and on the 2D boxes that KITTI drew by hand about as well as its own projection does."""
    out, scenes = kitti
    instances = {row["token"]: row["source_id"] for row in json.loads((out / "v1.0-kitti/instance.json").read_text())}
    compared, off_px = 0, []
    for scene in scenes:
        projection = read_calibration(shared / "kitti_tracking/calib" / f"{scene.name}.txt").projection["P2"]
        rows = {
            (int(line[0]), line[1]): np.array(line[3:], dtype=float)
            for line in map(str.split, (shared / "kitti_tracking/label_02" / f"{scene.name}.txt").open())
            if line[2] not in ("DontCare", "Misc", "Tram")
        }
        for index, frame in enumerate(scene.frames):
            boxes, camera = frame.annotations.boxes, frame.cameras[0]
            if not len(boxes):
                continue
            lines = np.stack([rows[index, instances[identity]] for identity in boxes.track_id.tolist()])
            expected = np.concatenate([_kitti_corners(line) for line in lines])
            expected = np.column_stack([expected, np.ones(len(expected))]) @ projection.T
            pixels, depth = camera.project(boxes.corners().reshape(-1, 3))
            ahead = expected[:, 2] > 0.1
            assert np.allclose(depth, expected[:, 2], atol=1e-9)
            assert np.abs(pixels[ahead] - (expected[:, :2] / expected[:, 2:])[ahead]).max(initial=0) < 1e-6
            seen, edges, _, _ = projected_boxes(boxes, camera)
            whole = lines[seen, 0] == 0
            off_px += np.abs(edges - lines[seen, 3:7])[whole].max(axis=1).tolist()
            compared += len(boxes)
    assert compared == 22582
    assert len(off_px) > 20_000 and np.median(off_px) < 1.0


def _kitti_corners(label: np.ndarray) -> np.ndarray:
    """(8, 3) as the object development kit's `computeBox3D` has them, in the order of `Boxes3D.corners`."""
    height, width, length, x, y, z, ry = label[7:14]
    turn = np.array([[np.cos(ry), 0, np.sin(ry)], [0, 1, 0], [-np.sin(ry), 0, np.cos(ry)]])
    ahead, left, up = SIGNS.T
    body = np.column_stack([length / 2 * ahead, -height / 2 * (1 + up), width / 2 * left])
    return body @ turn.T + [x, y, z]


def test_kitti_drives_as_far_as_its_speedometer_says(kitti: tuple[Path, list[Scene]], shared: Path) -> None:
    """Column 9 of oxts is the speed ahead; summed up it is the way, but for the lidar's turning at 9.7 Hz, not 10."""
    _, scenes = kitti
    for scene in scenes[:4]:
        speed = np.loadtxt(shared / "kitti_tracking/oxts" / f"{scene.name}.txt")[:, 8]
        poses = np.stack([frame.global_from_ego for frame in scene.frames])
        ahead = np.einsum("ni,ni->n", np.diff(poses[:, :3, 3], axis=0), poses[:-1, :3, 0])
        assert abs(ahead.sum() - 0.1 * 0.5 * (speed[1:] + speed[:-1]).sum()) < 0.05 * abs(ahead.sum()) + 0.1


def _opened_by_devkit(root: Path, version: str, *, frames: int, boxes: int) -> None:
    """The official kit opens a root, has all of its frames and boxes, and finds its way to each sensor's file."""
    nuscenes = pytest.importorskip("nuscenes")
    kit = nuscenes.NuScenes(version, str(root), verbose=False)
    assert (len(kit.sample), len(kit.sample_annotation)) == (frames, boxes)
    for token in kit.sample[-1]["data"].values():
        kit.get_sample_data(token)
        assert kit.get_sample_data_path(token).startswith(str(root / "samples"))


def test_the_devkit_opens_kitti(kitti: tuple[Path, list[Scene]]) -> None:
    _opened_by_devkit(kitti[0], "v1.0-kitti", frames=4100, boxes=23_211)


def _findings(root: Path, version: str) -> dict[str, tuple[str, int]]:
    """What the doctor finds: severity and count by the name of the check."""
    return {one.check: (one.severity.value, one.count) for one in examine(DataRoot(root, version)).findings}


def test_the_doctor_finds_nothing_in_kitti(kitti: tuple[Path, list[Scene]]) -> None:
    assert _findings(kitti[0], "v1.0-kitti") == {"images-absent": ("note", 4100)}


@pytest.fixture(scope="module")
def argoverse2(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Scene]]:
    pytest.importorskip("pyarrow")
    out = tmp_path_factory.mktemp("argoverse2") / "root"
    return out, _converted("argoverse2", shared / "argoverse2" / "val", out)


def test_the_devkit_opens_argoverse2_and_the_doctor_finds_what_is_there(argoverse2: tuple[Path, list[Scene]]) -> None:
    """One car is annotated twice: two identities lie in one place in all frames that they share."""
    _opened_by_devkit(argoverse2[0], "v1.0-argoverse2", frames=312, boxes=23_442)
    expected = {"annotated-twice": ("warning", 1), "images-absent": ("note", 1404)}
    assert _findings(argoverse2[0], "v1.0-argoverse2") == expected


def test_argoverse2_cuboids_stand_in_the_city(argoverse2: tuple[Path, list[Scene]], shared: Path) -> None:
    from pyarrow import feather

    for scene in argoverse2[1]:
        log = shared / "argoverse2" / "val" / scene.name
        table = feather.read_table(log / "annotations.feather").to_pylist()
        poses = {
            row["timestamp_ns"]: row for row in feather.read_table(log / "city_SE3_egovehicle.feather").to_pylist()
        }
        expected: dict[int, list[np.ndarray]] = {}
        for row in table:
            pose = poses[row["timestamp_ns"]]
            city_from_ego = _pose_of_row(pose)
            expected.setdefault(row["timestamp_ns"] // 1000, []).append((city_from_ego @ _pose_of_row(row))[:3, 3])
        assert len(scene.frames) == 156
        for frame in scene.frames:
            centers = frame.annotations.boxes.center_m
            nearest = np.linalg.norm(centers[:, None] - np.array(expected[frame.timestamp_us]), axis=2).min(axis=1)
            assert nearest.max() < 1e-9
    cameras = argoverse2[1][0].frames[0].cameras
    assert len(cameras) == 9 and cameras[0].size_px == (1550, 2048)


def _pose_of_row(row: dict) -> np.ndarray:
    return pose_matrix([row[f"t{axis}_m"] for axis in "xyz"], [row[name] for name in ("qw", "qx", "qy", "qz")])


def test_argoverse2_points_are_counted_as_there(shared: Path) -> None:
    """`num_interior_pts` says how many points of the sweep lie in each cuboid."""
    from scenes.conversion.argoverse2 import Argoverse2Source

    drive = Argoverse2Source(shared / "argoverse2" / "val").read("adcf7d18-0510-35b0-a2fa-b4cea13a6d76")
    recording = next(one for one in drive.sensors[0].recordings if isinstance(one.content, PointFile))
    frame = next(one for one in drive.frames if one.timestamp_us == recording.timestamp_us)
    points = transform_points(recording.global_from_ego, recording.content.points()[:, :3].astype(np.float64))
    counted = count_points(points, frame.labels.boxes)
    stated = np.array(frame.labels.num_lidar_pts)
    # Points are written in half precision: those at a face are counted on either side of it.
    assert np.abs(counted - stated).max() <= 0.02 * stated.max()
    assert np.mean(counted == stated) > 0.6 and np.corrcoef(counted, stated)[0, 1] > 0.999


def test_ddad_boxes_land_where_its_own_poses_put_them(shared: Path, tmp_path: Path) -> None:
    (scene,) = _converted("ddad", shared / "ddad", tmp_path / "root")
    (path,) = (shared / "ddad" / "scene_02").glob("scene_*.json")
    content = json.loads(path.read_text())
    (calibration,) = (json.loads(one.read_text()) for one in (path.parent / "calibration").iterdir())
    assert [len(frame.cameras) for frame in scene.frames] == [6, 6, 6]
    _opened_by_devkit(tmp_path / "root", "v1.0-ddad", frames=3, boxes=39)
    assert _findings(tmp_path / "root", "v1.0-ddad") == {}
    assert 90_000 < scene.frames[1].timestamp_us - scene.frames[0].timestamp_us < 110_000
    data = {datum["key"]: datum for datum in content["data"]}
    for frame, sample in zip(scene.frames, content["samples"], strict=True):
        of_name = {data[key]["id"]["name"]: data[key]["datum"] for key in sample["datum_keys"]}
        cloud = of_name["LIDAR"]["point_cloud"]
        annotations = json.loads((path.parent / cloud["annotations"]["1"]).read_text())["annotations"]
        boxes = [_dgp_pose(row["box"]["pose"]) for row in annotations]
        assert frame.annotations.num_lidar_pts.tolist() == [row["num_points"] for row in annotations]
        for camera in frame.cameras:
            lens = calibration["intrinsics"][calibration["names"].index(camera.name)]
            matrix = np.array([[lens["fx"], lens["skew"], lens["cx"]], [0, lens["fy"], lens["cy"]], [0, 0, 1]])
            camera_from_lidar = invert_pose(_dgp_pose(of_name[camera.name]["image"]["pose"])) @ _dgp_pose(cloud["pose"])
            centers = np.array([(camera_from_lidar @ box)[:3, 3] for box in boxes]) @ matrix.T
            pixels, depth = camera.project(frame.annotations.boxes.center_m)
            ahead = centers[:, 2] > 1
            assert np.allclose(depth, centers[:, 2], atol=1e-7)
            assert np.abs(pixels[ahead] - centers[ahead, :2] / centers[ahead, 2:]).max(initial=0) < 1e-6
            assert camera.image_path.is_file()


def _dgp_pose(pose: dict) -> np.ndarray:
    turn = [pose["rotation"][name] for name in ("qw", "qx", "qy", "qz")]
    return pose_matrix([pose["translation"][axis] for axis in "xyz"], turn)


def test_pandaset_frame(shared: Path, tmp_path: Path) -> None:
    """151 cuboids, of which twelve are the second of objects that two lidars saw; points lie in the boxes."""
    (scene,) = _converted("pandaset", shared / "pandaset", tmp_path / "root")
    annotations = json.loads((tmp_path / "root/v1.0-pandaset/sample_annotation.json").read_text())
    assert len(annotations) == 139
    _opened_by_devkit(tmp_path / "root", "v1.0-pandaset", frames=1, boxes=139)
    assert _findings(tmp_path / "root", "v1.0-pandaset") == {}
    (frame,) = scene.frames
    boxes, points = frame.annotations.boxes, frame.annotations.num_lidar_pts
    near = np.linalg.norm(boxes.center_m[:, :2] - frame.global_from_ego[:2, 3], axis=1) < 40
    assert np.mean(points[near] > 10) > 0.9
    # Parked cars stand along their street, which the ego drives: front or back, not across.
    ego_yaw = np.arctan2(frame.global_from_ego[1, 0], frame.global_from_ego[0, 0])
    assert np.median(np.abs(np.cos(boxes.yaw_rad[boxes.label == 0] - ego_yaw))) > 0.95
    _check_pandaset_pixels(frame, shared / "pandaset" / "001")
    front = next(camera for camera in frame.cameras if camera.name == "front_camera")
    assert front.ego_from_camera[:3, 2] @ [1, 0, 0] > 0.99 and front.image_path.is_file()
    assert set(boxes.attribute.tolist()) > {"vehicle.parked", "vehicle.moving"}


def _check_pandaset_pixels(frame: Frame, sequence: Path) -> None:
    """Corners lie in the images where PandaSet's own poses and intrinsics put its cuboids, as its kit turns them."""
    cuboids = frame_columns(read_pickle(sequence / "annotations/cuboids/00.pkl.gz"), sequence)
    corners = 0.5 * SIGNS[:, None] * np.column_stack([cuboids[f"dimensions.{axis}"] for axis in "yxz"])
    turn = cuboids["yaw"] + np.pi / 2  # a cuboid's length lies along its y
    ahead, left = np.array([np.cos(turn), np.sin(turn)]).T, np.array([-np.sin(turn), np.cos(turn)]).T
    ground = corners[..., :1] * ahead + corners[..., 1:2] * left
    centers = np.column_stack([cuboids[f"position.{axis}"] for axis in "xyz"])
    world = np.concatenate([ground, corners[..., 2:]], axis=2) + centers
    for camera in frame.cameras:
        folder = sequence / "camera" / camera.name
        lens, pose = (json.loads((folder / name).read_text()) for name in ("intrinsics.json", "poses.json"))
        place, turned = pose[0]["position"], pose[0]["heading"]
        world_from_camera = pose_matrix([place[axis] for axis in "xyz"], [turned[axis] for axis in "wxyz"])
        seen = transform_points(invert_pose(world_from_camera), world.reshape(-1, 3))
        expected = seen[:, :2] / seen[:, 2:] * [lens["fx"], lens["fy"]] + [lens["cx"], lens["cy"]]
        pixels, depth = camera.project(frame.annotations.boxes.corners().reshape(-1, 3))
        visible = (depth > 1) & (np.abs(pixels) < 5000).all(axis=1)
        distance = np.linalg.norm(pixels[visible][:, None] - expected[seen[:, 2] > 1][None], axis=2).min(axis=1)
        assert visible.sum() > 100 and distance.max() < 1e-6


def test_nuscenes_converted_is_nuscenes(mini_val: Path, tmp_path: Path) -> None:
    converted = _converted("nuscenes-schema", mini_val, tmp_path / "root")
    original = {scene.name: scene for scene in read_scenes(mini_val, "v1.0-mini", "mini_val")}
    assert sum(len(scene.frames) for scene in converted) == 81
    _opened_by_devkit(tmp_path / "root", "v1.0-converted", frames=81, boxes=4514)
    assert _findings(tmp_path / "root", "v1.0-converted") == {"images-absent": ("note", 474)}
    for scene in converted:
        for ours, theirs in zip(scene.frames, original[scene.name].frames, strict=True):
            assert (ours.token, ours.timestamp_us) == (theirs.token, theirs.timestamp_us)
            first, second = ours.annotations, theirs.annotations
            assert first.boxes.label.tolist() == second.boxes.label.tolist()
            assert first.boxes.attribute.tolist() == second.boxes.attribute.tolist()
            assert first.visibility.tolist() == second.visibility.tolist()
            assert first.num_lidar_pts.tolist() == second.num_lidar_pts.tolist()
            assert np.abs(first.boxes.corners() - second.boxes.corners()).max() < 1e-9
            assert np.allclose(first.boxes.velocity_mps, second.boxes.velocity_mps, equal_nan=True)
            assert np.allclose(ours.global_from_ego, theirs.global_from_ego, atol=1e-9)
            cameras = {camera.name: camera for camera in theirs.cameras}
            assert {camera.name for camera in ours.cameras} == set(cameras)
            for camera in ours.cameras:
                same = cameras[camera.name]
                assert np.allclose(camera.camera_from_global, same.camera_from_global, atol=1e-9)
                assert camera.image_path.exists() == same.image_path.exists()


def test_kitti_reads_the_keys_of_both_kits(shared: Path, tmp_path: Path) -> None:
    path = shared / "kitti_tracking" / "calib" / "0000.txt"
    content = path.read_text()
    for ours, theirs in (
        ("R0_rect:", "R_rect"),
        ("Tr_velo_to_cam:", "Tr_velo_cam"),
        ("Tr_imu_to_velo:", "Tr_imu_velo"),
    ):
        assert ours in content
        content = content.replace(ours, theirs)
    (tmp_path / "calib.txt").write_text(content)
    first, second = read_calibration(path), read_calibration(tmp_path / "calib.txt")
    assert np.array_equal(first.imu_from_rectified, second.imu_from_rectified)
    assert KittiSource(shared / "kitti_tracking").drives()[0] == "0000"
