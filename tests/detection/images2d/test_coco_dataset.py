"""CocoDataset: what an item is, what happens to images that cannot be used, and that nothing depends on who reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from detection.data.dataset import FrameRequest
from detection.data.loading import batches, build_loader
from detection.image_batch import ImageDetections, in_original_pixels
from detection.images2d.dataset import CocoDataset
from detection.images2d.sample import image_batch
from scenes import InputError

BOXES = [
    dict(image_id=10, category_id=90, bbox=[10, 20, 30, 10]),
    dict(image_id=0, category_id=3, bbox=[0, 0, 60, 40]),
    dict(image_id=20, category_id=17, bbox=[5, 5, 20, 20], iscrowd=1),
]
LETTERBOX = dict(type="Letterbox", size=(64, 64))
AUGMENTED = [
    dict(type="Mosaic", size=(64, 64), nine_probability=0.5),
    dict(type="RandomAffine", size=(64, 64)),
    dict(type="MixUp", probability=0.5),
    dict(type="RandomHSV"),
    dict(type="RandomHorizontalFlip"),
]


def _dataset(folder: Path, pipeline: Sequence[dict[str, Any]] = (LETTERBOX,), **settings: Any) -> CocoDataset:
    return CocoDataset(folder, "instances.json", "", pipeline, **settings)


def _loader(folder: Path, pipeline: Sequence[dict[str, Any]], **settings: Any) -> Any:
    dataset = dict(type="CocoDataset", dataroot=folder, ann_file="instances.json", image_dir="", pipeline=pipeline)
    return build_loader(dict(dataset=dataset, sampler=dict(type="ShuffledSampler"), batch_size=2, **settings), seed=5)


def test_an_item_is_the_image_and_what_is_annotated_in_it(write_coco: Callable[..., Path]) -> None:
    dataset = _dataset(write_coco(BOXES))
    assert dataset.classes == ("car", "cat", "zebra") and dataset.category_ids == (3, 17, 90)
    assert len(dataset) == 3
    batch = dataset.collate([dataset[0], dataset[1], dataset[2]])["images"]
    assert batch.images.shape == (3, 3, 64, 64) and batch.images.dtype == torch.uint8
    assert batch.image_ids == (0, 10, 20) and batch.names[2].endswith("2.png")
    assert batch.sizes_px.tolist() == [[40, 60]] * 3
    assert batch.targets is not None
    assert batch.targets.image_index.tolist() == [0, 1] and batch.targets.labels.tolist() == [0, 2]
    found = ImageDetections(batch.targets.boxes_px[1:], batch.targets.labels[1:], torch.ones(1))
    assert in_original_pixels(found, batch, 1).boxes_px[0].tolist() == pytest.approx([10, 20, 40, 30], abs=1e-4)


def test_evaluation_sees_images_alone(write_coco: Callable[..., Path]) -> None:
    dataset = _dataset(write_coco(BOXES), test_mode=True)
    assert dataset.collate([dataset[0], dataset[1]])["images"].targets is None


def test_what_was_left_out_is_one_warning(write_coco: Callable[..., Path], logged: list[str]) -> None:
    _dataset(write_coco(BOXES))
    (line,) = logged
    assert line.endswith("instances.json: 3 images with 2 boxes; crowds left out: 1, images without boxes: 1")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(image_dir="absent"), "absent: no such folder of images"),
        (dict(ann_file="absent.json"), r"absent\.json: No such file"),
        (dict(classes=["cat"]), r"instances\.json: holds no box to learn from \(.*crowds left out: 1"),
        (dict(pipeline=[dict(type="Letterbox", size=(0, 64))]), r"size=\(0, 64\): expected height and width"),
    ],
)
def test_settings_that_cannot_be_are_one_line(
    write_coco: Callable[..., Path], changes: dict[str, Any], message: str
) -> None:
    settings = dict(dataroot=write_coco(BOXES), ann_file="instances.json", image_dir="", pipeline=[LETTERBOX])
    with pytest.raises(InputError, match=message) as raised:
        CocoDataset(**{**settings, **changes})
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("fault", ["missing", "cut", "size"])
def test_an_unusable_image_stops_evaluation_and_is_replaced_in_training(
    write_coco: Callable[..., Path], logged: list[str], fault: str
) -> None:
    folder = write_coco(BOXES)
    image = folder / "1.png"
    if fault == "missing":
        image.unlink()
    elif fault == "cut":
        image.write_bytes(image.read_bytes()[:2000])
    else:
        cv2.imwrite(str(image), np.zeros((40, 61, 3), dtype=np.uint8))
    with pytest.raises(InputError, match=r"1\.png: "):
        _dataset(folder, test_mode=True)[1]
    dataset = _dataset(folder)
    logged.clear()
    samples = [dataset[FrameRequest(1, 0, False, (seed,))] for seed in range(20)]
    assert {sample.image_id for sample in samples} == {0, 20}
    (line,) = logged
    assert "1.png: " in line and line.endswith("another image takes its place (1 so far)")


def test_a_data_set_of_broken_images_ends(write_coco: Callable[..., Path]) -> None:
    folder = write_coco(BOXES)
    for index in range(3):
        (folder / f"{index}.png").write_text("no image")
    with pytest.raises(InputError, match="10 images in a row cannot be used"):
        _dataset(folder)[0]


def test_grey_transparent_and_deep_images_are_images(write_coco: Callable[..., Path]) -> None:
    folder = write_coco(BOXES)
    grey = np.full((40, 60), 100, dtype=np.uint8)
    cv2.imwrite(str(folder / "0.png"), grey)
    cv2.imwrite(str(folder / "1.png"), np.dstack([grey] * 4))
    cv2.imwrite(str(folder / "2.png"), grey.astype(np.uint16) << 8)
    dataset = _dataset(folder)
    for index in range(3):
        assert (dataset[index].image[32] == 100).all()


def test_training_that_goes_on_sees_what_it_would_have_seen(write_coco: Callable[..., Path]) -> None:
    folder = write_coco(BOXES)
    through = [batch["images"] for batch in islice(batches(_loader(folder, AUGMENTED)), 5)]
    resumed = _loader(folder, AUGMENTED)
    resumed.sampler.load_state_dict({**resumed.sampler.state_dict(), "iteration": 3})
    again = [batch["images"] for batch in islice(batches(resumed), 2)]
    for before, after in zip(through[3:], again, strict=True):
        assert torch.equal(before.images, after.images) and torch.equal(before.targets.boxes_px, after.targets.boxes_px)
    assert not torch.equal(through[0].images, through[1].images)


@pytest.mark.slow
def test_workers_change_nothing(write_coco: Callable[..., Path]) -> None:
    folder = write_coco(BOXES)
    alone, shared = (next(batches(_loader(folder, AUGMENTED, num_workers=count)))["images"] for count in (0, 2))
    assert torch.equal(alone.images, shared.images) and torch.equal(alone.targets.boxes_px, shared.targets.boxes_px)


def test_each_image_is_evaluated_once(write_coco: Callable[..., Path]) -> None:
    dataset = dict(type="CocoDataset", dataroot=write_coco(BOXES, images=5), ann_file="instances.json", image_dir="")
    settings = dict(dataset={**dataset, "pipeline": [LETTERBOX], "test_mode": True}, batch_size=2)
    shares = []
    for rank in range(2):
        loader = build_loader({**settings, "sampler": dict(type="EvaluationSampler", rank=rank, world_size=2)})
        shares.append([id_ for batch in batches(loader) for id_ in batch["images"].image_ids])
    assert sorted(shares[0] + shares[1]) == [0, 10, 20, 30, 40] and len(shares[0]) == 3


def test_images_of_one_batch_are_of_one_size(write_coco: Callable[..., Path]) -> None:
    folder = write_coco(BOXES)
    other = [dict(type="Letterbox", size=(32, 64))]
    with pytest.raises(
        InputError, match=r"differ in size: 64x64 \(.*0\.png\), 64x32 \(.*0\.png\); the pipeline has to"
    ):
        image_batch([_dataset(folder)[0], _dataset(folder, other)[0]])
