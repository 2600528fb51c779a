"""Lists of decoded boxes: order among nearly equal scores does not matter, everything else does."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from detection.models.box_coder import Detections
from parity.comparison import Comparison
from parity.decoded_boxes import compare_detections
from parity.tolerances import BOXES, RANKED_SCORES


@pytest.fixture
def found() -> Detections:
    torch.manual_seed(0)
    scores = torch.linspace(0.9, 0.1, 12)
    scores[5] = scores[4] - RANKED_SCORES / 3
    boxes = torch.randn(12, 9) * 10
    boxes[:, 6] = torch.linspace(-3.1415, 3.1415, 12)
    return Detections(boxes, scores, torch.randint(10, (12,)), torch.arange(12))


def _recorded(found: Detections) -> dict[str, np.ndarray]:
    bottom = found.boxes.clone()
    bottom[:, 2] -= bottom[:, 5] / 2
    return {
        "decoded_bboxes": found.boxes.numpy(),
        "decoded_scores": found.scores.numpy(),
        "decoded_labels": found.labels.numpy(),
        "result_boxes": bottom.numpy(),
    }


def _compared(found: Detections, recorded: dict[str, np.ndarray]) -> Comparison:
    comparison = Comparison()
    compare_detections(comparison, "f0_", found, recorded)
    return comparison


def _taken(found: Detections, order: list[int]) -> Detections:
    return replace(found, boxes=found.boxes[order], scores=found.scores[order], labels=found.labels[order])


def test_same_boxes(found: Detections) -> None:
    comparison = _compared(found, _recorded(found))
    assert comparison.agrees and comparison.worst is not None and comparison.worst.ratio < 1e-3
    assert sorted(comparison.compared) == [
        f"f0_{name}" for name in ("decoded_bboxes", "decoded_labels", "decoded_scores", "result_boxes")
    ]


def test_nearly_equal_scores_in_another_order(found: Detections) -> None:
    order = [0, 1, 2, 3, 5, 4, *range(6, 12)]
    assert _compared(_taken(found, order), _recorded(found)).agrees


def test_half_turns_the_other_way_round(found: Detections) -> None:
    boxes = found.boxes.clone()
    boxes[:, 6] += 2 * torch.pi
    assert _compared(replace(found, boxes=boxes), _recorded(found)).agrees


@pytest.mark.parametrize("column", range(9))
def test_moved_box(found: Detections, column: int) -> None:
    boxes = found.boxes.clone()
    boxes[3, column] += 1.5 * BOXES
    comparison = _compared(replace(found, boxes=boxes), _recorded(found))
    assert not comparison.agrees and comparison.worst is not None and comparison.worst.place == "[3]"


def test_other_class(found: Detections) -> None:
    labels = found.labels.clone()
    labels[7] += 1
    assert not _compared(replace(found, labels=labels), _recorded(found)).agrees


def test_other_score(found: Detections) -> None:
    scores = found.scores.clone()
    scores[0] += 2 * RANKED_SCORES
    assert not _compared(replace(found, scores=scores), _recorded(found)).agrees


def test_last_place_lost_to_a_box_of_the_same_score(found: Detections) -> None:
    boxes = found.boxes.clone()
    boxes[11] += 5
    assert _compared(replace(found, boxes=boxes), _recorded(found)).agrees


def test_missing_box(found: Detections) -> None:
    assert not _compared(_taken(found, [*range(5), *range(6, 12)]), _recorded(found)).agrees
