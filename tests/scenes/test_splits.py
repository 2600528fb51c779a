"""Splits by the devkit's names, by splits.json, and by a file of scene names."""

import json
from pathlib import Path

import pytest

from scenes import InputError
from scenes.splits import is_official_split, official_splits, scene_names_of_split, splits_of_version


def test_official_splits_are_the_devkits() -> None:
    devkit = pytest.importorskip("nuscenes.utils.splits")
    theirs = {name: sorted(scenes) for name, scenes in devkit.create_splits_scenes().items()}
    assert {name: sorted(scenes) for name, scenes in official_splits().items()} == theirs
    assert all(is_official_split(name) for name in theirs)


def test_custom_split_comes_from_the_data_root(tmp_path: Path) -> None:
    (tmp_path / "v1.0-own").mkdir()
    (tmp_path / "v1.0-own" / "splits.json").write_text(json.dumps({"night": ["scene-b", "scene-a"]}))
    assert scene_names_of_split(tmp_path, "v1.0-own", "night") == ("scene-b", "scene-a")


def test_text_file_lists_scenes_with_comments_and_repeats(tmp_path: Path) -> None:
    names = tmp_path / "scenes.txt"
    names.write_text("# two of them\nscene-1\n\n  scene-2  \nscene-1\n")
    assert scene_names_of_split(tmp_path, "v1.0-mini", str(names)) == ("scene-1", "scene-2")


def test_splits_of_a_version_are_the_devkits_and_its_own(tmp_path: Path) -> None:
    assert splits_of_version(tmp_path, "v1.0-mini") == ("mini_train", "mini_val")
    assert splits_of_version(tmp_path, "v1.0-own") == ()
    for version in ("v1.0-own", "v1.0-trainval"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "splits.json").write_text(json.dumps({"night": ["scene-b"], "empty": []}))
    assert splits_of_version(tmp_path, "v1.0-own") == ("night",)
    assert splits_of_version(tmp_path, "v1.0-trainval") == ("train", "val", "night")


@pytest.mark.parametrize(
    ("split", "version", "message"),
    [
        ("val", "v1.0-mini", "split 'val' belongs to a version ending in 'trainval', not to 'v1.0-mini'"),
        ("nights", "v1.0-mini", "split 'nights' is none of .*mini_val.* and there is no .*splits.json"),
    ],
)
def test_split_that_does_not_exist_is_named(tmp_path: Path, split: str, version: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        scene_names_of_split(tmp_path, version, split)


def test_split_missing_in_splits_json_is_named_with_those_there(tmp_path: Path) -> None:
    (tmp_path / "v1").mkdir()
    path = tmp_path / "v1" / "splits.json"
    path.write_text('{"night": ["a"], "empty": []}')
    with pytest.raises(InputError, match=r"splits.json: no split 'day' \(it has empty, night\)"):
        scene_names_of_split(tmp_path, "v1", "day")
    with pytest.raises(InputError, match="split 'empty' lists no scene"):
        scene_names_of_split(tmp_path, "v1", "empty")
    path.write_text('["night"]')
    with pytest.raises(InputError, match="not a dictionary from split to scene names"):
        scene_names_of_split(tmp_path, "v1", "day")


def test_binary_file_is_no_list_of_scenes(tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not a text file of scene names"):
        scene_names_of_split(tmp_path, "v1", str(tmp_path / "list"))
