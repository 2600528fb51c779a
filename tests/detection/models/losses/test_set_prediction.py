"""Losses of the set predictor against sums written out, and what happens at the edges."""

import math

import pytest
import torch

from detection.frames import FrameTargets
from detection.models.box_coder import encode_boxes
from detection.models.denoising.queries import DenoisingQueries
from detection.models.losses.focal import sigmoid_focal_loss
from detection.models.losses.set_prediction import SetPredictionLoss
from detection.models.predictions import HeadOutputs, Predictions

WEIGHTS = torch.tensor([2.0, 2, 1, 1, 1, 1, 1, 1, 1, 1])
LAYERS, STREAMS, QUERIES, CLASSES = 2, 2, 4, 3


def _targets(count: int) -> FrameTargets:
    generator = torch.Generator().manual_seed(count)
    return FrameTargets(
        torch.rand(count, 9, generator=generator) + 0.5, torch.randint(0, CLASSES, (count,), generator=generator), ()
    )


def _predictions(queries: int = QUERIES) -> Predictions:
    generator = torch.Generator().manual_seed(7)
    return Predictions(
        torch.randn(LAYERS, STREAMS, queries, CLASSES, generator=generator, requires_grad=True),
        torch.randn(LAYERS, STREAMS, queries, 10, generator=generator, requires_grad=True),
    )


def test_losses_are_the_sums_over_matched_pairs() -> None:
    targets = (_targets(2), _targets(1))
    predictions = _predictions()
    loss = SetPredictionLoss(class_weight=2.0, box_weight=0.25)
    losses = loss(HeadOutputs(predictions), targets, WEIGHTS, WEIGHTS)
    assert list(losses) == ["d0.loss_cls", "d0.loss_bbox", "loss_cls", "loss_bbox"]
    matches = loss.matcher.match(predictions.logits, predictions.codes, targets, WEIGHTS)
    boxes = torch.cat([target.boxes for target in targets])
    true_labels = torch.cat([target.labels for target in targets])
    for layer, prefix in enumerate(("d0.", "")):
        labels = torch.full((STREAMS, QUERIES), CLASSES)
        distance = torch.zeros(())
        for at, stream, query, box in zip(matches.layers, matches.streams, matches.queries, matches.boxes, strict=True):
            if at == layer:
                labels[stream, query] = true_labels[box]
                difference = predictions.codes[layer, stream, query] - encode_boxes(boxes[box])
                distance = distance + (difference.abs() * WEIGHTS).sum()
        focal = sigmoid_focal_loss(predictions.logits[layer], labels).sum()
        torch.testing.assert_close(losses[f"{prefix}loss_cls"], 2 * focal / 3)
        torch.testing.assert_close(losses[f"{prefix}loss_bbox"], 0.25 * distance / 3)


def test_box_of_unknown_velocity_teaches_its_class_only() -> None:
    target = _targets(1)
    target.boxes[:, 7:] = math.nan
    losses = SetPredictionLoss()(HeadOutputs(_predictions()), (target, _targets(0)), WEIGHTS, WEIGHTS)
    assert losses["loss_bbox"] == 0
    assert losses["loss_cls"].isfinite()
    predictions = _predictions()
    total = sum(SetPredictionLoss()(HeadOutputs(predictions), (target, _targets(0)), WEIGHTS, WEIGHTS).values())
    total.backward()  # type: ignore[union-attr]  # the sum of tensors
    assert predictions.codes.grad is not None and not predictions.codes.grad.any()


def test_without_boxes_everything_is_background() -> None:
    predictions = _predictions()
    losses = SetPredictionLoss()(HeadOutputs(predictions), (_targets(0), _targets(0)), WEIGHTS, WEIGHTS)
    assert losses["loss_bbox"] == 0 and losses["loss_bbox"].requires_grad
    background = torch.full((STREAMS, QUERIES), CLASSES)
    torch.testing.assert_close(losses["loss_cls"], 2 * sigmoid_focal_loss(predictions.logits[1], background).sum())


def test_denoising_queries_are_judged_at_their_slots() -> None:
    slots = _predictions(queries=3)
    target = _targets(2)
    denoising = DenoisingQueries(
        reference_points=torch.zeros(STREAMS, 3, 3),
        groups=torch.zeros(3, dtype=torch.int64),
        streams=torch.tensor([1, 1]),
        slots=torch.tensor([0, 2]),
        labels=torch.tensor([1, CLASSES]),
        boxes=target.boxes,
        positive_share=0.75,
    )
    outputs = HeadOutputs(_predictions(), denoising=denoising, denoising_predictions=slots)
    losses = SetPredictionLoss(denoising_weight=0.5)(outputs, (_targets(0), target), WEIGHTS, WEIGHTS)
    logits, codes = slots.logits[1, 1, [0, 2]], slots.codes[1, 1, [0, 2]]
    focal = sigmoid_focal_loss(logits, denoising.labels).sum()
    distance = ((codes - encode_boxes(target.boxes)).abs() * WEIGHTS).sum()
    assert losses["dn_loss_cls"].item() == pytest.approx(0.5 * 2 * focal.item() / (2 * 0.75), rel=1e-5)
    assert losses["dn_loss_bbox"].item() == pytest.approx(0.5 * 0.25 * distance.item() / 2, rel=1e-5)
