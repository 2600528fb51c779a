"""The table reader against the devkit, on other roots than nuScenes', and on broken ones."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyquaternion import Quaternion

from scenes import DETECTION_CLASSES, InputError, read_sample_tokens, read_scenes
from scenes.city import VERSION

Rows = list[dict[str, Any]]


@pytest.fixture(params=["as a whole", "as large ones"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever is promised of tables is promised of large ones, of which only the wanted rows are decoded."""
    monkeypatch.setenv("STREAMTRACK_CACHE", str(tmp_path / "cache"))
    if request.param == "as large ones":
        monkeypatch.setattr("scenes.large_tables.scene_store._SMALLEST_STORED", 0)


@pytest.fixture
def broken(plain_city: Path, tmp_path: Path) -> Callable[[str, Callable[[Rows], object]], Path]:
    """A copy of a city's tables, one of which was changed."""

    def break_table(table: str, change: Callable[[Rows], object]) -> Path:
        root = tmp_path / "root"
        shutil.copytree(plain_city / VERSION, root / VERSION)
        path = root / VERSION / f"{table}.json"
        rows = json.loads(path.read_text())
        change(rows)
        path.write_text(json.dumps(rows))
        return root

    return break_table


def assert_equals_devkit(root: Path, version: str) -> None:
    devkit = pytest.importorskip("nuscenes.eval.detection.utils")
    """All scenes of a root, as both read them."""
    theirs = pytest.importorskip("nuscenes").NuScenes(version, str(root), verbose=False)
    scenes = read_scenes(root, version)
    assert [scene.name for scene in scenes] == [row["name"] for row in theirs.scene]
    for scene in scenes:
        for frame in scene.frames:
            sample = theirs.get("sample", frame.token)
            assert frame.timestamp_us == sample["timestamp"]
            assert frame.annotations is not None
            boxes = frame.annotations.boxes
            rows = [theirs.get("sample_annotation", token) for token in sample["anns"]]
            rows = [row for row in rows if devkit.category_to_detection_name(row["category_name"])]
            assert boxes.track_id is not None
            assert boxes.attribute is not None
            assert sorted(boxes.track_id) == sorted(row["instance_token"] for row in rows)
            index = {identity: position for position, identity in enumerate(boxes.track_id)}
            for row in rows:
                i = index[row["instance_token"]]
                assert DETECTION_CLASSES[boxes.label[i]] == devkit.category_to_detection_name(row["category_name"])
                assert boxes.center_m[i].tolist() == row["translation"]
                assert boxes.size_wlh_m[i].tolist() == row["size"]
                assert frame.annotations.num_lidar_pts[i] == row["num_lidar_pts"]
                assert frame.annotations.visibility[i] == int(row["visibility_token"])
                names = [theirs.get("attribute", token)["name"] for token in row["attribute_tokens"]]
                assert boxes.attribute[i] == (names[0] if names else "")
                velocity = theirs.box_velocity(row["token"])[:2]
                np.testing.assert_allclose(boxes.velocity_mps[i], velocity, rtol=1e-12, equal_nan=True)
            for camera in frame.cameras:
                data = theirs.get("sample_data", sample["data"][camera.name])
                path, their_boxes, intrinsic = theirs.get_sample_data(data["token"])
                assert str(camera.image_path) == path
                np.testing.assert_array_equal(camera.intrinsic, intrinsic)
                for box in their_boxes[:3]:
                    row = theirs.get("sample_annotation", box.token)
                    pixel, depth_m = camera.project(np.array([row["translation"]]))
                    assert depth_m[0] == pytest.approx(box.center[2], abs=1e-6)
                    np.testing.assert_allclose(pixel[0], (intrinsic @ box.center)[:2] / box.center[2], atol=1e-6)


def pose_of(row: dict[str, Any]) -> np.ndarray:
    """The pose of a row of `ego_pose` or `calibrated_sensor`."""
    return Quaternion(row["rotation"]).transformation_matrix + np.pad(
        np.array(row["translation"], dtype=np.float64)[:, None], ((0, 1), (3, 0))
    )


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("with_cameras", [True, False])
def test_scenes_are_what_the_tables_say(plain_city: Path, with_cameras: bool) -> None:
    """The tables joined by their tokens, row by row; the devkit does it with less than all columns."""
    tables = {path.stem: json.loads(path.read_text()) for path in (plain_city / VERSION).glob("*.json")}
    at = {name: {row["token"]: row for row in rows} for name, rows in tables.items() if isinstance(rows, list)}
    scenes = read_scenes(plain_city, VERSION, cameras=with_cameras)
    assert len(scenes) == len(tables["scene"])
    for scene, row in zip(scenes, tables["scene"], strict=True):
        assert (scene.token, scene.name, scene.description) == (row["token"], row["name"], row["description"])
        assert scene.location == at["log"][row["log_token"]]["location"]
        samples = [sample for sample in tables["sample"] if sample["scene_token"] == row["token"]]
        assert [(frame.token, frame.timestamp_us) for frame in scene.frames] == [
            (sample["token"], sample["timestamp"]) for sample in sorted(samples, key=lambda sample: sample["timestamp"])
        ]
        for frame in scene.frames:
            recordings = {}
            for data in tables["sample_data"]:
                if data["sample_token"] == frame.token and data["is_key_frame"]:
                    mounting = at["calibrated_sensor"][data["calibrated_sensor_token"]]
                    channel = at["sensor"][mounting["sensor_token"]]["channel"]
                    recordings[channel] = (data, mounting, pose_of(at["ego_pose"][data["ego_pose_token"]]))
            _, mounting, ego_pose = recordings.pop("LIDAR_TOP")
            np.testing.assert_allclose(frame.global_from_ego, ego_pose, atol=1e-9)
            np.testing.assert_allclose(frame.ego_from_lidar, pose_of(mounting), atol=1e-12)
            assert [camera.name for camera in frame.cameras] == (list(recordings) if with_cameras else [])
            for camera in frame.cameras:
                data, mounting, ego_pose = recordings[camera.name]
                assert camera.timestamp_us == data["timestamp"]
                assert camera.image_path == plain_city / data["filename"]
                assert camera.stated_size_px == (data["width"], data["height"])
                assert camera.intrinsic.tolist() == mounting["camera_intrinsic"]
                np.testing.assert_allclose(camera.ego_from_camera, pose_of(mounting), atol=1e-12)
                np.testing.assert_allclose(camera.global_from_ego, ego_pose, atol=1e-9)
            annotated = [row for row in tables["sample_annotation"] if row["sample_token"] == frame.token]
            assert frame.annotations is not None and frame.annotations.boxes.track_id is not None
            assert set(frame.annotations.boxes.track_id) <= {row["instance_token"] for row in annotated}
            assert (len(frame.annotations.boxes) > 0) == (len(annotated) > 0)


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize(("width", "height"), [(0, 180), (320, 0), (0, 0)])
def test_a_size_that_is_not_wholly_stated_is_not_known(broken: Callable[..., Path], width: int, height: int) -> None:
    root = broken("sample_data", lambda rows: [row.update(width=width, height=height) for row in rows])
    assert {camera.stated_size_px for camera in read_scenes(root, VERSION)[0].frames[0].cameras} == {None}


def test_city_equals_the_devkit(plain_city: Path) -> None:
    assert_equals_devkit(plain_city, VERSION)


def test_real_scenes_equal_the_devkit(mini_val: Path) -> None:
    assert_equals_devkit(mini_val, "v1.0-mini")


def test_lidar_pose_is_the_frames(mini_val: Path) -> None:
    theirs = pytest.importorskip("nuscenes").NuScenes("v1.0-mini", str(mini_val), verbose=False)
    frame = read_scenes(mini_val, "v1.0-mini", "mini_val")[1].frames[5]
    data = theirs.get("sample_data", theirs.get("sample", frame.token)["data"]["LIDAR_TOP"])
    pose = theirs.get("ego_pose", data["ego_pose_token"])
    np.testing.assert_allclose(frame.global_from_ego[:3, 3], pose["translation"])
    np.testing.assert_allclose(frame.global_from_ego[:3, :3], Quaternion(pose["rotation"]).rotation_matrix, atol=1e-12)
    assert frame.ego_from_lidar is not None


def test_bike_racks_stand_apart(mini_val: Path) -> None:
    theirs = pytest.importorskip("nuscenes").NuScenes("v1.0-mini", str(mini_val), verbose=False)
    expected = sum(row["category_name"] == "static_object.bicycle_rack" for row in theirs.sample_annotation)
    frames = [frame for scene in read_scenes(mini_val, "v1.0-mini") for frame in scene.frames]
    assert expected > 0
    assert sum(len(frame.annotations.bike_racks) for frame in frames if frame.annotations) == expected


@pytest.mark.usefixtures("either_way")
def test_split_selects_scenes_and_file_of_names_too(plain_city: Path, tmp_path: Path) -> None:
    assert [scene.name for scene in read_scenes(plain_city, VERSION, "city_train")] == ["city-0001"]
    names = tmp_path / "names.txt"
    names.write_text("city-0003\n")
    (scene,) = read_scenes(plain_city, VERSION, str(names))
    assert scene.name == "city-0003"
    assert set(scene.sample_tokens) < set(read_sample_tokens(plain_city, VERSION))


def test_official_split_takes_the_scenes_that_are_there(mini_val: Path) -> None:
    assert [scene.name for scene in read_scenes(mini_val, "v1.0-mini", "mini_val")] == ["scene-0103", "scene-0916"]


@pytest.mark.usefixtures("either_way")
def test_without_annotations_their_tables_are_not_read(broken: Callable[..., Path]) -> None:
    root = broken("sample_annotation", list.clear)
    (root / VERSION / "sample_annotation.json").unlink()
    assert read_scenes(root, VERSION, annotations=False)[0].frames[0].annotations is None


@pytest.mark.usefixtures("either_way")
def test_test_version_has_no_annotations(broken: Callable[..., Path]) -> None:
    root = broken("sample_annotation", list.clear)
    (root / VERSION).rename(root / "v1.0-test")
    assert read_scenes(root, "v1.0-test")[0].frames[0].annotations is None
    for table in ("sample_annotation", "instance"):
        (root / "v1.0-test" / f"{table}.json").unlink()
    assert read_scenes(root, "v1.0-test")[0].frames[0].annotations is None


@pytest.mark.usefixtures("either_way")
def test_recording_with_one_camera_and_no_lidar_is_read(broken: Callable[..., Path]) -> None:
    root = broken("sensor", lambda rows: None)
    channels = {row["token"]: row["channel"] for row in json.loads((root / VERSION / "sensor.json").read_text())}
    calibrations = json.loads((root / VERSION / "calibrated_sensor.json").read_text())
    kept = {row["token"] for row in calibrations if channels[row["sensor_token"]] == "CAM_FRONT"}
    path = root / VERSION / "sample_data.json"
    rows = [row for row in json.loads(path.read_text()) if row["calibrated_sensor_token"] in kept]
    path.write_text(json.dumps(rows))
    frame = read_scenes(root, VERSION)[0].frames[0]
    assert [camera.name for camera in frame.cameras] == ["CAM_FRONT"]
    assert frame.ego_from_lidar is None
    np.testing.assert_array_equal(frame.global_from_ego, frame.cameras[0].global_from_ego)


@pytest.mark.usefixtures("either_way")
def test_without_a_lidar_the_ego_stands_where_the_nearest_camera_in_time_saw_it(
    broken: Callable[..., Path],
) -> None:
    """The cameras are then read for their poses even if nobody wants them."""
    late_us = {"CAM_FRONT": 40_000, "CAM_BACK": -10_000, "CAM_FRONT_LEFT": 30_000}
    root = broken("sensor", lambda rows: None)
    tables = {name: root / VERSION / f"{name}.json" for name in ("sensor", "calibrated_sensor", "sample_data")}
    sensors, mountings, rows = (json.loads(path.read_text()) for path in tables.values())
    channel_of = {row["token"]: row["channel"] for row in sensors}
    channel = {row["token"]: channel_of[row["sensor_token"]] for row in mountings}
    samples = {row["token"]: row for row in json.loads((root / VERSION / "sample.json").read_text())}
    kept = [row for row in rows if channel[row["calibrated_sensor_token"]] in late_us]
    poses = []
    for row in kept:
        name = channel[row["calibrated_sensor_token"]]
        row["timestamp"] = samples[row["sample_token"]]["timestamp"] + late_us[name]
        row["ego_pose_token"] = f"pose {row['token']}"
        place = [float(late_us[name]), 0.0, 0.0]
        poses.append(dict(token=row["ego_pose_token"], timestamp=0, translation=place, rotation=[1, 0, 0, 0]))
    tables["sample_data"].write_text(json.dumps(kept))
    (root / VERSION / "ego_pose.json").write_text(json.dumps(poses))
    for with_cameras in (True, False):
        for scene in read_scenes(root, VERSION, cameras=with_cameras):
            for frame in scene.frames:
                assert frame.global_from_ego[0, 3] == late_us["CAM_BACK"]
                assert len(frame.cameras) == 3 and frame.ego_from_lidar is None


@pytest.mark.usefixtures("either_way")
def test_annotations_are_read_where_there_are_some_and_missed_where_they_were_published(
    broken: Callable[..., Path],
) -> None:
    root = broken("sample_annotation", lambda rows: None)
    (root / VERSION).rename(root / "v1.0-own_test")
    (first, *_) = read_scenes(root, "v1.0-own_test")[0].frames
    assert first.annotations is not None and len(first.annotations.boxes) > 0
    (root / "v1.0-own_test").rename(root / VERSION)
    rows = json.loads((root / VERSION / "sample_annotation.json").read_text())
    scenes = json.loads((root / VERSION / "sample.json").read_text())
    named = {row["token"] for row in scenes if row["scene_token"] == read_scenes(root, VERSION)[0].token}
    elsewhere = [row | {"prev": "", "next": ""} for row in rows if row["sample_token"] not in named]
    (root / VERSION / "sample_annotation.json").write_text(json.dumps(elsewhere))
    (first, *_) = read_scenes(root, VERSION)[0].frames
    assert first.annotations is not None and len(first.annotations.boxes) == 0, "there are some in another scene"
    for text in ("[]", " [\n]\n"):
        (root / VERSION / "sample_annotation.json").write_text(text)
        assert all(frame.annotations is None for scene in read_scenes(root, VERSION) for frame in scene.frames)
    (root / VERSION / "sample_annotation.json").unlink()
    assert all(frame.annotations is None for scene in read_scenes(root, VERSION) for frame in scene.frames)
    (root / VERSION).rename(root / "v1.0-mini")
    with pytest.raises(InputError, match=r"sample_annotation\.json: the table is missing"):
        read_scenes(root, "v1.0-mini")


@pytest.mark.usefixtures("either_way")
def test_an_official_split_without_a_scene_here_is_named(broken: Callable[..., Path]) -> None:
    root = broken("scene", lambda rows: None)
    (root / VERSION).rename(root / "v1.0-trainval")
    (root / "v1.0-trainval" / "splits.json").unlink()
    with pytest.raises(InputError, match=r"scene\.json: holds no scene of split 'val'$"):
        read_scenes(root, "v1.0-trainval", "val")


def test_the_first_of_two_scenes_of_one_name_is_named(broken: Callable[..., Path]) -> None:
    root = broken("scene", copied("name", 1, 0))
    first = json.loads((root / VERSION / "scene.json").read_text())[0]["token"]
    with pytest.raises(InputError, match=f"row '{first}', key name"):
        read_scenes(root, VERSION)


def test_focal_lengths_may_be_short(broken: Callable[..., Path]) -> None:
    """As in images whose pixels are counted in widths."""

    def shorten(rows: Rows) -> None:
        for row in rows:
            if row["camera_intrinsic"]:
                row["camera_intrinsic"] = [[0.5, 0, 0.5], [0, 0.5, 0.5], [0, 0, 1]]

    camera = read_scenes(broken("calibrated_sensor", shorten), VERSION)[0].frames[0].cameras[0]
    assert camera.intrinsic.tolist() == [[0.5, 0.0, 0.5], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]]


def changed(row: int, **values: object) -> Callable[[Rows], object]:
    """A change of some columns of a row."""
    return lambda rows: rows[row].update(values)


def without(row: int, column: str) -> Callable[[Rows], object]:
    """A row without a column."""
    return lambda rows: rows[row].pop(column)


def copied(column: str, source: int, target: int) -> Callable[[Rows], object]:
    """A row with a column of another."""
    return lambda rows: rows[target].update({column: rows[source][column]})


ROW = r"row '\w+'"
BROKEN = [
    ("log", list.clear, r"log.json: no row '\w+', to which scene 'city-0001' points"),
    ("scene", changed(0, name=""), f"scene.json: {ROW}, key name: Expected `str` of length >= 1"),
    ("scene", copied("name", 1, 0), f"scene.json: {ROW}, key name: 'city-0002' is the name of two scenes"),
    ("sample", list.clear, r"sample.json: no row '\w+', to which first_sample_token of scene 'city-0001' points"),
    ("sample", changed(0, next="gone"), r"sample.json: no row 'gone', to which next of sample"),
    ("sample", lambda rows: rows[1].update(next=rows[0]["token"]), f"{ROW}, key next: '\\w+' came before it"),
    ("sample", lambda rows: rows[1].update(next=rows[1]["token"]), f"{ROW}, key next: '\\w+' came before it"),
    (
        "sample",
        changed(1, scene_token="other"),
        f"sample.json: {ROW}, key scene_token: in the chain of scene 'city-0001', but",
    ),
    ("sample", changed(0, timestamp=10**40), f"sample.json: {ROW}, key timestamp: Expected `int` <="),
    ("sample", changed(1, timestamp=2**60), f"sample.json: {ROW}, key timestamp: Expected `int` <="),
    ("sample", changed(1, timestamp=-1), f"sample.json: {ROW}, key timestamp: Expected `int` >= 0"),
    ("sample", changed(1, timestamp="noon"), f"sample.json: {ROW}, key timestamp: Expected `int`"),
    ("sample", copied("token", 0, 1), f"sample.json: {ROW} is there twice"),
    ("sample", without(1, "token"), "sample.json: row 1: Object missing required field `token`"),
    ("sample_data", list.clear, r"sample '\w+' has no key frame of a camera or of LIDAR_TOP in sample_data"),
    (
        "sample_data",
        changed(-1, filename="/dev/zero"),
        f"sample_data.json: {ROW}, key filename: '/dev/zero' is no path",
    ),
    (
        "sample_data",
        changed(-1, filename="samples/../../x"),
        f"sample_data.json: {ROW}, key filename: 'samples/../../x'",
    ),
    ("ego_pose", list.clear, r"ego_pose.json: no row '\w+', to which sample_data '\w+' points"),
    ("ego_pose", changed(0, rotation=[0, 0, 0, 0]), r"ego_pose.json: row .* rotation: a zero quater"),
    ("calibrated_sensor", changed(0, rotation=[0, 0, 0, 0]), r"calibrated_sensor.json: row .* rotation: a zero quater"),
    ("ego_pose", without(0, "rotation"), r"ego_pose.json: .*missing required field `rotation`"),
    ("calibrated_sensor", list.clear, r"calibrated_sensor.json: no row '\w+', to which sample_data '\w+' points"),
    ("sensor", list.clear, r"sensor.json: no row '\w+', to which calibrated_sensor '\w+' points"),
    ("instance", list.clear, r"instance.json: no row '\w+', to which sample_annotation '\w+' points"),
    ("category", list.clear, r"category.json: no row '\w+', to which instance '\w+' points"),
    ("attribute", list.clear, r"attribute.json: no row '\w+', to which sample_annotation '\w+' points"),
    ("sample_annotation", changed(0, size="big"), r"sample_annotation.json: .*Expected `array`"),
    ("sample_annotation", changed(0, size=[1, 0, 2]), f"{ROW}, key size\\[1\\]: Expected `float` > 0"),
    ("sample_annotation", changed(0, rotation=[0, 0, 0, 0]), f"{ROW}, key rotation: a zero quaternion"),
    ("sample_annotation", lambda rows: rows[0].update(next=rows[0]["token"]), f"{ROW}, key next: points to the row"),
    ("sample_annotation", lambda rows: rows[0].update(prev=rows[0]["token"]), f"{ROW}, key prev: points to the row"),
    ("sample_annotation", changed(0, translation=[0, 1e200, 0]), f"{ROW}, key translation\\[1\\]: Expected `float`"),
    ("sample_annotation", changed(0, visibility_token="some"), f"{ROW}, key visibility_token: Invalid enum value"),
    ("sample_annotation", changed(0, num_lidar_pts=-1), f"{ROW}, key num_lidar_pts: Expected `int` >= 0"),
    (
        "sample_annotation",
        changed(-1, instance_token="gone"),
        r"no row 'gone', to which sample_annotation '\w+' points",
    ),
]


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize(("table", "change", "message"), BROKEN)
def test_broken_table_is_named(
    broken: Callable[..., Path], table: str, change: Callable[[Rows], object], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_scenes(broken(table, change), VERSION)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("either_way")
def test_camera_that_cannot_be_inverted_is_named(broken: Callable[..., Path]) -> None:
    def flatten(rows: Rows) -> None:
        for row in rows:
            if row["camera_intrinsic"]:
                row["camera_intrinsic"] = [[1, 0, 0], [0, 0, 0], [0, 0, 1]]

    with pytest.raises(
        InputError, match=r"calibrated_sensor\.json: row '\w+', key camera_intrinsic: not an invertible 3x3 matrix"
    ):
        read_scenes(broken("calibrated_sensor", flatten), VERSION)


@pytest.mark.usefixtures("either_way")
def test_missing_folders_and_tables_are_named(plain_city: Path, tmp_path: Path, broken: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match="nowhere: no such data root"):
        read_scenes(tmp_path / "nowhere", VERSION)
    with pytest.raises(InputError, match="v9: no such folder of tables"):
        read_scenes(plain_city, "v9")
    root = broken("sample", lambda rows: None)
    (root / VERSION / "sample.json").unlink()
    with pytest.raises(InputError, match=r"sample.json: the table is missing"):
        read_scenes(root, VERSION)
    (root / VERSION / "sample.json").write_bytes(b'[{"token": "\x80"}]')
    with pytest.raises(InputError, match=r"sample.json: .*can't decode byte 0x80"):
        read_scenes(root, VERSION)
    (root / VERSION / "sample.json").write_text('[{"token": ')
    with pytest.raises(InputError, match=r"sample.json: .*truncated"):
        read_scenes(root, VERSION)


@pytest.mark.usefixtures("either_way")
def test_split_that_is_not_here_is_named(plain_city: Path, tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("scene-0001\n")
    with pytest.raises(InputError, match=r"scene.json: no scene 'scene-0001', which split '.*names.txt' lists"):
        read_scenes(plain_city, VERSION, str(names))
