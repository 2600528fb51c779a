"""Perspective head: what it should find, boxes from what it says, losses at the truth, merging, proposals."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from detection.frames import CameraTargets, FrameBatch, FrameTargets
from detection.models.heads import perspective_head
from detection.models.heads.perspective_geometry import Cameras
from detection.models.heads.perspective_head import PeakBoxes, PerspectiveHead, highest_peaks
from detection.models.heads.perspective_targets import perspective_targets

MakeFrame = Callable[..., FrameBatch]
SIZES = [(4.5, 1.9, 1.6), (0.7, 0.7, 1.75)]
STRIDES = (4, 8)
# Ahead of the forward camera of `make_frame`, or behind the car, before the backward one.
BOXES = torch.tensor(
    [
        [1.0, 12.0, -0.9, 4.2, 1.8, 1.5, 0.4, 3.0, -1.0],
        [-3.0, 20.0, -0.6, 0.8, 0.7, 1.8, -2.0, 0.5, 0.0],
        [2.0, -15.0, -0.8, 4.9, 2.0, 1.7, 3.0, 0.0, 6.0],
    ]
)
LABELS = torch.tensor([0, 1, 0])


@pytest.fixture
def head() -> PerspectiveHead:
    torch.manual_seed(0)
    return PerspectiveHead(
        2, SIZES, merge_radii_m=(2.0, 0.5), in_channels=8, strides_px=STRIDES, hidden_channels=16, peaks_per_camera=5
    ).eval()


@pytest.fixture
def frame(make_frame: MakeFrame) -> FrameBatch:
    """One stream of two cameras that see all of `BOXES`."""
    return _annotated(make_frame(0), BOXES, LABELS)


def _annotated(frame: FrameBatch, boxes: Tensor, labels: Tensor, seen: Tensor | None = None) -> FrameBatch:
    """The frame with boxes that cameras see where their centres lie in the image, those of `seen` alone if given."""
    targets = []
    for camera in range(frame.images.shape[1]):
        calibration = Cameras.of(frame).select(torch.full((len(boxes),), camera))
        centers_px, depths_m = calibration.project(boxes[:, :3])
        inside = depths_m > 0.5
        chosen = inside if seen is None else inside & seen
        around = torch.cat((centers_px - 3, centers_px + 3), dim=1)
        targets.append(CameraTargets(around[chosen], labels[chosen], centers_px[chosen], depths_m[chosen]))
    return replace(frame, targets=(FrameTargets(boxes, labels, tuple(targets)),))


def _features(frame: FrameBatch, seed: int = 1) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    streams, cameras = frame.images.shape[:2]
    return [torch.randn(streams, cameras, 8, *cells, generator=generator) for cells in ((16, 24), (8, 12))]


def _truth(head: PerspectiveHead, boxes: Tensor, cameras: Cameras) -> PeakBoxes:
    """What a head would say that knows the boxes."""
    centers_px, depths_m = cameras.project(boxes[:, :3])
    below_px, above_px = cameras.ends_px(boxes)
    azimuths = cameras.azimuths(boxes[:, :3])
    turned = torch.remainder(boxes[:, 6] - azimuths, 2 * math.pi)
    width = 2 * math.pi / head.yaw_bins
    bins = (turned / width).round().long()
    away = boxes[:, 7] * azimuths.cos() + boxes[:, 8] * azimuths.sin()
    across = boxes[:, 8] * azimuths.cos() - boxes[:, 7] * azimuths.sin()
    offsets = (turned - bins * width).unsqueeze(1).expand(-1, head.yaw_bins)
    return PeakBoxes(
        centers_px=centers_px,
        below_px=below_px,
        above_px=above_px,
        sizes_m=boxes[:, 3:6],
        log_depths=depths_m.log().unsqueeze(1).expand(-1, 3),
        log_depth=depths_m.log(),
        log_deviations=torch.zeros(len(boxes), 4),
        yaw_logits=60.0 * functional.one_hot(bins % head.yaw_bins, head.yaw_bins),
        yaw_offsets_rad=offsets,
        velocities_mps=torch.stack((away, across), dim=1),
    )


def test_boxes_come_back_from_what_is_told_of_them(head: PerspectiveHead, frame: FrameBatch) -> None:
    cameras = Cameras.of(frame).select(torch.tensor([0, 0, 1]))
    found = head.lidar_boxes(_truth(head, BOXES, cameras), cameras)
    torch.testing.assert_close(found, BOXES, rtol=0, atol=2e-4)


def test_the_truth_has_no_box_loss(head: PerspectiveHead, frame: FrameBatch) -> None:
    cameras = Cameras.of(frame).select(torch.tensor([0, 0, 1]))
    losses = perspective_head._box_losses(_truth(head, BOXES, cameras), BOXES, cameras, 4, head.yaw_bins)
    assert set(losses) == set(head.loss_weights) - {"heat_map", "peak_class"}
    for name, value in losses.items():
        assert float(value) == pytest.approx(0.0, abs=2e-4), name


def test_velocities_that_are_not_known_teach_nothing(head: PerspectiveHead, frame: FrameBatch) -> None:
    cameras = Cameras.of(frame).select(torch.tensor([0, 0, 1]))
    unknown = BOXES.clone()
    unknown[:, 7:] = math.nan
    losses = perspective_head._box_losses(_truth(head, BOXES, cameras), unknown, cameras, 4, head.yaw_bins)
    assert all(math.isfinite(float(value)) for value in losses.values()) and float(losses["velocity"]) == 0.0


def test_targets_lie_at_the_projected_centres(frame: FrameBatch) -> None:
    targets = perspective_targets(frame, 4, (16, 24), 2)
    assert targets.images.tolist() == [0, 0, 1] and targets.labels.tolist() == [0, 1, 0]
    torch.testing.assert_close(targets.boxes, BOXES)
    for image, cell, box in zip(targets.images, targets.cells, BOXES, strict=True):
        homogeneous = frame.image_from_lidar[0, image] @ torch.cat((box[:3], torch.ones(1)))
        assert (homogeneous[:2] / homogeneous[2] / 4).floor().long().tolist() == cell.tolist()
    peaks = (targets.heat_map == 1).nonzero()
    expected = torch.stack((targets.images, targets.labels, targets.cells[:, 1], targets.cells[:, 0]), dim=1)
    assert sorted(peaks.tolist()) == sorted(expected.tolist())


def test_streams_side_by_side_have_the_targets_of_each_alone(make_frame: MakeFrame) -> None:
    alone = [
        _annotated(make_frame(0), BOXES, LABELS, seen=torch.tensor([True, False, True])),
        _annotated(make_frame(0), BOXES[:0], LABELS[:0]),
        _annotated(make_frame(0), BOXES[1:], LABELS[1:]),
    ]
    together = replace(make_frame(0, [True] * 3), targets=tuple(frame.targets[0] for frame in alone if frame.targets))
    found = perspective_targets(together, 4, (16, 24), 2)
    expected = [perspective_targets(frame, 4, (16, 24), 2) for frame in alone]
    assert found.heat_map.tolist() == torch.cat([each.heat_map for each in expected]).tolist()
    assert found.images.tolist() == [2 * i + image for i, each in enumerate(expected) for image in each.images.tolist()]
    for name in ("cells", "boxes", "labels"):
        assert getattr(found, name).tolist() == torch.cat([getattr(each, name) for each in expected]).tolist()


def test_what_is_hidden_is_neither_right_nor_wrong(make_frame: MakeFrame) -> None:
    frame = _annotated(make_frame(0), BOXES, LABELS, seen=torch.tensor([True, False, True]))
    targets = perspective_targets(frame, 4, (16, 24), 2)
    assert targets.labels.tolist() == [0, 0]
    hidden = perspective_targets(_annotated(make_frame(0), BOXES, LABELS), 4, (16, 24), 2)
    cell = hidden.cells[1]
    assert 0.99 < float(targets.heat_map[0, 1, cell[1], cell[0]]) < 1
    _, known = targets.classes_near(torch.tensor([0]), cell.unsqueeze(0), 2)
    assert not known


def test_classes_of_cells_near_a_centre(frame: FrameBatch) -> None:
    targets = perspective_targets(frame, 4, (16, 24), 2)
    beside = torch.stack((targets.cells[0] + 1, targets.cells[0] + torch.tensor([6, 0])))
    true, known = targets.classes_near(torch.tensor([0, 0]), beside, 2)
    assert true.tolist() == [[1.0, 0.0], [0.0, 0.0]] and known.all()


def test_frames_without_boxes_have_finite_losses(head: PerspectiveHead, make_frame: MakeFrame) -> None:
    frame = _annotated(make_frame(0), BOXES[:0], LABELS[:0])
    losses, tokens = head.train().loss(_features(frame), frame)
    assert tokens is None
    assert all(torch.isfinite(value) for value in losses.values())


def test_a_few_steps_teach_one_frame(head: PerspectiveHead, frame: FrameBatch) -> None:
    head.train()
    features = _features(frame)
    optimizer = torch.optim.AdamW(head.parameters(), 1e-2)

    def total() -> Tensor:
        return torch.stack(list(head.loss(features, frame)[0].values())).sum()

    first = float(total().detach())
    for _ in range(60):
        loss = total()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < first - 5
    (found,) = head.eval().detect(features, frame).detections()
    best = found.boxes[:3]
    apart = torch.cdist(BOXES[:, :2], best[:, :2]).amin(dim=1)
    assert (apart < 2.0).all(), apart


def test_peaks_are_the_highest_cells_that_no_neighbour_exceeds() -> None:
    scores = torch.zeros(2, 3, 6, 7)
    scores[0, 1, 2, 3], scores[0, 1, 2, 4], scores[0, 2, 0, 6], scores[1, 0, 5, 0] = 0.9, 0.8, 0.5, 0.7
    best, peaks = highest_peaks(scores, 2)
    assert best.tolist() == pytest.approx([0.9, 0.5, 0.7, 0.0])
    assert peaks.images.tolist() == [0, 0, 1, 1]
    assert peaks.cells[:3].tolist() == [[3, 2], [6, 0], [0, 5]] and peaks.labels[:3].tolist() == [1, 2, 0]


@given(seed=st.integers(0, 1000))
def test_features_are_sampled_as_grid_sample_does(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(2, 4, 5, 6, generator=generator)
    points = torch.rand(9, 2, generator=generator) * torch.tensor([6.0, 5.0])
    images = torch.randint(0, 2, (9,), generator=generator)
    found = perspective_head._sampled(maps, images, points)
    grid = (points / torch.tensor([6.0, 5.0]) * 2 - 1).view(1, 1, 9, 2).expand(2, -1, -1, -1)
    every = functional.grid_sample(maps, grid, padding_mode="border", align_corners=False).squeeze(2)
    torch.testing.assert_close(found, every[images, :, torch.arange(9)], rtol=0, atol=1e-5)


def test_proposals_are_the_detections_then_their_neighbours_then_again(
    head: PerspectiveHead, make_frame: MakeFrame
) -> None:
    frame = make_frame(0, [False, False])
    features = _features(frame)
    detections = head.detect(features, frame).detections()
    proposals = head.propose(features, frame, 30)
    assert proposals.boxes.shape == (2, 30, 9)
    assert proposals.features.shape == (2, 30, head.proposal_channels)
    for stream, found in enumerate(detections):
        torch.testing.assert_close(proposals.boxes[stream, : len(found.boxes)], found.boxes)
        torch.testing.assert_close(proposals.scores[stream, : len(found.boxes)], found.scores)
        assert (proposals.labels[stream, : len(found.boxes)] == found.labels).all()
        assert not proposals.scores[stream, len(found.boxes) :].any()
        # Five peaks in each of two cameras: ten candidates, three times.
        torch.testing.assert_close(proposals.boxes[stream, :10], proposals.boxes[stream, 20:])
        assert len(proposals.boxes[stream, :10].unique(dim=0)) == 10


def test_proposals_pass_gradients_to_the_maps_and_leave_the_head_alone(
    head: PerspectiveHead, make_frame: MakeFrame
) -> None:
    frame = make_frame(0)
    features = [maps.requires_grad_() for maps in _features(frame)]
    head.train()
    before = head.heat_map[1].running_mean.clone()
    proposals = head.propose(features, frame, 4)
    assert head.training and not proposals.boxes.requires_grad and not proposals.scores.requires_grad
    torch.testing.assert_close(head.heat_map[1].running_mean, before)
    proposals.features.sum().backward()
    assert all(maps.grad is not None and maps.grad.abs().sum() > 0 for maps in features)
    assert all(parameter.grad is None for parameter in head.parameters())


def test_settings_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match="3 rows"):
        PerspectiveHead(3, SIZES, (1.0, 1.0))
    with pytest.raises(ValueError, match="no loss 'depht'"):
        PerspectiveHead(2, SIZES, (1.0, 1.0), weights={"depht": 2.0})
