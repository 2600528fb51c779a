"""The cameras' boxes as COCO instances: the boxes of the info files, in a file that everybody reads."""

from __future__ import annotations

import contextlib
import errno
import io
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from detection.config import read_config
from detection.data.coco_export import coco_instances
from detection.data.create_infos import create_infos
from detection.data.infos import CATEGORY_NAMES_2D, read_infos
from detection.data.loading import batches, build_loader
from detection.images2d.annotations import read_instances
from detection.metrics.coco import evaluate_coco, write_coco_results
from scenes import DETECTION_CLASSES, Taxonomy, read_scenes
from scenes.city import TRAIN_SPLIT, VAL_SPLIT, VERSION, make_city
from scenes.coco_results import read_coco_boxes

CONFIG = Path(__file__).resolve().parents[3] / "configs" / "_base_" / "datasets" / "city_coco.py"


@pytest.fixture(scope="module")
def coco_city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A city with the instances files of both splits, and black images."""
    root = tmp_path_factory.mktemp("coco") / "city"
    make_city(root, train_scenes=1, val_scenes=1, frames=3, image_size=(176, 99), images=False, workers=1)
    for split in create_infos(root, VERSION, coco=True):
        assert split.coco is not None
        for image in read_instances(split.coco.path).images:
            path = root / image.file_name
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.zeros((image.height, image.width, 3), dtype=np.uint8))
    return root


def test_the_file_holds_the_boxes_of_the_info_file(coco_city: Path) -> None:
    infos, _ = read_infos(coco_city / f"nuscenes2d_temporal_infos_{VAL_SPLIT}.pkl")
    with contextlib.redirect_stdout(io.StringIO()):
        written = COCO(str(coco_city / f"coco_{VAL_SPLIT}.json"))
    assert [category["name"] for category in written.loadCats(range(1, 11))] == list(DETECTION_CLASSES)
    assert len(written.getImgIds()) == 6 * len(infos)
    views = {(image["sample_token"], image["camera"]): image for image in written.dataset["images"]}
    crowds = 0
    for info in infos:
        for index, (name, camera) in enumerate(info["cams"].items()):
            image = views[info["token"], name]
            assert str(coco_city / image["file_name"]) == camera["data_path"]
            rows = written.imgToAnns[image["id"]]
            bbox = np.array([row["bbox"] for row in rows]).reshape(-1, 4)
            edges = np.concatenate([bbox[:, :2], bbox[:, :2] + bbox[:, 2:]], axis=1)
            assert np.abs(edges - info["bboxes2d"][index]).max(initial=0.0) < 0.011
            names = [DETECTION_CLASSES[row["category_id"] - 1] for row in rows]
            assert names == [CATEGORY_NAMES_2D[label] for label in info["labels2d"][index]]
            assert [row["iscrowd"] == 1 for row in rows] == [level == "1" for level in info["visibilities"][index]]
            crowds += sum(row["iscrowd"] for row in rows)
    assert crowds > 0


def test_detections_of_the_images_are_evidence_for_the_tracker(coco_city: Path, tmp_path: Path) -> None:
    ann_file = coco_city / f"coco_{VAL_SPLIT}.json"
    rows = [
        dict(image_id=row.image_id, category_id=row.category_id, bbox=list(row.bbox), score=0.9)
        for row in read_instances(ann_file).annotations
        if not row.iscrowd
    ]
    assert evaluate_coco(ann_file, rows)["AP"] == pytest.approx(1.0)
    write_coco_results(tmp_path / "found.json", rows)
    scenes = read_scenes(coco_city, VERSION, VAL_SPLIT)
    read = read_coco_boxes(tmp_path / "found.json", ann_file, scenes)
    assert read.notes == ()
    assert sum(len(boxes) for frame in read.boxes.values() for boxes in frame.values()) == len(rows)
    assert set(read.boxes) == {frame.token for scene in scenes for frame in scene.frames}


def test_the_citys_config_makes_batches_of_it(coco_city: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CITY_ROOT", str(coco_city))
    config = read_config(CONFIG)
    for name, annotated in (("train_dataloader", True), ("val_dataloader", False)):
        batch = next(batches(build_loader({**config[name], "num_workers": 0})))["images"]
        assert batch.images.shape == (16, 3, 128, 224)
        assert (batch.targets is not None) == annotated


def test_infos_without_boxes_are_images_alone(coco_city: Path) -> None:
    infos, _ = read_infos(coco_city / f"nuscenes2d_temporal_infos_{VAL_SPLIT}.pkl")
    without = [{key: value for key, value in info.items() if key != "bboxes2d"} for info in infos[:1]]
    content = coco_instances(without, coco_city)
    assert len(content["images"]) == 6 and content["annotations"] == []


def test_a_fault_in_the_last_file_leaves_every_old_one(
    coco_city: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [
        *(f"nuscenes2d_temporal_infos_{split}.pkl" for split in (TRAIN_SPLIT, VAL_SPLIT)),
        *(f"coco_{split}.json" for split in (TRAIN_SPLIT, VAL_SPLIT)),
    ]
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
    written = []

    def second_fails(infos: list, dataroot: Path, taxonomy: Taxonomy) -> dict:
        written.append(coco_instances(infos, dataroot, taxonomy))
        if len(written) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return written[-1]

    monkeypatch.setattr("detection.data.create_infos.coco_instances", second_fails)
    with pytest.raises(OSError, match="No space left"):
        create_infos(coco_city, VERSION, tmp_path, coco=True)
    left = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert left == {name: name.encode() for name in names}
    monkeypatch.undo()
    create_infos(coco_city, VERSION, tmp_path, coco=True)
    assert {path.name for path in tmp_path.iterdir()} == set(names)  # with nothing of the first try
