"""Annotations as the devkit has them, and clear words where tables do not fit together."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scenes import InputError, read_scenes
from scenes.classes import CLASS_OF_CATEGORY, DETECTION_CLASSES

VERSION = "v1.0-mini"


@pytest.fixture
def damaged(mini_val: Path, tmp_path: Path) -> Callable[[str, Callable[[list[dict]], None]], Path]:
    """A copy of the tables with one of them changed."""

    def damage(table: str, change: Callable[[list[dict]], None]) -> Path:
        shutil.copytree(mini_val / VERSION, tmp_path / VERSION)
        path = tmp_path / VERSION / f"{table}.json"
        rows = json.loads(path.read_text())
        change(rows)
        path.write_text(json.dumps(rows))
        return tmp_path

    return damage


def test_equals_the_devkit(mini_val) -> None:
    nusc = pytest.importorskip("nuscenes").NuScenes(VERSION, str(mini_val), verbose=False)
    for scene in read_scenes(mini_val, VERSION, "mini_val"):
        for frame in scene.frames[::10]:
            rows = [nusc.get("sample_annotation", token) for token in nusc.get("sample", frame.token)["anns"]]
            rows = [row for row in rows if row["category_name"] in CLASS_OF_CATEGORY]
            boxes = frame.annotations.boxes
            np.testing.assert_array_equal(boxes.center_m, [row["translation"] for row in rows])
            np.testing.assert_array_equal(boxes.rotation, [row["rotation"] for row in rows])
            np.testing.assert_array_equal(boxes.velocity_mps, [nusc.box_velocity(row["token"])[:2] for row in rows])
            assert boxes.track_id.tolist() == [row["instance_token"] for row in rows]
            assert [DETECTION_CLASSES[label] for label in boxes.label] == [
                CLASS_OF_CATEGORY[row["category_name"]] for row in rows
            ]
            attributes = [[nusc.get("attribute", token)["name"] for token in row["attribute_tokens"]] for row in rows]
            assert boxes.attribute.tolist() == [names[0] if names else "" for names in attributes]
            assert frame.annotations.num_lidar_pts.tolist() == [row["num_lidar_pts"] for row in rows]


@pytest.mark.parametrize(
    ("column", "value", "table"),
    [
        ("prev", "nowhere", "sample_annotation"),
        ("next", "nowhere", "sample_annotation"),
        ("attribute_tokens", ["nowhere"], "attribute"),
        ("instance_token", "nowhere", "instance"),
    ],
)
def test_dangling_tokens_are_named(column, value, table, damaged) -> None:
    row = {}

    def change(rows: list[dict]) -> None:
        row.update(rows[7])
        rows[7][column] = value

    root = damaged("sample_annotation", change)
    with pytest.raises(InputError) as error:
        read_scenes(root, VERSION, "mini_val")
    assert f"{table}.json: no row 'nowhere'" in str(error.value)
    assert f"sample_annotation '{row['token']}'" in str(error.value)


def test_several_attributes_are_refused(damaged) -> None:
    root = damaged("sample_annotation", lambda rows: rows[3].update(attribute_tokens=["a", "b"]))
    with pytest.raises(InputError, match="has several attributes"):
        read_scenes(root, VERSION, "mini_val")


def test_cameras_can_be_left_out(mini_val) -> None:
    with_cameras = read_scenes(mini_val, VERSION, "mini_val")
    without = read_scenes(mini_val, VERSION, "mini_val", cameras=False)
    for scene, bare in zip(with_cameras, without, strict=True):
        for frame, bare_frame in zip(scene.frames, bare.frames, strict=True):
            assert len(frame.cameras) == 6 and bare_frame.cameras == ()
            np.testing.assert_array_equal(frame.global_from_ego, bare_frame.global_from_ego)


def test_cameras_stay_where_the_ego_pose_comes_from_them(damaged) -> None:
    root = damaged(
        "sensor", lambda rows: [row.update(channel="LIDAR_ROOF") for row in rows if "LIDAR" in row["channel"]]
    )
    frame = read_scenes(root, VERSION, "mini_val", cameras=False)[0].frames[0]
    assert len(frame.cameras) == 6 and frame.ego_from_lidar is None


def test_annotations_can_be_left_out(mini_val) -> None:
    scenes = read_scenes(mini_val, VERSION, "mini_val", annotations=False)
    assert all(frame.annotations is None for scene in scenes for frame in scene.frames)
