"""`DynamicYoloDetector`: paths, thresholds, losses of both steps, names of weights, bad input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from detection.image_batch import ImageBatch, ImageTargets
from detection.models.yolo import VARIANTS, DynamicYolo, DynamicYoloDetector
from scenes import InputError

Build = Callable[..., DynamicYoloDetector]


@pytest.fixture
def build() -> Build:
    """Builds the smallest detector, with a router that tells images apart."""

    def built(**settings: Any) -> DynamicYoloDetector:
        torch.manual_seed(0)
        detector = DynamicYoloDetector(**{"variant": "dy-yolov7", "width": 0.03, "num_classes": 3, **settings})
        assert detector.router is not None
        torch.nn.init.normal_(detector.router.layer2.weight, std=30.0)
        return detector.eval()

    return built


def made_batch(height: int = 64, width: int = 96, labels: tuple[int, ...] = (0, 2, 1)) -> ImageBatch:
    """Three images, the last without an object."""
    generator = torch.Generator().manual_seed(3)
    images = torch.randint(0, 256, (3, 3, height, width), dtype=torch.uint8, generator=generator)
    images[1] //= 8
    boxes = torch.tensor([[8.0, 8, 40, 30], [50, 20, 80, 60], [10, 5, 30, 50]])
    return ImageBatch(
        images,
        (7, 8, 9),
        ("7.jpg", "8.jpg", "9.jpg"),
        torch.tensor([[height, width]] * 3),
        torch.tensor([[1.0, 0.0, 0.0]] * 3),
        ImageTargets(torch.tensor([0, 0, 1]), boxes, torch.tensor(labels)),
    )


@torch.inference_mode()
def scores_of(detector: DynamicYoloDetector, batch: ImageBatch) -> torch.Tensor:
    detector.threshold = 0.5
    detector(batch)
    assert detector.last_routing is not None and detector.last_routing.scores is not None
    return detector.last_routing.scores


@torch.inference_mode()
def test_each_image_takes_its_path(build: Build) -> None:
    detector, batch = build(), made_batch()
    scores = scores_of(detector, batch)
    detector.threshold = float(scores.sort().values[1])
    mixed = detector(batch)
    assert detector.last_routing is not None
    hard = detector.last_routing.hard
    assert hard.tolist() == (scores < detector.threshold).tolist()
    assert 0 < hard.sum() < 3
    for threshold in (0.0, 1.0):
        detector.threshold = threshold
        fixed = detector(batch)
        assert detector.last_routing.scores is None
        assert detector.last_routing.hard.tolist() == [threshold == 1.0] * 3
        for index in (hard == bool(threshold)).nonzero().flatten().tolist():
            torch.testing.assert_close(mixed[index].scores, fixed[index].scores, rtol=1e-4, atol=1e-6)
            assert mixed[index].labels.tolist() == fixed[index].labels.tolist()


@torch.inference_mode()
def test_detections_are_boxes_of_the_network(build: Build) -> None:
    """Those of the network alone, on images in [0, 1]."""
    detector, batch = build(threshold=1.0), made_batch()
    pixels = batch.images / 255
    boxes = detector.decode(detector.hard_logits(pixels, detector.first_maps(pixels)))
    found = detector(batch)
    for index, detections in enumerate(found):
        (expected,) = detector.postprocessing.detections(boxes[index, None])
        torch.testing.assert_close(detections.boxes_px, expected.boxes_px)


def test_a_router_that_was_never_trained_is_not_asked() -> None:
    detector = DynamicYoloDetector("dy-yolov7", width=0.03).eval()
    assert detector.router is not None and not detector.router.is_trained
    with pytest.raises(InputError, match="the router of these weights has never been trained: only the thresholds 0"):
        detector(made_batch())
    detector.threshold = 0.0
    assert len(detector(made_batch())) == 3


@pytest.mark.parametrize("name", VARIANTS)
def test_names_and_shapes_are_those_of_the_network(name: str) -> None:
    with torch.device("meta"):
        network = DynamicYolo(VARIANTS[name])
        detector = DynamicYoloDetector(name)
    shapes = {key: value.shape for key, value in network.state_dict().items()}
    assert {key: value.shape for key, value in detector.state_dict().items()} == shapes


def test_channels_and_anchors_scale() -> None:
    detector = DynamicYoloDetector("dy-yolov7-w6", width=0.1, anchor_scale=0.5)
    channels = {parameter.shape[0] for name, parameter in detector.named_parameters() if name.endswith("conv.weight")}
    widths = {width for width in channels if width % 8}
    assert widths <= {4, 12, 20}  # halves of multiples of 8, within aggregations
    assert detector.prediction.anchor_grid[0, 0, 0, 0, 0].tolist() == [9.5, 13.5]


def test_the_first_step_trains_both_detectors_and_no_router(build: Build) -> None:
    detector = build(channels_last=True).train()
    losses = detector(made_batch(), mode="loss")
    assert list(losses) == [f"{head}_loss_{of}" for head in ("easy", "hard") for of in ("box", "object", "class")]
    torch.autograd.backward(torch.stack(list(losses.values())).sum())
    untrained = {name.split(".")[0] for name, parameter in detector.named_parameters() if parameter.grad is None}
    assert untrained == {"router"}


def test_the_second_step_trains_the_router_alone(build: Build) -> None:
    detector = build(trains="router").train()
    assert not any(module.training for module in detector.model_b.modules())
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    detector(made_batch(), mode="loss")
    losses = detector(replace(made_batch(), images=255 - made_batch().images), mode="loss")
    assert set(losses) == {"loss_router", "score", "gain", "offset"}
    torch.autograd.backward(losses["loss_router"])
    trained = {name.split(".")[0] for name, parameter in detector.named_parameters() if parameter.grad is not None}
    assert trained == {"router"}
    assert all(torch.equal(before[name], value) for name, value in detector.state_dict().items())
    assert len(detector.adaptive_offset.state()["differences"]) == 6


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (made_batch(60, 96), r"^7\.jpg: the network's image is 96x60 pixels, its sides have to be multiples of 32$"),
        (replace(made_batch(), targets=None), r"^training needs annotations; 7\.jpg has none$"),
        (made_batch(labels=(0, 1, 3)), r"^8\.jpg: has an object of class 3; the detector has 3 classes$"),
    ],
)
def test_batches_that_cannot_be(build: Build, batch: ImageBatch, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build()(batch, mode="loss")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (dict(variant="yolov9"), "variant is 'yolov9', expected dy-yolov7, dy-yolov7x, dy-yolov7-w6"),
        (dict(trains="all"), "trains is 'all', expected detectors or router"),
        (dict(threshold=1.5), "threshold is 1.5, expected a number from 0 to 1"),
        (dict(width=0.0), "width is 0.0, expected a number above 0"),
        (dict(num_classes=0), "num_classes is 0, expected a number above 0"),
    ],
)
def test_settings_that_cannot_be(build: Build, setting: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build(**setting)


def test_another_number_of_classes(build: Build) -> None:
    build().check_classes(("car", "cat", "dog"))
    with pytest.raises(InputError, match=r"the data set has 2 classes \(car, cat\), the detector 3: set model.num_cl"):
        build().check_classes(("car", "cat"))
