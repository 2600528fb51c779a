"""The made-up drive, converted from every format, is the drive: boxes, poses, images, points, identities."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from scenes import DETECTION_CLASSES, read_scenes
from scenes.conversion.data_root import convert
from scenes.conversion.formats import FORMATS, open_source
from scenes.geometry import invert_pose, transform_points
from scenes.scene import Frame

ALL = [name for name in FORMATS if name not in ("rosbag", "mcap", "py123d")]

Write = Callable[[str], Path]


def _convert(format_: str, source: Path, out: Path, **options: object):
    opened = open_source(format_, source)
    convert(opened, out, **options)
    return opened.version


def _table(root: Path, version: str, name: str) -> list[dict]:
    return json.loads((root / version / f"{name}.json").read_text())


def _in_ego(frame: Frame, points: np.ndarray) -> np.ndarray:
    return transform_points(invert_pose(frame.global_from_ego), points)


@pytest.mark.parametrize("format_", ALL)
def test_a_drive_comes_back_as_it_was(format_: str, write_source: Write, world, tmp_path: Path) -> None:
    version = _convert(format_, write_source(format_), tmp_path / "root")
    (scene,) = read_scenes(tmp_path / "root", version, "all")
    assert len(scene.frames) == world.frames
    assert np.diff([frame.timestamp_us for frame in scene.frames]).tolist() == [100_000] * (world.frames - 1)
    identities = set()
    for index, frame in enumerate(scene.frames):
        boxes, truth = frame.annotations.boxes, world.boxes(index)
        order = np.argsort([-DETECTION_CLASSES.index("pedestrian") * (label == 0) for label in boxes.label])
        boxes = boxes.select(order)
        assert boxes.label.tolist() == truth.label.tolist()
        in_ego = transform_points(invert_pose(world.ego(index)), truth.corners().reshape(-1, 3))
        # The global frame is the source's choice; what a car sees is not. KITTI's is a GPS position in degrees.
        assert np.abs(_in_ego(frame, boxes.corners().reshape(-1, 3)) - in_ego).max() < 1e-6
        assert np.allclose(boxes.size_wlh_m, truth.size_wlh_m, atol=1e-9)
        pixels, _ = frame.cameras[0].project(boxes.corners().reshape(-1, 3))
        assert np.abs(pixels.reshape(2, 8, 2) - world.corners_px(index)).max() < 1e-6
        assert frame.cameras[0].size_px == (640, 360)
        image = cv2.imread(str(frame.cameras[0].image_path))
        assert abs(image.mean() - world.image(index).mean()) < 1
        assert frame.annotations.num_lidar_pts[order].tolist() == [world.points_in_car, 0]
        identities.add(tuple(boxes.track_id))
        if index:
            moved = np.linalg.norm(frame.global_from_ego[:3, 3] - scene.frames[0].global_from_ego[:3, 3])
            assert moved == pytest.approx(np.linalg.norm(world.ego(index)[:3, 3]), abs=1e-4)
    assert len(identities) == 1


@pytest.mark.parametrize("format_", ALL)
def test_the_devkit_opens_it(format_: str, write_source: Write, world, tmp_path: Path) -> None:
    nuscenes = pytest.importorskip("nuscenes")
    from nuscenes.utils.data_classes import LidarPointCloud

    version = _convert(format_, write_source(format_), tmp_path / "root", link=False)
    kit = nuscenes.NuScenes(version, str(tmp_path / "root"), verbose=False)
    assert len(kit.sample) == world.frames and len(kit.sample_annotation) == 2 * world.frames
    sample = kit.sample[2]
    path, boxes, intrinsic = kit.get_sample_data(next(
        token for channel, token in sample["data"].items() if channel != "LIDAR_TOP"))  # fmt: skip
    assert Path(path).is_file() and len(boxes) == 2 and np.shape(intrinsic) == (3, 3)
    cloud = LidarPointCloud.from_file(kit.get_sample_data_path(sample["data"]["LIDAR_TOP"]))
    assert cloud.points.shape == (4, 57)
    assert kit.get("sample_annotation", kit.instance[0]["first_annotation_token"])["prev"] == ""


@pytest.mark.parametrize("format_", ALL)
def test_the_rest_becomes_sweeps(format_: str, write_source: Write, tmp_path: Path) -> None:
    version = _convert(format_, write_source(format_), tmp_path / "root", key_frames_hz=5.0)
    samples = _table(tmp_path / "root", version, "sample")
    assert len(samples) == 3
    data = _table(tmp_path / "root", version, "sample_data")
    tokens = {row["token"] for row in samples}
    assert {row["sample_token"] for row in data} == tokens
    for row in data:
        assert row["filename"].startswith("samples/" if row["is_key_frame"] else "sweeps/")
        assert (tmp_path / "root" / row["filename"]).is_file()
    lidar = [row for row in data if "/LIDAR_TOP/" in row["filename"]]
    assert [row["is_key_frame"] for row in lidar] == [True, False, True, False, True]
    assert [row["next"] for row in lidar] == [*(row["token"] for row in lidar[1:]), ""]
    annotations = _table(tmp_path / "root", version, "sample_annotation")
    assert len(annotations) == 6 and {row["sample_token"] for row in annotations} == tokens


def test_images_are_linked_or_copied(write_source: Write, tmp_path: Path) -> None:
    source = write_source("kitti")
    for name, link in (("linked", True), ("copied", False)):
        _convert("kitti", source, tmp_path / name, link=link)
        images = sorted((tmp_path / name / "samples" / "image_02").iterdir())
        assert len(images) == 5 and all(path.is_symlink() is link for path in images)
        assert images[0].read_bytes() == (source / "image_02" / "0001" / "000000.png").read_bytes()


def test_the_source_is_remembered(write_source: Write, tmp_path: Path) -> None:
    version = _convert("kitti", write_source("kitti"), tmp_path / "root")
    instances = _table(tmp_path / "root", version, "instance")
    assert {(row["source_id"], row["source_type"]) for row in instances} == {("3", "Van"), ("4", "Pedestrian")}
    labels = _table(tmp_path / "root", version, "source_label")
    annotations = {row["token"]: row for row in _table(tmp_path / "root", version, "sample_annotation")}
    regions = [row for row in labels if not row["annotation_token"]]
    assert [row["bbox"] for row in regions] == [[10, 20, 30, 40]] * 5
    assert {row["type"] for row in regions} == {"DontCare"}
    assert len(labels) == 15 and all(row["annotation_token"] in annotations for row in labels if row not in regions)
    by_level = {annotations[row["annotation_token"]]["visibility_token"]: row["occluded"] for row in labels[:2]}
    assert by_level == {"4": 0.0, "3": 1.0}
    assert [row["source_frame"] for row in _table(tmp_path / "root", version, "sample")] == list("01234")


def test_attributes_of_pandaset_are_known(write_source: Write, tmp_path: Path) -> None:
    version = _convert("pandaset", write_source("pandaset"), tmp_path / "root")
    (scene,) = read_scenes(tmp_path / "root", version)
    boxes = scene.frames[0].annotations.boxes
    assert boxes.attribute.tolist() == ["vehicle.moving", "pedestrian.moving"]


@pytest.mark.parametrize("dialect", ["lyft", "t4", "truckscenes"])
def test_tables_of_others_become_ours(dialect: str, write_dialect, world, tmp_path: Path) -> None:
    source = write_dialect(tmp_path / "source", dialect)
    version = _convert("nuscenes-schema", source, tmp_path / "root")
    (scene,) = read_scenes(tmp_path / "root", version, "all")
    assert scene.name == "drive-1" and scene.location == "tokyo"
    assert [frame.token for frame in scene.frames] == [f"f{index}" for index in range(5)]
    annotations = scene.frames[1].annotations
    assert annotations.boxes.label.tolist() == [0, 8]
    assert annotations.boxes.attribute.tolist() == ["vehicle.parked", ""]
    assert np.allclose(annotations.boxes.center_m, world.boxes(1).center_m)
    assert scene.frames[0].ego_from_lidar is not None
    expected = {"lyft": ([1, 1], [0, 0]), "t4": ([7, 0], [4, 4]), "truckscenes": ([7, 0], [4, 4])}
    assert (annotations.num_lidar_pts.tolist(), annotations.visibility.tolist()) == expected[dialect]
