"""2D box overlap: against counted pixels, and the properties that GIoU promises."""

import hypothesis.strategies as st
import torch
from hypothesis import given

from detection.models.box_overlap import (
    center_size_from_corners,
    corners_from_center_size,
    generalized_iou,
    intersection_over_union,
)


@st.composite
def integer_boxes(draw: st.DrawFn) -> torch.Tensor:
    left, top = draw(st.integers(0, 12)), draw(st.integers(0, 12))
    return torch.tensor([left, top, left + draw(st.integers(1, 8)), top + draw(st.integers(1, 8))]).float()


def _covered(box: torch.Tensor) -> torch.Tensor:
    pixels = torch.zeros(24, 24, dtype=torch.bool)
    left, top, right, bottom = box.long().tolist()
    pixels[top:bottom, left:right] = True
    return pixels


@given(integer_boxes(), integer_boxes())
def test_iou_and_giou_count_pixels(box: torch.Tensor, other: torch.Tensor) -> None:
    first, second = _covered(box), _covered(other)
    union = (first | second).sum()
    rows, columns = torch.nonzero(first | second).unbind(1)
    enclosing = (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)
    iou = (first & second).sum() / union
    torch.testing.assert_close(intersection_over_union(box, other), iou)
    torch.testing.assert_close(generalized_iou(box, other), iou - (enclosing - union) / enclosing)


@given(integer_boxes(), integer_boxes())
def test_giou_is_symmetric_bounded_and_at_most_iou(box: torch.Tensor, other: torch.Tensor) -> None:
    giou = generalized_iou(box, other)
    torch.testing.assert_close(giou, generalized_iou(other, box))
    assert -1 < giou <= intersection_over_union(box, other) <= 1


@given(integer_boxes())
def test_box_overlaps_itself_wholly(box: torch.Tensor) -> None:
    assert generalized_iou(box, box) == 1


def test_points_overlap_by_nothing() -> None:
    point = torch.tensor([3.0, 3.0, 3.0, 3.0], requires_grad=True)
    overlap = generalized_iou(point, torch.tensor([5.0, 5.0, 5.0, 5.0]))
    overlap.backward()
    assert overlap.isfinite() and point.grad is not None and point.grad.isfinite().all()


@given(integer_boxes())
def test_corners_and_center_size_are_inverse(box: torch.Tensor) -> None:
    torch.testing.assert_close(corners_from_center_size(center_size_from_corners(box)), box)


def test_overlaps_broadcast_to_a_matrix() -> None:
    boxes, others = torch.rand(4, 1, 4), torch.rand(3, 4)
    assert generalized_iou(boxes, others).shape == (4, 3)
