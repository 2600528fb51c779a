"""Box codes there and back, and the choice of the best scores."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from detection.models.box_coder import Candidates, NMSFreeCoder, decode_boxes, encode_boxes, in_order

POST_CENTER_RANGE = [-61.2, -61.2, -10.0, 61.2, 61.2, 10.0]
BOXES = st.tuples(
    *[st.floats(-60, 60)] * 3,
    *[st.floats(0.05, 30)] * 3,
    st.floats(-math.pi + 1e-3, math.pi - 1e-3),
    *[st.floats(-40, 40)] * 2,
)


@given(st.lists(BOXES, max_size=5))
def test_codes_decode_to_the_boxes(rows: list[tuple[float, ...]]) -> None:
    boxes = torch.tensor(rows, dtype=torch.float32).reshape(-1, 9)
    codes = encode_boxes(boxes)
    assert codes.shape == (len(rows), 10)
    torch.testing.assert_close(decode_boxes(codes), boxes, atol=1e-4, rtol=1e-4)


def test_code_holds_what_it_says() -> None:
    code = encode_boxes(torch.tensor([1.0, 2, 3, math.e, 1, 1 / math.e, math.pi / 6, 4, 5]))
    expected = torch.tensor([1.0, 2, 3, 1, 0, -1, 0.5, math.sqrt(3) / 2, 4, 5])
    torch.testing.assert_close(code, expected)


def test_unknown_velocity_stays_unknown() -> None:
    box = torch.tensor([0.0, 0, 0, 1, 1, 1, 0, math.nan, math.nan])
    assert encode_boxes(box)[:8].isfinite().all()
    assert encode_boxes(box)[8:].isnan().all()


def test_best_scores_over_queries_and_classes_come_first() -> None:
    logits = torch.tensor([[[0.0, 3.0], [2.0, -1.0], [-5.0, 1.0]]])
    codes = torch.zeros(1, 3, 10)
    codes[0, :, 0] = torch.tensor([10.0, 20.0, 30.0])
    (detections,) = (
        NMSFreeCoder(POST_CENTER_RANGE, max_num=4).decode(logits, codes, torch.tensor([[7, 8, 9]])).detections()
    )
    assert detections.query_ids is not None
    assert detections.query_ids.tolist() == [7, 8, 9, 7]  # one query may appear under two classes
    assert detections.labels.tolist() == [1, 0, 1, 0]
    assert detections.boxes[:, 0].tolist() == [10, 20, 30, 10]
    assert detections.scores.tolist() == pytest.approx(torch.tensor([3.0, 2.0, 1.0, 0.0]).sigmoid().tolist())


def test_centres_out_of_range_are_left_out_and_the_border_is_in() -> None:
    codes = torch.zeros(1, 3, 10)
    codes[0, :, 0] = torch.tensor([61.2, 61.21, 0.0])
    codes[0, 2, 2] = -10.01
    (detections,) = NMSFreeCoder(POST_CENTER_RANGE).decode(torch.zeros(1, 3, 1), codes, None).detections()
    assert detections.boxes[:, 0].tolist() == pytest.approx([61.2])
    assert detections.query_ids is None
    assert len(detections.scores) == len(detections.labels) == 1


def test_one_copy_keeps_every_number() -> None:
    generator = torch.Generator().manual_seed(0)
    names = torch.tensor([[2**40 + 1, 3], [5, 2**52 - 1]])
    found = Candidates(
        boxes=torch.randn(2, 2, 9, generator=generator),
        scores=torch.rand(2, 2, generator=generator),
        labels=torch.tensor([[9, 0], [3, 4]]),
        query_ids=names,
        valid=torch.tensor([[True, False], [True, True]]),
    )
    first, second = found.detections()
    assert torch.equal(first.boxes, found.boxes[0, :1]) and torch.equal(second.boxes, found.boxes[1])
    assert torch.equal(second.scores, found.scores[1]) and second.labels.tolist() == [3, 4]
    assert first.query_ids is not None and second.query_ids is not None
    assert first.query_ids.tolist() == [2**40 + 1] and torch.equal(second.query_ids, names[1])


def test_groups_of_streams_come_together_in_their_order() -> None:
    """Also those of other numbers of boxes: what is missing is no detection."""

    def part(first: int, streams: int, boxes: int) -> Candidates:
        count = streams * boxes
        numbers = torch.arange(first, first + count).view(streams, boxes)
        return Candidates(
            boxes=numbers[..., None].expand(-1, -1, 9).float(),
            scores=numbers.float(),
            labels=numbers,
            query_ids=numbers,
            valid=torch.ones(streams, boxes, dtype=torch.bool),
        )

    found = in_order([part(0, 2, 3), part(100, 1, 2)], [0, 2, 1]).detections()
    assert [detections.labels.tolist() for detections in found] == [[0, 1, 2], [100, 101], [3, 4, 5]]
    for detections in found:
        assert detections.query_ids is not None
        assert torch.equal(detections.boxes, detections.labels[:, None].expand(-1, 9).float())
        assert torch.equal(detections.scores, detections.labels.float())
        assert torch.equal(detections.query_ids, detections.labels)
