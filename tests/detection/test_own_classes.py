"""A detector of classes of one's own: info files, data set, class counts, results and their metrics follow the root."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from detection.data import TemporalFrameDataset, read_infos
from detection.data.create_infos import create_infos
from detection.metrics.scene_metric import NuScenesMetric
from detection.registry import MODELS
from detection.running.detector import Detector, detect, evaluate
from detection.running.tasks import task_of
from evaluation import evaluate_detection
from scenes import InputError, Results, read_detections, read_scenes, read_taxonomy
from scenes.city import TRAIN_SPLIT, VAL_SPLIT, VERSION

TinyConfig = Callable[..., Config]

CLASSES = [
    {"name": "vehicle", "range_m": 80, "categories": ["vehicle.car", "vehicle.truck", "vehicle.bus.rigid"]},
    {"name": "walker", "range_m": 60, "categories": ["human.pedestrian.adult"], "attributes": ["pedestrian.moving"]},
    {"name": "post", "range_m": 40, "categories": ["movable_object.trafficcone"], "static": True, "tracked": False},
]


@pytest.fixture
def own_root(tiny_city: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny city with three classes of its own, and info files that know them."""
    root = tmp_path / "root"
    shutil.copytree(tiny_city, root)
    (root / "classes.json").write_text(json.dumps(CLASSES))
    create_infos(root, VERSION, coco=True)
    monkeypatch.setenv("CITY_ROOT", str(root))
    return root


@pytest.fixture
def config(tiny_config: TinyConfig, own_root: Path, monkeypatch: pytest.MonkeyPatch) -> TinyConfig:
    # `tiny_config` sets the variable to the city itself.
    monkeypatch.setenv("CITY_ROOT", str(own_root))
    return tiny_config


def test_info_files_hold_own_classes(own_root: Path) -> None:
    infos, metadata = read_infos(own_root / f"nuscenes2d_temporal_infos_{TRAIN_SPLIT}.pkl")
    names = [class_["name"] for class_ in CLASSES]
    assert metadata["classes"] == names
    assert {name for info in infos for name in info["gt_names"].tolist()} == set(names)
    (scene, *_) = read_scenes(own_root, VERSION, TRAIN_SPLIT)
    first = scene.frames[0].annotations.boxes
    assert infos[0]["gt_names"].tolist() == [names[label] for label in first.label]
    coco = json.loads((own_root / f"coco_{TRAIN_SPLIT}.json").read_text())
    assert [row["name"] for row in coco["categories"]] == names
    counted = sum(len(labels) for info in infos for labels in info["labels2d"])
    assert counted == len(coco["annotations"]) > 0
    by_id = [label + 1 for info in infos for labels in info["labels2d"] for label in labels]
    assert by_id == [row["category_id"] for row in coco["annotations"]]


def test_the_data_set_has_the_classes_of_its_root(own_root: Path) -> None:
    name = f"nuscenes2d_temporal_infos_{TRAIN_SPLIT}.pkl"
    dataset = TemporalFrameDataset(own_root, name, [])
    assert dataset.classes == ("vehicle", "walker", "post")
    labels = {label for index in range(len(dataset)) for label in dataset.record(index).labels.tolist()}
    assert labels == {0, 1, 2}
    other = TemporalFrameDataset(own_root, name, [], classes=["walker", "vehicle"])
    for index in range(len(dataset)):
        one, two = (data.record(index) for data in (dataset, other))
        assert [label for label in one.labels.tolist() if label < 2] == [1 - label for label in two.labels.tolist()]
        for camera, its in zip(one.cameras, two.cameras, strict=True):
            assert [label for label in camera.annotations.labels.tolist() if label < 2] == [
                1 - label for label in its.annotations.labels.tolist()
            ]
    with pytest.raises(InputError, match=r"classes\.json: class 'car' is none of the known ones"):
        TemporalFrameDataset(own_root, name, [], classes=["car"])
    with pytest.raises(InputError, match=r"classes\.json: class 'truck' is none of the known ones"):
        TemporalFrameDataset(own_root, name, [], camera_classes=["truck"])


def test_info_files_of_other_classes_are_refused(own_root: Path) -> None:
    (own_root / "classes.json").write_text(json.dumps(CLASSES[:2]))
    with pytest.raises(
        InputError, match=r"written for the classes vehicle, walker, post, where .* has vehicle, walker;"
    ):
        TemporalFrameDataset(own_root, f"nuscenes2d_temporal_infos_{TRAIN_SPLIT}.pkl", [])


def test_a_detector_with_another_number_of_classes_is_refused(config: TinyConfig, tmp_path: Path) -> None:
    message = r"model\.pts_bbox_head\.num_classes is 10, and the data has 3 classes: vehicle, walker, post"
    with pytest.raises(InputError, match=message):
        Detector.from_config(config(), tmp_path / "none.pth")
    with pytest.raises(InputError, match=message):
        task_of(config()).check_classes(None, ())


def test_boxes_of_own_classes_are_found_written_and_scored(config: TinyConfig, own_root: Path, tmp_path: Path) -> None:
    three = config(model__pts_bbox_head__num_classes=3)
    torch.manual_seed(1)
    checkpoint = tmp_path / "weights.pth"
    torch.save(MODELS.build(three.model).state_dict(), checkpoint)
    results = detect(three, checkpoint)
    assert results is not None and results.taxonomy == read_taxonomy(own_root)
    found = {label for boxes in results.boxes.values() for label in boxes.label.tolist()}
    assert found and found <= {0, 1, 2}
    task = task_of(three)
    task.write(tmp_path / "boxes.json", results.boxes)
    again = read_detections(tmp_path / "boxes.json", results.taxonomy)
    assert [boxes.label.tolist() for boxes in again.boxes.values()] == [
        boxes.label.tolist() for boxes in results.boxes.values()
    ]
    assert set(evaluate(three, results).summary["mean_dist_aps"]) == {"vehicle", "walker", "post"}
    assert "walker" in task.table(results.boxes)


def test_validation_scores_own_classes(config: TinyConfig, own_root: Path) -> None:
    metric = NuScenesMetric(own_root, VERSION, VAL_SPLIT)
    scenes = read_scenes(own_root, VERSION, VAL_SPLIT)
    pairs = [
        (frame.token, frame.annotations.boxes.replace(track_id=None)) for scene in scenes for frame in scene.frames
    ]
    results = Results(dict(pairs), taxonomy=read_taxonomy(own_root))
    expected = evaluate_detection(results, own_root, VERSION, VAL_SPLIT).summary["mean_ap"]
    assert metric.compute_metrics(pairs)["nuscenes/mAP"] == expected > 0.5
