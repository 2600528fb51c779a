"""Info files from tables: equal to what the devkit says, for any subset and any rig."""

import importlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyquaternion import Quaternion
from shapely.geometry import MultiPoint, box

from detection.data import TemporalFrameDataset, read_infos
from detection.data.create_infos import create_infos
from detection.data.infos import CAMERA_ORDER, CATEGORY_NAMES_2D
from scenes import DETECTION_CLASSES, InputError
from scenes.city import TRAIN_SPLIT, VAL_SPLIT, VERSION
from scenes.classes import CLASS_OF_CATEGORY
from scenes.splits import official_splits

EditTables = Callable[..., Path]


@pytest.fixture
def edited_root(small_city: Path, tmp_path: Path) -> EditTables:
    """Gives a data root with the small city's tables after a function has changed one of them."""

    def edited(changes: dict[str, Callable[[list[dict[str, Any]]], Any]], version: str = VERSION) -> Path:
        root = tmp_path / "root"
        shutil.copytree(small_city / VERSION, root / version)
        for name, change in changes.items():
            path = root / version / f"{name}.json"
            rows = json.loads(path.read_text())
            changed = change(rows)
            path.write_text(json.dumps(rows if changed is None else changed))
        return root

    return edited


@pytest.fixture(scope="module")
def mini(mini_val: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, list[dict[str, Any]]]:
    out = tmp_path_factory.mktemp("mini")
    written = create_infos(mini_val, "v1.0-mini", out)
    assert [split.path for split in written] == [
        out / "nuscenes2d_temporal_infos_val.pkl"
    ]  # no training scene is there
    infos, _ = read_infos(written[0].path)
    return pytest.importorskip("nuscenes").NuScenes("v1.0-mini", str(mini_val), verbose=False), infos


def test_frames_follow_one_another(mini: tuple[Any, list[dict[str, Any]]]) -> None:
    nusc, infos = mini
    assert [info["token"] for info in infos] == [sample["token"] for sample in nusc.sample]
    for info in infos:
        sample = nusc.get("sample", info["token"])
        assert [info[key] for key in ("prev", "next", "scene_token", "timestamp")] == [
            sample[key] for key in ("prev", "next", "scene_token", "timestamp")
        ]
        # StreamPETR's data set tells the first frame of a scene by its lack of sweeps.
        assert (not info["sweeps"]) == (info["frame_idx"] == 0) == (not info["prev"])


def test_boxes_are_those_of_the_devkit(mini: tuple[Any, list[dict[str, Any]]]) -> None:
    nusc, infos = mini
    for info in infos[::20]:
        sample = nusc.get("sample", info["token"])
        _, boxes, _ = nusc.get_sample_data(sample["data"]["LIDAR_TOP"])
        named = [one for one in boxes if one.name in CLASS_OF_CATEGORY]
        assert info["gt_names"].tolist() == [CLASS_OF_CATEGORY[one.name] for one in named]
        np.testing.assert_allclose(info["gt_boxes"][:, :3], [one.center for one in named], atol=1e-9)
        np.testing.assert_allclose(info["gt_boxes"][:, 3:6], [one.wlh[[1, 0, 2]] for one in named])
        heading = np.array([one.rotation_matrix[:2, 0] for one in named])
        np.testing.assert_allclose(info["gt_boxes"][:, 6], np.arctan2(heading[:, 1], heading[:, 0]), atol=1e-9)
        rows = [nusc.get("sample_annotation", one.token) for one in named]
        assert info["num_lidar_pts"].tolist() == [row["num_lidar_pts"] for row in rows]
        assert info["valid_flag"].tolist() == [row["num_lidar_pts"] + row["num_radar_pts"] > 0 for row in rows]
        assert info["instance_tokens"].tolist() == [row["instance_token"] for row in rows]
        turn = (Quaternion(info["ego2global_rotation"]) * Quaternion(info["lidar2ego_rotation"])).inverse
        velocity = [turn.rotate([*nusc.box_velocity(one.token)[:2], 0.0])[:2] for one in named]
        np.testing.assert_allclose(info["gt_velocity"], velocity, atol=1e-9)


def test_lidar_points_lie_where_the_devkit_projects_them(mini: tuple[Any, list[dict[str, Any]]]) -> None:
    nusc, infos = mini
    points = np.random.default_rng(0).uniform(-30, 30, (20, 3))
    for name, camera in infos[7]["cams"].items():
        ours = (points - camera["sensor2lidar_translation"]) @ camera["sensor2lidar_rotation"]
        moved = points.copy()
        record = nusc.get("sample_data", camera["sample_data_token"])
        assert record["channel"] == name and Path(camera["data_path"]).name == Path(record["filename"]).name
        for rotation, translation, forth in (
            (infos[7]["lidar2ego_rotation"], infos[7]["lidar2ego_translation"], True),
            (infos[7]["ego2global_rotation"], infos[7]["ego2global_translation"], True),
            (camera["ego2global_rotation"], camera["ego2global_translation"], False),
            (camera["sensor2ego_rotation"], camera["sensor2ego_translation"], False),
        ):
            matrix = Quaternion(rotation).rotation_matrix
            moved = moved @ matrix.T + translation if forth else (moved - translation) @ matrix
        np.testing.assert_allclose(ours, moved, atol=1e-8)
    assert tuple(infos[7]["cams"]) == CAMERA_ORDER


def test_2d_boxes_are_those_of_the_published_rule(mini: tuple[Any, list[dict[str, Any]]]) -> None:
    devkit = pytest.importorskip("nuscenes.utils.geometry_utils")
    nusc, infos = mini
    for index, (name, camera) in enumerate(infos[40]["cams"].items()):
        _, boxes, intrinsic = nusc.get_sample_data(camera["sample_data_token"], box_vis_level=devkit.BoxVisibility.NONE)
        expected: list[tuple[int, list[float], list[float]]] = []
        for one in boxes:
            corners = one.corners()
            corners = corners[:, corners[2] > 0]
            if one.name not in CLASS_OF_CATEGORY or one.center[2] <= 0:
                continue
            outline = MultiPoint(devkit.view_points(corners, intrinsic, True)[:2].T).convex_hull
            cut = outline.intersection(box(0, 0, 1600, 900))
            left, top, right, bottom = cut.bounds if not cut.is_empty else (0, 0, 0, 0)
            if right - left < 1 or bottom - top < 1:
                continue
            label = CATEGORY_NAMES_2D.index(CLASS_OF_CATEGORY[one.name])
            center = devkit.view_points(one.center[:, None], intrinsic, True)[:2, 0]
            angle = -one.orientation.yaw_pitch_roll[0]
            in_camera = [*one.center, *one.wlh[[1, 2, 0]], angle]
            expected.append((label, [left, top, right, bottom, *center, one.center[2]], in_camera))
        assert infos[40]["labels2d"][index].tolist() == [label for label, _, _ in expected], name
        ours = np.column_stack([infos[40][key][index] for key in ("bboxes2d", "centers2d", "depths")])
        np.testing.assert_allclose(ours, [values for _, values, _ in expected], rtol=1e-5, atol=1e-3)
        np.testing.assert_allclose(infos[40]["bboxes3d_cams"][index], [b for _, _, b in expected], rtol=1e-5, atol=1e-4)
        assert len(infos[40]["visibilities"][index]) == len(expected)


def test_writes_one_file_a_split_where_it_is_told(small_city: Path, tmp_path: Path) -> None:
    written = create_infos(small_city, VERSION, tmp_path / "out", "mine")
    assert {split.path.name: split.frames for split in written} == {
        f"mine_temporal_infos_{TRAIN_SPLIT}.pkl": 10,
        f"mine_temporal_infos_{VAL_SPLIT}.pkl": 5,
    }
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(split.path.name for split in written)


def test_test_split_needs_no_annotations(edited_root: EditTables) -> None:
    def rename(scenes: list[dict[str, Any]]) -> None:
        for scene, name in zip(scenes, official_splits()["test"], strict=False):
            scene["name"] = name

    root = edited_root({"scene": rename}, version="v1.0-test")
    for name in ("sample_annotation", "instance", "category", "attribute", "visibility"):
        (root / "v1.0-test" / f"{name}.json").unlink()
    (root / "v1.0-test" / "splits.json").unlink()
    written = create_infos(root, "v1.0-test")
    assert {split.path.name: split.frames for split in written} == {"nuscenes2d_temporal_infos_test.pkl": 15}
    infos, _ = read_infos(written[0].path)
    assert "gt_boxes" not in infos[0] and len(infos[0]["cams"]) == 6


def test_recording_without_lidar_uses_the_ego_frame(edited_root: EditTables, small_city: Path) -> None:
    sensors = json.loads((small_city / VERSION / "sensor.json").read_text())
    lidar = next(row["token"] for row in sensors if row["channel"] == "LIDAR_TOP")
    mountings = json.loads((small_city / VERSION / "calibrated_sensor.json").read_text())
    lidar_mounting = next(row["token"] for row in mountings if row["sensor_token"] == lidar)

    def unseen(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            row["num_lidar_pts"] = row["num_radar_pts"] = 0

    root = edited_root(
        {
            "sensor": lambda rows: [row for row in rows if row["token"] != lidar],
            "calibrated_sensor": lambda rows: [row for row in rows if row["sensor_token"] != lidar],
            "sample_data": lambda rows: [row for row in rows if row["calibrated_sensor_token"] != lidar_mounting],
            "sample_annotation": unseen,
        }
    )
    path = create_infos(root, VERSION)[0].path
    infos, _ = read_infos(path)
    assert infos[0]["lidar_path"] == "" and infos[0]["lidar2ego_rotation"] == [1.0, 0.0, 0.0, 0.0]
    record = TemporalFrameDataset(root, path.name, []).record(0)
    assert record.boxes is not None and len(record.boxes) == len(infos[0]["gt_names"]) > 0


def test_any_cameras(edited_root: EditTables) -> None:
    kept = {"CAM_BACK": "rear", "CAM_FRONT": "nose"}
    gone: set[str] = set()

    def rename(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for row in rows:
            row["channel"] = kept.get(row["channel"], row["channel"])
        gone.update(row["token"] for row in rows if row["channel"].startswith("CAM_"))
        return [row for row in rows if row["token"] not in gone]

    mountings: set[str] = set()

    def drop_mountings(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        mountings.update(row["token"] for row in rows if row["sensor_token"] in gone)
        return [row for row in rows if row["token"] not in mountings]

    root = edited_root(
        {
            "sensor": rename,
            "calibrated_sensor": drop_mountings,
            "sample_data": lambda rows: [row for row in rows if row["calibrated_sensor_token"] not in mountings],
        }
    )
    path = create_infos(root, VERSION)[0].path
    names = [camera.name for camera in TemporalFrameDataset(root, path, []).record(0).cameras]
    assert sorted(names) == ["nose", "rear"]
    chosen = TemporalFrameDataset(root, path, [], cameras=["rear"]).record(0).cameras
    assert [camera.name for camera in chosen] == ["rear"]


def test_classes_are_numbered_by_name(train_infos: Path) -> None:
    infos, _ = read_infos(train_infos)
    for info in infos:
        for labels in info["labels2d"]:
            assert {CATEGORY_NAMES_2D[label] for label in labels} <= set(info["gt_names"])
    own = TemporalFrameDataset(train_infos.parent, train_infos, [], classes=["pedestrian", "car"])
    reference = TemporalFrameDataset(train_infos.parent, train_infos, [])
    for index in range(len(own)):
        of_ten = reference.record(index).labels
        names = [DETECTION_CLASSES[label] for label in ([] if of_ten is None else of_ten)]
        labels = own.record(index).labels
        assert labels is not None
        assert labels.tolist() == [["pedestrian", "car"].index(name) for name in names if name in ("pedestrian", "car")]


def test_no_scene_of_any_split(edited_root: EditTables) -> None:
    root = edited_root({}, version="v1.0-trainval")
    (root / "v1.0-trainval" / "splits.json").unlink()
    with pytest.raises(InputError, match="holds no scene of train, val"):
        create_infos(root, "v1.0-trainval")
    with pytest.raises(InputError, match="no such folder of tables"):
        create_infos(root, "v1.0-mini")


def test_image_size_from_the_image_where_tables_lack_it(edited_root: EditTables, small_city: Path) -> None:
    def forget(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            row["width"] = row["height"] = 0

    root = edited_root({"sample_data": forget})
    with pytest.raises(InputError, match=r"\.jpg: no such file; the tables do not state the image's size either"):
        create_infos(root, VERSION)
    shutil.copytree(small_city / "samples", root / "samples")
    infos, _ = read_infos(create_infos(root, VERSION)[0].path)
    assert {(camera["width"], camera["height"]) for camera in infos[0]["cams"].values()} == {(320, 180)}


# What StreamPETR's and mmdet3d 1.0's data sets look up.
FRAME_KEYS = {
    *("token", "lidar_path", "sweeps", "cams", "scene_token", "frame_idx", "timestamp", "prev", "next"),
    *("lidar2ego_rotation", "lidar2ego_translation", "ego2global_rotation", "ego2global_translation"),
    *("gt_boxes", "gt_names", "gt_velocity", "num_lidar_pts", "num_radar_pts", "valid_flag"),
    *("bboxes2d", "labels2d", "centers2d", "depths", "bboxes_ignore", "bboxes3d_cams", "visibilities"),
}
SENSOR_KEYS = {
    *("data_path", "type", "sample_data_token", "timestamp", "sensor2lidar_rotation", "sensor2lidar_translation"),
    *("sensor2ego_rotation", "sensor2ego_translation", "ego2global_rotation", "ego2global_translation"),
}


def test_has_every_key_that_others_read(train_infos: Path) -> None:
    infos, metadata = read_infos(train_infos)
    assert metadata["version"] == VERSION
    for info in infos:
        assert set(info) == FRAME_KEYS | {"instance_tokens"}
        for camera in info["cams"].values():
            assert set(camera) == SENSOR_KEYS | {"cam_intrinsic", "width", "height"}
            assert camera["cam_intrinsic"].shape == (3, 3) and Path(camera["data_path"]).is_file()
        assert all(set(sweep) == SENSOR_KEYS for sweep in info["sweeps"])
        boxes = {len(info[key]) for key in ("gt_boxes", "gt_names", "gt_velocity", "valid_flag", "instance_tokens")}
        assert len(boxes) == 1


def assert_same(one: Any, other: Any) -> None:
    """Two infos hold the same, to the last bit."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert list(one) == list(other)
        assert_same(list(one.values()), list(other.values()))
    elif isinstance(one, list):
        assert len(one) == len(other)
        for inner, other_inner in zip(one, other, strict=True):
            assert_same(inner, other_inner)
    else:
        np.testing.assert_array_equal(one, other)


def test_goes_on_where_it_was_stopped(small_city: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part a scene is kept, and gone in the end; the files are those of a work that was never stopped."""
    creation = importlib.import_module("detection.data.create_infos")
    write_part, made = creation._write_part, []

    def stopped_at_the_second(scene: Any, *arguments: Any) -> None:
        if len(made) == 1:
            raise KeyboardInterrupt
        made.append(scene.name)
        write_part(scene, *arguments)

    monkeypatch.setattr(creation, "_write_part", stopped_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        create_infos(small_city, VERSION, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.pkl"))
    monkeypatch.setattr(
        creation, "_write_part", lambda scene, *rest: (made.append(scene.name), write_part(scene, *rest))
    )
    told: list[tuple[str, int, int]] = []
    written = create_infos(small_city, VERSION, tmp_path / "out", progress=lambda *now: told.append(now))
    assert len(made) == len(set(made)) and told[0][1] == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(split.path.name for split in written)
    for split, whole in zip(written, create_infos(small_city, VERSION, tmp_path / "whole"), strict=True):
        (infos, _), (wanted, _) = read_infos(split.path), read_infos(whole.path)
        assert_same(infos, wanted)


def test_large_tables_give_the_same_infos(small_city: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of which only the rows of wanted scenes are decoded, here by two processes."""
    wanted = create_infos(small_city, VERSION, tmp_path / "small")
    monkeypatch.setenv("STREAMTRACK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("scenes.large_tables.scene_store._SMALLEST_STORED", 0)
    for one, other in zip(create_infos(small_city, VERSION, tmp_path / "large", workers=2), wanted, strict=True):
        assert_same(read_infos(one.path)[0], read_infos(other.path)[0])
