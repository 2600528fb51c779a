"""The boxes that a teacher adds to the student's denoising."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from detection.distillation.terms.teacher_boxes import best_boxes


def _recorded_predictions(streams: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (6, B, 40, 10) and codes as the recordings have them."""
    logits = np.random.RandomState(95005 + streams).standard_normal((6, streams, 40, 10))
    codes = np.random.RandomState(95015 + streams).uniform(-3, 3, (6, streams, 40, 10))
    return torch.from_numpy(logits.astype(np.float32)), torch.from_numpy(codes.astype(np.float32))


@pytest.mark.parametrize("streams", [1, 2])
def test_published_boxes(golden_methods: Path, streams: int) -> None:
    recorded = json.loads((golden_methods / "harmo_branches.json").read_text())["pseudo_labels"][f"batch{streams}"]
    logits, codes = _recorded_predictions(streams)
    for stream in range(streams):
        boxes, labels = best_boxes(logits[:, stream], codes[:, stream], 4, published=True)
        assert labels.tolist() == recorded["labels"][stream]
        np.testing.assert_allclose(boxes, recorded["boxes"][stream], rtol=2e-6)


def test_no_query_comes_twice() -> None:
    logits = torch.full((6, 5, 3), -4.0)
    logits[-1, 2] = torch.tensor([3.0, 2.0, 1.0])  # its second class beats every other query, and so do other layers
    logits[0] = 9.0
    logits[-1, 4, 1] = 0.5
    codes = torch.zeros(6, 5, 10)
    codes[-1, :, 0] = torch.arange(5.0)
    boxes, labels = best_boxes(logits, codes, 2)
    assert boxes[:, 0].tolist() == [2.0, 4.0] and labels.tolist() == [0, 1]
    assert len(best_boxes(logits, codes, 9)[1]) == 5
    assert best_boxes(logits, codes, 0)[0].shape == (0, 9)
