"""`evaluate tracking --protocol` as a user runs it, and what it says of input that cannot be used."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from evaluation import evaluate_protocol
from scenes import InputError, Results, write_tracks


@pytest.fixture(scope="module")
def tracks(found_tracks: Results, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tracks") / "tracks.json"
    write_tracks(path, found_tracks)
    return path


@pytest.fixture
def evaluate(run):
    return partial(run, "evaluate.py", "tracking")


def where(root: Path, out: Path, split: object = "all") -> list[object]:
    return ["--dataroot", root, "--version", "v1.0-kitti", "--split", split, "--out", out]


@pytest.mark.parametrize(
    ("protocol", "classes", "keys"),
    [
        ("ab3dmot", ["car", "pedestrian", "cyclist"], ["sAMOTA", "AMOTA", "MOTA", "MOTP", "IDS", "iou_0.5", "iou_0.7"]),
        ("kitti-hota", ["car", "pedestrian"], ["HOTA", "DetA", "AssA"]),
    ],
)
def test_writes_an_object_a_class_and_prints_a_table(
    evaluate, protocol, classes, keys, tracks, kitti_root, tmp_path
) -> None:
    done = evaluate(tracks, *where(kitti_root, tmp_path / "out"), "--protocol", protocol)
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "out" / "metrics_summary.json").read_text())
    assert list(summary) == classes and all(key in summary["car"] for key in keys)
    assert f"{summary['car'][keys[0]]:.2f}" in done.stdout
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["metrics_summary.json"]


def test_an_unknown_protocol_is_refused(evaluate, tracks, kitti_root, tmp_path) -> None:
    done = evaluate(tracks, *where(kitti_root, tmp_path / "out"), "--protocol", "kitti")
    assert done.returncode == 2 and "invalid choice: 'kitti'" in done.stderr and not (tmp_path / "out").exists()


def test_an_option_of_nuscenes_metrics_is_refused(evaluate, tracks, kitti_root, tmp_path) -> None:
    options = ("--protocol", "ab3dmot", "--interpolation", "corrected")
    done = evaluate(tracks, *where(kitti_root, tmp_path / "out"), *options)
    assert done.returncode == 2 and "--interpolation is of nuScenes' metrics" in done.stderr
    assert done.stderr.count("\n") == 1 and not (tmp_path / "out").exists()


def test_a_split_is_a_part_of_the_data_root(found_tracks, kitti_root, tmp_path) -> None:
    split = tmp_path / "split.txt"
    split.write_text("0007\n")
    part = evaluate_protocol(found_tracks, kitti_root, "v1.0-kitti", str(split), "kitti-hota").summary
    whole = evaluate_protocol(found_tracks, kitti_root, "v1.0-kitti", "all", "kitti-hota").summary
    assert part["car"]["HOTA"] != whole["car"]["HOTA"]
    first = next(iter(found_tracks.boxes))
    incomplete = Results({token: boxes for token, boxes in found_tracks.boxes.items() if token != first}, {})
    evaluated = evaluate_protocol(incomplete, kitti_root, "v1.0-kitti", "all", "kitti-hota", partial=True)
    assert evaluated.summary == part and "0006" in evaluated.warnings[0]


def test_a_class_that_nobody_labelled_is_left_out(found_tracks, kitti_root, tmp_path) -> None:
    root = damaged(kitti_root, tmp_path, lambda row: row | {"type": row["type"].replace("Cyclist", "Misc")})
    evaluated = evaluate_protocol(found_tracks, root, "v1.0-kitti", "all", "ab3dmot")
    assert list(evaluated.summary) == ["car", "pedestrian"]
    assert evaluated.warnings == ("no cyclist that counts is labelled: left out",)
    root = damaged(kitti_root, tmp_path, lambda row: row | {"truncated": 1.0})
    with pytest.raises(InputError, match="no car, pedestrian that counts is labelled"):
        evaluate_protocol(found_tracks, root, "v1.0-kitti", "all", "kitti-hota")


def test_a_class_that_nobody_tracked_is_named(found_tracks, kitti_root) -> None:
    cars = {token: boxes.select(boxes.label == 0) for token, boxes in found_tracks.boxes.items()}
    evaluated = evaluate_protocol(Results(cars, {}), kitti_root, "v1.0-kitti", "all", "kitti-hota")
    assert evaluated.summary["pedestrian"]["HOTA"] == 0
    assert evaluated.warnings == ("there are no pedestrian tracks",)


def damaged(root: Path, folder: Path, change) -> Path:
    """A copy of the data root whose labels are changed, or left out."""
    copy = folder / "damaged"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(root, copy)
    path = copy / "v1.0-kitti" / "source_label.json"
    if change is None:
        path.unlink()
    else:
        path.write_text(json.dumps([change(row) for row in json.loads(path.read_text())]))
    return copy


def test_a_data_root_without_kittis_labels_is_refused(evaluate, tracks, kitti_root, tmp_path) -> None:
    done = evaluate(tracks, *where(damaged(kitti_root, tmp_path, None), tmp_path / "out"), "--protocol", "ab3dmot")
    assert done.returncode == 2 and "source_label.json: missing; KITTI's protocols need" in done.stderr
    assert done.stderr.count("\n") == 1 and not (tmp_path / "out").exists()


def test_a_data_root_of_another_camera_is_refused(found_tracks, kitti_root, tmp_path) -> None:
    root = tmp_path / "root"
    shutil.copytree(kitti_root, root)
    path = root / "v1.0-kitti" / "sensor.json"
    path.write_text(path.read_text().replace("image_02", "CAM_FRONT"))
    with pytest.raises(InputError, match="no camera image_02"):
        evaluate_protocol(found_tracks, root, "v1.0-kitti", "all", "ab3dmot")


def test_a_camera_of_unknown_size_is_refused(found_tracks, kitti_root, tmp_path) -> None:
    root = tmp_path / "root"
    shutil.copytree(kitti_root, root)
    path = root / "v1.0-kitti" / "sample_data.json"
    path.write_text(json.dumps([row | {"width": 0, "height": 0} for row in json.loads(path.read_text())]))
    with pytest.raises(InputError, match="the tables do not state the image's size either"):
        evaluate_protocol(found_tracks, root, "v1.0-kitti", "all", "kitti-hota")


def test_a_track_that_is_in_a_frame_twice_is_refused(found_tracks, kitti_root) -> None:
    token, boxes = next((token, boxes) for token, boxes in found_tracks.boxes.items() if len(boxes) > 1)
    same = replace(boxes, track_id=boxes.track_id[:1].repeat(len(boxes)))
    twice = Results(found_tracks.boxes | {token: same}, {})
    with pytest.raises(InputError, match="is there twice"):
        evaluate_protocol(twice, kitti_root, "v1.0-kitti", "all", "ab3dmot")
