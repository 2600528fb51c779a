"""YOLOX head: cells of all levels, images without boxes, losses by hand."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from detection.frames import FrameBatch
from detection.models.heads.yolox_head import CellPredictions, YOLOXHead
from detection.models.matching.sim_ota import Assignment

MakeFrame = Callable[..., FrameBatch]


@pytest.fixture
def head() -> YOLOXHead:
    torch.manual_seed(0)
    return YOLOXHead(num_classes=10, in_channels=16, strides_px=(8, 16))


def _features(frame: FrameBatch) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    streams, cameras = frame.images.shape[:2]
    return [torch.randn(streams, cameras, 16, *cells, generator=generator) for cells in ((8, 12), (4, 6))]


def test_cells_tile_the_image(head: YOLOXHead, make_frame: MakeFrame) -> None:
    cells = head.cells(_features(make_frame(0)))
    assert len(cells.strides_px) == 8 * 12 + 4 * 6
    assert cells.strides_px.square()[:96].sum() == cells.strides_px.square()[96:].sum() == 64 * 96
    assert cells.centers_px[13].tolist() == [12.0, 12.0]  # second row, second column of the fine level
    assert cells.centers_px[96 + 7].tolist() == [24.0, 24.0]


def test_untrained_boxes_lie_near_their_cells(head: YOLOXHead, make_frame: MakeFrame) -> None:
    frame = make_frame(0)
    predictions, cells = head(_features(frame)), head.cells(_features(frame))
    boxes = predictions.boxes_px(cells)
    assert boxes.shape == (2, 120, 4) and (boxes[..., 2:] > boxes[..., :2]).all()
    off = ((boxes[..., :2] + boxes[..., 2:]) / 2 - cells.corners_px).abs() / cells.strides_px[:, None]
    assert off.mean() < 2
    torch.testing.assert_close(predictions.objectness_logits.sigmoid().mean(), torch.tensor(0.01), atol=0.01, rtol=0)


@pytest.mark.parametrize("num_boxes", [[0, 0], [3, 0]])
def test_images_without_boxes(num_boxes: list[int], head: YOLOXHead, make_frame: MakeFrame) -> None:
    frame = make_frame(0, (True, True), num_boxes)
    losses, tokens = head.loss(_features(frame), frame)
    sum(losses.values(), torch.zeros(())).backward()
    assert tokens is None
    assert all(loss.isfinite() for loss in losses.values())
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in head.parameters())
    only_objectness = [name for name, loss in losses.items() if loss != 0] == ["enc_loss_obj"]
    assert only_objectness == (sum(num_boxes) == 0)


def test_perfect_predictions_cost_nothing(
    head: YOLOXHead, make_frame: MakeFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = make_frame(0, (True,), [1])  # in both cameras: box 20, 10, 60, 50, projected centre 40, 30, class 0
    cells = head.cells(_features(frame))
    chosen = torch.tensor([5, 96 + 8])
    corners, stride = cells.corners_px, cells.strides_px[:, None]
    center = torch.tensor([40.0, 30.0])
    boxes = torch.cat([(center - corners) / stride, (40 / stride).log().expand(-1, 2)], dim=1)
    logits = torch.full((2, 120, 10), -40.0)
    logits[:, :, 0] = 40.0
    objectness = torch.full((2, 120), -40.0)
    objectness[:, chosen] = 40.0
    predictions = CellPredictions(
        logits, objectness, boxes.expand(2, -1, -1), ((center - corners) / stride).expand(2, -1, -1)
    )
    images = torch.tensor([0, 0, 1, 1])  # each with its one box
    assignment = Assignment(images, chosen.repeat(2), images, torch.ones(4))
    monkeypatch.setattr(head, "_assign", lambda *_: assignment)
    for name, loss in head.losses(predictions, cells, frame).items():
        assert loss.item() == pytest.approx(0, abs=1e-4), name


def test_losses_by_hand(head: YOLOXHead, make_frame: MakeFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = make_frame(0, (True,), [1])
    cells = head.cells(_features(frame))
    zeros = CellPredictions(
        torch.zeros(2, 120, 10), torch.zeros(2, 120), torch.zeros(2, 120, 4), torch.zeros(2, 120, 2)
    )
    cell = torch.tensor([96 + 8])  # row 1, column 2 of the coarse level: corner 32, 16, stride 16
    images = torch.tensor([0, 1])
    assignment = Assignment(images, cell.repeat(2), images, torch.tensor([0.16, 0.16]))
    monkeypatch.setattr(head, "_assign", lambda *_: assignment)
    losses = head.losses(zeros, cells, frame)
    log2, stretch = 0.6931472, torch.tensor(40 / 16).log().item()
    assert losses["enc_loss_cls"].item() == pytest.approx(10 * log2)
    assert losses["enc_loss_obj"].item() == pytest.approx(120 * log2)
    # The predicted box is 24, 8, 40, 24: 16 x 14 of it lie in the annotated one.
    overlap = 16 * 14 / (16 * 16 + 40 * 40 - 16 * 14)
    assert losses["enc_loss_iou"].item() == pytest.approx(5 * (1 - overlap**2))
    assert losses["enc_loss_centers2d"].item() == pytest.approx(8 / 16 + 14 / 16)
    assert losses["enc_loss_bbox"].item() == pytest.approx(8 / 16 + 14 / 16 + 2 * stretch)


def test_half_precision_trains(head: YOLOXHead, make_frame: MakeFrame) -> None:
    frame = make_frame(0, (True,), [2])
    with torch.autocast("cpu", torch.bfloat16):
        losses, _ = head.loss(_features(frame), frame)
    assert all(loss.dtype == torch.float32 and loss.isfinite() for loss in losses.values())
