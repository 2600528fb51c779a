"""Assignment and loss of a YOLOv7 head, against loops over every anchor."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from detection.image_batch import ImageTargets
from detection.models.yolo.assignment import AnchorAssigner, candidates
from detection.models.yolo.layers import AnchorPrediction, flattened
from detection.models.yolo.loss import YoloLoss
from scenes import InputError

ANCHORS = (((8, 8), (12, 20)), ((20, 24), (40, 16)), ((50, 60), (70, 30)))
CLASSES = 3


@pytest.fixture
def prediction() -> AnchorPrediction:
    return AnchorPrediction((1, 1, 1), ANCHORS, (8, 16, 32), CLASSES)


def made_logits(images: int = 2, classes: int = CLASSES) -> list[Tensor]:
    """Of images of 64x96 pixels."""
    generator = torch.Generator().manual_seed(5)
    shapes = [(images, 2, 64 // stride, 96 // stride, 5 + classes) for stride in (8, 16, 32)]
    return [torch.randn(shape, generator=generator) for shape in shapes]


def made_targets(*rows: tuple[int, tuple[float, float, float, float], int]) -> ImageTargets:
    """Rows of image, box and label."""
    boxes = torch.tensor([row[1] for row in rows], dtype=torch.float32).reshape(-1, 4)
    return ImageTargets(
        torch.tensor([row[0] for row in rows]).long(), boxes, torch.tensor([row[2] for row in rows]).long()
    )


TARGETS = made_targets(
    (0, (10, 12, 27, 40), 0), (0, (30, 8, 40, 18), 2), (1, (0, 0, 96, 64), 1), (1, (88, 50, 96, 64), 0)
)


def candidates_one_by_one(targets: ImageTargets) -> list[tuple[int, int, int]]:
    """(image, anchor, target) of all candidates, by loops."""
    found, first = [], 0
    for sizes, stride in zip(ANCHORS, (8, 16, 32), strict=True):
        rows, columns = 64 // stride, 96 // stride
        for target, (left, top, right, bottom) in enumerate(targets.boxes_px.tolist()):
            for anchor, (width, height) in enumerate(sizes):
                ratios = [(right - left) / width, (bottom - top) / height]
                if max(max(ratio, 1 / ratio) for ratio in ratios) >= 4:
                    continue
                x, y = (left + right) / 2 / stride, (top + bottom) / 2 / stride
                cells = [(int(x), int(y))]
                cells += [(int(x) - 1, int(y))] if x % 1 < 0.5 and x > 1 else []
                cells += [(int(x), int(y) - 1)] if y % 1 < 0.5 and y > 1 else []
                cells += [(int(x) + 1, int(y))] if x % 1 > 0.5 and x < columns - 1 else []
                cells += [(int(x), int(y) + 1)] if y % 1 > 0.5 and y < rows - 1 else []
                image = int(targets.image_index[target])
                found += [(image, first + (anchor * rows + row) * columns + column, target) for column, row in cells]
        first += len(sizes) * rows * columns
    return found


def test_candidates(prediction: AnchorPrediction) -> None:
    found = candidates(prediction.grid(made_logits()), TARGETS, 4.0)
    pairs = list(zip(found.images.tolist(), found.anchors.tolist(), found.targets.tolist(), strict=True))
    assert sorted(pairs) == sorted(candidates_one_by_one(TARGETS))
    assert len(pairs) > 15


def test_each_anchor_learns_one_object_of_its_image(prediction: AnchorPrediction) -> None:
    grid, logits = prediction.grid(made_logits()), flattened(made_logits())
    pairs = AnchorAssigner().assign(grid, logits, TARGETS)
    assert set(pairs.targets.tolist()) == {0, 1, 2, 3}
    assert TARGETS.image_index[pairs.targets].tolist() == pairs.images.tolist()
    taught = set(zip(pairs.images.tolist(), pairs.anchors.tolist(), pairs.targets.tolist(), strict=True))
    assert len({(image, anchor) for image, anchor, _ in taught}) == len(taught)


def ciou(box: list[float], other: list[float]) -> float:
    """By the formula of the paper, for centre, width, height."""
    corners = [(x - w / 2, y - h / 2, x + w / 2, y + h / 2) for x, y, w, h in (box, other)]
    low = [max(corners[0][axis], corners[1][axis]) for axis in (0, 1)]
    high = [min(corners[0][axis], corners[1][axis]) for axis in (2, 3)]
    shared = max(high[0] - low[0], 0) * max(high[1] - low[1], 0)
    iou = shared / (box[2] * box[3] + other[2] * other[3] - shared)
    outer = [
        max(corners[0][axis + 2], corners[1][axis + 2]) - min(corners[0][axis], corners[1][axis]) for axis in (0, 1)
    ]
    distance = ((box[0] - other[0]) ** 2 + (box[1] - other[1]) ** 2) / (outer[0] ** 2 + outer[1] ** 2)
    shape = 4 / math.pi**2 * (math.atan(box[2] / box[3]) - math.atan(other[2] / other[3])) ** 2
    return iou - distance - (shape**2 / (1 - iou + shape) if shape else 0.0)


def test_losses_by_the_formula(prediction: AnchorPrediction) -> None:
    logits = made_logits()
    flat, boxes = flattened(logits), prediction.decode(logits)
    grid = prediction.grid(logits)
    pairs = AnchorAssigner().assign(grid, flat, TARGETS)
    wanted, expected, first = torch.zeros(flat.shape[:2]), dict.fromkeys(("box", "object", "class"), 0.0), 0
    for count, balance in zip(grid.counts, (4.0, 1.0, 0.4), strict=True):
        overlaps, entropies = [], []
        for image, anchor, target in zip(pairs.images, pairs.anchors, pairs.targets, strict=True):
            if first <= anchor < first + count:
                left, top, right, bottom = TARGETS.boxes_px[target].tolist()
                true = [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
                overlaps.append(ciou(boxes[image, anchor, :4].tolist(), true))
                wanted[image, anchor] = max(overlaps[-1], 0.0)
                classes = torch.arange(CLASSES) == TARGETS.labels[target]
                entropies.append(binary_cross_entropy_with_logits(flat[image, anchor, 5:], classes.float()))
        here = slice(first, first + count)
        expected["object"] += balance * float(binary_cross_entropy_with_logits(flat[:, here, 4], wanted[:, here]))
        if overlaps:
            expected["box"] += 1 - sum(overlaps) / len(overlaps)
            expected["class"] += float(torch.stack(entropies).mean())
        first += count
    found = YoloLoss(0.05, 0.7, 0.3, reference_batch=64).losses(prediction, logits, TARGETS)
    for name, weight in (("box", 0.05), ("object", 0.7), ("class", 0.3)):
        assert float(found[f"loss_{name}"]) == pytest.approx(64 * weight * expected[name], rel=1e-4)


def test_losses_by_image_are_those_of_the_images_alone(prediction: AnchorPrediction) -> None:
    logits, criterion = made_logits(), YoloLoss(reference_batch=1)
    second = TARGETS.image_index == 1
    alone = ImageTargets(TARGETS.image_index[second] - 1, TARGETS.boxes_px[second], TARGETS.labels[second])
    expected = criterion.losses(prediction, [raw[1:] for raw in logits], alone)
    found = criterion.losses_by_image(prediction, logits, TARGETS)
    assert found.shape == (2,)
    torch.testing.assert_close(found[1], torch.stack(list(expected.values())).sum())


@pytest.mark.parametrize("targets", [made_targets(), made_targets((1, (10, 12, 27, 40), 0))], ids=["none", "one empty"])
def test_images_without_objects(prediction: AnchorPrediction, targets: ImageTargets) -> None:
    logits = [raw.requires_grad_() for raw in made_logits()]
    criterion = YoloLoss()
    losses = criterion.losses(prediction, logits, targets)
    torch.autograd.backward(torch.stack(list(losses.values())).sum())
    assert all(raw.grad is not None and raw.grad.isfinite().all() and raw.grad.any() for raw in logits)
    assert (losses["loss_box"] > 0) == bool(len(targets))
    assert criterion.losses_by_image(prediction, logits, targets).isfinite().all()


def test_logits_that_are_no_numbers_give_a_loss_that_is_none(prediction: AnchorPrediction) -> None:
    logits = made_logits()
    logits[0][:] = float("nan")
    losses = YoloLoss().losses(prediction, logits, TARGETS)
    assert losses["loss_object"].isnan()


def test_one_class_needs_no_probability() -> None:
    prediction = AnchorPrediction((1, 1, 1), ANCHORS, (8, 16, 32), 1)
    losses = YoloLoss().losses(prediction, made_logits(classes=1), made_targets((0, (10, 12, 27, 40), 0)))
    assert losses["loss_class"] == 0


def test_no_gradient_through_what_is_wanted_of_the_object(prediction: AnchorPrediction) -> None:
    """Its wanted probability is the overlap, but boxes learn from the loss of boxes alone."""
    logits = [raw.requires_grad_() for raw in made_logits()]
    torch.autograd.backward(YoloLoss().losses(prediction, logits, TARGETS)["loss_object"])
    assert all(raw.grad is not None and not raw.grad[..., :4].any() for raw in logits)


def test_settings_that_cannot_be() -> None:
    with pytest.raises(InputError, match="must not be negative"):
        YoloLoss(box_weight=-1.0)
