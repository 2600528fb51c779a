"""Denoising queries: noise, labels, slots and the attention mask, entry by entry."""

from collections.abc import Callable

import pytest
import torch

from detection.frames import FrameBatch
from detection.models.denoising.standard import StandardDenoising
from detection.models.layers.position import to_metres

RANGE = torch.tensor([-51.2, -51.2, -5.0, 51.2, 51.2, 3.0])
GROUPS = 3
MakeFrame = Callable[..., FrameBatch]


def test_every_group_holds_every_box(make_frame: MakeFrame) -> None:
    torch.manual_seed(0)
    frame = make_frame(0, [True, True], num_boxes=[2, 3])
    queries = StandardDenoising(GROUPS)(frame, RANGE, 10)
    assert queries is not None and frame.targets is not None
    assert queries.reference_points.shape == (2, GROUPS * 3, 3)
    assert queries.groups.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    boxes = torch.cat([target.boxes for target in frame.targets])
    torch.testing.assert_close(queries.boxes, boxes.repeat(GROUPS, 1))
    assert queries.streams.tolist() == [0, 0, 1, 1, 1] * GROUPS
    assert queries.slots.tolist() == [0, 1, 0, 1, 2, 3, 4, 3, 4, 5, 6, 7, 6, 7, 8]
    assert not queries.reference_points[0, 2::3].any()  # stream 0 has no third box


def test_noise_stays_within_half_the_size_and_decides_the_label(make_frame: MakeFrame) -> None:
    torch.manual_seed(0)
    frame = make_frame(0, [True], num_boxes=[40])
    queries = StandardDenoising(groups=20)(frame, RANGE, 10)
    assert queries is not None and frame.targets is not None
    centers_m = to_metres(queries.reference_points[queries.streams, queries.slots], RANGE)
    noise = (centers_m - queries.boxes[:, :3]) / (queries.boxes[:, 3:6] / 2)
    assert noise.abs().max() <= 1 + 1e-3
    true_labels = frame.targets[0].labels.repeat(20)
    far = noise.norm(dim=1) > 0.75
    sure = (noise.norm(dim=1) - 0.75).abs() > 1e-3
    assert torch.equal(queries.labels[sure], torch.where(far, 10, true_labels)[sure])
    positive = (queries.labels < 10).float().mean().item()
    assert positive == pytest.approx(queries.positive_share, abs=0.05)


def test_reference_points_do_not_leave_the_range(make_frame: MakeFrame) -> None:
    frame = make_frame(0, [True], num_boxes=[1])
    assert frame.targets is not None
    frame.targets[0].boxes[0, :3] = torch.tensor([51.0, -51.0, 2.9])
    queries = StandardDenoising(groups=50)(frame, RANGE, 10)
    assert queries is not None
    assert queries.reference_points.min() == 0 and queries.reference_points.max() == 1


def test_mask_entry_by_entry(make_frame: MakeFrame) -> None:
    queries = StandardDenoising(GROUPS)(make_frame(0, [True, True], num_boxes=[2, 1]), RANGE, 10)
    assert queries is not None
    slots, ordinary, remembered = GROUPS * 2, 4, 5
    mask = queries.attention_mask(ordinary, ordinary + remembered)
    assert mask.shape == (slots + ordinary, slots + ordinary + remembered)
    for row in range(slots + ordinary):
        for column in range(slots + ordinary + remembered):
            of_other_group = row < slots and column < slots and row // 2 != column // 2
            ordinary_at_slot = row >= slots > column
            assert mask[row, column].item() == (of_other_group or ordinary_at_slot), (row, column)


def test_stream_without_boxes_beside_one_with(make_frame: MakeFrame) -> None:
    queries = StandardDenoising(GROUPS)(make_frame(0, [True, True], num_boxes=[0, 2]), RANGE, 10)
    assert queries is not None
    assert queries.streams.tolist() == [1] * 2 * GROUPS
    assert not queries.reference_points[0].any()


def test_batch_without_boxes_has_no_queries(make_frame: MakeFrame) -> None:
    assert StandardDenoising(GROUPS)(make_frame(0, [True, True], num_boxes=[0, 0]), RANGE, 10) is None
