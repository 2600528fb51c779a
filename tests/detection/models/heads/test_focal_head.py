"""Focal head: tokens and their order, images without boxes, losses by hand."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from detection.frames import CameraTargets, FrameBatch, FrameTargets
from detection.models.heads.focal_head import FocalHead, token_centers
from detection.models.matching.hungarian_2d import Predictions2D

MakeFrame = Callable[..., FrameBatch]
FeaturesOf = Callable[[FrameBatch], tuple[Tensor]]


@pytest.fixture
def head() -> FocalHead:
    torch.manual_seed(0)
    return FocalHead(num_classes=10, in_channels=32, train_ratio=0.5, infer_ratio=0.25)


def test_tokens_know_their_centers() -> None:
    centers = token_centers((2, 3), 16, (32, 48), torch.device("cpu"))
    assert centers[1, 2].tolist() == pytest.approx([40 / 48, 24 / 32])
    assert centers.shape == (2, 3, 2)


def test_untrained_boxes_contain_their_tokens(head: FocalHead, make_frame: MakeFrame, features_of: FeaturesOf) -> None:
    frame = make_frame(0, (True, True))
    predictions = head(features_of(frame), frame)
    centers = token_centers((4, 6), 16, frame.image_size_px, torch.device("cpu")).flatten(0, 1)
    low = predictions.boxes[..., :2] - predictions.boxes[..., 2:] / 2
    high = predictions.boxes[..., :2] + predictions.boxes[..., 2:] / 2
    assert ((low <= centers) & (centers <= high)).all() and (low >= -1e-6).all() and (high <= 1 + 1e-6).all()
    assert predictions.class_logits.shape == (4, 24, 10)
    torch.testing.assert_close(predictions.class_logits.sigmoid().mean(), torch.tensor(0.01), atol=0.01, rtol=0)


@pytest.mark.parametrize(("ratio", "kept"), [(0.25, 12), (0.5, 24)])
def test_best_tokens_come_first(
    ratio: float, kept: int, head: FocalHead, make_frame: MakeFrame, features_of: FeaturesOf
) -> None:
    head.infer_ratio = ratio
    frame = make_frame(0, (True, True))
    features = features_of(frame)
    tokens = head.select_tokens(features, frame)
    assert tokens is not None and tokens.shape == (2, kept, 1)
    scores = head.token_scores(head(features, frame), 2)
    for stream in range(2):
        ranked = sorted(range(48), key=lambda token: -float(scores[stream, token]))
        assert tokens[stream, :, 0].tolist() == ranked[:kept]


def test_all_tokens_need_no_head(head: FocalHead, make_frame: MakeFrame) -> None:
    head.infer_ratio = 1.0
    assert head.select_tokens((), make_frame(0)) is None


@pytest.mark.parametrize("num_boxes", [[0, 0], [3, 0]])
def test_images_without_boxes(
    num_boxes: list[int], head: FocalHead, make_frame: MakeFrame, features_of: FeaturesOf
) -> None:
    frame = make_frame(0, (True, True), num_boxes)
    losses, tokens = head.loss(features_of(frame), frame)
    sum(losses.values(), torch.zeros(())).backward()
    assert all(loss.isfinite() for loss in losses.values())
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in head.parameters())
    assert tokens is not None and tokens.shape == (2, 24, 1)
    without_box = losses["enc_loss_bbox"] == losses["enc_loss_iou"] == losses["centers2d_losses"] == 0
    assert bool(without_box) == (sum(num_boxes) == 0)


def test_perfect_predictions_cost_nothing_but_their_scores(head: FocalHead, make_frame: MakeFrame) -> None:
    frame = make_frame(0, (True,), [2])
    box, center = torch.tensor([40 / 96, 30 / 64, 40 / 96, 40 / 64]), torch.tensor([40 / 96, 30 / 64])
    logits = torch.full((2, 24, 10), -20.0)
    logits[:, 8, 0] = 20.0
    centerness = torch.full((2, 24), -20.0)
    centerness[:, 8] = 20.0
    predictions = Predictions2D(logits, box.expand(2, 24, 4), center.expand(2, 24, 2), centerness)
    losses = head.losses(predictions, frame)
    for name in ("enc_loss_cls", "enc_loss_bbox", "enc_loss_iou", "centers2d_losses"):
        assert losses[name].item() == pytest.approx(0, abs=1e-5), name


def test_losses_are_divided_by_the_matched_boxes(
    head: FocalHead, make_frame: MakeFrame, features_of: FeaturesOf
) -> None:
    one, two = make_frame(0, (True,), [1]), make_frame(0, (True, True), [1, 1])
    two = replace(two, targets=(one.targets or ()) * 2)
    features = features_of(one)[0]
    single = head.losses(head((features,), one), one)
    double = head.losses(head((features.repeat(2, 1, 1, 1, 1),), two), two)
    torch.testing.assert_close(single, double)


def test_center_outside_of_its_box_and_of_the_image(head: FocalHead, make_frame: MakeFrame) -> None:
    camera = CameraTargets(
        torch.tensor([[0.0, 0.0, 20.0, 20.0]]), torch.tensor([1]), torch.tensor([[-30.0, 300.0]]), torch.ones(1)
    )
    assert head.heat_map(camera, make_frame(0)).eq(0).all()


def test_half_precision_trains(head: FocalHead, make_frame: MakeFrame, features_of: FeaturesOf) -> None:
    frame = make_frame(0, (True,), [2])
    with torch.autocast("cpu", torch.bfloat16):
        losses, _ = head.loss(features_of(frame), frame)
    whole, _ = head.loss(features_of(frame), frame)
    for name, loss in losses.items():
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, whole[name], rtol=0.05, atol=0.05)


def test_more_boxes_than_tokens(head: FocalHead, make_frame: MakeFrame, features_of: FeaturesOf) -> None:
    frame = make_frame(0, (True,), [0])
    crowded = CameraTargets(
        torch.tensor([[0.0, 0.0, 30.0, 30.0]]).repeat(30, 1),
        torch.zeros(30, dtype=torch.int64),
        torch.full((30, 2), 15.0),
        torch.ones(30),
    )
    assert frame.targets is not None
    targets = FrameTargets(frame.targets[0].boxes, frame.targets[0].labels, (crowded, crowded))
    losses, _ = head.loss(features_of(frame), replace(frame, targets=(targets,)))
    assert all(loss.isfinite() for loss in losses.values())
