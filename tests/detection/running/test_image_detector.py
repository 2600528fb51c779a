"""A 2D detector over a data set and on any images: the same boxes, in the pixels of the images as they were read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

from detection.data.image_reading import read_image
from detection.image_batch import ImageDetections, in_original_pixels
from detection.registry import MODELS
from detection.running.found_images import detect_in_source
from detection.running.image_detector import (
    ImageDetector,
    class_names,
    detect_images,
    evaluate_images,
    set_score_threshold,
)
from detection.running.sources import SourceImage
from detection.running.tasks import ImageTask, SceneTask, task_of
from scenes import InputError
from scenes.boxes2d import Boxes2D

MODEL = dict(type="DynamicYoloDetector", variant="dy-yolov7", width=0.0625, num_classes=3, threshold=0.5)
BOX = dict(image_id=10, category_id=3, bbox=[10, 10, 20, 20])


@pytest.fixture
def config(write_coco: Callable[..., Path]) -> Config:
    root = write_coco([BOX])
    pipeline = [dict(type="Letterbox", size=(64, 96))]
    dataset = dict(
        type="CocoDataset", dataroot=root, ann_file="instances.json", image_dir="", pipeline=pipeline, test_mode=True
    )
    return Config(
        dict(
            model=MODEL,
            val_dataloader=dict(batch_size=2, dataset=dataset, sampler=dict(type="EvaluationSampler")),
            val_evaluator=dict(type="CocoMetric", ann_file=str(root / "instances.json")),
        )
    )


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Chance weights with maps of unit size, so that scores differ by more than rounding."""
    torch.manual_seed(0)
    model = MODELS.build(MODEL)
    torch.nn.init.normal_(model.router.layer2.weight)
    pixels = torch.rand(4, 3, 64, 96)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        maps = model.first_maps(pixels)
        model.easy_logits(maps), model.hard_logits(pixels, maps)
    path = tmp_path_factory.mktemp("weights") / "weights.pth"
    torch.save(model.state_dict(), path)
    return path


def _assert_alike(one: ImageDetections, other: ImageDetections) -> None:
    """The best boxes agree, as far as a network of chance weights amplifies rounding."""
    assert abs(len(one) - len(other)) <= 5
    best = slice(3)
    assert one.labels[best].tolist() == other.labels[best].tolist()
    torch.testing.assert_close(one.scores[best], other.scores[best], atol=1e-4, rtol=2e-2)
    torch.testing.assert_close(one.boxes_px[best], other.boxes_px[best], atol=0.5, rtol=0.0)


def test_data_set_and_single_images_agree(config: Config, checkpoint: Path) -> None:
    seen: list[tuple[int, int]] = []
    found = detect_images(config, checkpoint, progress=lambda done, total: seen.append((done, total)))
    assert found is not None and list(found) == [0, 10, 20] and seen == [(0, 3), (2, 3), (3, 3)]
    detector = ImageDetector.from_config(config, checkpoint, device="cpu")
    assert detector.classes == ("car", "cat", "zebra")
    root = Path(config.val_dataloader.dataset.dataroot)
    for number, boxes in enumerate(found.values()):
        (alone,) = detector.detect([read_image(root / f"{number}.png")])
        assert len(boxes)
        _assert_alike(alone, boxes)
    assert set(evaluate_images(config, found)) >= {"AP", "AP50", "AP75", "AR100"}


def test_images_of_any_size_share_a_batch(config: Config, checkpoint: Path) -> None:
    detector = ImageDetector.from_config(config, checkpoint, device="cpu")
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in ((31, 200), (64, 96), (300, 7))]
    for image, together in zip(images, detector.detect(images), strict=True):
        (alone,) = detector.detect([image])
        _assert_alike(alone, together)
        height, width = image.shape[:2]
        assert (together.boxes_px >= 0).all() and (together.boxes_px <= torch.tensor([width, height] * 2)).all()
    assert detector.detect([]) == []


def test_box_lies_where_the_network_has_seen_it(config: Config, checkpoint: Path) -> None:
    """An image of twice the network's size: the letterbox halves it, and boxes are twice as large again."""
    detector = ImageDetector.from_config(config, checkpoint, device="cpu")
    small = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    large = small.repeat(2, axis=0).repeat(2, axis=1)
    (of_small,), (of_large,) = detector.detect([small]), detector.detect([large])
    _assert_alike(of_large, ImageDetections(2 * of_small.boxes_px, of_small.labels, of_small.scores))


def test_fused_detector_finds_what_the_trained_one_does(config: Config, checkpoint: Path) -> None:
    detector = ImageDetector.from_config(config, checkpoint, device="cpu")
    model = MODELS.build(MODEL).eval()
    model.load_state_dict(torch.load(checkpoint, weights_only=True))
    batch = detector.prepare([np.random.default_rng(1).integers(0, 256, (64, 96, 3), dtype=np.uint8)])
    for threshold in (0.0, 1.0):
        detector.model.threshold = model.threshold = threshold
        with torch.no_grad():
            (expected,) = model(batch)
        _assert_alike(detector.detect_batch({"images": batch})[0], in_original_pixels(expected, batch, 0))


def test_score_threshold_leaves_the_better_boxes(config: Config, checkpoint: Path) -> None:
    image = np.random.default_rng(1).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    (all_boxes,) = ImageDetector.from_config(config, checkpoint, device="cpu").detect([image])
    limit = float(all_boxes.scores[len(all_boxes) // 2])
    set_score_threshold(config, limit)
    (better,) = ImageDetector.from_config(config, checkpoint, device="cpu").detect([image])
    kept = int((all_boxes.scores > limit).sum())
    torch.testing.assert_close(better.boxes_px, all_boxes.boxes_px[:kept])
    torch.testing.assert_close(better.scores, all_boxes.scores[:kept])


@pytest.mark.parametrize("batch_size", [2, 5])
def test_every_image_of_a_source_once(config: Config, checkpoint: Path, batch_size: int) -> None:
    detector = ImageDetector.from_config(config, checkpoint, device="cpu")
    random = np.random.default_rng(0)
    images = [SourceImage(random.integers(0, 256, (40, 60, 3), dtype=np.uint8), f"{index}") for index in range(5)]
    found = list(detect_in_source(detector, images, batch_size))
    assert [one.image for one in found] == images
    for one in found:
        (expected,) = detector.detect([one.image.image])
        found_alone = Boxes2D(expected.boxes_px.numpy(), expected.labels.numpy(), expected.scores.numpy())
        assert abs(len(one.boxes) - len(found_alone)) <= 5
        assert one.boxes.label[:3].tolist() == found_alone.label[:3].tolist()
        np.testing.assert_allclose(one.boxes.score[:3], found_alone.score[:3], atol=1e-4, rtol=2e-2)
        np.testing.assert_allclose(one.boxes.edges_px[:3], found_alone.edges_px[:3], atol=0.5)


def test_names_of_classes(config: Config) -> None:
    dataset = config.val_dataloader.dataset
    assert class_names(config) == ("car", "cat", "zebra")
    dataset.classes = ["zebra", "cat", "car"]
    dataset.ann_file = "none.json"
    assert class_names(config) == ("zebra", "cat", "car")
    dataset.classes = None
    with pytest.raises(InputError, match=r"none\.json: no such file, and val_dataloader\.dataset\.classes"):
        class_names(config)


def test_other_number_of_classes(config: Config, checkpoint: Path) -> None:
    config.val_dataloader.dataset.classes = ["cat", "car"]
    with pytest.raises(InputError, match=r"2 classes \(cat, car\), the detector 3"):
        ImageDetector.from_config(config, checkpoint)


def test_task_is_that_of_the_data(config: Config) -> None:
    assert isinstance(task_of(config), ImageTask)
    config.val_dataloader.dataset.type = "TemporalFrameDataset"
    assert isinstance(task_of(config), SceneTask)
    with pytest.raises(InputError, match="the config has no 'val_dataloader'"):
        task_of(Config(dict(model=MODEL)))
